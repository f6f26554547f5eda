"""New images, export, model card."""

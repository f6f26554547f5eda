"""What a run leaves in its work directory, and opening it again."""

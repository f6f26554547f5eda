"""Augmentation policies and their check."""

"""Readers beside the model."""

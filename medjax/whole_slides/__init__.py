"""Whole slides: cut into patches, and classified by the patches of a trained network."""

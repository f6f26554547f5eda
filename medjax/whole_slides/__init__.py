"""Whole slides: cut into patches, and told apart by the patches of a trained network."""

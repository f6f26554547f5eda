"""A wing for whole slides."""

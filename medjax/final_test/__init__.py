"""The test set, read once."""

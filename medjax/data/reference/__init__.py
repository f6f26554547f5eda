"""The reference standard."""

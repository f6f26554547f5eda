"""The pure step and what it is built of."""

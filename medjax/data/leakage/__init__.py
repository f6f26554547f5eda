"""What leaks between splits."""

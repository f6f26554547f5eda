"""Who trains and who is tested."""

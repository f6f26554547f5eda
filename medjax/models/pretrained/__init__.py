"""Published weights: found on the hub or on disk, read without unpickling, fitted name by name."""

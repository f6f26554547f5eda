"""From files on disk to batches of arrays. Worker processes import this package: no jax here."""

"""Sources: one module per data set, files on disk to a study table."""

"""`python -m medjax.external`: a finished run on another data set."""

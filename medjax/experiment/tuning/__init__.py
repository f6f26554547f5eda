"""A search of hyper-parameters: its space, its trials, and the test of the winner."""

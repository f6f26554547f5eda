"""How many patients a test needs: the command, see medjax.evaluation.test_size for its figures."""

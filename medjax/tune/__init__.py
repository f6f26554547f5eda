"""Hyper-parameters by validation: the command, see medjax.experiment.tuning for what it does."""

"""Folds as their runs leave them, of drawn predictions whose scales differ."""

import numpy as np
import pandas as pd
from scipy import special

from medjax.config.protocol import Protocol
from medjax.evaluation import assessment, frozen
from medjax.evaluation.folds import Fold
from medjax.evaluation.predictions import Predictions

LABELS = ['Edema', 'Mass']
PROTOCOL = Protocol(
  calibration='platt', operating_points=('youden', 'sensitivity=0.9'), replicates=60
)


def predicted(rng, name, patients, offset=0.0, stretch=1.0):
  """Predictions of two images a patient, whose log-odds are off by `offset` and `stretch`."""
  patient = np.repeat(np.arange(patients), 2)
  truth = rng.random((len(patient), 2)) < 0.3
  log_odds = offset + stretch * rng.normal(2 * truth - 1, 1)
  return Predictions(
    [f'{name}{index}.png' for index in range(len(patient))],
    [f'{name}{number}' for number in patient],
    LABELS,
    special.expit(log_odds),
    truth.astype(np.float32),
    np.ones(truth.shape, bool),
    pd.DataFrame({'sex': ['F'] * len(patient)}),
    log_odds=log_odds,
  )


def fold(seed, offset=0.0, stretch=1.0, protocol=PROTOCOL, patients=40, trained_on=70):
  """A fold as its run leaves it: calibrated and frozen on validation of its own."""
  rng = np.random.default_rng(seed)
  validation, test = (
    predicted(rng, f'{part}{seed}-', number, offset, stretch)
    for part, number in (('v', 60), ('t', patients))
  )
  assessed = assessment.assess(validation, test, protocol)
  level = assessed.frozen['image']
  return Fold(f'fold {seed}', frozen.calibrated(level, test), level, assessed.result, trained_on)

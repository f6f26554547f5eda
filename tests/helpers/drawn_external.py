"""Drawn predictions of one model at two hospitals, and what its validation has frozen."""

import numpy as np
import pandas as pd
from scipy import special

from medjax.config.protocol import Protocol
from medjax.evaluation import assessment
from medjax.evaluation.external import evaluate
from medjax.evaluation.predictions import Predictions

LABELS = ['Edema', 'Mass']
PROTOCOL = Protocol(
  calibration='platt', operating_points=('youden', 'sensitivity=0.9'), replicates=40
)


def hospital(
  seed,
  patients=200,
  prevalence=(0.3, 0.15),
  moved=0.0,
  stretched=1.0,
  separation=1.6,
  decimals=None,
  prefix=None,
):
  """Returns the predictions of a hospital, whose log odds are moved and stretched.

  Its patients are called by `prefix`, by default of this seed alone.
  """
  prefix = f'{seed}:' if prefix is None else prefix
  rng = np.random.default_rng(seed)
  images = rng.integers(1, 4, patients)
  patient = np.repeat(np.arange(patients), images)
  ill = np.repeat(rng.random((patients, 2)) < prevalence, images, axis=0)
  alike = np.repeat(rng.normal(size=(patients, 2)), images, axis=0)
  x = separation * ill + np.sqrt(0.5) * (alike + rng.normal(size=ill.shape))
  start = special.logit(np.array([0.3, 0.15]))
  z = moved + stretched * (start + separation * x - separation**2 / 2)
  probabilities = special.expit(z if decimals is None else z.round(decimals))
  known = rng.random(ill.shape) < 0.95
  return Predictions(
    [f'{seed}/{row}.png' for row in range(len(patient))],
    [f'{prefix}p{number:04}' for number in patient],
    LABELS,
    probabilities,
    np.where(known, ill, 0).astype(np.float32),
    known,
    about=pd.DataFrame(
      {
        'site': np.array(['north', 'south', 'west'])[np.minimum(patient % 5, 2)],
        'sex': np.array(['F', 'M'])[patient % 2],
      }
    ),
  )


def validated(external, protocol=PROTOCOL, **settings):
  """Returns what `evaluate` says of a run whose validation and own test are hospitals 1 and 2."""
  validation, own = hospital(1, 300), hospital(2, 250)
  chosen = assessment.freeze(validation, protocol)
  return evaluate.evaluate(validation, own, external, chosen, protocol, **settings)

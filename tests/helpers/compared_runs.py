"""Two drawn runs on the same images, and their comparison."""

import json

import numpy as np

from medjax.evaluation import comparison, contrasts, results_file
from medjax.evaluation.predictions import Predictions

LABELS = ['Edema', 'Mass', 'Fracture']


def runs(seed=0, patients=80, gains=(0.0, 0.9, -0.9), unlike=0.5):
  """Returns two runs' predictions; the first knows more of each label, by `gains`."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
  size = (len(patient), len(gains))
  truth = (rng.random(size) < 0.35).astype(np.float32)
  shared = rng.normal(0, 0.5, (patients, len(gains)))[patient] + rng.normal(0.9 * truth, 1)
  known = rng.random(size) < 0.9
  probabilities = [
    1 / (1 + np.exp(-shared - unlike * rng.normal(size=size) - gain * truth))
    for gain in (np.array(gains), 0)
  ]
  return [
    Predictions(
      [f'{index}.png' for index in range(len(patient))],
      [f'p{number}' for number in patient],
      LABELS[: len(gains)],
      run.astype(np.float32).round(2),
      np.where(known, truth, 0),
      known,
    )
    for run in probabilities
  ]


def compare(one, other, **settings):
  compared = comparison.compare(one, other, **{'margin': 0.05, 'replicates': 200} | settings)
  plain = json.loads(json.dumps(results_file.to_plain(compared), allow_nan=False))
  assert results_file.from_plain(plain, contrasts.Comparison) == compared
  return compared

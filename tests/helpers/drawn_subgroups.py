"""Predictions of drawn patients of two sexes, in several views."""

import numpy as np
import pandas as pd

from medjax.evaluation.predictions import Predictions

LABELS = ['Edema', 'Mass < 3 cm']
THRESHOLDS = {'Edema': 0.5, 'Mass < 3 cm': 0.45}


def drawn(patients=150, images=400, gap=0.0, seed=0, labels=LABELS, rate=0.4):
  """Images of patients of two sexes, in views that a patient may have several of.

  Of the F the scores say less by `gap`. Scores are rounded, so that some are tied.
  """
  rng = np.random.default_rng(seed)
  patient = np.concatenate([np.arange(patients), rng.integers(0, patients, images - patients)])
  sex = np.where(rng.random(patients) < 0.4, 'F', 'M')[patient]
  age = rng.integers(1, 95, patients)[patient]
  truth = rng.random((images, len(labels))) < rate
  says = 0.15 * truth * np.where(sex == 'F', 1 - gap, 1)[:, None]
  scores = np.clip(0.4 + says + rng.normal(0, 0.15, truth.shape), 0, 1).round(2)
  view = rng.choice(['PA', 'AP', 'lateral', ''], images, p=(0.5, 0.3, 0.15, 0.05))
  about = pd.DataFrame({'sex': sex, 'age': age.astype(str), 'view': view, 'set': 'one'})
  return Predictions(
    [f'i{index}' for index in range(images)],
    [f'p{index:03}' for index in patient],
    list(labels),
    scores.astype(np.float32),
    truth.astype(np.float32),
    rng.random(truth.shape) > 0.05,
    about,
  )


def by_value(by_column, column):
  return {group.value: group for group in by_column[column]}

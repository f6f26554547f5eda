"""Drawn study tables, their split, and what it holds, counted by loops."""

import numpy as np
import pandas as pd

from medjax.data.split import by_patient as splits

LABELS = ('Mass', 'Edema', 'Hernia')


def study(patients, prevalences=(0.3, 0.15, 0.03), seed=0, known=1.0, official=None):
  """A table of `patients` patients with 1 to 4 images each, its truth and what of it is known."""
  rng = np.random.default_rng(seed)
  owner = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
  table = pd.DataFrame(
    {
      'image': [f'{i:05}.png' for i in rng.permutation(len(owner))],
      'patient': [f'p{i}' for i in owner],
    }
  )
  names = LABELS[: len(prevalences)]
  truth = (rng.random((len(owner), len(names))) < prevalences).astype(np.float32)
  is_known = rng.random(truth.shape) < known
  for column, name in enumerate(names):
    table[name] = np.where(is_known[:, column], truth[:, column], np.nan).astype(np.float32)
  if official is not None:
    table['official_split'] = np.array(official, object)[owner]
  return table, truth * is_known, is_known


def make(made, test=0.2, validation=0.2, test_floor=None, seed=0):
  table, truth, known = made
  return splits.make(
    table,
    truth,
    known,
    LABELS[: truth.shape[1]],
    test=test,
    validation=validation,
    test_floor=test_floor or {},
    seed=seed,
  )


def one_image_each(patterns):
  """A table in which patient i has one image with the i-th of `patterns`, such as '101'."""
  truth = np.array([[int(digit) for digit in pattern] for pattern in patterns], np.float32)
  names = [f'{i:04}' for i in range(len(patterns))]
  table = pd.DataFrame({'image': [f'{name}.png' for name in names], 'patient': names})
  for column in range(truth.shape[1]):
    table[LABELS[column]] = truth[:, column]
  return table, truth, np.ones(truth.shape, bool)


def by_patient(made, split):
  """patient -> (its split, its pattern of positive labels), by looping over the rows."""
  table, truth, known = made
  result = {}
  for row, patient in enumerate(table['patient']):
    name, pattern = result.setdefault(patient, (split[row], np.zeros(truth.shape[1], int)))
    assert name == split[row], 'a patient is on two sides'
    pattern |= (known[row] & (truth[row] == 1)).astype(int)
  return {patient: (name, tuple(pattern)) for patient, (name, pattern) in result.items()}


def patterns_of(made, split, name):
  return [pattern for side, pattern in by_patient(made, split).values() if side == name]


def positives(made, split, name, label):
  column = LABELS.index(label)
  return sum(pattern[column] for pattern in patterns_of(made, split, name))

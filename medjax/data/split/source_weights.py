"""How much each patient of a drawn set weighs to stand for the source that it was drawn from.

A floor of positives makes a test set, and the validation set that resembles it, unlike the source:
positives were drawn more often than others. Each patient drawn stands for as many of the source as
were not: patients who are positive for the same labels with a floor weigh together as much as all
such of the source (post-stratification, Holt & Smith, J. R. Stat. Soc. A 142:33, 1979). Validation
is drawn to resemble the test set in every label, so that the positives of each label without a
floor weigh together as much as those of the source, too (raking, Deming & Stephan, Ann. Math. Stat.
11:427, 1940).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medjax.data.split.by_patient import by_patient

_ROUNDS, _CONVERGED = 200, 1e-9  # of raking; weights are about 1


def to_source(
  table: pd.DataFrame,
  split: np.ndarray,
  truth: np.ndarray,
  known: np.ndarray,
  labels: Sequence[str],
  *,
  how: Mapping[str, Any],
  part: str,
) -> np.ndarray | None:
  """Returns the weights of a split's patients, f64[N], 0 for rows of other splits.

  Their mean over the patients of the split is 1.

  Args:
    table, split, truth, known, labels: as medjax.data.split.by_patient.make takes and returns them.
    how: what `make` said of the split; {} for one that came from elsewhere.
    part: 'validation' or 'test'.

  Returns:
    None where no floor enriched the test set, or where the part is the publisher's: then it was not
    drawn otherwise than the source.
  """
  enriched = how.get('test', {}).get('enriched', [])
  if not enriched or 'drawn' not in how.get(part, {}).get('from', ''):
    return None
  patients, names = pd.factorize(table['patient'].to_numpy(object), sort=True)
  split = np.asarray(split)
  used = split != 'unused'
  positive = by_patient(patients[used], len(names), (known & (truth > 0.5))[used])
  floors = [column for column, label in enumerate(labels) if label in how['test']['floor']]
  _, pattern = np.unique(positive[:, floors], axis=0, return_inverse=True)
  in_source, in_part = (
    np.bincount(patients[rows], minlength=len(names)) > 0 for rows in (used, split == part)
  )
  groupings = [pattern.reshape(-1), *positive.T.astype(np.int64)]
  weight = np.zeros(len(names))
  weight[in_part] = _raked(
    [grouping[in_part] for grouping in groupings],
    [np.bincount(grouping[in_source]) for grouping in groupings],
  )
  return np.where(split == part, weight[patients], 0.0)


def _raked(groupings: Sequence[np.ndarray], wanted: Sequence[np.ndarray]) -> np.ndarray:
  """Returns weights f64[P] of mean 1 by which every grouping's groups have the shares wanted.

  Args:
    groupings: int[P] each, the group of every patient.
    wanted: counts of each grouping's groups. One that nobody here is of cannot be spoken for.
  """
  weight = np.ones(len(groupings[0]))
  for _ in range(_ROUNDS):
    before = weight
    for grouping, counts in zip(groupings, wanted):
      there = np.bincount(grouping, weights=weight, minlength=len(counts))
      shares = np.where(there > 0, counts, 0)
      factors = shares / np.where(there > 0, there, 1) * (len(weight) / shares.sum())
      weight = weight * factors[grouping]
    if np.abs(weight - before).max() < _CONVERGED:
      break
  return weight

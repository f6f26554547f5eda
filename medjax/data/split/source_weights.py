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
from typing import Any, NamedTuple

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
  drawn = _drawn(table, split, truth, known, labels, how, part)
  if drawn is None:
    return None
  positive, in_source, in_part = drawn.positive, drawn.in_source, drawn.in_part
  _, pattern = np.unique(positive[:, drawn.floors], axis=0, return_inverse=True)
  groupings = [pattern.reshape(-1), *positive.T.astype(np.int64)]
  weight = np.zeros(len(in_part))
  weight[in_part] = _raked(
    [grouping[in_part] for grouping in groupings],
    [np.bincount(grouping[in_source]) for grouping in groupings],
  )
  return np.where(np.asarray(split) == part, weight[drawn.patients], 0.0)


def absent(
  table: pd.DataFrame,
  split: np.ndarray,
  truth: np.ndarray,
  known: np.ndarray,
  labels: Sequence[str],
  *,
  how: Mapping[str, Any],
  part: str,
) -> dict[str, int]:
  """Returns which patients of the source no weight can stand for: a kind → how many there are.

  A kind is 'positive for Mass', or 'positive for Mass and Edema' of labels with a floor, of which
  the part has nobody. Arguments as of `to_source`; {} where that returns None.
  """
  drawn = _drawn(table, split, truth, known, labels, how, part)
  if drawn is None:
    return {}
  kinds = {}
  single = [({column: value}) for column in range(len(labels)) for value in (True, False)]
  patterns = np.unique(drawn.positive[drawn.in_source][:, drawn.floors], axis=0)
  for kind in (*single, *(dict(zip(drawn.floors, pattern.tolist())) for pattern in patterns)):
    alike = np.all([drawn.positive[:, column] == value for column, value in kind.items()], axis=0)
    number = int((alike & drawn.in_source).sum())
    parts = ({column: value} for column, value in kind.items())
    is_told = len(kind) > 1 and any(_words(part, labels) in kinds for part in parts)
    if number and not is_told and not (alike & drawn.in_part).any():
      kinds[_words(kind, labels)] = number
  return kinds


def _words(kind: Mapping[int, bool], labels: Sequence[str]) -> str:
  """Returns 'positive for Mass and Edema, not for Fracture'."""
  has, lacks = (
    ' and '.join(labels[column] for column, value in kind.items() if value == wanted)
    for wanted in (True, False)
  )
  if not has:
    return f'not positive for {lacks}'
  return f'positive for {has}' + (f', not for {lacks}' if lacks else '')


class _Drawn(NamedTuple):
  """The patients of a source and of a part that was drawn otherwise.

  Attributes:
    patients: int[N], of each image.
    positive: bool[patients, L].
    floors: columns of the labels with a floor.
    in_source, in_part: bool[patients].
  """

  patients: np.ndarray
  positive: np.ndarray
  floors: list[int]
  in_source: np.ndarray
  in_part: np.ndarray


def _drawn(
  table: pd.DataFrame,
  split: np.ndarray,
  truth: np.ndarray,
  known: np.ndarray,
  labels: Sequence[str],
  how: Mapping[str, Any],
  part: str,
) -> _Drawn | None:
  """Returns None where the part was not drawn otherwise than its source."""
  enriched = how.get('test', {}).get('enriched', [])
  if not enriched or 'drawn' not in how.get(part, {}).get('from', ''):
    return None
  patients, names = pd.factorize(table['patient'].to_numpy(object), sort=True)
  split = np.asarray(split)
  used = split != 'unused'
  in_source, in_part = (
    np.bincount(patients[rows], minlength=len(names)) > 0 for rows in (used, split == part)
  )
  return _Drawn(
    patients,
    by_patient(patients[used], len(names), (known & (truth > 0.5))[used]),
    [column for column, label in enumerate(labels) if label in how['test']['floor']],
    in_source,
    in_part,
  )


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

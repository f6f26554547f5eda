"""How much each patient of a drawn set weighs to stand for the source that it was drawn from.

A floor of positives makes a test set, and the validation set that resembles it, unlike the source:
positives were drawn more often than others. Within the patients who are positive for the same
labels that have a floor, chance decided; so each of them stands for as many of the source as were
not drawn: the inverse of the probability to be drawn, estimated by how many were (Horvitz &
Thompson, J. Am. Stat. Assoc. 47:663, 1952; post-stratification, Holt & Smith, J. R. Stat. Soc. A
142:33, 1979).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medjax.data.split.by_patient import by_patient


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
  floors = [column for column, label in enumerate(labels) if label in how['test']['floor']]
  patients, names = pd.factorize(table['patient'].to_numpy(object), sort=True)
  split = np.asarray(split)
  used = split != 'unused'
  positive = by_patient(patients[used], len(names), (known & (truth > 0.5))[used][:, floors])
  _, stratum = np.unique(np.packbits(positive, axis=1), axis=0, return_inverse=True)
  stratum = stratum.reshape(-1)
  in_source, in_part = (
    np.bincount(patients[rows], minlength=len(names)) > 0 for rows in (used, split == part)
  )
  strata = int(stratum.max()) + 1
  of_source, of_part = (
    np.bincount(stratum[inside], minlength=strata) for inside in (in_source, in_part)
  )
  # A stratum that nobody here is of cannot be spoken for.
  of_source = np.where(of_part > 0, of_source, 0)
  weight = of_source / np.maximum(of_part, 1) * (of_part.sum() / of_source.sum())
  return np.where(split == part, weight[stratum[patients]], 0.0)

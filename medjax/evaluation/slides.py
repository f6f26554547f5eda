"""From patches to slides and patients: has it spread?

A network says of every patch how likely it shows tumour. What it says of a slide is one number made of
those: the highest ('max'), the average ('mean'), or the average of the highest share of them ('top:0.05'
takes 5 %), which a single wrong patch does not decide. A patient is as likely to have it as the most
likely of the patient's slides.
"""

import math
from collections.abc import Callable, Hashable, Mapping, Sequence

import numpy as np

from medjax.errors import InputError, check_option
from medjax.evaluation.predictions import Predictions

METHODS = ('max', 'mean', 'top')


def method(text: str) -> Callable[[np.ndarray], np.ndarray]:
  """Returns the function f[N, L] → f[L] that 'max', 'mean' or 'top:share' stands for."""
  name, colon, share = text.partition(':')
  check_option('--aggregate', name, METHODS)
  if name != 'top':
    if colon:
      raise InputError(f"--aggregate={text}: only 'top' takes a share")
    return highest if name == 'max' else average
  try:
    value = float(share)
  except ValueError:
    value = math.nan
  if not 0 < value <= 1:
    raise InputError(f"--aggregate={text}: give a share in (0, 1], such as 'top:0.05'")
  return lambda values: top_share(values, value)


def highest(values: np.ndarray) -> np.ndarray:
  """f[N, L] → f[L], the highest of each column."""
  return np.max(values, axis=0)


def average(values: np.ndarray) -> np.ndarray:
  """f[N, L] → f[L], the mean of each column."""
  return np.mean(values, axis=0, dtype=np.float64)


def top_share(values: np.ndarray, share: float) -> np.ndarray:
  """f[N, L] → f[L], the mean of the highest ⌈share · N⌉ values of each column, one at least."""
  # 0.1 · 30 is a hair above 3, which must not become 4.
  count = max(1, math.ceil(round(share * len(values), 9)))
  return np.mean(np.sort(values, axis=0)[-count:], axis=0, dtype=np.float64)


def aggregate(
  values: np.ndarray, groups: Sequence[Hashable], of: Callable[[np.ndarray], np.ndarray]
) -> tuple[list, np.ndarray]:
  """Returns the groups, in the order in which they first occur, and `of` the rows of each.

  Args:
    values: f[N, L].
    groups: N names.
    of: f[n, L] → f[L].

  Returns:
    G names and f64[G, L].
  """
  values = np.asarray(values)
  rows: dict = {}
  for row, group in enumerate(groups):
    rows.setdefault(group, []).append(row)
  if not rows:
    return [], np.zeros((0, values.shape[1]))
  return list(rows), np.stack([np.asarray(of(values[each]), np.float64) for each in rows.values()])


def any_of(truth: np.ndarray, known: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns what is true of a whole, bool[L], and known of it, bool[L], given that of its parts.

  It has a finding if any part has, and has none if none of the parts, all of them known, has.

  Args:
    truth: [n, L] of 0 and 1, read only where known.
    known: bool[n, L].
  """
  positive = ((np.asarray(truth) == 1) & known).any(axis=0)
  return positive, positive | np.asarray(known, bool).all(axis=0)


def to_slides(
  patches: Predictions,
  slides: Sequence[str],
  of: Callable[[np.ndarray], np.ndarray],
  truth: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Predictions:
  """Returns the predictions of slides, made of those of their patches.

  Args:
    patches: of the patches.
    slides: the slide of each.
    of: from `method`.
    truth: slide → its truth [L] and whether known bool[L].
  """
  names, probabilities = aggregate(patches.probabilities, slides, of)
  patient = dict(zip(slides, patches.patients))
  return _predictions(
    names, [patient[name] for name in names], patches.labels, probabilities, truth
  )


def to_patients(slides: Predictions) -> Predictions:
  """Returns the predictions of patients: the most likely of each patient's slides."""
  names, probabilities = aggregate(slides.probabilities, slides.patients, highest)
  truth = {
    name: any_of(slides.truth[rows], slides.known[rows])
    for name in names
    for rows in [np.array([patient == name for patient in slides.patients])]
  }
  return _predictions(names, names, slides.labels, probabilities, truth)


def _predictions(
  names: Sequence[str],
  patients: Sequence[str],
  labels: Sequence[str],
  probabilities: np.ndarray,
  truth: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Predictions:
  known = np.array([truth[name][1] for name in names], bool).reshape(len(names), len(labels))
  values = np.array([truth[name][0] for name in names], np.float32).reshape(known.shape)
  return Predictions(
    list(names),
    list(patients),
    list(labels),
    # A mean of float32 in float64 may exceed 1 by a rounding.
    np.clip(probabilities, 0, 1).astype(np.float32),
    np.where(known, values, 0).astype(np.float32),
    known,
  )

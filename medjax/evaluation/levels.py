"""From images to studies, patients and slides: one rule, stated once.

A network says of every image how likely it shows a finding. What it says of a study, a patient or a
slide is one number made of those of its images: the highest ('max'), the average ('mean'), or the
average of the highest share of them ('top:0.05' takes 5 %), which a single wrong patch does not
decide. A unit has a finding if any of its images has; it is unknown if that of one of its images
is. To keep units that are positive in spite of an unknown image, and to lose those that may be
negative, would raise the prevalence, and with it the predictive values and all that is calibrated.

The maximum is how a CheXpert study is said to have one probability of several views (of Irvin et
al., AAAI 2019, arXiv 1901.07031, by others who describe it). Of exclusive classes the maxima would
not sum to 1. Grades take the same rule for every P(grade ≥ g), which is a finding like any other:
'max' then answers for the worse eye. Classes without an order take 'mean'.
"""

import functools
from collections.abc import Callable, Hashable, Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import special

from medjax.config import vocabulary
from medjax.data import units
from medjax.errors import InputError
from medjax.evaluation.predictions import Predictions


def method(text: str, setting: str = 'aggregate') -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
  """Returns the function that 'max', 'mean' or 'top:share' stands for, such as `highest`.

  Raises:
    InputError: no such method, or no share in (0, 1], naming `setting`.
  """
  name, share = vocabulary.parse_aggregate(text, setting)
  if name == 'top':
    return functools.partial(top_share, share=share)
  return highest if name == 'max' else average


def highest(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
  """f[N, L] → f64[G, L]: the highest of each column in each unit.

  Args:
    values: rows of one unit after another.
    starts: int[G], rising: the row at which each unit begins.
  """
  return np.maximum.reduceat(np.asarray(values, np.float64), starts, axis=0)


def average(values: np.ndarray, starts: np.ndarray) -> np.ndarray:
  """f[N, L] → f64[G, L]: the mean of each column in each unit; arguments as of `highest`."""
  return (
    np.add.reduceat(np.asarray(values, np.float64), starts, axis=0)
    / np.diff(starts, append=len(values))[:, None]
  )


def top_share(values: np.ndarray, starts: np.ndarray, share: float) -> np.ndarray:
  """f[N, L] → f64[G, L]: the mean of the highest ⌈share · n⌉ of a unit's n values, one at least.

  Other arguments as of `highest`.
  """
  values, sizes = np.asarray(values, np.float64), np.diff(starts, append=len(values))
  # 0.1 · 30 is a hair above 3, which must not become 4.
  taken = np.maximum(1, np.ceil(np.round(share * sizes, 9)))
  unit = np.repeat(np.arange(len(starts)), sizes)
  kept = (starts + sizes)[unit] - np.arange(len(values)) <= taken[unit]
  columns = [
    np.add.reduceat(column[np.lexsort((column, unit))] * kept, starts) / taken
    for column in values.T
  ]
  return np.stack(columns, axis=1)


def grouped(keys: Iterable[Hashable]) -> tuple[list, np.ndarray, np.ndarray]:
  """Sorts rows by their key.

  Returns:
    The G keys in the order in which they first occur; int[N], an order of the rows in which those
    of one key stand together, each in its old order; int[G], where in that order each key begins.
  """
  codes, names = pd.factorize(pd.Series(list(keys), dtype=object), use_na_sentinel=False)
  order = np.argsort(codes, kind='stable')
  return list(names), order, np.searchsorted(codes[order], np.arange(len(names)))


def any_of(
  truth: np.ndarray, known: np.ndarray, starts: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns what is true of each unit, bool[G, L], and whether it is known, bool[G, L].

  A unit has a finding if any of its parts has, and has none if none of them, all known, has.

  Args:
    truth: [N, L] of 0 and 1, read only where known; rows of one unit after another.
    known: bool[N, L].
    starts: int[G], rising: the row at which each unit begins.
  """
  known = np.asarray(known, bool)
  positive = np.logical_or.reduceat((np.asarray(truth) == 1) & known, starts, axis=0)
  return positive, positive | np.logical_and.reduceat(known, starts, axis=0)


def to_level(
  predictions: Predictions, level: str, aggregate: str = 'max', head: str = 'sigmoid'
) -> Predictions:
  """Returns the predictions of studies, patients or slides, made of those of their images.

  Args:
    predictions: of images.
    level: one of medjax.config.vocabulary.LEVELS; 'image' returns them as they are.
    aggregate: see `method`.
    head: 'sigmoid' where each label is a question of its own; 'softmax' for exclusive classes, of
      which a unit whose images are of several has no known truth; 'ordinal' for grades,
      `predictions.labels` rising, of which a unit has the highest.

  Returns:
    Predictions in the order in which the units first occur. `images` are 'patient/study', the
    patient or the slide; `about` keeps what all images of a unit say alike, '' else.

  Raises:
    InputError: no such level or method, one that the head forbids, no column for the level, an
      image without a study or slide, a slide of two patients.
  """
  if level == 'image':
    return predictions
  return of_units(predictions, _keys(predictions, level), aggregate, head)


def of_units(
  predictions: Predictions, names: Sequence[str], aggregate: str = 'max', head: str = 'sigmoid'
) -> Predictions:
  """Returns the predictions of any units, `names` naming that of each image; as `to_level`."""
  aggregated = method(aggregate)
  vocabulary.check_aggregate_of_head(aggregate, head)
  units, order, starts = grouped(names)
  values, truth, known = (
    np.asarray(array)[order]
    for array in (predictions.probabilities, predictions.truth, predictions.known)
  )
  log_odds = None
  if head == 'ordinal':
    values, truth = aggregated(_at_least(values), starts), _at_least(truth * known)
    truth, known = any_of(truth, known, starts)[0], np.logical_and.reduceat(known, starts, axis=0)
    values, truth = (
      array - np.pad(array, ((0, 0), (0, 1)))[:, 1:] for array in (values, 1.0 * truth)
    )
  else:
    if predictions.log_odds is not None:
      # 1 - p near 1 by itself; its lowest are those of the highest p.
      rest = special.expit(-predictions.log_odds[order])
      log_odds = np.log(aggregated(values, starts)) - np.log(-aggregated(-rest, starts))
    values = aggregated(values, starts)
    truth, known = any_of(truth, known, starts)[0], np.logical_and.reduceat(known, starts, axis=0)
  if head != 'sigmoid':
    known &= (known.all(axis=1) & (truth.sum(axis=1) == 1))[:, None]
  # A mean may lie outside of all that it is of by a rounding, and a difference of grades below 0.
  given = np.asarray(predictions.probabilities)
  least, most = (0, 1) if head != 'sigmoid' or not given.size else (given.min(), given.max())
  patients = np.asarray(predictions.patients, object)[order][starts]
  about = predictions.about
  return Predictions(
    [str(unit) for unit in units],
    list(patients),
    list(predictions.labels),
    np.clip(values, least, most),
    np.where(known, truth, 0).astype(np.float32),
    known,
    None
    if about is None
    else pd.DataFrame({name: _alike(about[name], order, starts) for name in about}),
    log_odds=log_odds,
    # All images of a unit are of one patient.
    weights=None if predictions.weights is None else predictions.weights[order][starts],
  )


def partly_known(predictions: Predictions, level: str) -> tuple[np.ndarray, np.ndarray]:
  """Counts the units that are unknown although the truth of some of their images is known.

  Returns:
    int[L] of those with an image that is known to be positive, and int[L] of the others.
  """
  _, order, starts = grouped(_keys(predictions, level))
  truth, known = predictions.truth[order], predictions.known[order]
  positive, _ = any_of(truth, known, starts)
  some, whole = (part.reduceat(known, starts, axis=0) for part in (np.logical_or, np.logical_and))
  partly = some & ~whole
  return (partly & positive).sum(axis=0), (partly & ~positive).sum(axis=0)


def available(predictions: Predictions) -> list[str]:
  """Returns the levels above 'image' in the data at which some unit has several images."""
  several = []
  for level in vocabulary.LEVELS[1:]:
    try:
      names = _keys(predictions, level)
    except InputError:  # No column for it, or not filled in for every image.
      continue
    if len(set(names)) < len(names):
      several.append(level)
  return several


def _keys(predictions: Predictions, level: str) -> list[str]:
  return units.keys(level, predictions.images, predictions.patients, predictions.about)


def _at_least(values: np.ndarray) -> np.ndarray:
  """f[N, K] of grades → f64[N, K], of at least each grade."""
  return np.cumsum(np.asarray(values, np.float64)[:, ::-1], axis=1)[:, ::-1]


def _alike(column: pd.Series, order: np.ndarray, starts: np.ndarray) -> np.ndarray:
  """Returns object[G]: what all rows of a unit say, '' where they differ."""
  values = np.asarray(units.text(column), object)
  codes = pd.factorize(values)[0][order]
  same = np.maximum.reduceat(codes, starts) == np.minimum.reduceat(codes, starts)
  return np.where(same, values[order][starts], '')

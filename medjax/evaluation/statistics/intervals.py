"""Bootstrap intervals by resampling patients, all images of a patient together: percentile and BCa.

Images of one patient resemble each other, so resampling images would give intervals that are too
narrow. Each replicate draws as many patients as there are, with replacement; an image then weighs
as often as its patient was drawn (the cluster bootstrap: Field & Welsh, J. R. Stat. Soc. B 69:369,
2007). All labels and all figures share the same replicates, so a mean over labels has an interval.
"""

import concurrent.futures
import math
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy import sparse, special

from medjax.evaluation.figure import ROUNDING, Figure

NONE_DRAWN = 'no replicates were drawn'
AGREE = 'the replicates agree, which is not certainty'
BLOCK_BYTES = 2**24  # a block of weights that stays in a processor's cache sums fastest


class Interval(NamedTuple):
  """An interval, or why there is none.

  Attributes:
    bounds: (low, high), or None.
    valid: replicates in which the figure exists, the only ones that enter the percentiles.
    reason: '' where there are bounds, else a phrase that says why not.
  """

  bounds: tuple[float, float] | None
  valid: int
  reason: str


def patient_counts(patients: int, replicates: int, seed: int, first: int = 0) -> np.ndarray:
  """Returns how often each patient is drawn, u16[replicates, patients]; every row sums to patients.

  Row r is a function of `(patients, seed, first + r)` alone, so blocks of any size agree.
  """
  counts = np.empty((replicates, patients), np.uint16)
  for row in range(replicates):
    draws = np.random.default_rng((seed, first + row)).integers(0, patients, patients)
    counts[row] = np.bincount(draws, minlength=patients)
  return counts


def _blocks(
  patients: int, columns: int, replicates: int, seed: int
) -> Iterator[tuple[slice, np.ndarray]]:
  """Yields (rows, patient counts f64[rows, patients]) of a block, sized by `columns`."""
  step = max(1, BLOCK_BYTES // (8 * columns))
  for first in range(0, replicates, step):
    block = slice(first, min(first + step, replicates))
    yield block, patient_counts(patients, block.stop - first, seed, first).astype(np.float64)


def percentile(values: np.ndarray, level: float = 0.95) -> Interval:
  """Turns replicates f64[R] of one figure into its percentile interval, NaN left out.

  With fewer than half of the replicates valid there is no interval: what is left describes only
  those resamples in which the figure happens to exist.
  """
  values = np.asarray(values, np.float64)
  existing = values[~np.isnan(values)]
  if not len(values):
    return Interval(None, 0, NONE_DRAWN)
  if 2 * len(existing) < len(values):
    reason = f'the figure exists in only {len(existing)} of {len(values)} replicates'
    return Interval(None, len(existing), reason)
  low, high = np.quantile(existing, ((1 - level) / 2, (1 + level) / 2))
  return Interval((float(low), float(high)), len(existing), '')


def bca(
  values: np.ndarray, estimate: float, left_out: np.ndarray, level: float = 0.95
) -> tuple[float, float] | None:
  """Returns the bias-corrected and accelerated interval (Efron, J. Am. Stat. Assoc. 82:171, 1987).

  The acceleration comes from the jackknife, its patients in groups where there are many.

  Args:
    values: f64[R], the figure in every replicate; NaN where it does not exist.
    estimate: the figure itself.
    left_out: f64[G], the figure without each group of patients.

  Returns:
    (low, high); None where it cannot be computed: too few valid values, all replicates on one side
    of the estimate, or an endpoint that would lie outside of all replicates.
  """
  values = values[~np.isnan(values)]
  if not len(values) or np.isnan(left_out).any():
    return None
  below = (np.sum(values < estimate) + 0.5 * np.sum(values == estimate)) / len(values)
  if not 0 < below < 1:
    return None
  deviations = left_out.mean() - left_out
  spread = np.sum(deviations**2) ** 1.5
  acceleration = np.sum(deviations**3) / (6 * spread) if spread > 0 else 0.0
  bias = special.ndtri(below)
  normal = bias + special.ndtri([(1 - level) / 2, (1 + level) / 2])
  if (acceleration * normal >= 1).any():
    return None
  shares = special.ndtr(bias + normal / (1 - acceleration * normal))
  if shares[0] * len(values) < 1 or (1 - shares[1]) * len(values) < 1:
    return None
  low, high = np.quantile(values, shares)
  return float(low), float(high)


def figure(
  value: float,
  replicates: np.ndarray,
  reason: str = '',
  level: float = 0.95,
  left_out: np.ndarray | None = None,
  biased: bool = False,
) -> Figure:
  """Returns a figure with its intervals: None, never NaN, where one does not exist.

  Where at least `level` of the replicates agree there is none: an interval without width would say
  that the figure is certain.

  Args:
    value: the figure, NaN where it does not exist.
    replicates: f64[R], the same figure in each replicate.
    reason: why there can be no interval, '' if there can.
    left_out: f64[G], the figure without each group of patients, for the BCa interval; None for
      none.
    biased: whether replicates of the figure lie off the figure itself, so that percentiles may even
      leave it out: the BCa interval, which corrects that, is then the only one.
  """
  interval = percentile(replicates, level)
  exists = not reason and interval.bounds is not None
  corrected = None
  if exists and left_out is not None and not np.isnan(value):
    corrected = bca(np.asarray(replicates), float(value), left_out, level)
  if exists and biased:
    reason = '' if corrected else _not_corrected(interval.valid, level)
    interval, exists = interval._replace(bounds=corrected), bool(corrected)
  if exists and interval.bounds and interval.bounds[1] - interval.bounds[0] <= ROUNDING:
    reason, exists, corrected = AGREE, False, None
  return Figure(
    value=None if np.isnan(value) else float(value),
    interval=interval.bounds if exists else None,
    bca=corrected,
    valid_replicates=interval.valid,
    reason=reason or interval.reason,
  )


def _not_corrected(replicates: int, level: float) -> str:
  """Returns why there is no BCa interval of so many replicates."""
  fewest = math.ceil(round(2 / (1 - level), 9))  # with fewer, not one lies beyond a plain endpoint
  if replicates < fewest:
    return f'{replicates} replicates are too few to correct its bias; {fewest} are needed at least'
  return 'its bias cannot be corrected: replicates are too far off the figure itself, or too few'


def replicate(
  compute: Callable[[np.ndarray], dict[str, np.ndarray]],
  patients: int,
  columns: int,
  *,
  replicates: int = 2000,
  seed: int = 0,
) -> dict[str, np.ndarray]:
  """Computes figures with the patients drawn anew in every replicate.

  Operating points are not chosen again in a replicate: the model in use has one threshold.

  Args:
    compute: weights of the patients f64[R, patients] → figures, each [R, …].
    patients: how many there are.
    columns: about how many numbers `compute` handles for a replicate, such as the number of images.
    replicates: how many times the patients are drawn.
    seed: int, not negative; the same seed draws the same patients.

  Returns:
    the figures, each [replicates, …]; {} with fewer than two patients or without replicates.
  """
  if patients < 2:
    return {}
  parts = [compute(counts) for _, counts in _blocks(patients, columns, replicates, seed)]
  return {name: np.concatenate([part[name] for part in parts]) for name in (parts or [{}])[0]}


def in_threads(function: Callable[[Any], Any], items: Iterable) -> list:
  """Returns function(item) of every item, in threads; numpy and scipy release the lock."""
  with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as threads:
    return list(threads.map(function, items))


def jackknife(
  compute: Callable[[np.ndarray], dict[str, np.ndarray]], patients: int, groups: int = 200
) -> dict[str, np.ndarray]:
  """Computes figures with each of G groups of patients left out in turn, each [G, …].

  With more than `groups` patients several are left out together, drawn at random but always alike;
  with fewer, one at a time.
  """
  of_patient = np.arange(patients) % min(groups, patients)
  np.random.default_rng(0).shuffle(of_patient)
  return compute((of_patient != np.arange(min(groups, patients))[:, None]).astype(np.float64))


def confusions(
  patients: np.ndarray,
  truth: np.ndarray,
  decided: np.ndarray,
  known: np.ndarray,
  classes: int,
  *,
  replicates: int = 2000,
  seed: int = 0,
) -> np.ndarray:
  """Returns the confusion matrix of exclusive classes in every replicate.

  Replicate r draws the same patients as in `replicate`, given the same `patients` and seed.

  Args:
    patients: [N], the patient of each image; also of those whose truth is not known.
    truth: int[N] in [0, classes), read only where known.
    decided: int[N] in [0, classes).
    known: bool[N].
    classes: how many there are, K.
    replicates, seed: as for `replicate`.

  Returns:
    f64[replicates, K, K], rows the truth. All NaN with fewer than two patients.
  """
  unique, patient = np.unique(np.asarray(patients), return_inverse=True)
  cells = np.asarray(truth, np.int64) * classes + decided
  places = (patient * classes**2 + cells)[known]
  tallies = np.bincount(places, minlength=len(unique) * classes**2)
  drawn = totals(tallies.reshape(len(unique), classes**2), replicates=replicates, seed=seed)
  return drawn.reshape(replicates, classes, classes)


def totals(
  tallies: np.ndarray | sparse.sparray, *, replicates: int = 2000, seed: int = 0
) -> np.ndarray:
  """Sums what each patient adds to T totals over the patients of every replicate.

  Args:
    tallies: [P, T], an array or a sparse one, one row per patient, the patients in sorted order.
    replicates, seed: as for `replicate`, which then draws the same patients.

  Returns:
    f64[replicates, T]. All NaN with fewer than two patients.
  """
  of_total = sparse.csr_array(tallies.T, dtype=np.float64)  # a patient adds to few of the totals
  size, patients = of_total.shape
  drawn = np.full((replicates, size), np.nan)
  if patients >= 2:
    for block, counts in _blocks(patients, patients, replicates, seed):
      drawn[block] = (of_total @ counts.T).T
  return drawn

"""Percentile intervals by resampling patients, all images of a patient together.

Images of one patient resemble each other, so resampling images would give intervals that are too
narrow. Each replicate draws as many patients as there are, with replacement; an image then weighs
as often as its patient was drawn (the cluster bootstrap: Field & Welsh, J. R. Stat. Soc. B 69:369,
2007). All labels and all figures share the same replicates, so a mean over labels has an interval.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse

from medjax.evaluation import metrics

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
  """Yields (rows, patient counts f64[rows, patients]), so few that `columns` for each fit a block."""
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
    return Interval(None, 0, 'no replicates were drawn')
  if 2 * len(existing) < len(values):
    reason = f'the figure exists in only {len(existing)} of {len(values)} replicates'
    return Interval(None, len(existing), reason)
  low, high = np.quantile(existing, ((1 - level) / 2, (1 + level) / 2))
  return Interval((float(low), float(high)), len(existing), '')


def figure(value: float, replicates: np.ndarray, reason: str = '', level: float = 0.95) -> dict:
  """Returns a figure with its interval as JSON can hold it: None, never NaN, where one does not exist.

  Args:
    value: the figure, NaN where it does not exist.
    replicates: f64[R], the same figure in each replicate.
    reason: why there can be no interval, '' if there can.

  Returns:
    {'value', 'interval': [low, high] or None, 'valid_replicates', 'reason'}, the reason saying why
    there is no interval.
  """
  interval = percentile(replicates, level)
  bounds = None if reason or interval.bounds is None else list(interval.bounds)
  return {
    'value': None if np.isnan(value) else float(value),
    'interval': bounds,
    'valid_replicates': interval.valid,
    'reason': reason or interval.reason,
  }


def bootstrap(
  patients: np.ndarray,
  scores: np.ndarray,
  truth: np.ndarray,
  known: np.ndarray,
  thresholds: np.ndarray,
  *,
  replicates: int = 2000,
  seed: int = 0,
) -> dict[str, np.ndarray]:
  """Returns every figure of every label in every replicate.

  Args:
    patients: [N], the patient of each image; any type that sorts.
    scores: f[N, L], higher means more likely positive.
    truth: [N, L] of 0 and 1, read only where known.
    known: bool[N, L].
    thresholds: f64[L], operating points, frozen: they are not chosen again in a replicate, for the
      model in use has one threshold. NaN where a label has none.
    replicates: how many times the patients are drawn.
    seed: int, not negative; the same seed gives the same figures.

  Returns:
    {'auroc', 'auprc', 'sensitivity', 'specificity'}, each f64[replicates, L], NaN in a replicate
    that lacks a class the figure needs. All NaN with fewer than two patients.
  """
  scores, truth, known = np.asarray(scores, np.float64), np.asarray(truth), np.asarray(known, bool)
  unique, patient = np.unique(np.asarray(patients), return_inverse=True)
  labels = scores.shape[1]
  figures = {
    name: np.full((replicates, labels), np.nan)
    for name in ('auroc', 'auprc', 'sensitivity', 'specificity')
  }
  if len(unique) < 2:
    return figures

  rankings: list[metrics.Ranking | None] = []
  tallies = np.zeros((4, labels, len(unique)))  # hits and totals: positives, then negatives
  for label in range(labels):
    of = patient[known[:, label]]
    score, positive = scores[known[:, label], label], truth[known[:, label], label] == 1
    if not len(of):
      rankings.append(None)
      continue
    ranking = metrics.rank(score, positive)
    rankings.append(ranking._replace(order=of[ranking.order]))  # read straight from patient counts
    flagged = score >= thresholds[label]
    for row, of_class in enumerate((flagged & positive, positive, ~flagged & ~positive, ~positive)):
      tallies[row, label] = np.bincount(of, weights=of_class, minlength=len(unique))
  tallies[:, np.isnan(thresholds)] = 0

  for block, counts in _blocks(len(unique), len(patient), replicates, seed):
    for label, ranking in enumerate(rankings):
      if ranking is not None:
        figures['auroc'][block, label], figures['auprc'][block, label] = metrics.areas(
          ranking, counts
        )
    hits, totals, rejected, negatives = (counts @ tally.T for tally in tallies)
    for name, of_class, total in (
      ('sensitivity', hits, totals),
      ('specificity', rejected, negatives),
    ):
      np.divide(of_class, total, out=figures[name][block], where=total > 0)
  return figures


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

  Replicate r draws the same patients as in `bootstrap`, given the same `patients` and seed.

  Args:
    patients: [N], the patient of each image; also of those whose truth is not known.
    truth: int[N] in [0, classes), read only where known.
    decided: int[N] in [0, classes).
    known: bool[N].
    classes: how many there are, K.
    replicates, seed: as for `bootstrap`.

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
    replicates, seed: as for `bootstrap`, which then draws the same patients.

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

"""Exact discrimination figures over pooled predictions, one label at a time.

Every function takes `scores` f64[N] (higher means more likely positive) and `truth` [N] of 0 and 1.
`weights` f64[R, N] (not negative) gives one row of image weights per bootstrap replicate and turns
each result into f64[R]. Nothing is binned and nothing is averaged over batches: a mean of per-batch
areas is not the area, and a grid of thresholds misses what lies between them.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse


class Ranking(NamedTuple):
  """Images sorted from the highest score to the lowest, cut into runs that can be summed at once.

  A run holds positives of one score, or negatives between two positive scores. Only runs, not
  images, enter the curves, so that a replicate costs one sum over the images.

  Attributes:
    order: int[N], which column of the weights belongs to the image at each rank.
    starts: int[S], the rank at which each run begins.
    positive: int[G], the runs that hold positives.
    tied: int[G], the last run with the same score as that positive run.
  """

  order: np.ndarray
  starts: np.ndarray
  positive: np.ndarray
  tied: np.ndarray


def checked(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns f64[N] scores and bool[N] truth.

  Raises:
    ValueError: shapes that differ, a score that is NaN, or a truth other than 0 and 1.
  """
  scores, truth = np.asarray(scores, np.float64), np.asarray(truth)
  if scores.ndim != 1 or scores.shape != truth.shape:
    raise ValueError(f'scores {scores.shape} and truth {truth.shape} must be two equal lists')
  if np.isnan(scores).any():
    raise ValueError(f'{int(np.isnan(scores).sum())} scores are NaN; a NaN has no rank')
  if not np.isin(truth, (0, 1)).all():
    raise ValueError('truth must be 0 or 1; leave out images whose truth is not known')
  return scores, truth.astype(bool)


def rank(scores: np.ndarray, truth: np.ndarray) -> Ranking:
  """Sorts once what `areas` then sums for any number of weightings. N must not be 0."""
  scores, truth = checked(scores, truth)
  order = np.lexsort((~truth, -scores))  # within a tie the positives come first
  scores, truth = scores[order], truth[order]
  changed = scores[1:] != scores[:-1]
  tie = np.concatenate(([0], np.cumsum(changed)))
  with_positives = np.bincount(tie, weights=truth)[tie] > 0
  cut = (truth[1:] != truth[:-1]) | (changed & (with_positives[1:] | with_positives[:-1]))
  starts = np.concatenate(([0], np.flatnonzero(cut) + 1))
  run_tie, run_positive = tie[starts], truth[starts]
  positive = np.flatnonzero(run_positive)
  following = np.minimum(positive + 1, len(starts) - 1)
  tied = np.where(run_tie[following] == run_tie[positive], following, positive)
  return Ranking(order, starts, positive, tied)


def areas(ranking: Ranking, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns (AUROC f64[R], average precision f64[R]) for weights f[columns, R].

  Weights in float32, see `whole_numbers`, take half the time and give the same values.

  AUROC is the weighted share of (positive, negative) pairs in which the positive scores higher, a
  tie counting half (Hanley & McNeil, Radiology 143:29, 1982; the midrank Mann-Whitney statistic);
  NaN where either class weighs nothing. So is average precision, which without negatives would be 1
  whatever the scores.
  """
  order, starts, positive, tied = ranking
  weights = np.asarray(weights)
  if weights.dtype != np.float32:
    weights = weights.astype(np.float64, copy=False)
  bounds = np.append(starts, len(order))

  def sums(firsts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Returns the weight before each stretch of the order, and in it, in turns; and after all."""
    parts = np.concatenate(([0], np.stack((firsts, ends), axis=1).ravel(), [len(order)]))
    ones = np.ones(len(order), weights.dtype)
    return sparse.csr_array((ones, order, parts), (len(parts) - 1, len(weights))) @ weights

  runs = sums(bounds[positive], bounds[positive + 1])
  hits = runs[1::2].astype(np.float64)
  false_positives = np.cumsum(runs[::2], axis=0, dtype=np.float64)
  true_positives = np.cumsum(hits, axis=0)
  above, negatives, positives = false_positives[:-1], false_positives[-1], hits.sum(axis=0)
  through = above
  if len(ties := np.flatnonzero(tied != positive)):
    through = above.copy()
    through[ties] += sums(bounds[tied[ties]], bounds[tied[ties] + 1])[1::2]
  lost = np.einsum('kr,kr->r', hits, above) + np.einsum('kr,kr->r', hits, through)
  flagged = true_positives + through
  # Where nothing is flagged there is no hit either.
  np.maximum(flagged, np.finfo(np.float64).tiny, out=flagged)
  precision = np.divide(true_positives, flagged, out=flagged)
  with np.errstate(invalid='ignore', divide='ignore'):
    both = positives * negatives > 0
    pairs = positives * negatives - lost / 2
    auroc_values = np.where(both, pairs / (positives * negatives), np.nan)
    precisions = np.where(both, np.einsum('kr,kr->r', hits, precision) / positives, np.nan)
  return auroc_values, precisions


def whole_numbers(weights: np.ndarray, images: int) -> np.ndarray:
  """Returns weights f64[columns, R] in float32 if their sums over so many images stay exact."""
  if (weights == np.rint(weights)).all() and weights.max(initial=0) * images < 2**24:
    return weights.astype(np.float32)
  return weights


def _areas(scores, truth, weights, which):
  scores, truth = checked(scores, truth)
  if not len(scores):
    return np.nan if weights is None else np.full(len(weights), np.nan)
  rows = np.ones((1, len(scores))) if weights is None else np.asarray(weights)
  if rows.ndim != 2 or rows.shape[1] != len(scores):
    raise ValueError(f'weights {rows.shape} must be [replicates, {len(scores)}]')
  values = areas(rank(scores, truth), rows.T)[which]
  return float(values[0]) if weights is None else values


def auroc(
  scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None
) -> float | np.ndarray:
  """Area under the ROC curve, ties by midrank; NaN if one class is absent. See `areas`."""
  return _areas(scores, truth, weights, 0)


def average_precision(
  scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None
) -> float | np.ndarray:
  """AUPRC as average precision: the sum over distinct scores of precision x step in sensitivity.

  The step-wise sum, not the trapezium, which is too kind between points (Davis & Goadrich, ICML
  2006). A scorer that knows nothing reaches about the prevalence. NaN if one class is absent.
  """
  return _areas(scores, truth, weights, 1)


def counts_at_scores(
  scores: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns, for each distinct score from the highest down, what `score >= it` calls positive.

  Returns:
    (true positives int[K], false positives int[K], distinct scores f64[K]).
  """
  scores, truth = checked(scores, truth)
  order = np.argsort(-scores, kind='stable')
  scores, truth = scores[order], truth[order]
  ends = np.flatnonzero(np.append(scores[1:] != scores[:-1], True)[: len(scores)])
  true_positives = np.cumsum(truth)[ends]
  return true_positives, ends + 1 - true_positives, scores[ends]


def roc_curve(scores: np.ndarray, truth: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns (false positive rate, sensitivity, thresholds), each f64[K + 1], exact.

  One point for each of the K distinct scores, preceded by (0, 0) at an infinite threshold. A rate
  whose class is absent is NaN.
  """
  true_positives, false_positives, thresholds = counts_at_scores(scores, truth)
  curves = []
  for counts in (false_positives, true_positives):
    total = counts[-1] if len(counts) else 0
    curves.append(np.concatenate(([0], counts)) / (total if total else np.nan))
  return curves[0], curves[1], np.concatenate(([np.inf], thresholds))


def precision_recall_curve(
  scores: np.ndarray, truth: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
  """Returns (sensitivity, PPV, thresholds), each f64[K], exact: one point for each distinct score.

  From the highest threshold down. Sensitivity is NaN without positives.
  """
  true_positives, false_positives, thresholds = counts_at_scores(scores, truth)
  positives = true_positives[-1] if len(true_positives) else 0
  ppv = true_positives / (true_positives + false_positives)
  return true_positives / (positives if positives else np.nan), ppv, thresholds


def thin_curve(x: np.ndarray, y: np.ndarray, limit: int) -> np.ndarray:
  """Returns which points of a curve f64[K] a drawing needs, int[M] rising, with both ends.

  Points on a straight line between their neighbours go first, which loses nothing. If more than
  `limit` are left, those nearest to even steps along the curve stay.
  """
  kept = np.arange(len(x))
  if len(x) > 2:
    turn = np.diff(x[:-1]) * np.diff(y[1:]) - np.diff(y[:-1]) * np.diff(x[1:])
    kept = kept[np.concatenate(([True], np.abs(turn) > 1e-15, [True]))]
  if len(kept) > limit:
    steps = np.abs(np.diff(x[kept])) + np.abs(np.diff(y[kept]))
    length = np.concatenate(([0], np.cumsum(steps)))
    even = np.searchsorted(length, np.linspace(0, length[-1], limit))
    kept = kept[np.unique(np.clip(even, 0, len(kept) - 1))]
  return kept


def sensitivity_specificity(
  scores: np.ndarray, truth: np.ndarray, threshold: float, weights: np.ndarray | None = None
) -> tuple[float, float] | tuple[np.ndarray, np.ndarray]:
  """Returns (sensitivity, specificity) of calling `score >= threshold` positive.

  Each is NaN where its class is absent; both are NaN at a NaN threshold.
  """
  scores, truth = checked(scores, truth)
  rows = np.ones((1, len(scores))) if weights is None else np.asarray(weights, np.float64)
  flagged = scores >= threshold
  values = []
  for hit, group in ((flagged & truth, truth), (~flagged & ~truth, ~truth)):
    total = rows @ group.astype(np.float64)
    kept = np.where((total > 0) & ~np.isnan(threshold), total, np.nan)
    values.append(rows @ hit.astype(np.float64) / kept)
  return (float(values[0][0]), float(values[1][0])) if weights is None else tuple(values)


def prevalence(truth: np.ndarray) -> float:
  """Share of positives among images whose truth is known; NaN if there are none."""
  return float(np.mean(truth)) if len(truth) else float('nan')

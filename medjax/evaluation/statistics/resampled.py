"""Every figure of every label as a function of how much each patient weighs.

With every patient weighing 1 these are the figures of the test set; with the counts of a bootstrap
replicate they are the figures of that replicate; without some patients, those of the jackknife.
What does not depend on the weights (sorting, counting, binning) is done once, by `prepare`.
"""

from typing import NamedTuple

import numpy as np
from scipy import sparse

from medjax.evaluation.statistics import calibration_metrics, intervals, metrics

OF_SCORES = ('auroc', 'auprc', 'brier', 'ece', 'calibration_slope', 'calibration_intercept')
AT_THRESHOLD = ('sensitivity', 'specificity', 'ppv', 'npv', 'f1')


class _Label(NamedTuple):
  """What one label's figures are sums of.

  Attributes:
    ranking: of its images; its order names patients. None without images.
    nodes: f64[G], logits, see calibration_metrics.on_grid.
    adds: f64[T + G, P], what each patient adds to T totals, see `_columns`, and to the images at
      each node. Sparse, as an image adds to few of them; and numpy's own product would start
      threads in every thread.
  """

  ranking: metrics.Ranking | None
  nodes: np.ndarray
  adds: sparse.csr_array


class Prepared(NamedTuple):
  """What `compute` needs of N images.

  Attributes:
    patients: how many there are, P. Their order is that of numpy.unique.
    images: N.
    labels: one entry each.
    thresholds: f64[L, K].
  """

  patients: int
  images: int
  labels: list[_Label]
  thresholds: np.ndarray


def prepare(
  patients: np.ndarray,
  scores: np.ndarray,
  truth: np.ndarray,
  known: np.ndarray,
  thresholds: np.ndarray,
  ranks: np.ndarray | None = None,
) -> Prepared:
  """Sorts, counts and bins once what `compute` then weighs in any number of ways.

  Args:
    patients: [N], the patient of each image; any type that sorts.
    scores: f[N, L], probabilities.
    truth: [N, L] of 0 and 1, read only where known.
    known: bool[N, L].
    thresholds: f64[L, K], K operating points each; a score at or above is called positive. NaN
      where a label has none.
    ranks: f[N, L], what the areas under curves rank by; None for the scores.
  """
  ranks = scores if ranks is None else ranks
  scores, known = np.asarray(scores, np.float64), np.asarray(known, bool)
  unique, patient = np.unique(np.asarray(patients), return_inverse=True)
  labels = [
    _prepare(
      patient[known[:, label]],
      len(unique),
      scores[known[:, label], label],
      np.asarray(ranks)[known[:, label], label],
      np.asarray(truth)[known[:, label], label] == 1,
      at,
    )
    for label, at in enumerate(thresholds)
  ]
  return Prepared(len(unique), len(patient), labels, np.asarray(thresholds, np.float64))


def _prepare(
  patient: np.ndarray,
  patients: int,
  scores: np.ndarray,
  ranks: np.ndarray,
  positive: np.ndarray,
  at: np.ndarray,
) -> _Label:
  logits = calibration_metrics.logit(scores)
  nodes, spread = calibration_metrics.on_grid(logits)
  of_patient = sparse.csr_array(
    (np.ones(len(patient)), (patient, np.arange(len(patient)))), (patients, len(patient))
  )
  ranking = _ranking(patient, ranks, positive)
  columns = sparse.csr_array(_columns(scores, positive, logits, at))
  adds = of_patient @ sparse.hstack((columns, spread), format='csr')
  return _Label(ranking, nodes, sparse.csr_array(adds.T))


def _ranking(
  patient: np.ndarray, ranks: np.ndarray, positive: np.ndarray
) -> metrics.Ranking | None:
  """Returns the ranking of one label's images, whose order names patients; None without images."""
  if not len(ranks):
    return None
  ranking = metrics.rank(ranks, positive)
  return ranking._replace(order=patient[ranking.order])


def rankings(
  patients: np.ndarray, ranks: np.ndarray, truth: np.ndarray, known: np.ndarray
) -> list[metrics.Ranking | None]:
  """Returns of `prepare` only the labels' rankings, from the same arguments."""
  patient = np.unique(np.asarray(patients), return_inverse=True)[1]
  return [
    _ranking(patient[rows], np.asarray(ranks)[rows, label], np.asarray(truth)[rows, label] == 1)
    for label, rows in enumerate(np.asarray(known, bool).T)
  ]


def _columns(
  scores: np.ndarray, positive: np.ndarray, logits: np.ndarray, at: np.ndarray
) -> np.ndarray:
  """Returns f64[N, T], what each image adds to the totals that `_ratios` reads in this order."""
  bins = np.zeros((len(scores), calibration_metrics.BINS))
  bins[np.arange(len(scores)), calibration_metrics.bin_of(scores)] = scores - positive
  flagged = scores[:, None] >= at
  return np.concatenate(
    (
      np.stack((positive, ~positive, (scores - positive) ** 2, positive * logits), axis=1),
      bins,
      flagged & positive[:, None],
      flagged & ~positive[:, None],
    ),
    axis=1,
  ).astype(np.float64)


def compute(prepared: Prepared, weights: np.ndarray) -> dict[str, np.ndarray]:
  """Returns every figure under each of R weightings of the patients.

  Args:
    weights: f64[R, P], not negative.

  Returns:
    f64[R, L] for each of `OF_SCORES`: the areas of medjax.evaluation.statistics.metrics; the Brier
    score; the expected calibration error over 15 bins of equal width; slope and intercept of
    medjax.evaluation.statistics.calibration_metrics. f64[R, L, K] for each of `AT_THRESHOLD`. NaN
    where a figure does not exist.
  """
  by_patient = np.ascontiguousarray(weights.T)
  whole = metrics.whole_numbers(by_patient, prepared.images)
  by_label = intervals.in_threads(lambda label: _compute(label, by_patient, whole), prepared.labels)
  figures = {
    name: np.stack([label_figures[name] for label_figures in by_label], axis=1)
    for name in by_label[0]
  }
  for name in AT_THRESHOLD:
    figures[name][:, np.isnan(prepared.thresholds)] = np.nan
  return figures


def _compute(label: _Label, by_patient: np.ndarray, whole: np.ndarray) -> dict[str, np.ndarray]:
  """Returns one label's figures under weights f64[P, R]; `whole` are the same for `areas`."""
  drawn = np.ascontiguousarray((label.adds @ by_patient).T)
  totals, at_nodes = np.split(drawn, [label.adds.shape[0] - len(label.nodes)], axis=1)
  if label.ranking is None:
    nothing = np.full(by_patient.shape[1], np.nan)
    return _ratios(totals) | dict.fromkeys(set(OF_SCORES) - {'brier', 'ece'}, nothing)
  auroc, auprc = metrics.areas(label.ranking, whole)
  slope, intercept = calibration_metrics.fits(label.nodes, totals[:, [0, 3]], at_nodes)
  return {
    'auroc': auroc,
    'auprc': auprc,
    'calibration_slope': slope,
    'calibration_intercept': intercept,
    **_ratios(totals),
  }


def _ratios(totals: np.ndarray) -> dict[str, np.ndarray]:
  """Turns totals f64[R, T] into the figures that are ratios of them, NaN where of nothing.

  F1 is too where there are no positives, of which it would be 0 whatever is called one.
  """
  positives, negatives, squares = totals[:, 0, None], totals[:, 1, None], totals[:, 2, None]
  bins, flagged = np.split(totals[:, 4:], [calibration_metrics.BINS], axis=1)
  hits, alarms = np.split(flagged, 2, axis=1)
  images = positives + negatives

  def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)

  return {
    'brier': ratio(squares, images)[:, 0],
    'ece': ratio(np.abs(bins).sum(axis=1, keepdims=True), images)[:, 0],
    'sensitivity': ratio(hits, positives),
    'specificity': ratio(negatives - alarms, negatives),
    'ppv': ratio(hits, hits + alarms),
    'npv': ratio(negatives - alarms, images - hits - alarms),
    'f1': ratio(2 * hits, np.where(positives > 0, hits + alarms + positives, 0)),
  }


def predictive_values(
  sensitivity: np.ndarray, specificity: np.ndarray, prevalence: float
) -> tuple[np.ndarray, np.ndarray]:
  """Returns (PPV, NPV) where `prevalence` of the images are positive, by Bayes' theorem.

  A test set with a floor of positives, or one from a ward, is not the clinic. NaN where nothing
  would be called so.
  """
  hits, alarms = sensitivity * prevalence, (1 - specificity) * (1 - prevalence)
  missed, rejected = (1 - sensitivity) * prevalence, specificity * (1 - prevalence)
  with np.errstate(invalid='ignore', divide='ignore'):
    return hits / (hits + alarms), rejected / (rejected + missed)

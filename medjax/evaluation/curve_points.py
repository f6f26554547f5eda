"""The curves of one label on test, with as many points as a drawing needs."""

from typing import NamedTuple

import numpy as np
from scipy import special

from medjax.evaluation.label_result import PrecisionRecallCurve, Reliability, RocCurve
from medjax.evaluation.predictions import Predictions, known_of, ranks_of
from medjax.evaluation.statistics import calibration_metrics, metrics

CURVE_POINTS = 200


class Curves(NamedTuple):
  """The curves of one label, each None without both classes."""

  roc: RocCurve | None
  precision_recall: PrecisionRecallCurve | None
  reliability: Reliability | None


def of_label(test: Predictions, raw: Predictions | None, index: int) -> Curves:
  """Returns the curves of one label.

  Args:
    test: predictions on the test split.
    raw: the same before calibration, None where nothing was calibrated.
    index: of the label.
  """
  scores, truth = known_of(test, index)
  if not 0 < truth.sum() < len(truth):
    return Curves(None, None, None)
  weights = None if test.weights is None else test.weights[test.known[:, index]]
  before = (
    None if raw is None else calibration_metrics.reliability(*known_of(raw, index), weights=weights)
  )
  ranks, _ = ranks_of(test, index)
  x, y, threshold = metrics.roc_curve(ranks, truth)
  kept = metrics.thin_curve(x, y, CURVE_POINTS)
  roc = RocCurve(_rounded(x[kept]), _rounded(y[kept]), _thresholds(test, threshold[kept]))
  x, y, threshold = metrics.precision_recall_curve(ranks, truth)
  kept = metrics.thin_curve(x, y, CURVE_POINTS)
  precision_recall = PrecisionRecallCurve(
    _rounded(x[kept]), _rounded(y[kept]), _thresholds(test, threshold[kept])
  )
  return Curves(
    roc,
    precision_recall,
    Reliability(
      before=before, after=calibration_metrics.reliability(scores, truth, weights=weights)
    ),
  )


def _rounded(values: np.ndarray) -> tuple[float, ...]:
  """Returns six digits of each, which a drawing cannot tell from more."""
  return tuple(float(f'{value:.6g}') for value in values)


def _thresholds(test: Predictions, ranks: np.ndarray) -> tuple[float | None, ...]:
  """Returns six digits of each as a probability, or a score; None where it is infinite."""
  values = ranks
  if test.log_odds is not None:
    values = np.where(np.isfinite(ranks), special.expit(ranks), ranks)
  return tuple(float(f'{value:.6g}') if np.isfinite(value) else None for value in values)

"""The curves of one label on test, with as many points as a drawing needs."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from medjax.evaluation import calibration
from medjax.evaluation.predictions import Predictions, known_of
from medjax.evaluation.statistics import metrics

CURVE_POINTS = 200


def of_label(test: Predictions, raw: Predictions | None, index: int) -> dict[str, Any]:
  """Returns 'roc', 'precision_recall' and 'reliability' of one label, each None without both classes.

  Args:
    test: predictions on the test split.
    raw: the same before calibration, None where nothing was calibrated.
    index: of the label.

  Returns:
    what `medjax.evaluation.summary.evaluate` says of them, as JSON can hold it.
  """
  scores, truth = known_of(test, index)
  if not 0 < truth.sum() < len(truth):
    return {'roc': None, 'precision_recall': None, 'reliability': None}
  before = None if raw is None else calibration.reliability(*known_of(raw, index))
  return {
    'roc': _thinned(
      ('false_positive_rate', 'sensitivity', 'threshold'), metrics.roc_curve(scores, truth)
    ),
    'precision_recall': _thinned(
      ('sensitivity', 'ppv', 'threshold'), metrics.precision_recall_curve(scores, truth)
    ),
    'reliability': {'before': before, 'after': calibration.reliability(scores, truth)},
  }


def _thinned(names: Sequence[str], curve: Sequence[np.ndarray]) -> dict[str, list[float | None]]:
  """Keeps what a drawing needs of a curve; an infinite threshold becomes None."""
  kept = metrics.thin_curve(curve[0], curve[1], CURVE_POINTS)
  return {
    name: [float(f'{value:.6g}') if np.isfinite(value) else None for value in values[kept]]
    for name, values in zip(names, curve)
  }

"""Operating points: the threshold at which a score becomes a decision, chosen on validation."""

import numpy as np

from medjax.evaluation import metrics


def youden(scores: np.ndarray, truth: np.ndarray) -> float:
  """Returns the threshold with the largest sensitivity + specificity - 1 (Youden, Cancer 3:32, 1950).

  The threshold lies midway between the lowest score called positive and the next lower one: on
  these images every threshold in that gap decides alike, and on new ones the middle favours neither
  class, where the score itself would lie at the very edge. Among equally good thresholds the lowest
  is taken, which has the higher sensitivity. Where calling every image positive is as good as any
  threshold, it is the lowest score. Decide with `score >= threshold`.

  Args:
    scores: f64[N], higher means more likely positive.
    truth: [N] of 0 and 1.

  Returns:
    The threshold, NaN if either class is absent.
  """
  true_positives, false_positives, distinct = metrics.counts_at_scores(scores, truth)
  if not len(distinct) or not true_positives[-1] or not false_positives[-1]:
    return float('nan')
  positives, negatives = int(true_positives[-1]), int(false_positives[-1])
  # Whole numbers: equal indices must compare equal for the rule about ties to hold.
  index = true_positives * negatives - false_positives * positives
  best = len(index) - 1 - int(np.argmax(index[::-1]))
  if best == len(distinct) - 1:
    return float(distinct[best])
  middle = distinct[best + 1] + (distinct[best] - distinct[best + 1]) / 2
  # Between two neighbouring floating-point numbers there is no middle.
  return float(middle if middle > distinct[best + 1] else distinct[best])

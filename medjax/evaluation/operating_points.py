"""Operating points: the threshold at which a score becomes a decision, chosen on validation.

A rule says how it is chosen:

  'youden'           the largest sensitivity + specificity - 1 (Youden, Cancer 3:32, 1950).
  'sensitivity=0.9'  the highest threshold with a sensitivity of at least 0.9, so the best
                     specificity.
  'specificity=0.9'  the lowest threshold with a specificity of at least 0.9, so the best
                     sensitivity.
  'cost=5'           the least cost where a missed positive costs as much as 5
                     false alarms, at the prevalence of these images, or of the source that they
                     are weighted to.
  'threshold=0.5'    this one; nothing is chosen.

A decision is `score >= threshold`. The threshold lies midway between the lowest score called
positive and the next lower one: on these images every threshold in that gap decides alike, and on
new ones the middle favours neither class, where the score itself would lie at the very edge. Among
equally good thresholds the lowest is taken, which has the higher sensitivity. Where calling every
image positive is best, it is the lowest score; where calling none is, it is the next number above
the highest score.
"""

import numpy as np

from medjax.config import vocabulary
from medjax.evaluation.statistics import metrics

NEEDS = {  # the classes without which a rule has no threshold
  'youden': ('positives', 'negatives'),
  'sensitivity': ('positives',),
  'specificity': ('negatives',),
  'cost': ('positives', 'negatives'),
  'threshold': (),
}


def choose(
  rule: str, scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None
) -> float:
  """Returns the threshold that a rule chooses on these images; decide with `score >= threshold`.

  Ties are exact: scores that are equal fall on the same side, and shares and costs are compared as
  whole numbers, so that 9 of 10 are a sensitivity of 0.9.

  Args:
    rule: see above.
    scores: f[N], higher means more likely positive.
    truth: [N] of 0 and 1.
    weights: f64[N], by which 'cost' counts; other rules have nothing to do with the prevalence.

  Returns:
    The threshold, NaN if the class is absent that the rule needs; see `lacking`.

  Raises:
    InputError: no such rule.
  """
  name, value = vocabulary.parse_rule(rule)
  if name == 'threshold' and value is not None:
    return float(value)
  true_positives, false_positives, distinct = metrics.counts_at_scores(scores, truth)
  if lacking(rule, truth):
    return float('nan')
  # The first candidate calls nothing positive, the one at k the k highest of the distinct scores.
  true_positives, false_positives = (
    np.concatenate(([0], counts)).astype(object) for counts in (true_positives, false_positives)
  )
  positives, negatives = true_positives[-1], false_positives[-1]
  if value is None:  # Youden's.
    called = _last_lowest(false_positives * positives - true_positives * negatives)
  elif name == 'sensitivity':
    enough = true_positives * value.denominator >= positives * value.numerator
    called = int(np.argmax(enough))
  elif name == 'specificity':
    spared = negatives - false_positives
    enough = spared * value.denominator >= negatives * value.numerator
    called = int(np.flatnonzero(enough)[-1])
  elif weights is not None:
    order = np.argsort(-np.asarray(scores, np.float64), kind='stable')
    ill = np.asarray(truth)[order] == 1
    ends = (true_positives + false_positives).astype(int)
    missed, alarms = (
      np.concatenate(([0.0], np.cumsum(weights[order] * of_class)))[ends]
      for of_class in (ill, ~ill)
    )
    called = _last_lowest(float(value) * (missed[-1] - missed) + alarms)
  else:
    missed = positives - true_positives
    called = _last_lowest(missed * value.numerator + false_positives * value.denominator)
  return _between(distinct, called)


def lacking(rule: str, truth: np.ndarray) -> str:
  """Returns which class a rule needs and these images lack, as 'no positives'; '' if none."""
  there = {'positives': np.any(np.asarray(truth) == 1), 'negatives': np.any(np.asarray(truth) == 0)}
  absent = [kind for kind in NEEDS[vocabulary.parse_rule(rule)[0]] if not there[kind]]
  return f'no {" and no ".join(absent)}' if absent else ''


def _last_lowest(values: np.ndarray) -> int:
  """Returns the last place of the lowest value."""
  return len(values) - 1 - int(np.argmin(values[::-1]))


def _between(distinct: np.ndarray, called: int) -> float:
  """Returns the threshold that calls the `called` highest of the falling scores positive."""
  if called == 0:
    return float(np.nextafter(distinct[0], np.inf))
  lowest = distinct[called - 1]
  if called == len(distinct):
    return float(lowest)
  below = distinct[called]
  middle = below + (lowest - below) / 2
  # Between two neighbouring floating-point numbers there is no middle.
  return float(middle if middle > below else lowest)

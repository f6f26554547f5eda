"""Is it useful? Decision curves, probabilities by class, and what 1,000 images come to.

The decision curve counts images as the probabilities do: where a floor enriched the split, of its
source, to which each patient is weighted back.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np

from medjax.evaluation.figure import Figure, Interval
from medjax.evaluation.label_result import (
  Band,
  Counts,
  DecisionCurve,
  Histogram,
  LabelResult,
  OfThousand,
  OperatingPoint,
  Usefulness,
)
from medjax.evaluation.predictions import Predictions, known_of
from medjax.evaluation.statistics import net_benefit

LIMITS = (0.05, 0.1, 0.2, 0.5, 1.0)  # of the axis of a histogram
_BINS = 20


def of_label(test: Predictions, index: int, result: LabelResult, level: float) -> Usefulness:
  """Returns what one label's probabilities and thresholds are good for on test.

  Args:
    test: calibrated predictions.
    index: of the label.
    result: its other figures.
    level: how often intervals cover.
  """
  absent = next((kind for kind in ('positives', 'negatives') if not getattr(result, kind)), '')
  return Usefulness(
    decision_curve=None if absent else _decision_curve(test, index, result, level),
    histogram=_histogram(*known_of(test, index)) if result.images else None,
    of_thousand=of_thousand(result, result.operating_points),
    reason=f'no {absent}' if absent else '',
  )


def _decision_curve(test: Predictions, index: int, counts: Counts, level: float) -> DecisionCurve:
  scores, truth = known_of(test, index)
  known = test.known[:, index]
  patient = np.unique(np.asarray(test.patients)[known], return_inverse=True)[1]
  weights = None if test.weights is None else test.weights[known]
  prevalence = float(np.average(truth, weights=weights))
  at = net_benefit.thresholds(prevalence)
  points = [
    net_benefit.at_threshold(threshold, patient, scores, truth, weights, level) for threshold in at
  ]
  few = [kind for kind in ('positive', 'negative') if getattr(counts, f'{kind}_patients') < 2]
  model, avoided = (
    Band(tuple(getattr(point, name) for point in points), low, high)
    for name in ('model', 'avoided')
    for low, high in [_bounds([getattr(point, f'{name}_interval') for point in points], few)]
  )
  return DecisionCurve(
    prevalence=prevalence,
    weighted=weights is not None,
    threshold=tuple(at.tolist()),
    treat_all=tuple(point.treat_all for point in points),
    model=model,
    standardised=tuple(value / prevalence for value in model.value),
    avoided=avoided,
    reason=f'all {few[0]}s are of one patient' if few else '',
  )


def _bounds(
  points: Sequence[Interval | None], few: Sequence[str]
) -> tuple[tuple[float | None, ...], ...]:
  """Returns the lower and the upper bounds, none where a class is of one patient."""
  return tuple(
    tuple(None if point is None or few else point[side] for point in points) for side in (0, 1)
  )


def _histogram(scores: np.ndarray, truth: np.ndarray) -> Histogram:
  highest = float(scores.max())
  limit = next(limit for limit in LIMITS if limit >= min(highest, 1.0))
  edges = np.linspace(0, limit, _BINS + 1)
  positives, negatives = (
    np.histogram(scores[truth == value], edges)[0].tolist() for value in (1, 0)
  )
  return Histogram(tuple(edges.tolist()), tuple(positives), tuple(negatives))


def of_thousand(counts: Counts, points: Sequence[OperatingPoint]) -> tuple[OfThousand, ...]:
  """Returns what 1,000 images come to at each operating point that has a threshold.

  At the prevalence of the test set and, where one was stated or known of the source, at that.
  """
  rows = []
  for point in points:
    if point.threshold is None or counts.prevalence is None:
      continue
    stated = None if point.at_prevalence is None else point.at_prevalence.prevalence
    for prevalence, of_test in ((counts.prevalence, True), (stated, False)):
      if prevalence is not None:
        rows.append(_of_thousand(point, prevalence, of_test))
  return tuple(rows)


def _of_thousand(point: OperatingPoint, prevalence: float, of_test: bool) -> OfThousand:
  positives, negatives = 1000 * prevalence, 1000 * (1 - prevalence)
  true_positives = _times(point.sensitivity, positives)
  alarms = _times(_rest(point.specificity), negatives)
  return OfThousand(
    rule=point.rule,
    prevalence=prevalence,
    of_test=of_test,
    flagged=_sum(true_positives, alarms),
    true_positives=true_positives,
    missed=_times(_rest(point.sensitivity), positives),
    false_alarms=alarms,
  )


def _times(rate: Figure, number: float) -> Figure:
  value = None if rate.value is None else rate.value * number
  interval = rate.interval and (rate.interval[0] * number, rate.interval[1] * number)
  return Figure(value, interval, reason=rate.reason)


def _rest(rate: Figure) -> Figure:
  """Returns 1 − the rate."""
  value = None if rate.value is None else 1 - rate.value
  interval = rate.interval and (1 - rate.interval[1], 1 - rate.interval[0])
  return dataclasses.replace(rate, value=value, interval=interval)


def _sum(one: Figure, other: Figure) -> Figure:
  """Returns the sum of two figures of different images, with Zou and Donner's interval.

  Stat. Med. 27:1693, 2008, equation 4: the distances of both bounds, squared, add up.
  """
  if one.value is None or other.value is None:
    return Figure(None, reason=one.reason if one.value is None else other.reason)
  value, bounds = one.value + other.value, (one.interval, other.interval)
  if bounds[0] is None or bounds[1] is None:
    return Figure(value, reason=one.reason or other.reason)
  below, above = (
    float(np.hypot(one.value - bounds[0][side], other.value - bounds[1][side])) for side in (0, 1)
  )
  return Figure(value, (max(0.0, value - below), value + above))

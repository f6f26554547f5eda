"""Decisions made at thresholds that differ between images, counted together.

Each fold of a study decides at the thresholds that its own validation chose. What is pooled are the
decisions, not the thresholds.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from medjax.evaluation.counts import count
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_figures import CONFIDENCE, at_prevalence, with_interval
from medjax.evaluation.label_result import Confusion, OperatingPoint
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Mean, Result
from medjax.evaluation.statistics import intervals, proportions

_RATES = ('sensitivity', 'specificity', 'ppv', 'npv')
_ALL = (*_RATES, 'f1')
_ABSENT = {
  'sensitivity': 'no positives',
  'specificity': 'no negatives',
  'ppv': 'nothing is called positive',
  'npv': 'everything is called positive',
  'f1': 'no positives',
}


class Decided(NamedTuple):
  """The decisions by one rule.

  Attributes:
    rule: such as 'youden'.
    called: bool[N, L], positive.
    reasons: label → why it has no decisions; labels that have some are not in it.
  """

  rule: str
  called: np.ndarray
  reasons: Mapping[str, str]


def with_decisions(
  result: Result,
  test: Predictions,
  by_rule: Sequence[Decided],
  *,
  replicates: int,
  seed: int,
  prevalence: Mapping[str, float],
) -> Result:
  """Returns a result whose operating points are the decisions, and the means of the first rule.

  Intervals of sensitivity, specificity, PPV and NPV are those of
  medjax.evaluation.statistics.proportions, by patient; of F1 and the means over labels the
  bootstrap's, by patient.

  Args:
    result: of the same predictions.
    test: N images, L labels.
    by_rule: the decisions; the first rule's are those that are made.
    replicates, seed: of the bootstrap.
    prevalence: label → one in (0, 1) for which PPV and NPV are reported too.
  """
  points: dict[str, list[OperatingPoint]] = {label: [] for label in test.labels}
  mean = result.mean
  for number, decided in enumerate(by_rule):
    drawn = _drawn(test, decided.called, replicates, seed)
    values = {name: array[0] for name, array in _ratios(_totals(test, decided.called)).items()}
    for column, label in enumerate(test.labels):
      point = _point(test, decided, column, values, drawn, bool(replicates))
      if label in prevalence and not point.reason:
        point = _with_prevalence(point, prevalence[label], column, values, drawn)
      points[label].append(point)
    if number == 0:
      means = _mean(mean, test.labels, points, drawn)
      mean = dataclasses.replace(mean, **means)
  labels = {
    label: dataclasses.replace(tested, operating_points=tuple(points[label]))
    for label, tested in result.labels.items()
  }
  return dataclasses.replace(result, labels=labels, mean=mean)


def _tallies(test: Predictions, called: np.ndarray) -> np.ndarray:
  """Returns f64[P, 4 L]: of each patient hits, alarms, misses and rejections of each label."""
  names, patient = np.unique(np.asarray(test.patients), return_inverse=True)
  positive = test.truth == 1
  cells = (called & positive, called & ~positive, ~called & positive, ~called & ~positive)
  counted = np.concatenate([cell & test.known for cell in cells], axis=1).astype(np.float64)
  tallies = np.zeros((len(names), counted.shape[1]))
  np.add.at(tallies, patient, counted)
  return tallies


def _totals(test: Predictions, called: np.ndarray) -> np.ndarray:
  return _tallies(test, called).sum(axis=0, keepdims=True)


def _drawn(
  test: Predictions, called: np.ndarray, replicates: int, seed: int
) -> dict[str, np.ndarray]:
  """Returns every figure in every replicate, f64[R, L]; {} where none are drawn."""
  if not replicates or len(set(test.patients)) < 2:
    return {}
  return _ratios(intervals.totals(_tallies(test, called), replicates=replicates, seed=seed))


def _ratios(totals: np.ndarray) -> dict[str, np.ndarray]:
  """Returns figures f64[R, L] of totals f64[R, 4 L], NaN where one does not exist."""
  hits, alarms, misses, rejections = np.split(totals, 4, axis=1)

  def ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    return np.divide(part, whole, out=np.full(part.shape, np.nan), where=whole > 0)

  positives = hits + misses
  return {
    'sensitivity': ratio(hits, positives),
    'specificity': ratio(rejections, rejections + alarms),
    'ppv': ratio(hits, hits + alarms),
    'npv': ratio(rejections, rejections + misses),
    'f1': ratio(2 * hits, np.where(positives > 0, 2 * hits + alarms + misses, 0)),
  }


def _point(
  test: Predictions,
  decided: Decided,
  column: int,
  values: Mapping[str, np.ndarray],
  drawn: Mapping[str, np.ndarray],
  has_intervals: bool,
) -> OperatingPoint:
  label, known = test.labels[column], test.known[:, column]
  if label in decided.reasons:
    nothing = dict.fromkeys(_ALL, Figure(None, reason='no operating point'))
    return OperatingPoint(
      rule=decided.rule,
      threshold=None,
      reason=decided.reasons[label],
      confusion=None,
      **nothing,
      at_prevalence=None,
      validation=None,
    )
  truth, called = test.truth[known, column] == 1, decided.called[known, column]
  patients = np.asarray(test.patients)[known]
  of_rates = proportions.rates(patients, truth, called, CONFIDENCE)
  counts = count(patients, truth)
  figures: dict[str, Figure] = {}
  for name in _ALL:
    value = float(values[name][column])
    replicates = drawn[name][:, column] if drawn else np.zeros(0)
    reason = _ABSENT[name] if np.isnan(value) else ''
    if not reason and name in ('sensitivity', 'f1') and counts.positive_patients < 2:
      reason = 'all positives are of one patient'
    if not reason and name == 'specificity' and counts.negative_patients < 2:
      reason = 'all negatives are of one patient'
    figures[name] = intervals.figure(value, replicates, reason, CONFIDENCE)
    if name in of_rates and not reason and has_intervals:
      figures[name] = with_interval(figures[name], of_rates[name])
  return OperatingPoint(
    rule=decided.rule,
    threshold=None,
    reason='',
    confusion=Confusion(
      true_positives=int((called & truth).sum()),
      false_positives=int((called & ~truth).sum()),
      true_negatives=int((~called & ~truth).sum()),
      false_negatives=int((~called & truth).sum()),
    ),
    **figures,
    at_prevalence=None,
    validation=None,
  )


def _with_prevalence(
  point: OperatingPoint,
  prevalence: float,
  column: int,
  values: Mapping[str, np.ndarray],
  drawn: Mapping[str, np.ndarray],
) -> OperatingPoint:
  nothing = np.zeros(0)
  stated = at_prevalence(
    prevalence,
    {'sensitivity': point.sensitivity, 'specificity': point.specificity},
    (values['sensitivity'][column], values['specificity'][column]),
    (drawn['sensitivity'][:, column], drawn['specificity'][:, column])
    if drawn
    else (nothing, nothing),
  )
  return dataclasses.replace(point, at_prevalence=stated)


def _mean(
  mean: Mean,
  labels: Sequence[str],
  points: Mapping[str, Sequence[OperatingPoint]],
  drawn: Mapping[str, np.ndarray],
) -> dict[str, Any]:
  """Returns the means over the labels of `mean`, of the first rule, by name."""
  figures = {}
  columns = [list(labels).index(label) for label in mean.labels]
  for name in _ALL:
    of_labels = [getattr(points[label][0], name) for label in mean.labels]
    if len(of_labels) == 1:
      figures[name] = of_labels[0]
      continue
    missing = [(label, f.reason) for label, f in zip(mean.labels, of_labels) if f.value is None]
    if not of_labels or missing:
      reason = f'{missing[0][0]}: {missing[0][1]}' if missing else 'no label has both classes'
      figures[name] = Figure(None, reason=reason)
      continue
    replicates = drawn[name][:, columns].mean(axis=1) if drawn else np.zeros(0)
    value = float(np.mean([figure.value for figure in of_labels]))
    figures[name] = intervals.figure(value, replicates, '', CONFIDENCE)
  return figures

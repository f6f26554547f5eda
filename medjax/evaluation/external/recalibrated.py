"""What recalibration would give: estimated on half of the patients, tested on the other half.

A model that is recalibrated on the patients that it is then tested on looks better than it would be
on the next ones, so the patients are parted at random, by a seed, and no patient is in both halves.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from medjax.config.protocol import Protocol
from medjax.evaluation import operating_points, summary
from medjax.evaluation.external import cohorts
from medjax.evaluation.external.result import (
  Recalibrated,
  RecalibratedPoint,
  Recalibration,
)
from medjax.evaluation.figure import Figure
from medjax.evaluation.frozen import FrozenPoint
from medjax.evaluation.label_figures import CONFIDENCE
from medjax.evaluation.label_result import LabelResult
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Result
from medjax.evaluation.statistics import (
  calibration_metrics,
  intervals,
  jackknife,
  recalibration,
  resampled,
)
from medjax.evaluation.statistics.recalibration import Line

WAYS = AS_FROZEN, IN_THE_LARGE, LOGISTIC = 'as frozen', 'in the large', 'logistic'

FIGURES = ('brier', 'calibration_slope', 'calibration_intercept', 'observed_expected')

Points = Mapping[str, Sequence[FrozenPoint]]


def of_labels(
  external: Predictions, points: Points, protocol: Protocol
) -> dict[str, Recalibration]:
  """Returns label → what recalibration gives.

  Args:
    external: at the level that is tested, with the run's calibrated probabilities.
    points: label → its frozen operating points.
    protocol: its head, replicates and seed, which also parts the patients.
  """
  fitted_on, tested_on = halves(external, protocol.seed)
  # Each class of several is asked for by itself: recalibrated ones do not sum to 1. No replicates
  # are needed: rates have Wilson's intervals, calibration the jackknife's, the AUROC DeLong's.
  alone = dataclasses.replace(protocol, head='sigmoid', prevalence={}, replicates=0)
  names = list(external.labels)
  lines = {way: [_line(way, fitted_on, index) for index in range(len(names))] for way in WAYS}
  rechosen = {
    label: _chosen_anew(fitted_on, index, lines[LOGISTIC][index], points[label], protocol)
    for index, label in enumerate(names)
  }
  before = _assessed(fitted_on, points, alone)
  ways = {
    way: _assessed(
      _moved(tested_on, lines[way]),
      {label: [*points[label], *(rechosen[label] if way == LOGISTIC else ())] for label in names},
      alone,
    )
    for way in WAYS
  }
  frozen = ways[AS_FROZEN].result.labels
  return {
    label: Recalibration(
      estimated_on=cohorts.counts_of(before.result.labels[label]),
      tested_on=cohorts.counts_of(frozen[label]),
      intercept=before.calibration[label]['calibration_intercept'],
      slope=before.calibration[label]['calibration_slope'],
      auroc=Figure(
        frozen[label].auroc.value, frozen[label].delong.interval, reason=frozen[label].delong.reason
      ),
      ways=tuple(
        _of_way(way, lines[way][index], ways[way], label, len(points[label])) for way in WAYS
      ),
    )
    for index, label in enumerate(names)
  }


class _Assessed(NamedTuple):
  """A half of the patients under one way.

  Attributes:
    result: without replicates.
    calibration: label → name of a figure of calibration → it, with its interval.
  """

  result: Result
  calibration: dict[str, dict[str, Figure]]


def _assessed(predictions: Predictions, points: Points, protocol: Protocol) -> _Assessed:
  result = summary.evaluate(None, predictions, points, protocol)
  prepared = summary.prepare(predictions, np.zeros((len(predictions.labels), 0)))
  sums = _observed_and_expected(predictions)

  def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
    figures = resampled.compute(prepared, weights)
    with np.errstate(divide='ignore', invalid='ignore'):
      figures['observed_expected'] = (weights @ sums[0]) / (weights @ sums[1])
    return {name: figures[name] for name in FIGURES}

  values = compute(np.ones((1, prepared.patients)))
  left_out = intervals.jackknife(compute, prepared.patients) if prepared.patients > 1 else {}
  calibration = {}
  for index, label in enumerate(predictions.labels):
    calibration[label] = {
      name: jackknife.figure(
        float(values[name][0, index]),
        left_out[name][:, index] if left_out else np.zeros(0),
        _reason(result.labels[label], name),
        CONFIDENCE,
      )
      for name in FIGURES
    }
  return _Assessed(result, calibration)


def _observed_and_expected(predictions: Predictions) -> tuple[np.ndarray, np.ndarray]:
  """Returns each patient's positives and the sum of their probabilities, f64[P, L] each."""
  names, patient = np.unique(np.asarray(predictions.patients), return_inverse=True)
  sums = np.zeros((2, len(names), len(predictions.labels)))
  np.add.at(sums[0], patient, predictions.known * (predictions.truth == 1))
  np.add.at(sums[1], patient, predictions.known * predictions.probabilities)
  return sums[0], sums[1]


def _reason(result: LabelResult, name: str) -> str:
  """Returns why a figure has no value or cannot have an interval, '' if it can."""
  # O:E needs what the slope needs but for negatives, without which it says nothing either.
  figure = getattr(result, 'calibration_intercept' if name == 'observed_expected' else name)
  return '' if figure.reason == intervals.NONE_DRAWN else figure.reason


def halves(predictions: Predictions, seed: int) -> tuple[Predictions, Predictions]:
  """Parts the patients at random into two halves, the first of which has one more if they are odd.

  The same patients and seed make the same halves.
  """
  patients = np.asarray(predictions.patients, object)
  names = np.unique(patients.astype(str))
  first = np.random.default_rng([seed, 2]).permutation(names)[: -(-len(names) // 2)]
  in_first = np.isin(patients.astype(str), first)
  return rows_of(predictions, in_first), rows_of(predictions, ~in_first)


def rows_of(predictions: Predictions, chosen: np.ndarray) -> Predictions:
  """Returns the predictions of some images, bool[N]."""
  rows = np.flatnonzero(chosen)
  about, log_odds, weights = predictions.about, predictions.log_odds, predictions.weights
  return predictions._replace(
    images=[predictions.images[row] for row in rows],
    patients=[predictions.patients[row] for row in rows],
    probabilities=predictions.probabilities[rows],
    truth=predictions.truth[rows],
    known=predictions.known[rows],
    about=None if about is None else about.iloc[rows].reset_index(drop=True),
    log_odds=None if log_odds is None else log_odds[rows],
    weights=None if weights is None else weights[rows],
  )


def _logits(predictions: Predictions, index: int) -> np.ndarray:
  return calibration_metrics.logit(predictions.probabilities[:, index])


def _line(way: str, fitted_on: Predictions, index: int) -> Line:
  if way == AS_FROZEN:
    return Line(0.0, 1.0)
  known = fitted_on.known[:, index]
  fit = recalibration.in_the_large if way == IN_THE_LARGE else recalibration.logistic
  return fit(_logits(fitted_on, index)[known], fitted_on.truth[known, index])


def _moved(predictions: Predictions, lines: Sequence[Line]) -> Predictions:
  """Returns recalibrated predictions; a label without a line keeps its probabilities."""
  columns = [
    predictions.probabilities[:, index]
    if line.reason or (line.intercept, line.slope) == (0, 1)
    else special.expit(line.intercept + line.slope * _logits(predictions, index))
    for index, line in enumerate(lines)
  ]
  return predictions._replace(probabilities=np.stack(columns, axis=1))


def _chosen_anew(
  fitted_on: Predictions,
  index: int,
  line: Line,
  points: Sequence[FrozenPoint],
  protocol: Protocol,
) -> list[FrozenPoint]:
  """Returns the points with thresholds that their rules choose on recalibrated probabilities.

  One for every rule that chooses, of every label alike; without a threshold where it cannot.
  """
  if protocol.head != 'sigmoid':
    return []
  known = fitted_on.known[:, index]
  scores = special.expit(line.intercept + line.slope * _logits(fitted_on, index)[known])
  truth = fitted_on.truth[known, index]
  chosen = []
  for point in points:
    if point.rule.startswith('threshold='):
      continue
    reason = line.reason or operating_points.lacking(point.rule, truth)
    threshold = None if reason else operating_points.choose(point.rule, scores, truth)
    chosen.append(FrozenPoint(point.rule, threshold, reason))
  return chosen


def _of_way(way: str, line: Line, assessed: _Assessed, label: str, frozen: int) -> Recalibrated:
  if line.reason:
    nothing = dict.fromkeys(FIGURES, Figure(None, reason=line.reason))
    return Recalibrated(way, None, None, line.reason, **nothing, operating_points=())
  return Recalibrated(
    how=way,
    intercept=line.intercept,
    slope=line.slope,
    reason='',
    operating_points=tuple(
      RecalibratedPoint(
        rule=point.rule,
        threshold=point.threshold,
        chosen_anew=number >= frozen,
        sensitivity=point.sensitivity,
        specificity=point.specificity,
        ppv=point.ppv,
        npv=point.npv,
      )
      for number, point in enumerate(assessed.result.labels[label].operating_points)
      if number < frozen or point.threshold is not None
    ),
    **assessed.calibration[label],
  )

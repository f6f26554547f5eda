"""What recalibration would give: estimated on half of the patients, tested on the other half.

A model that is recalibrated on the patients that it is then tested on looks better than it would be
on the next ones, so the patients are parted at random, by a seed, and no patient is in both halves.
"""

import dataclasses
from collections.abc import Mapping, Sequence

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
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Result
from medjax.evaluation.statistics import calibration_metrics, recalibration
from medjax.evaluation.statistics.recalibration import Line

WAYS = AS_FROZEN, IN_THE_LARGE, LOGISTIC = 'as frozen', 'in the large', 'logistic'

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
  # Each class of several is asked for by itself: recalibrated ones do not sum to 1.
  alone = dataclasses.replace(protocol, head='sigmoid', prevalence={})
  lines = {
    way: [_line(way, fitted_on, index) for index in range(len(external.labels))] for way in WAYS
  }
  rechosen = {
    label: _chosen_anew(fitted_on, index, lines[LOGISTIC][index], points[label], protocol)
    for index, label in enumerate(external.labels)
  }
  results = {
    way: summary.evaluate(
      None,
      _moved(tested_on, lines[way]),
      {
        label: [*points[label], *(rechosen[label] if way == LOGISTIC else ())]
        for label in external.labels
      },
      alone,
    )
    for way in WAYS
  }
  before = summary.evaluate(None, fitted_on, points, alone)
  moved = {way: _moved(tested_on, lines[way]) for way in WAYS}
  return {
    label: Recalibration(
      estimated_on=cohorts.counts_of(before.labels[label]),
      tested_on=cohorts.counts_of(results[AS_FROZEN].labels[label]),
      intercept=before.labels[label].calibration_intercept,
      slope=before.labels[label].calibration_slope,
      auroc=results[AS_FROZEN].labels[label].auroc,
      ways=tuple(
        _of_way(
          way,
          lines[way][index],
          results[way],
          label,
          cohorts.observed_expected(moved[way], index, alone),
          len(points[label]),
        )
        for way in WAYS
      ),
    )
    for index, label in enumerate(external.labels)
  }


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


def _of_way(
  way: str, line: Line, result: Result, label: str, observed_expected: Figure, frozen: int
) -> Recalibrated:
  of_label = result.labels[label]
  figures = {
    name: getattr(of_label, name)
    for name in ('brier', 'calibration_slope', 'calibration_intercept')
  }
  figures['observed_expected'] = observed_expected
  if line.reason:
    figures = dict.fromkeys(figures, Figure(None, reason=line.reason))
  return Recalibrated(
    how=way,
    intercept=None if line.reason else line.intercept,
    slope=None if line.reason else line.slope,
    reason=line.reason,
    operating_points=()
    if line.reason
    else tuple(
      RecalibratedPoint(
        rule=point.rule,
        threshold=point.threshold,
        chosen_anew=number >= frozen,
        sensitivity=point.sensitivity,
        specificity=point.specificity,
        ppv=point.ppv,
        npv=point.npv,
      )
      for number, point in enumerate(of_label.operating_points)
      if number < frozen or point.threshold is not None
    ),
    **figures,
  )

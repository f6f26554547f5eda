"""Two samples of other patients read by one model: every figure of both, and the difference.

The difference in AUROC has the interval of DeLong's variances of either sample; every other one
follows from the intervals of its two figures, see medjax.evaluation.statistics.unpaired. So each
figure is the one that a report of its sample shows.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medjax.config.protocol import Protocol
from medjax.evaluation import summary, wording
from medjax.evaluation.contrasts import Compared
from medjax.evaluation.external.result import (
  Cohorts,
  CohortsLabel,
  CohortsMean,
  CohortsPoint,
)
from medjax.evaluation.figure import Figure
from medjax.evaluation.frozen import FrozenPoint
from medjax.evaluation.label_figures import CONFIDENCE, ONE_PATIENT
from medjax.evaluation.label_result import Counts, LabelResult, OperatingPoint
from medjax.evaluation.predictions import Predictions, known_of
from medjax.evaluation.result import Result
from medjax.evaluation.statistics import delong, intervals, proportions, unpaired

_NO_VARIANCE = 'the scores of one of the two separate its classes, or all go together'
_OF_LABEL = ('auroc', 'auprc', 'brier', 'calibration_slope', 'calibration_intercept')
_OF_MEAN = (*_OF_LABEL, 'sensitivity', 'specificity')
_AT_POINT = ('sensitivity', 'specificity', 'ppv', 'npv')

# int[S] and int[S]: where patients of both stand among the sorted names of either.
Shared = tuple[np.ndarray, np.ndarray]


class Cohort(NamedTuple):
  """A sample of patients, and a report's figures of it.

  Attributes:
    name: what it is called in reasons: 'external', 'own test'.
    predictions: at the level that is tested, calibrated.
    result: of them.
  """

  name: str
  predictions: Predictions
  result: Result


def contrast(
  one: Cohort, other: Cohort, protocol: Protocol, *, is_one_set: bool = False
) -> Cohorts:
  """Returns every figure of both, and the first less the second.

  Args:
    one, other: with the same labels and operating points. Patients of both count as independent.
    protocol: how both were evaluated.
    is_one_set: whether a patient of one name is one patient in both, as at two sites of one set;
      the difference of AUROCs minds it. Two sets may both number their patients from 1.
  """
  shared = _shared(one, other) if is_one_set else (np.zeros(0, np.int64),) * 2
  parts = [
    dict(zip(cohort.predictions.labels, summary.contributions(cohort.predictions)))
    for cohort in (one, other)
  ]
  labels = {
    label: _label(one, other, label, (parts[0][label], parts[1][label]), shared, protocol)
    for label in one.predictions.labels
  }
  names = one.name, other.name
  classes = {}
  if one.result.classes is not None and other.result.classes is not None:
    figures_of_other = {
      name: figure for name, _, figure in wording.class_figures(other.result.classes)
    }
    classes = {
      name: _compared(figure, figures_of_other[name], names)
      for name, _, figure in wording.class_figures(one.result.classes)
    }
  return Cohorts(_mean(one, other, parts, shared, labels, protocol), labels, classes)


def _shared(one: Cohort, other: Cohort) -> Shared:
  first, second = (np.unique(np.asarray(part.predictions.patients)) for part in (one, other))
  _, *places = np.intersect1d(first, second, return_indices=True)
  return places[0], places[1]


def _compared(one: Figure, other: Figure, names: tuple[str, str]) -> Compared:
  return Compared(one, other, unpaired.difference(one, other, names))


def _label(
  one: Cohort,
  other: Cohort,
  label: str,
  parts: tuple[delong.Contributions, delong.Contributions],
  shared: Shared,
  protocol: Protocol,
) -> CohortsLabel:
  names, results = (one.name, other.name), (one.result.labels[label], other.result.labels[label])
  figures = {
    name: _compared(getattr(results[0], name), getattr(results[1], name), names)
    for name in _OF_LABEL
  }
  figures['auroc'] = _with_delong(figures['auroc'], [parts[0]], [parts[1]], shared)
  index = list(one.predictions.labels).index(label)
  place = list(other.predictions.labels).index(label)
  return CohortsLabel(
    one=counts_of(results[0]),
    other=counts_of(results[1]),
    prevalence=_compared(
      prevalence(one.predictions, index), prevalence(other.predictions, place), names
    ),
    observed_expected=_compared(
      observed_expected(one.predictions, index, protocol),
      observed_expected(other.predictions, place, protocol),
      names,
    ),
    operating_points=tuple(
      _point(first, second, names)
      for first, second in zip(results[0].operating_points, results[1].operating_points)
    ),
    **figures,
  )


def _point(one: OperatingPoint, other: OperatingPoint, names: tuple[str, str]) -> CohortsPoint:
  rates = {name: _compared(getattr(one, name), getattr(other, name), names) for name in _AT_POINT}
  return CohortsPoint(rule=one.rule, threshold=one.threshold, reason=one.reason, **rates)


def _with_delong(
  compared: Compared,
  one: Sequence[delong.Contributions],
  other: Sequence[delong.Contributions],
  shared: Shared,
) -> Compared:
  """Returns a difference in AUROC, or in a mean of some, with DeLong's interval."""
  difference = compared.difference
  if difference.interval is None:
    return compared
  bounds = delong.gap_interval(one, other, shared, CONFIDENCE)
  return dataclasses.replace(
    compared,
    difference=dataclasses.replace(
      difference, interval=bounds, reason='' if bounds else _NO_VARIANCE
    ),
  )


def _mean(
  one: Cohort,
  other: Cohort,
  parts: Sequence[dict[str, delong.Contributions]],
  shared: Shared,
  labels: dict[str, CohortsLabel],
  protocol: Protocol,
) -> CohortsMean:
  both = set(one.result.mean.labels) & set(other.result.mean.labels)
  entered = tuple(label for label in labels if label in both)
  names = one.name, other.name
  means = [_mean_of(cohort, entered, protocol) for cohort in (one, other)]
  figures = {name: _compared(means[0][name], means[1][name], names) for name in _OF_MEAN}
  if entered:
    one_parts, other_parts = ([of_label[label] for label in entered] for of_label in parts)
    figures['auroc'] = _with_delong(figures['auroc'], one_parts, other_parts, shared)
  return CohortsMean(labels=entered, **figures)


def _mean_of(cohort: Cohort, entered: Sequence[str], protocol: Protocol) -> dict[str, Figure]:
  """Returns the means over these labels, which are not those of the result where others enter."""
  if not entered:
    reason = 'no label has both classes, of several patients each, in both'
    return dict.fromkeys(_OF_MEAN, Figure(None, reason=reason))
  mean = cohort.result.mean
  if tuple(mean.labels) != tuple(entered):
    points = {
      label: [
        FrozenPoint(point.rule, point.threshold, point.reason)
        for point in cohort.result.labels[label].operating_points
      ]
      for label in entered
    }
    alone = dataclasses.replace(protocol, head='sigmoid', prevalence={})
    mean = summary.evaluate(None, of_labels(cohort.predictions, entered), points, alone).mean
  return {name: getattr(mean, name) for name in _OF_MEAN}


def of_labels(predictions: Predictions, labels: Sequence[str]) -> Predictions:
  """Returns the predictions of these labels alone, in this order."""
  columns = [list(predictions.labels).index(label) for label in labels]
  return predictions._replace(
    labels=list(labels),
    probabilities=predictions.probabilities[:, columns],
    truth=predictions.truth[:, columns],
    known=predictions.known[:, columns],
    log_odds=None if predictions.log_odds is None else predictions.log_odds[:, columns],
  )


def counts_of(result: LabelResult) -> Counts:
  """Returns the counts of a label's result by themselves."""
  return Counts(**{field.name: getattr(result, field.name) for field in dataclasses.fields(Counts)})


def prevalence(predictions: Predictions, index: int) -> Figure:
  """Returns one label's share of positives where the truth is known, with Wilson's interval by
  patient.
  """
  known = predictions.known[:, index]
  if not known.any():
    return Figure(None, reason='no image has a known truth')
  positive = predictions.truth[known, index] == 1
  bounds = proportions.of_images(np.asarray(predictions.patients)[known], positive, CONFIDENCE)
  return Figure(float(positive.mean()), bounds, reason='' if bounds else ONE_PATIENT)


def observed_expected(predictions: Predictions, index: int, protocol: Protocol) -> Figure:
  """Returns O:E of one label, positives over the sum of probabilities, with its interval.

  The percentile interval over patients; where a floor enriched the sample each patient weighs as
  in the other figures of calibration.
  """
  scores, truth = known_of(predictions, index)
  if not len(scores):
    return Figure(None, reason='no image has a known truth')
  known = predictions.known[:, index]
  weights = np.ones(len(scores)) if predictions.weights is None else predictions.weights[known]
  names, patient = np.unique(np.asarray(predictions.patients), return_inverse=True)
  sums = [
    np.bincount(patient[known], weights * values, minlength=len(names))
    for values in (truth == 1, scores)
  ]
  observed, expected = (part.sum() for part in sums)
  value = observed / expected if expected > 0 else np.nan
  reason = '' if observed else 'no positives'
  if not observed:
    return Figure(None if np.isnan(value) else float(value), reason=reason)
  drawn = intervals.totals(
    np.stack(sums, axis=1), replicates=protocol.replicates, seed=protocol.seed
  )
  with np.errstate(divide='ignore', invalid='ignore'):
    ratios = np.where(drawn[:, 1] > 0, drawn[:, 0] / drawn[:, 1], np.nan)
  positive_patients = len(np.unique(patient[known][truth == 1]))
  if positive_patients < 2:
    reason = 'all positives are of one patient'
  return intervals.figure(float(value), ratios, reason, CONFIDENCE)

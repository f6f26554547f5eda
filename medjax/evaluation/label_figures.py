"""One label's figures on test, with intervals, at operating points that were chosen before."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from medjax.evaluation import curve_points, without_width
from medjax.evaluation.counts import count
from medjax.evaluation.figure import Figure
from medjax.evaluation.frozen import FrozenPoint
from medjax.evaluation.label_result import (
  AtPrevalence,
  CalibrationValues,
  Confusion,
  Counts,
  Delong,
  LabelResult,
  OperatingPoint,
  Rates,
  Uncalibrated,
  ValidationResult,
)
from medjax.evaluation.predictions import Predictions, known_of, ranks_of
from medjax.evaluation.statistics import delong, intervals, proportions, resampled

ONE_PATIENT = 'all such images are of one patient'
CONFIDENCE = 0.95  # how often the intervals cover
NEEDS = {  # the classes without which a figure does not exist
  'auroc': ('positive', 'negative'),
  'auprc': ('positive', 'negative'),
  'brier': (),
  'ece': (),
  'calibration_slope': ('positive', 'negative'),
  'calibration_intercept': ('positive', 'negative'),
  'sensitivity': ('positive',),
  'specificity': ('negative',),
  'ppv': (),
  'npv': (),
  'f1': ('positive',),
}
_ABSENT = {  # why a figure may not exist though both classes do
  'ppv': 'nothing is called positive',
  'npv': 'everything is called positive',
  'calibration_slope': (
    'no logistic curve fits: the classes do not overlap, or all probabilities are alike'
  ),
}
# Noise in a bin's share counts as miscalibration, and a replicate has more noise than the test set.
BIASED = ('ece',)
_RATES = ('sensitivity', 'specificity')
OF_PROBABILITIES = ('brier', 'ece', 'calibration_slope', 'calibration_intercept')


class Computed(NamedTuple):
  """Predictions and their figures, f64[…, L] or f64[…, L, K], NaN where one does not exist.

  Attributes:
    test, validation: the predictions.
    points: label → its operating points.
    values: of test.
    of_validation: of validation.
    raw: 'test' and 'validation' → of the probabilities before calibration.
    drawn: of test, in each of R replicates; {} where none were drawn.
    left_out: of test, without each of G groups of patients; likewise.
    parts: of each label, what every patient of the test adds to its AUROC.
  """

  test: Predictions
  validation: Predictions | None
  points: Mapping[str, Sequence[FrozenPoint]]
  values: Mapping[str, np.ndarray]
  of_validation: Mapping[str, np.ndarray] | None
  raw: Mapping[str, Mapping[str, np.ndarray]]
  drawn: Mapping[str, np.ndarray]
  left_out: Mapping[str, np.ndarray]
  parts: Sequence[delong.Contributions]

  def figure(self, name: str, reason: str, *place: int) -> Figure:
    """Returns one label's figure, at one operating point if `place` says which."""
    return figure(
      self.values[name][place],
      column(self.drawn, name, *place),
      column(self.left_out, name, *place),
      reason,
      name in BIASED,
    )


def column(figures_of: Mapping[str, np.ndarray], name: str, *place: int | list[int]) -> np.ndarray:
  """Returns one figure of one label, or of some, in every replicate; empty without any."""
  return figures_of[name][(slice(None), *place)] if figures_of else np.zeros(0)


def figure(
  value: float,
  replicates: np.ndarray,
  left_out: np.ndarray | None,
  reason: str,
  biased: bool = False,
) -> Figure:
  """Returns a figure with its intervals at the confidence of all results."""
  return intervals.figure(float(value), replicates, reason, CONFIDENCE, left_out, biased)


def with_interval(rate: Figure, interval: tuple[float, float] | None) -> Figure:
  """Returns a proportion with its interval over patients in place of the bootstrap's."""
  return dataclasses.replace(rate, interval=interval, reason='' if interval else ONE_PATIENT)


def of_label(
  computed: Computed, index: int, raw: Predictions | None, prevalence: float | None
) -> LabelResult:
  """Returns one label's results.

  Args:
    computed: of all labels.
    index: of the label.
    raw: predictions on test before calibration, None where nothing was calibrated.
    prevalence: that was stated for it, or None.
  """
  test, label = computed.test, computed.test.labels[index]
  counts = _counts(test, index)
  figures: dict[str, Any] = {
    name: computed.figure(
      name, _no_interval(counts, name, value=float(computed.values[name][index])), index
    )
    for name in resampled.OF_SCORES
  }
  ranks, _ = ranks_of(test, index)
  if figures['auroc'].reason == intervals.AGREE:
    why = without_width.of_auroc(figures['auroc'].value, ranks)
    figures['auroc'] = dataclasses.replace(figures['auroc'], reason=why)
  parts = [computed.parts[index]]
  figures['auroc'] = delong.with_interval(figures['auroc'], parts, CONFIDENCE)
  curves = curve_points.of_label(test, raw, index)
  return LabelResult(
    **vars(counts),
    **figures,
    delong=_delong(test, index),
    validation=_on_validation(computed, index),
    operating_points=tuple(
      _at_point(computed, index, at, point, counts, prevalence)
      for at, point in enumerate(computed.points[label])
    ),
    uncalibrated=_uncalibrated(computed.raw, index),
    roc=curves.roc,
    precision_recall=curves.precision_recall,
    reliability=curves.reliability,
  )


def _on_validation(computed: Computed, index: int) -> ValidationResult | None:
  if computed.validation is None or computed.of_validation is None:
    return None
  values: dict[str, Any] = {
    name: _or_none(computed.of_validation[name][index]) for name in resampled.OF_SCORES
  }
  return ValidationResult(**vars(_counts(computed.validation, index)), **values)


def _uncalibrated(raw: Mapping[str, Mapping[str, np.ndarray]], index: int) -> Uncalibrated | None:
  parts = {
    part: CalibrationValues(**{name: _or_none(values[name][index]) for name in OF_PROBABILITIES})
    for part, values in raw.items()
  }
  return Uncalibrated(test=parts['test'], validation=parts.get('validation')) if parts else None


def _at_point(
  computed: Computed,
  index: int,
  at: int,
  point: FrozenPoint,
  counts: Counts,
  prevalence: float | None,
) -> OperatingPoint:
  """Returns one label's figures at one operating point.

  Args:
    computed: of all labels.
    index: of the label.
    at, point: number of the operating point, and what was frozen.
    counts: of the label on test.
    prevalence: that was stated for it, or None.
  """
  rate_intervals = _rate_intervals(computed.test, index, point.threshold)
  figures: dict[str, Figure] = {}
  for name in resampled.AT_THRESHOLD:
    reason = _no_interval(counts, name, point, float(computed.values[name][index, at]))
    figures[name] = computed.figure(name, reason, index, at)
    if name in rate_intervals and not reason:
      figures[name] = with_interval(figures[name], rate_intervals[name])
  validation = None
  if computed.of_validation is not None:
    validation = Rates(
      **{name: _or_none(computed.of_validation[name][index, at]) for name in _RATES}
    )
  return OperatingPoint(
    rule=point.rule,
    threshold=point.threshold,
    reason=point.reason,
    confusion=_confusion(computed.test, index, point.threshold),
    **figures,
    at_prevalence=None
    if prevalence is None
    else _at_prevalence(prevalence, computed, figures, index, at),
    validation=validation,
  )


def _at_prevalence(
  prevalence: float, computed: Computed, figures: Mapping[str, Figure], index: int, at: int
) -> AtPrevalence:
  sensitivity, specificity = (computed.values[name][index, at] for name in _RATES)
  drawn, left_out = (
    (column(values, 'sensitivity', index, at), column(values, 'specificity', index, at))
    for values in (computed.drawn, computed.left_out)
  )
  return at_prevalence(prevalence, figures, (sensitivity, specificity), drawn, left_out)


def at_prevalence(
  prevalence: float,
  figures: Mapping[str, Figure],
  values: tuple[np.ndarray, np.ndarray],
  replicates: tuple[np.ndarray, np.ndarray],
  without: tuple[np.ndarray, np.ndarray] | None = None,
) -> AtPrevalence:
  """Returns PPV and NPV at a prevalence that was stated, by Bayes' theorem.

  Args:
    prevalence: in (0, 1).
    figures: 'sensitivity' and 'specificity'.
    values: sensitivity and specificity, f64[].
    replicates: both in each replicate, f64[R].
    without: both without each group of patients, f64[G], for the BCa interval; None for none.
  """
  value, drawn = (resampled.predictive_values(*both, prevalence) for both in (values, replicates))
  left_out = resampled.predictive_values(*without, prevalence) if without else (None, None)
  rates = [figures[name] for name in _RATES]
  # The reason of a rate that does not exist says more than that of one without interval.
  rates.sort(key=lambda rate: rate.value is not None)
  reason = rates[0].reason or rates[1].reason
  ppv, npv = (
    figure(
      float(value[at]),
      drawn[at],
      left_out[at],
      _ABSENT[name] if np.isnan(value[at]) and rates[0].value is not None else reason,
    )
    for at, name in enumerate(('ppv', 'npv'))
  )
  return AtPrevalence(prevalence=prevalence, ppv=ppv, npv=npv)


def _or_none(value: float) -> float | None:
  return None if np.isnan(value) else float(value)


def _counts(predictions: Predictions, index: int) -> Counts:
  """Counts the images and patients of one label whose truth is known."""
  _, truth = known_of(predictions, index)
  return count(np.asarray(predictions.patients)[predictions.known[:, index]], truth)


def _confusion(predictions: Predictions, index: int, threshold: float | None) -> Confusion | None:
  if threshold is None:
    return None
  scores, truth = known_of(predictions, index)
  called, positive = scores >= threshold, truth == 1
  return Confusion(
    true_positives=int((called & positive).sum()),
    false_positives=int((called & ~positive).sum()),
    true_negatives=int((~called & ~positive).sum()),
    false_negatives=int((~called & positive).sum()),
  )


def _rate_intervals(
  predictions: Predictions, index: int, threshold: float | None
) -> dict[str, tuple[float, float] | None]:
  """Returns proportion → its interval, at one label's threshold."""
  if threshold is None:
    return {}
  scores, truth = known_of(predictions, index)
  patients = np.asarray(predictions.patients)[predictions.known[:, index]]
  return proportions.rates(patients, truth == 1, scores >= threshold, CONFIDENCE)


def _delong(test: Predictions, index: int) -> Delong:
  patients = np.asarray(test.patients)[test.known[:, index]]
  return delong.figure(*ranks_of(test, index), patients, CONFIDENCE)


def _no_interval(
  counts: Counts, name: str, point: FrozenPoint | None = None, value: float = 0.0
) -> str:
  """Returns why a label's figure has no value or cannot have an interval, '' if it can.

  Resampling patients cannot show how a class varies between patients if only one patient has it.
  """
  if not counts.images:
    return 'no image has a known truth'
  for kind in NEEDS[name]:
    if not getattr(counts, f'{kind}s'):
      return f'no {kind}s'
  if point is not None and point.threshold is None:
    return 'no operating point'
  if np.isnan(value):
    return _ABSENT[name]
  if counts.patients < 2:
    return 'fewer than two patients'
  for kind in NEEDS[name]:
    if getattr(counts, f'{kind}_patients') < 2:
      return f'all {kind}s are of one patient'
  return ''

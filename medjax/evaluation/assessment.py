"""From predictions to results: freeze on validation, then read the test set.

The order is the point: images are aggregated to the level that is tested, calibration is fitted and
thresholds are chosen on validation, and only then is the test set looked at.
"""

import dataclasses
from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from medjax.config.protocol import Protocol
from medjax.errors import InputError
from medjax.evaluation import classes, levels, notes, ranks, subgroups, summary, without_width
from medjax.evaluation.counts import count, of_several_patients
from medjax.evaluation.frozen import FrozenLevel, calibrated, prevalence, without_validation
from medjax.evaluation.frozen import freeze as freeze_level
from medjax.evaluation.label_figures import CONFIDENCE
from medjax.evaluation.label_result import Counts
from medjax.evaluation.predictions import Predictions, ranks_of
from medjax.evaluation.result import LevelResult, Result, Variant
from medjax.evaluation.statistics import delong, intervals, metrics, resampled


class Assessment(NamedTuple):
  """What `assess` returns.

  Attributes:
    frozen: level → what validation chose; {} without validation.
    result: on test.
    validation: at the level that is tested, calibrated; None without validation.
    test: likewise.
  """

  frozen: dict[str, FrozenLevel]
  result: Result
  validation: Predictions | None
  test: Predictions


def assess(
  validation: Predictions | None,
  test: Predictions,
  protocol: Protocol,
  *,
  frozen: Mapping[str, FrozenLevel] | None = None,
  variants: Mapping[str, Predictions] | None = None,
) -> Assessment:
  """Freezes calibration and thresholds on validation and evaluates test.

  Args:
    validation: predictions of images as the model gives them, None where there are none: then
      nothing is calibrated, and only rules that choose nothing ('threshold=0.5') have a threshold.
    test: likewise, with the same labels.
    protocol: how the test set is read.
    frozen: what an earlier call has frozen, which then stays.
    variants: name → other predictions of the same images, whose mean areas are reported too.

  Raises:
    InputError: as medjax.evaluation.summary.evaluate; with exclusive classes, probabilities that do
      not sum to 1 or a truth of more or less than one class.
  """
  level, aggregate, head = protocol.level, protocol.aggregate, protocol.head
  if head != 'sigmoid':
    # Once calibrated, whatever it was sums to 1.
    for name, part in (('test', test), ('validation', validation)):
      if part is not None:
        classes.check(part, name)
  of_levels = dict(frozen or {})
  raw = {'test': levels.to_level(test, level, aggregate, head)}
  if validation is not None:
    raw['validation'] = levels.to_level(validation, level, aggregate, head)
    if level not in of_levels:
      of_levels = freeze(validation, protocol)
  of_level = of_levels.get(level) or without_validation(test.labels, protocol)
  ready = {name: calibrated(of_level, part) for name, part in raw.items()}
  source = of_level.source_prevalence or {}
  result = summary.evaluate(
    ready.get('validation'),
    ready['test'],
    of_level.operating_points,
    dataclasses.replace(protocol, prevalence={**source, **protocol.prevalence}),
    uncalibrated=None if of_level.calibration.method == 'none' else raw,
  )
  by_group, sentences = subgroups.summarise(
    ready['test'],
    {label: of_level.threshold(label) for label in test.labels},
    protocol.subgroups,
    replicates=protocol.replicates,
    seed=protocol.seed,
    confidence=CONFIDENCE,
  )
  at_levels = {}
  for name in _reported_levels(test, aggregate, head):
    part = levels.to_level(test, name, aggregate, head)
    if name in of_levels:
      part = calibrated(of_levels[name], part)
    at_levels[name] = mean_areas(part, replicates=protocol.replicates, seed=protocol.seed)
  compared = []
  for name, part in (variants or {}).items():
    areas = mean_areas(
      levels.to_level(part, level, aggregate, head),
      replicates=protocol.replicates,
      seed=protocol.seed,
    )
    compared.append(Variant(**vars(areas), name=name))
  result = dataclasses.replace(
    result,
    levels=at_levels,
    subgroups=by_group,
    variants=tuple(compared),
    notes=(
      *(() if level == 'image' else notes.unidentified(validation, test)),
      *result.notes,
      *notes.partly_known(test, level),
      *notes.of_source(of_level, test),
      *notes.not_calibrated(of_level.calibration),
      *sentences,
    ),
  )
  if protocol.scores == 'ranks':
    result = ranks.without_probabilities(result)
  return Assessment(of_levels, result, ready.get('validation'), ready['test'])


def freeze(
  validation: Predictions, protocol: Protocol, source: Predictions | None = None
) -> dict[str, FrozenLevel]:
  """Returns what validation chooses: level → of medjax.evaluation.frozen.freeze.

  Of images, of the level that is tested, and of every other level that the predictions allow.

  Args:
    validation: predictions of images.
    protocol: how the test set is read.
    source: every image that the split was drawn from, with any scores, where validation is weighted
      to stand for them; None where they are not known.

  Raises:
    InputError: with exclusive classes, probabilities that do not sum to 1 or a truth of more or
      less than one class.
  """
  aggregate, head = protocol.aggregate, protocol.head
  if head != 'sigmoid':
    classes.check(validation, 'validation')
  names = ('image', protocol.level, *_reported_levels(validation, aggregate, head))
  frozen = {}
  for name in dict.fromkeys(names):
    counted = _counted(source, name, protocol) if source is not None else None
    units = levels.to_level(validation, name, aggregate, head)
    frozen[name] = freeze_level(units, protocol, counted)
  return frozen


def _counted(source: Predictions, level: str, protocol: Protocol) -> dict[str, float] | None:
  """Returns the prevalence of the source; None where it does not say what its units are."""
  try:
    return prevalence(levels.to_level(source, level, protocol.aggregate, protocol.head))
  except InputError:  # Training images may lack the column of the level.
    return None


def _reported_levels(predictions: Predictions, aggregate: str, head: str) -> list[str]:
  """Returns the levels at which predictions can be evaluated, the image's first."""
  if head == 'softmax' and aggregate != 'mean':
    return ['image']  # The maxima of exclusive classes do not sum to 1.
  return list(dict.fromkeys(('image', *levels.available(predictions))))


def _counts(predictions: Predictions, index: int) -> Counts:
  known = predictions.known[:, index]
  return count(np.asarray(predictions.patients)[known], predictions.truth[known, index])


def mean_areas(predictions: Predictions, *, replicates: int, seed: int) -> LevelResult:
  """Returns mean areas over the labels that have both classes, chosen as those of `Mean`."""
  names, patients = list(predictions.labels), len(set(predictions.patients))
  rankings = resampled.rankings(
    np.asarray(predictions.patients),
    predictions.ranks,
    predictions.truth,
    predictions.known,
  )
  counts = [_counts(predictions, index) for index in range(len(names))]
  both = [index for index, label in enumerate(counts) if label.positives and label.negatives]
  both = [index for index in both if of_several_patients(counts[index])] or both

  def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
    whole = metrics.whole_numbers(np.ascontiguousarray(weights.T), len(predictions.images))
    areas = intervals.in_threads(lambda index: metrics.areas(rankings[index], whole), both)
    auroc, auprc = np.mean(areas, axis=0)
    return {'auroc': auroc, 'auprc': auprc}

  if both:
    drawn = intervals.replicate(
      compute, patients, len(predictions.images), replicates=replicates, seed=seed
    )
    values = compute(np.ones((1, patients)))
    reason = 'fewer than two patients' if not drawn and patients < 2 else ''
  else:
    drawn, values = {}, {name: np.array([np.nan]) for name in ('auroc', 'auprc')}
    reason = 'no label has both classes'
  reasons = dict.fromkeys(values, reason)
  if both and all(without_width.all_the_same(ranks_of(predictions, index)[0]) for index in both):
    reasons['auroc'] = reason or without_width.ALL_THE_SAME
  figures = {
    name: intervals.figure(float(value[0]), drawn.get(name, np.zeros(0)), reasons[name], CONFIDENCE)
    for name, value in values.items()
  }
  parts = summary.contributions(predictions)
  entered = [parts[index] for index in both]
  figures['auroc'] = delong.with_interval(figures['auroc'], entered, CONFIDENCE)
  return LevelResult(
    units=len(predictions.images),
    patients=patients,
    labels=tuple(names[index] for index in both),
    **figures,
  )

"""What weakens an evaluation, in plain sentences: a figure is never shown without them."""

from collections.abc import Mapping

import numpy as np

from medjax.evaluation import levels, without_width, wording
from medjax.evaluation.calibration import Calibration
from medjax.evaluation.frozen import FrozenLevel
from medjax.evaluation.predictions import Predictions, names_patients
from medjax.evaluation.result import Result

FEW_PATIENTS = 50  # percentile intervals over fewer clusters tend to be too narrow
FEW_OF_A_CLASS = 10  # patients
# Of so many patients of a class and more the interval of an AUROC of 0.96 too covers 93 % or more;
# with 10 to 15 it is 89 to 92 %.
NOMINAL = 50


def notes(result: Result, validation: Predictions | None, test: Predictions) -> list[str]:
  """Returns sentences, the gravest first; none if nothing was found that weakens the figures.

  Args:
    result: of `medjax.evaluation.summary.evaluate`, without its notes.
    validation: the predictions that the operating points were chosen on; None where there are none.
    test: the predictions that the figures are of.
  """
  return [
    *_overlap(validation, test),
    *(unidentified(validation, test) if result.unit == 'image' else ()),
    *_absent(result),
    *_one_answer(result),
    *_few(result),
    *_unsteady(result),
    *_certain(result),
    *_unknown(result),
  ]


def _overlap(validation: Predictions | None, test: Predictions) -> list[str]:
  sentences = []
  patients = len(set(validation.patients) & set(test.patients)) if validation else 0
  if patients:
    sentences.append(
      f'{wording.count(patients, "patient")} in both validation and test: calibration and '
      'operating points, and of a run the checkpoint, were chosen on people they are tested on, so '
      'the figures flatter.'
    )
  return sentences


def unidentified(validation: Predictions | None, test: Predictions) -> list[str]:
  """Returns a sentence for each split whose images carry their patients' names, one each."""
  return [
    f"Every image in {split} is of another patient, by its column 'patient'. If some patients have "
    'several images after all, intervals are too narrow.'
    if predictions.stated
    else f'No patient identifiers in {split}: every image counts as its own patient. If some '
    'patients have several images, intervals are too narrow and overlap cannot be ruled out.'
    for split, predictions in (('test', test), ('validation', validation))
    if predictions and not names_patients(predictions)
  ]


def partly_known(test: Predictions, level: str) -> list[str]:
  """Returns a sentence on the units that are left out because some of their images are unknown."""
  if level == 'image':
    return []
  counts = zip(test.labels, *levels.partly_known(test, level))
  lost = [
    f'{label} {positive:,} with the finding and {others:,} others'
    for label, positive, others in counts
    if positive or others
  ]
  if not lost:
    return []
  return [
    f'Left out of each label, because of some of their images the truth is unknown: {_join(lost)} '
    f'({wording.plural(level)} of the test). Were only those with the finding kept, the '
    'prevalence would be too high.'
  ]


def of_source(level: FrozenLevel, test: Predictions) -> list[str]:
  """Returns what the figures are of where a floor made the split unlike its source."""
  if not level.source_prevalence:
    if test.weights is None:
      return []
    return [
      'A floor enriched the test set. Each patient weighs as many as he or she stands for in the '
      'source in the figures of calibration, and in those alone: thresholds, and the calibration '
      'if there is any, are not made for that source, and predictive values are of the patients as '
      'drawn.'
    ]
  return [
    'A floor enriched the split. Each patient weighs as many as he or she stands for in the source '
    f'(prevalence {_shares(level.source_prevalence)}, {_origin(level)}) in the calibration, in '
    'thresholds of a cost, in the figures of calibration, and in the predictive values at that '
    'prevalence. Sensitivity, specificity and areas are of the patients as drawn.'
  ]


def of_new_patients(level: FrozenLevel) -> str:
  """Returns of whom calibrated probabilities are where a floor enriched validation, else ''."""
  fitted = level.calibration
  reasons = (
    dict.fromkeys(fitted.classes.labels, fitted.classes.reason)
    if fitted.classes
    else {label: part.reason for label, part in (fitted.labels or {}).items()}
  )
  shares = {
    label: share
    for label, share in (level.source_prevalence or {}).items()
    if fitted.method != 'none' and not reasons[label]
  }
  if not shares:
    return ''
  return (
    'probabilities are calibrated to the source that the split was drawn from; its prevalence is '
    f'{_shares(shares)}, {_origin(level)}'
  )


def _origin(level: FrozenLevel) -> str:
  return 'counted there' if level.source_counted else 'estimated from the weights of validation'


def of_absent(part: str, kinds: Mapping[str, int]) -> list[str]:
  """Returns a sentence on patients of the source whom nobody in 'validation' or 'test' stands for.

  Args:
    part: the split.
    kinds: from medjax.data.split.source_weights.absent.
  """
  if not kinds:
    return []
  counted = [f'{wording.count(number, "patient")} {kind}' for kind, number in kinds.items()]
  figures = {
    'validation': 'calibration and thresholds of a cost',
    'test': 'the figures of calibration and the predictive values at its prevalence',
  }[part]
  return [
    f'The {part} set has nobody like some patients of the source ({"; ".join(counted)}), and no '
    f'weight can stand for them: {figures} leave them out.'
  ]


def _shares(prevalence: Mapping[str, float]) -> str:
  return _join([f'{label} {wording.percent(share)}' for label, share in prevalence.items()])


def not_calibrated(fitted: Calibration) -> list[str]:
  """Returns a sentence for each reason why a calibration left labels as they were.

  Args:
    fitted: what `medjax.evaluation.calibration.fit` returns.
  """
  if fitted.classes is None:
    reasons = {label: part.reason for label, part in (fitted.labels or {}).items()}
  else:
    reasons = {', '.join(fitted.classes.labels): fitted.classes.reason}
  return [f'Not calibrated ({why}): {_join(names)}.' for why, names in _by_reason(reasons)]


def _absent(result: Result) -> list[str]:
  sentences = []
  for kind in ('positives', 'negatives'):
    names = [label for label, of_label in result.labels.items() if not getattr(of_label, kind)]
    if names:
      sentences.append(f'No {kind} on test, so no AUROC and no AUPRC: {_join(names)}.')
  for _, words, figure in wording.class_figures(result.classes):
    if figure.value is None:
      sentences.append(f'No {words}: {figure.reason}.')
  reasons = {
    label: of_label.decision.reason
    for label, of_label in result.labels.items()
    if of_label.decision
  }
  for why, names in _by_reason(reasons):
    sentences.append(
      f'No operating point, so no sensitivity and no specificity ({why}): {_join(names)}.'
    )
  return sentences


def _one_answer(result: Result) -> list[str]:
  """Returns sentences on decisions that are the same whatever the picture shows."""
  every = f'every {result.unit} of the test'
  if (classes := result.classes) is not None:
    called = np.flatnonzero(np.sum(classes.confusion, axis=0))
    if len(called) != 1:
      return []
    things = wording.things(result)[1]
    return [
      f'The model decides one answer only: it calls {every} {classes.labels[called[0]]}, and tells '
      f'no {things} apart.'
    ]
  sentences = []
  for call, rates in (('positive', (1, 0)), ('negative', (0, 1))):
    names = [
      label
      for label, tested in result.labels.items()
      if (point := tested.decision) and (point.sensitivity.value, point.specificity.value) == rates
    ]
    if names:
      sentences.append(
        f'The model decides one answer only: at the operating point it calls {every} {call} for '
        f'{_join(names)}.'
      )
  return sentences


def _by_reason(reasons: Mapping[str, str]) -> list[tuple[str, list[str]]]:
  """Returns each reason that is not empty, with the labels that have it."""
  return [
    (why, [label for label, reason in reasons.items() if reason == why])
    for why in dict.fromkeys(reasons.values())
    if why
  ]


def _few(result: Result) -> list[str]:
  sentences = []
  patients = result.test.patients
  fitted = any(of_label.uncalibrated for of_label in result.labels.values())
  by_rule = any(
    not point.rule.startswith('threshold=')
    for of_label in result.labels.values()
    for point in of_label.operating_points
  )
  chosen = {
    (True, True): 'calibration and operating points rest',
    (True, False): 'the calibration rests',
    (False, True): 'the operating points rest',
  }.get((fitted, by_rule))
  if patients < FEW_PATIENTS:
    sentences.append(
      f'Only {wording.count(patients, "test patient")}: intervals from so few tend to be too '
      'narrow.'
    )
  narrow = 'an AUROC near 1 then tends to have too narrow an interval,'
  for split, kind, fewest, consequence in (
    ('test', 'positive', NOMINAL, f'{narrow} sensitivity does not'),
    ('test', 'negative', NOMINAL, f'{narrow} specificity does not'),
    ('validation', 'positive', FEW_OF_A_CLASS, f'{chosen} on very little'),
    ('validation', 'negative', FEW_OF_A_CLASS, f'{chosen} on very little'),
  ):
    numbers = {
      label: getattr(part, f'{kind}_patients')
      for label, of_label in result.labels.items()
      if (part := of_label if split == 'test' else of_label.validation) is not None
    }
    names = [f'{label} {number}' for label, number in numbers.items() if 0 < number < fewest]
    if names and (split == 'test' or chosen):
      sentences.append(
        f'Fewer than {fewest} {kind} patients on {split} ({_join(names)}): {consequence}.'
      )
  return sentences


def _unsteady(result: Result) -> list[str]:
  sentences = []
  mean = result.mean.auroc
  which = 'The mean AUROC' if len(result.mean.labels) > 1 else 'The AUROC'
  if mean.value is not None and mean.interval is None and result.replicates:
    sentences.append(f'{which} has no interval ({mean.reason}).')
  elif mean.interval and mean.valid_replicates < result.replicates:
    whose, occurring = 'The interval of the mean rests', 'each of its labels has both classes'
    if result.classes is not None:
      occurring = 'each of its classes occurs'
      if result.classes.balanced_accuracy.interval:
        whose = 'The intervals of the mean and of the balanced accuracy rest'
        occurring = 'every class occurs'
    sentences.append(
      f'{whose} on the {mean.valid_replicates} of {result.replicates} replicates in which '
      f'{occurring}.'
    )
  class_figures = wording.class_figures(result.classes)
  for _, words, figure in class_figures:
    if figure.value is not None and figure.interval is None and result.replicates:
      sentences.append(f'The {words} has no interval ({figure.reason}).')
  if not result.replicates:
    sentences.append('No intervals: no replicates were drawn.')
  return sentences


def _certain(result: Result) -> list[str]:
  """Names the labels whose AUROC has no interval because its replicates agree, and why."""
  if len(result.labels) == 1:
    return []  # It is the mean itself.
  reasons = {label: of_label.auroc.reason for label, of_label in result.labels.items()}
  agreeing = {label: why for label, why in reasons.items() if why in without_width.REASONS}
  return [
    f'No interval of the AUROC ({why}): {_join(names)}.' for why, names in _by_reason(agreeing)
  ]


def _unknown(result: Result) -> list[str]:
  images = result.test.images
  absent = {label: images - of_label.images for label, of_label in result.labels.items()}
  absent = {label: number for label, number in absent.items() if number}
  if not absent:
    return []
  if result.classes is not None:
    number = images - result.classes.images
    return [f'Truth not known for {number:,} of the {images:,} test images, which are left out.']
  if len(absent) <= 3:
    which = _join([f'{label} {number:,}' for label, number in absent.items()])
  else:
    which = f'{min(absent.values()):,} to {max(absent.values()):,} for each of {len(absent)} labels'
  return [f'Truth not known for some of the {images:,} test images, which are left out: {which}.']


def _join(names: list[str]) -> str:
  return ', '.join(names)

"""What weakens an evaluation, in plain sentences: a figure is never shown without them."""

from medjax.evaluation import wording
from medjax.evaluation.predictions import Predictions

FEW_PATIENTS = 50  # percentile intervals over fewer clusters tend to be too narrow
FEW_OF_A_CLASS = 10  # patients
_RATES = ('sensitivity', 'specificity')


def notes(summary: dict, validation: Predictions | None, test: Predictions) -> list[str]:
  """Returns sentences, the gravest first; none if nothing was found that weakens the figures.

  Args:
    summary: as `medjax.evaluation.summary.evaluate` builds it.
    validation: the predictions that the operating points were chosen on; None where there are none.
    test: the predictions that the figures are of.
  """
  labels = summary['labels']
  return [
    *_overlap(validation, test),
    *(unidentified(validation, test) if summary['unit'] == 'image' else ()),
    *_absent(summary, labels),
    *_few(summary, labels),
    *_unsteady(summary, labels),
    *_unknown(summary, labels),
  ]


def _overlap(validation: Predictions | None, test: Predictions) -> list[str]:
  found = []
  patients = len(set(validation.patients) & set(test.patients)) if validation else 0
  if patients:
    found.append(
      f'{wording.count(patients, "patient")} in both validation and test: calibration and '
      'operating points, and of a run the checkpoint, were chosen on people they are tested on, so the '
      'figures flatter.'
    )
  return found


def unidentified(validation: Predictions | None, test: Predictions) -> list[str]:
  """Returns a sentence for each split whose images, unaggregated, are named as their patients are."""
  return [
    f'No patient identifiers in {split}: every image counts as its own patient. If some '
    'patients have several images, intervals are too narrow and overlap cannot be ruled out.'
    for split, predictions in (('test', test), ('validation', validation))
    if predictions and list(predictions.images) == list(predictions.patients)
  ]


def not_calibrated(fitted: dict) -> list[str]:
  """Returns a sentence for each reason why a calibration left labels as they were.

  Args:
    fitted: what `medjax.evaluation.calibration.fit` returns.
  """
  of_labels = fitted.get('labels') or {', '.join(fitted['classes']['labels']): fitted['classes']}
  return [f'Not calibrated ({why}): {_join(names)}.' for why, names in _by_reason(of_labels)]


def _absent(summary: dict, labels: dict) -> list[str]:
  found = []
  for kind in ('positives', 'negatives'):
    names = [label for label, of in labels.items() if not of['test'][kind]]
    if names:
      found.append(f'No {kind} on test, so no AUROC and no AUPRC: {_join(names)}.')
  for words, figure in _class_figures(summary):
    if figure['value'] is None:
      found.append(f'No {words}: {figure["reason"]}.')
  first = {
    label: of['operating_points'][0] for label, of in labels.items() if of['operating_points']
  }
  for why, names in _by_reason(first):
    found.append(
      f'No operating point, so no sensitivity and no specificity ({why}): {_join(names)}.'
    )
  return found


def _by_reason(of_labels: dict) -> list[tuple[str, list[str]]]:
  """Returns each 'reason' that is told, with the labels that have it."""
  reasons = dict.fromkeys(of['reason'] for of in of_labels.values() if of['reason'])
  return [
    (why, [label for label, of in of_labels.items() if of['reason'] == why]) for why in reasons
  ]


def _few(summary: dict, labels: dict) -> list[str]:
  found = []
  patients = summary['test']['patients']
  chosen = 'the operating points rest'
  if any(of['uncalibrated'] for of in labels.values()):
    chosen = 'calibration and operating points rest'
  if patients < FEW_PATIENTS:
    found.append(
      f'Only {wording.count(patients, "test patient")}: intervals from so few tend to be too narrow.'
    )
  for split, kind, consequence in (
    ('test', 'positive', 'one patient more or less moves AUROC, AUPRC and sensitivity visibly'),
    ('test', 'negative', 'one patient more or less moves AUROC and specificity visibly'),
    ('validation', 'positive', f'{chosen} on very little'),
    ('validation', 'negative', f'{chosen} on very little'),
  ):
    names = [
      f'{label} {of[split][f"{kind}_patients"]}'
      for label, of in labels.items()
      if of[split] and 0 < of[split][f'{kind}_patients'] < FEW_OF_A_CLASS
    ]
    if names:
      found.append(
        f'Fewer than {FEW_OF_A_CLASS} {kind} patients on {split} ({_join(names)}): {consequence}.'
      )
  return found


def _unsteady(summary: dict, labels: dict) -> list[str]:
  found = []
  mean = summary['mean']['auroc']
  which = 'The mean AUROC' if len(summary['mean']['labels']) > 1 else 'The AUROC'
  if mean['value'] is not None and mean['interval'] is None and summary['replicates']:
    found.append(f'{which} has no interval ({mean["reason"]}).')
  elif mean['interval'] and mean['valid_replicates'] < summary['replicates']:
    whose, occurring = 'The interval of the mean rests', 'every label has both classes'
    if summary['classes'] is not None:
      occurring = 'each of its classes occurs'
      if summary['classes']['balanced_accuracy']['interval']:
        whose = 'The intervals of the mean and of the balanced accuracy rest'
        occurring = 'every class occurs'
    found.append(
      f'{whose} on the {mean["valid_replicates"]} of {summary["replicates"]} replicates in which '
      f'{occurring}.'
    )
  for words, figure in _class_figures(summary):
    if figure['value'] is not None and figure['interval'] is None and summary['replicates']:
      found.append(f'The {words} has no interval ({figure["reason"]}).')
  if not summary['replicates']:
    found.append('No intervals: no replicates were drawn.')
  certain = [
    f'{label} {name}'
    for label, of in labels.items()
    for name, figure in (
      ('auroc', of['test']['auroc']),
      *((name, point[name]) for point in of['operating_points'][:1] for name in _RATES),
    )
    if figure['interval'] and figure['interval'][0] == figure['interval'][1]
  ]
  certain += [
    words
    for words, figure in _class_figures(summary)
    if figure['interval'] and figure['interval'][0] == figure['interval'][1]
  ]
  if certain:
    found.append(
      f'Intervals without width ({_join(certain)}): no replicate differs because no error was '
      'seen, which is not certainty.'
    )
  return found


def _unknown(summary: dict, labels: dict) -> list[str]:
  images = summary['test']['images']
  absent = {label: images - of['test']['images'] for label, of in labels.items()}
  absent = {label: number for label, number in absent.items() if number}
  if not absent:
    return []
  if summary['classes'] is not None:
    number = images - summary['classes']['images']
    return [f'Truth not known for {number:,} of the {images:,} test images, which are left out.']
  if len(absent) <= 3:
    which = _join([f'{label} {number:,}' for label, number in absent.items()])
  else:
    which = f'{min(absent.values()):,} to {max(absent.values()):,} for each of {len(absent)} labels'
  return [f'Truth not known for some of the {images:,} test images, which are left out: {which}.']


def _class_figures(summary: dict) -> list[tuple[str, dict]]:
  classes = summary['classes'] or {}
  return [
    (words, classes[name]) for name, words in wording.CLASS_FIGURES.items() if name in classes
  ]


def _join(names: list[str]) -> str:
  return ', '.join(names)

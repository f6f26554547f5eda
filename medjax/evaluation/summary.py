"""All figures of one model on one test set, with intervals and with what weakens them, in words."""

from collections.abc import Sequence

import numpy as np

from medjax.errors import InputError, check_option, nearest
from medjax.evaluation import classes, intervals, metrics, notes, operating_points
from medjax.evaluation.predictions import Predictions

LEVEL = 0.95
ROC_POINTS = 400
NEEDS = {  # the classes without which a figure does not exist
  'auroc': ('positive', 'negative'),
  'auprc': ('positive', 'negative'),  # without negatives it is 1 whatever the scores
  'sensitivity': ('positive',),
  'specificity': ('negative',),
}


def evaluate(
  validation: Predictions | Sequence,
  test: Predictions | Sequence,
  *,
  head: str = 'sigmoid',
  replicates: int = 2000,
  seed: int = 0,
) -> dict:
  """Evaluates on test, with operating points chosen on validation and then left alone.

  Args:
    validation: predictions on the validation split: `Predictions`, or a tuple of its fields.
    test: predictions on the test split, with the same labels in any order.
    head: 'sigmoid' where each label is a question of its own, 'softmax' where an image has exactly
      one of them, 'ordinal' where they are grades, of which it has one; rising as `test` has them.
    replicates: bootstrap replicates over the test patients; 0 for no intervals.
    seed: of the bootstrap, not negative; the same seed gives the same dictionary.

  Returns:
    A dictionary that JSON can hold: None, never NaN, where a figure does not exist. A figure is
    {'value', 'interval': [low, high] or None, 'valid_replicates', 'reason'}, the reason saying why
    there is no interval.

      'level', 'replicates', 'seed', 'method': how the intervals were made.
      'test', 'validation': {'images', 'patients'}.
      'mean': {'labels': those with both classes on test, 'auroc': figure, 'auprc': figure}.
      'labels': {label: {'test', 'validation', 'operating_point', 'roc'}}, where
        'test' is {'images', 'patients', 'positives', 'negatives', 'positive_patients',
          'negative_patients', 'prevalence', 'confusion', 'auroc', 'auprc', 'sensitivity',
          'specificity'}: images with known truth, and images or patients of either class;
          'confusion' is {'true_positives', 'false_positives', 'true_negatives',
          'false_negatives'} at the operating point, or None; the last four are figures.
        'validation' is the same, but its last four are plain numbers or None.
        'operating_point' is {'threshold', 'chosen_on': 'validation', 'by': 'youden'}, or None.
        'roc' is {'false_positive_rate': [...], 'sensitivity': [...]} on test, or None.
        Of exclusive classes each is tested against all others together.
      'classes': None with head 'sigmoid', else the decision for one class on test: {'head',
        'labels', 'images': those with known truth, 'confusion': [[int]], rows the truth and columns
        the decision, 'accuracy': figure, 'balanced_accuracy': figure, 'kappa' (softmax) or
        'quadratic_kappa' (ordinal): figure, 'decision': how a class is decided for, in words}.
      'notes': sentences on whatever weakens the figures, the gravest first.

  Raises:
    InputError: no such head; the two splits do not have the same labels; with exclusive classes,
      probabilities that do not sum to 1 or a truth of more or less than one class.
  """
  check_option('head', head, ('sigmoid', *classes.FIGURES))
  test = Predictions(*test)
  validation = _with_labels(Predictions(*validation), list(test.labels))
  if head != 'sigmoid':
    classes.check(validation, 'validation')
    classes.check(test, 'test')
  thresholds = np.array(
    [operating_points.youden(*_known(validation, index)) for index in range(len(test.labels))]
  )
  drawn = intervals.bootstrap(
    np.asarray(test.patients),
    test.probabilities,
    test.truth,
    test.known,
    thresholds,
    replicates=replicates,
    seed=seed,
  )
  labels = {}
  for index, label in enumerate(test.labels):
    threshold = float(thresholds[index])
    on_test = _describe(test, index, threshold)
    for name in NEEDS:
      reason = _no_interval(on_test, name)
      on_test[name] = _figure(on_test[name], drawn[name][:, index], reason)
    labels[label] = {
      'test': on_test,
      'validation': _describe(validation, index, threshold),
      'operating_point': None
      if np.isnan(threshold)
      else {'threshold': threshold, 'chosen_on': 'validation', 'by': 'youden'},
      'roc': None if on_test['auroc']['value'] is None else _roc(*_known(test, index)),
    }
  result = {
    'level': LEVEL,
    'replicates': replicates,
    'seed': seed,
    'method': 'percentile bootstrap over patients',
    'test': _size(test),
    'validation': _size(validation),
    'mean': _mean(labels, drawn, replicates),
    'labels': labels,
    'classes': None if head == 'sigmoid' else _classes(test, labels, head, replicates, seed),
  }
  return result | {'notes': notes.notes(result, validation, test)}


def _with_labels(predictions: Predictions, labels: list[str]) -> Predictions:
  """Returns the predictions with their labels in the order of `labels`."""
  theirs = list(predictions.labels)
  for here, there, one, other in (
    (labels, theirs, 'test', 'validation'),
    (theirs, labels, 'validation', 'test'),
  ):
    for label in here:
      if label not in there:
        raise InputError(
          f"label '{label}' is in the predictions for {one} and not in those for {other}"
          f'{nearest(label, there)} Predict both splits with the same model'
        )
  columns = [theirs.index(label) for label in labels]
  return predictions._replace(
    labels=labels,
    probabilities=predictions.probabilities[:, columns],
    truth=predictions.truth[:, columns],
    known=predictions.known[:, columns],
  )


def _known(predictions: Predictions, index: int) -> tuple[np.ndarray, np.ndarray]:
  known = predictions.known[:, index]
  return predictions.probabilities[known, index], predictions.truth[known, index]


def _size(predictions: Predictions) -> dict[str, int]:
  return {'images': len(predictions.images), 'patients': len(set(predictions.patients))}


def _or_none(value: float) -> float | None:
  return None if np.isnan(value) else float(value)


def _describe(predictions: Predictions, index: int, threshold: float) -> dict:
  """Counts one label and gives its figures, None where one does not exist."""
  scores, truth = _known(predictions, index)
  patients = np.asarray(predictions.patients)[predictions.known[:, index]]
  positive, flagged = truth == 1, scores >= threshold
  described = {
    'images': len(truth),
    'patients': len(set(patients)),
    'positives': int(positive.sum()),
    'negatives': int((~positive).sum()),
    'positive_patients': len(set(patients[positive])),
    'negative_patients': len(set(patients[~positive])),
    'prevalence': _or_none(metrics.prevalence(truth)),
    'confusion': None
    if np.isnan(threshold)
    else {
      'true_positives': int((flagged & positive).sum()),
      'false_positives': int((flagged & ~positive).sum()),
      'true_negatives': int((~flagged & ~positive).sum()),
      'false_negatives': int((~flagged & positive).sum()),
    },
  }
  sensitivity, specificity = metrics.sensitivity_specificity(scores, truth, threshold)
  values = {
    'auroc': metrics.auroc(scores, truth),
    'auprc': metrics.average_precision(scores, truth),
    'sensitivity': sensitivity,
    'specificity': specificity,
  }
  for name, value in values.items():
    exists = all(described[f'{kind}s'] for kind in NEEDS[name])
    described[name] = _or_none(value) if exists else None
  return described


def _no_interval(described: dict, name: str) -> str:
  """Returns why a label's figure cannot have an interval, '' if it can.

  Resampling patients cannot show how a class varies between patients if only one patient has it.
  """
  for kind in NEEDS[name]:
    if not described[f'{kind}s']:
      return f'no {kind}s'
  if described['confusion'] is None and name in ('sensitivity', 'specificity'):
    return 'no operating point'
  if described['patients'] < 2:
    return 'fewer than two patients'
  for kind in NEEDS[name]:
    if described[f'{kind}_patients'] < 2:
      return f'all {kind}s are of one patient'
  return ''


def _figure(value: float | None, replicates: np.ndarray, reason: str) -> dict:
  return intervals.figure(np.nan if value is None else value, replicates, reason, LEVEL)


def _mean(labels: dict, drawn: dict[str, np.ndarray], replicates: int) -> dict:
  """Averages over the labels with both classes, in each replicate too."""
  entered = [label for label, of in labels.items() if of['test']['auroc']['value'] is not None]
  columns = [list(labels).index(label) for label in entered]
  mean = {'labels': entered}
  for name in ('auroc', 'auprc'):
    if not entered:
      mean[name] = _figure(None, np.full(replicates, np.nan), 'no label has both classes')
      continue
    figures = [labels[label]['test'] for label in entered]
    reasons = ((label, _no_interval(of, name)) for label, of in zip(entered, figures))
    reason = next((f'{label}: {why}' for label, why in reasons if why), '')
    # A replicate counts only if every label has its figure: else each would average other labels.
    means = drawn[name][:, columns].mean(axis=1)
    mean[name] = _figure(float(np.mean([of[name]['value'] for of in figures])), means, reason)
  return mean


def _classes(test: Predictions, labels: dict, head: str, replicates: int, seed: int) -> dict:
  known = np.asarray(test.known[:, 0], bool)
  truth, decided = test.truth.argmax(axis=1), classes.decide(test.probabilities, head)
  confusion = classes.confusion(truth[known], decided[known], len(labels))
  drawn = intervals.confusions(
    np.asarray(test.patients), truth, decided, known, len(labels), replicates=replicates, seed=seed
  )
  figures = {
    name: _figure(_or_none(of(confusion)), of(drawn), _no_class_interval(labels, name))
    for name, of in classes.FIGURES[head].items()
  }
  return {
    'head': head,
    'labels': list(labels),
    'images': int(confusion.sum()),
    'confusion': confusion.tolist(),
    **figures,
    'decision': classes.DECISION[head],
  }


def _no_class_interval(labels: dict, name: str) -> str:
  """Returns why a figure of exclusive classes has no value or interval, '' if it can have both.

  Kappa needs two classes that vary between patients, balanced accuracy needs all of them to.
  """
  patients = {label: of['test']['positive_patients'] for label, of in labels.items()}
  absent = [label for label, number in patients.items() if not number]
  present = [label for label in labels if label not in absent]
  single = [label for label in present if patients[label] < 2]
  if not present:
    return 'no image has a known truth'
  if name == 'balanced_accuracy' and absent:
    return f'no image is of class {" or ".join(absent)}'
  if name in ('kappa', 'quadratic_kappa') and len(present) == 1:
    return f'all images are of class {present[0]}'
  if next(iter(labels.values()))['test']['patients'] < 2:
    return 'fewer than two patients'
  if name == 'balanced_accuracy' and single:
    return f'all images of class {single[0]} are of one patient'
  if name in ('kappa', 'quadratic_kappa') and len(present) - len(single) < 2:
    return 'fewer than two classes are of more than one patient'
  return ''


def _roc(scores: np.ndarray, truth: np.ndarray) -> dict[str, list[float]]:
  false_positive_rate, sensitivity, _ = metrics.roc_curve(scores, truth)
  x, y = metrics.thin_curve(false_positive_rate, sensitivity, ROC_POINTS)
  return {'false_positive_rate': x.tolist(), 'sensitivity': y.tolist()}

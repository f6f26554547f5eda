"""All figures of one model on one test set, with intervals and with what weakens them, in words."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medjax.errors import InputError, check_option, nearest
from medjax.evaluation import classes, curve_points, notes
from medjax.evaluation.predictions import Predictions, known_of
from medjax.evaluation.statistics import delong, intervals, metrics, resampled

LEVEL = 0.95
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
  'calibration_slope': 'no logistic curve fits: the classes do not overlap, or all probabilities are alike',
}
# Noise in a bin's share counts as miscalibration, and a replicate has more noise than the test set.
BIASED = ('ece',)
OF_PROBABILITIES = ('brier', 'ece', 'calibration_slope', 'calibration_intercept')


def evaluate(
  validation: Predictions | None,
  test: Predictions,
  points: Mapping[str, Sequence[Mapping]],
  *,
  uncalibrated: Mapping[str, Predictions] | None = None,
  head: str = 'sigmoid',
  prevalence: Mapping[str, float] | None = None,
  unit: str = 'image',
  replicates: int = 2000,
  seed: int = 0,
) -> dict:
  """Evaluates on test, at operating points that were chosen before.

  Args:
    validation: predictions on the validation split, None where there are none.
    test: predictions on the test split, with the same labels in any order.
    points: label → its operating points {'rule', 'threshold': a number or None, 'reason'}, the same rules
      for every label; the first makes the decisions.
    uncalibrated: 'test' and, if given, 'validation' → the same predictions before calibration; None
      where nothing was calibrated.
    head: 'sigmoid' where each label is a question of its own, 'softmax' where an image has exactly
      one of them, 'ordinal' where they are grades, of which it has one; rising as `test` has them.
    prevalence: label → a prevalence for which PPV and NPV are told too.
    unit: what the predictions are of, one of medjax.config.vocabulary.LEVELS.
    replicates: bootstrap replicates over the test patients; 0 for no intervals.
    seed: of the bootstrap, not negative; the same seed gives the same dictionary.

  Returns:
    A dictionary that JSON can hold: None, never NaN, where a figure does not exist. A figure is
    {'value', 'interval': [low, high] or None, 'bca': [low, high] or None, 'valid_replicates',
    'reason'}, the reason saying why there is no interval.

      'level', 'replicates', 'seed', 'method': how the intervals were made.
      'unit': as given. What is said of images holds of these.
      'test', 'validation': {'images', 'patients'}; 'validation' may be None.
      'mean': {'labels': those with both classes on test, and a figure for each of `NEEDS`, those at a
        threshold being at the first operating point}, averaged over these labels.
      'labels': {label: {'test', 'validation', 'operating_points', 'uncalibrated', 'roc',
        'precision_recall', 'reliability'}}, where
        'test' is {'images', 'patients', 'positives', 'negatives', 'positive_patients',
          'negative_patients', 'prevalence', 'auroc', 'auprc', 'brier', 'ece', 'calibration_slope',
          'calibration_intercept', 'delong'}: images with known truth, and images or patients of
          either class; six figures; and {'interval', 'clustered', 'reason'} of the AUROC.
        'validation' is the same, but its figures are plain numbers or None; None without validation.
        'operating_points' is a list of {'rule', 'threshold', 'reason', 'confusion':
          {'true_positives', 'false_positives', 'true_negatives', 'false_negatives'} or None,
          'sensitivity', 'specificity', 'ppv', 'npv', 'f1', 'at_prevalence': {'prevalence', 'ppv',
          'npv'} or None, 'validation': {'sensitivity', 'specificity'} or None}.
        'uncalibrated' is {'test', 'validation'} → plain 'brier', 'ece', 'calibration_slope' and
          'calibration_intercept' before calibration; None where nothing was calibrated.
        'roc' is {'false_positive_rate', 'sensitivity', 'threshold'}, 'precision_recall' is
          {'sensitivity', 'ppv', 'threshold'}, lists for drawing, on test; None without both classes.
        'reliability' is {'before', 'after'} calibration, what medjax.evaluation.calibration.reliability
          returns on test; 'before' is None where nothing was calibrated.
        Of exclusive classes each is tested against all others together.
      'classes': None with head 'sigmoid', else the decision for one class on test: {'head',
        'labels', 'images': those with known truth, 'confusion': [[int]], rows the truth and columns
        the decision, 'accuracy': figure, 'balanced_accuracy': figure, 'kappa' (softmax) or
        'quadratic_kappa' (ordinal): figure, 'decision': how a class is decided for, in words}.
      'notes': sentences on whatever weakens the figures, the gravest first.

  Raises:
    InputError: no such head; the splits do not have the same labels; with exclusive classes,
      probabilities that do not sum to 1 or a truth of more or less than one class.
  """
  check_option('head', head, ('sigmoid', *classes.FIGURES))
  names = list(test.labels)
  parts = {'test': test}
  if validation is not None:
    parts['validation'] = with_labels(validation, names, 'validation', 'test')
  if head != 'sigmoid':
    for name, part in parts.items():
      classes.check(part, name)
  raw = {
    name: with_labels(part, names, name, 'test') for name, part in (uncalibrated or {}).items()
  }
  thresholds = np.array([[_nan_if_none(at['threshold']) for at in points[name]] for name in names])
  values = {name: _values(part, thresholds) for name, part in parts.items()}
  raw_values = {name: _values(part, thresholds) for name, part in raw.items()}
  drawn, left_out = _resampled(test, thresholds, replicates, seed)
  labels = {}
  for index, label in enumerate(names):
    counts = _counts(test, index)
    of_scores = {
      name: _figure(
        values['test'][name][index],
        _column(drawn, name, index),
        _column(left_out, name, index),
        _no_interval(counts, name, value=values['test'][name][index]),
        name in BIASED,
      )
      for name in resampled.OF_SCORES
    }
    labels[label] = {
      'test': counts | of_scores | {'delong': _delong(test, index)},
      'validation': None,
      'operating_points': [
        _at_point(test, index, point, at, counts, values, drawn, left_out, prevalence or {})
        for at, point in enumerate(points[label])
      ],
      'uncalibrated': {
        part: {name: _or_none(found[name][index]) for name in OF_PROBABILITIES}
        for part, found in raw_values.items()
      }
      or None,
      **curve_points.of_label(test, raw.get('test'), index),
    }
    if 'validation' in parts:
      labels[label]['validation'] = _counts(parts['validation'], index) | {
        name: _or_none(values['validation'][name][index]) for name in resampled.OF_SCORES
      }
  result = {
    'level': LEVEL,
    'replicates': replicates,
    'seed': seed,
    'method': 'percentile bootstrap over patients',
    'unit': unit,
    'test': _size(test),
    'validation': _size(parts['validation']) if 'validation' in parts else None,
    'mean': _mean(labels, values['test'], drawn, left_out),
    'labels': labels,
    'classes': None
    if head == 'sigmoid'
    else classes.summarise(test, labels, head, LEVEL, replicates, seed),
  }
  return result | {'notes': notes.notes(result, parts.get('validation'), test)}


def with_labels(predictions: Predictions, labels: list[str], what: str, of: str) -> Predictions:
  """Returns the predictions for `what` with their labels in the order of those for `of`."""
  theirs = list(predictions.labels)
  for here, there, one, other in ((labels, theirs, of, what), (theirs, labels, what, of)):
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


def _values(predictions: Predictions, thresholds: np.ndarray) -> dict[str, np.ndarray]:
  """Returns every figure, f64[L] or f64[L, K], NaN where it does not exist."""
  prepared = resampled.prepare(np.asarray(predictions.patients), *predictions[3:6], thresholds)
  found = resampled.compute(prepared, np.ones((1, prepared.patients)))
  return {name: values[0] for name, values in found.items()}


def _resampled(
  test: Predictions, thresholds: np.ndarray, replicates: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Returns every figure in each bootstrap replicate, and without each group of patients."""
  prepared = resampled.prepare(np.asarray(test.patients), *test[3:6], thresholds)

  def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
    return resampled.compute(prepared, weights)

  drawn = intervals.replicate(
    compute, prepared.patients, prepared.images, replicates=replicates, seed=seed
  )
  return drawn, intervals.jackknife(compute, prepared.patients) if drawn else {}


def _column(figures_of: Mapping[str, np.ndarray], name: str, *place: int) -> np.ndarray:
  return figures_of[name][:, *place] if figures_of else np.zeros(0)


def _figure(
  value: float, replicates: np.ndarray, left_out: np.ndarray, reason: str, biased: bool = False
) -> dict[str, Any]:
  return intervals.figure(value, replicates, reason, LEVEL, left_out, biased)


def _at_point(
  test: Predictions,
  index: int,
  point: Mapping,
  at: int,
  counts: Mapping[str, Any],
  values: Mapping[str, Mapping[str, np.ndarray]],
  drawn: Mapping[str, np.ndarray],
  left_out: Mapping[str, np.ndarray],
  prevalences: Mapping[str, float],
) -> dict[str, Any]:
  """Returns one label's figures at one operating point; see `evaluate`."""
  prevalence = prevalences.get(test.labels[index])
  found = {
    name: _figure(
      values['test'][name][index, at],
      _column(drawn, name, index, at),
      _column(left_out, name, index, at),
      _no_interval(counts, name, point, values['test'][name][index, at]),
    )
    for name in resampled.AT_THRESHOLD
  }
  of_validation = None
  if 'validation' in values:
    of_validation = {
      name: _or_none(values['validation'][name][index, at])
      for name in ('sensitivity', 'specificity')
    }
  return {
    **point,
    'confusion': _confusion(test, index, point['threshold']),
    **found,
    'at_prevalence': None
    if prevalence is None
    else _at_prevalence(prevalence, found, *_both(values['test'], drawn, left_out, index, at)),
    'validation': of_validation,
  }


def _both(
  values: Mapping[str, np.ndarray],
  drawn: Mapping[str, np.ndarray],
  left_out: Mapping[str, np.ndarray],
  index: int,
  at: int,
) -> list[tuple[np.ndarray, ...]]:
  """Returns sensitivity and specificity: their values, in replicates, and in the jackknife."""
  names = ('sensitivity', 'specificity')
  return [
    tuple(values[name][index, at] for name in names),
    *(tuple(_column(of, name, index, at) for name in names) for of in (drawn, left_out)),
  ]


def _at_prevalence(
  prevalence: float, found: Mapping[str, Mapping], values: tuple, drawn: tuple, left_out: tuple
) -> dict[str, Any]:
  by_name = zip(*(resampled.predictive_values(*of, prevalence) for of in (values, drawn, left_out)))
  rates = sorted((found[name] for name in ('sensitivity', 'specificity')), key=_exists)
  reason = rates[0]['reason'] or rates[1]['reason']
  of_values = {
    name: _figure(*of, _ABSENT[name] if np.isnan(of[0]) and _exists(rates[0]) else reason)
    for name, of in zip(('ppv', 'npv'), by_name)
  }
  return {'prevalence': prevalence} | of_values


def _exists(figure: Mapping[str, Any]) -> bool:
  return figure['value'] is not None


def _size(predictions: Predictions) -> dict[str, int]:
  return {'images': len(predictions.images), 'patients': len(set(predictions.patients))}


def _or_none(value: float) -> float | None:
  return None if np.isnan(value) else float(value)


def _nan_if_none(value: float | None) -> float:
  return np.nan if value is None else value


def _counts(predictions: Predictions, index: int) -> dict[str, Any]:
  """Counts the images and patients of one label whose truth is known."""
  _, truth = known_of(predictions, index)
  patients, positive = np.asarray(predictions.patients)[predictions.known[:, index]], truth == 1
  return {
    'images': len(truth),
    'patients': len(set(patients)),
    'positives': int(positive.sum()),
    'negatives': int((~positive).sum()),
    'positive_patients': len(set(patients[positive])),
    'negative_patients': len(set(patients[~positive])),
    'prevalence': _or_none(metrics.prevalence(truth)),
  }


def _confusion(
  predictions: Predictions, index: int, threshold: float | None
) -> dict[str, int] | None:
  if threshold is None:
    return None
  scores, truth = known_of(predictions, index)
  flagged, positive = scores >= threshold, truth == 1
  return {
    'true_positives': int((flagged & positive).sum()),
    'false_positives': int((flagged & ~positive).sum()),
    'true_negatives': int((~flagged & ~positive).sum()),
    'false_negatives': int((~flagged & positive).sum()),
  }


def _delong(test: Predictions, index: int) -> dict[str, Any]:
  patients = np.asarray(test.patients)[test.known[:, index]]
  return delong.figure(*known_of(test, index), patients, LEVEL)


def _no_interval(
  counts: Mapping, name: str, point: Mapping | None = None, value: float = 0.0
) -> str:
  """Returns why a label's figure has no value or cannot have an interval, '' if it can.

  Resampling patients cannot show how a class varies between patients if only one patient has it.
  """
  if not counts['images']:
    return 'no image has a known truth'
  for kind in NEEDS[name]:
    if not counts[f'{kind}s']:
      return f'no {kind}s'
  if point is not None and point['threshold'] is None:
    return 'no operating point'
  if np.isnan(value):
    return _ABSENT[name]
  if counts['patients'] < 2:
    return 'fewer than two patients'
  for kind in NEEDS[name]:
    if counts[f'{kind}_patients'] < 2:
      return f'all {kind}s are of one patient'
  return ''


def _mean(
  labels: dict,
  values: Mapping[str, np.ndarray],
  drawn: Mapping[str, np.ndarray],
  left_out: Mapping[str, np.ndarray],
) -> dict[str, Any]:
  """Averages over the labels with both classes, in each replicate too."""
  entered = [label for label, of in labels.items() if of['test']['auroc']['value'] is not None]
  columns = [list(labels).index(label) for label in entered]
  mean: dict[str, Any] = {'labels': entered}
  for name in NEEDS:
    of_scores = name in resampled.OF_SCORES
    if not entered:
      mean[name] = _figure(np.nan, np.zeros(0), np.zeros(0), 'no label has both classes')
      continue
    place = (columns,) if of_scores else (columns, 0)
    found = [labels[label]['test' if of_scores else 'operating_points'] for label in entered]
    reasons = [(of if of_scores else of[0])[name]['reason'] for of in found]
    missing = [each for each in zip(entered, reasons) if each[1] not in ('', intervals.NONE_DRAWN)]
    reason = next((f'{label}: {why}' for label, why in missing), '')
    if len(missing) == len(entered) and len(set(reasons)) == 1:
      reason = reasons[0]
    # A replicate counts only if every label has its figure: else each would average other labels.
    mean[name] = _figure(
      float(np.mean(values[name][*place])),
      _column(drawn, name, *place).mean(axis=-1) if drawn else np.zeros(0),
      _column(left_out, name, *place).mean(axis=-1) if drawn else np.zeros(0),
      reason,
      name in BIASED,
    )
  return mean

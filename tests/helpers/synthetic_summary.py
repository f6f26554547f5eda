"""A result of invented predictions, with what the report must cope with: for tests of the report.

Figures are computed in the plainest way, intervals are invented around them.
"""

import dataclasses

import numpy as np
from sklearn import metrics as sklearn_metrics

from medjax.evaluation import usefulness
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_result import (
  AtPrevalence,
  CalibrationValues,
  Confusion,
  Delong,
  LabelResult,
  OperatingPoint,
  PrecisionRecallCurve,
  Rates,
  Reliability,
  ReliabilityBin,
  RocCurve,
  Uncalibrated,
  ValidationResult,
)
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import ClassesResult, LevelResult, Mean, Result, Size, Variant

FINDINGS = [
  'Atelectasis', 'Cardiomegaly', 'Consolidation', 'Edema', 'Enlarged Cardiomediastinum',
  'Fracture', 'Lung Lesion', 'Lung Opacity', 'No Finding', 'Pleural Effusion', 'Pleural Other',
  'Pneumonia', 'Pneumothorax', 'Support Devices (tubes, lines & wires < 2 mm)',
]  # fmt: skip
RULES = ('youden', 'sensitivity=0.9', 'specificity=0.9')
CALIBRATION = ('brier', 'ece', 'calibration_slope', 'calibration_intercept')
DECIDED = ('sensitivity', 'specificity', 'ppv', 'npv', 'f1')


def predicted(seed, labels, images=400, head='sigmoid', absent=()):
  """Predictions on two images a patient; labels in `absent` are never positive."""
  rng = np.random.default_rng(seed)
  size = (images, len(labels))
  if head == 'sigmoid':
    shares = np.linspace(0.35, 0.06, len(labels))
    truth = rng.random(size) < np.where([label in absent for label in labels], 0, shares)
    odds = rng.normal(truth * 1.8 + np.log(shares), 1.2)
    scores = 1 / (1 + np.exp(-odds))
  else:
    present = [at for at, label in enumerate(labels) if label not in absent]
    truth = np.eye(len(labels), dtype=bool)[rng.choice(present, images)]
    odds = np.exp(rng.normal(truth * 1.6, 1))
    scores = odds / odds.sum(axis=1, keepdims=True)
  patients = [f'p{at // 2}' for at in range(images)]
  return Predictions(
    [f'{patient}/{at % 2}.jpg' for at, patient in enumerate(patients)], patients, list(labels),
    scores.astype(np.float32), truth.astype(np.float32), np.ones(size, bool),
  )  # fmt: skip


def evaluated(labels, head='sigmoid', *, images=400, absent=(), calibrated=True, unit='image'):
  """Returns a result of test predictions with these labels."""
  test = predicted(1, labels, images, head, absent)
  by_split = {
    label: _label(test.probabilities[:, at].astype(float), test.truth[:, at] == 1, calibrated)
    for at, label in enumerate(labels)
  }
  by_split = {
    label: dataclasses.replace(result, usefulness=usefulness.of_label(test, at, result, 0.95))
    for at, (label, result) in enumerate(by_split.items())
  }
  entered = tuple(label for label in labels if by_split[label].auroc.value is not None)
  means = {}
  for name in ('auroc', 'auprc', *CALIBRATION, *DECIDED):
    parts = [by_split[label].decision if name in DECIDED else by_split[label] for label in entered]
    values = [getattr(part, name).value for part in parts]
    means[name] = figure(np.mean(values) if values else None, 'no label has both classes', 0.02)
  size = Size(images=images, patients=images // 2)
  notes = (
    (f'No positives on test, so no AUROC and no AUPRC: {", ".join(absent)}.',) if absent else ()
  )
  areas = {'labels': entered, 'auroc': means['auroc'], 'auprc': means['auprc']}
  return Result(
    replicates=2000, seed=0, method='percentile bootstrap over patients', unit=unit,
    test=size, validation=size, labels=by_split,
    mean=Mean(labels=entered, of_one_patient=(), auroc_of_all=None, **means),
    classes=None if head == 'sigmoid' else _classes(test, head, absent), notes=notes,
    levels={
      level: LevelResult(units=images // at, patients=images // 2, **areas)
      for at, level in ((1, 'image'), (2, 'study'), (2, 'patient'))
    },
    variants=tuple(
      Variant(name=name, units=images, patients=images // 2, **areas)
      for name in ('single model', 'mean of 5 checkpoints', 'as it is and 8 times augmented')
    ),
  )  # fmt: skip


def figure(value, reason='', width=0.04):
  """A figure with an invented interval, or the reason why there is no value."""
  if value is None or np.isnan(value):
    return Figure(None, reason=reason or 'no positives')
  value = float(value)
  low, high = value - width, value + width * 0.8
  if 0 <= value <= 1:
    low, high = max(low, 0.0), min(high, 1.0)
  return Figure(value, (low, high), bca=(low + width / 10, high), valid_replicates=2000)


def _label(scores, truth, calibrated):
  positives, negatives = int(truth.sum()), int((~truth).sum())
  both = positives > 0 and negatives > 0
  counts = {
    'images': len(truth), 'patients': len(truth) // 2, 'positives': positives,
    'negatives': negatives, 'positive_patients': positives - positives // 4,
    'negative_patients': negatives // 2, 'prevalence': float(truth.mean()),
  }  # fmt: skip
  auroc = float(sklearn_metrics.roc_auc_score(truth, scores)) if both else None
  auprc = float(sklearn_metrics.average_precision_score(truth, scores)) if both else None
  brier, error = float(np.mean((scores - truth) ** 2)), 0.031
  calibration = {'brier': brier, 'ece': error, 'calibration_slope': 0.94}
  calibration['calibration_intercept'] = -0.12
  thresholds = {}
  if both:
    false, true, at = sklearn_metrics.roc_curve(truth, scores)
    thresholds = {
      'youden': at[np.argmax(true - false)],
      'sensitivity=0.9': at[np.argmax(true >= 0.9)],
      'specificity=0.9': at[len(false) - 1 - np.argmax((1 - false)[::-1] >= 0.9)],
    }
  plain = {'auroc': auroc, 'auprc': auprc, **(calibration if both else dict.fromkeys(calibration))}
  before = CalibrationValues(**{name: value + 0.05 for name, value in calibration.items()})
  return LabelResult(
    **counts,
    **{name: figure(value) for name, value in plain.items()},
    delong=Delong(
      interval=(auroc - 0.05, min(auroc + 0.05, 1.0)) if both else None, clustered=True,
      reason='' if both else 'no positives',
    ),
    validation=ValidationResult(**counts, **plain),
    operating_points=tuple(_point(rule, thresholds.get(rule), scores, truth) for rule in RULES),
    uncalibrated=Uncalibrated(before, before) if calibrated and both else None,
    roc=_roc(scores, truth) if both else None,
    precision_recall=_precision_recall(scores, truth) if both else None,
    reliability=Reliability(
      before=_bins(np.sqrt(scores), truth) if calibrated else None, after=_bins(scores, truth)
    ) if both else None,
  )  # fmt: skip


def _point(rule, threshold, scores, truth):
  if threshold is None:
    nothing = {name: figure(None, 'no operating point') for name in DECIDED}
    return OperatingPoint(
      rule=rule, threshold=None, reason='validation has no positives', confusion=None,
      **nothing, at_prevalence=None, validation=Rates(None, None),
    )  # fmt: skip
  called = scores >= threshold
  hits, alarms = int((called & truth).sum()), int((called & ~truth).sum())
  misses, right = int((~called & truth).sum()), int((~called & ~truth).sum())
  ppv = hits / (hits + alarms) if hits + alarms else None
  return OperatingPoint(
    rule=rule, threshold=float(threshold), reason='',
    confusion=Confusion(
      true_positives=hits, false_positives=alarms, true_negatives=right, false_negatives=misses
    ),
    sensitivity=figure(hits / (hits + misses)),
    specificity=figure(right / (right + alarms)),
    ppv=figure(ppv, 'nothing is called positive'),
    npv=figure(right / (right + misses)),
    f1=figure(2 * hits / (2 * hits + alarms + misses)),
    at_prevalence=AtPrevalence(0.02, ppv=figure(0.11), npv=figure(0.995, width=0.004)),
    validation=Rates(sensitivity=0.86, specificity=0.83),
  )  # fmt: skip


def _roc(scores, truth):
  false, true, at = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
  return RocCurve(tuple(false.tolist()), tuple(true.tolist()), (None, *at[1:].tolist()))


def _precision_recall(scores, truth):
  ppv, sensitivity, at = sklearn_metrics.precision_recall_curve(truth, scores)
  return PrecisionRecallCurve(
    tuple(sensitivity[:-1][::-1].tolist()), tuple(ppv[:-1][::-1].tolist()),
    tuple(at[::-1].tolist()),
  )  # fmt: skip


def _bins(scores, truth):
  bins = []
  for low in np.arange(10) / 10:
    inside = (scores >= low) & (scores < low + 0.1)
    if not inside.any():
      continue
    share = float(truth[inside].mean())
    bins.append(ReliabilityBin(
      low=float(low), high=float(low + 0.1), images=int(inside.sum()),
      mean_probability=float(scores[inside].mean()), share_positive=share,
      interval=(max(share - 0.1, 0.0), min(share + 0.12, 1.0)),
    ))  # fmt: skip
  return tuple(bins)


def _classes(test, head, absent):
  truth, decided = test.truth.argmax(axis=1), test.probabilities.argmax(axis=1)
  confusion = sklearn_metrics.confusion_matrix(truth, decided, labels=range(len(test.labels)))
  weights = 'quadratic' if head == 'ordinal' else None
  kappa = figure(sklearn_metrics.cohen_kappa_score(truth, decided, weights=weights))
  balanced = None if absent else sklearn_metrics.balanced_accuracy_score(truth, decided)
  return ClassesResult(
    head=head, labels=tuple(test.labels), images=len(truth),
    confusion=tuple(map(tuple, confusion.tolist())),
    accuracy=figure(np.mean(truth == decided)),
    balanced_accuracy=figure(balanced, f'no image is of class {" or ".join(absent)}'),
    kappa=None if head == 'ordinal' else kappa,
    quadratic_kappa=kappa if head == 'ordinal' else None,
    decision='An image is called the most probable class.',
  )  # fmt: skip

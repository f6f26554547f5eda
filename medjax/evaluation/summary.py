"""All figures of one model on one test set, with intervals and with what weakens them, in words."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np

from medjax.config.protocol import Protocol
from medjax.errors import InputError, check_option, nearest
from medjax.evaluation import classes, notes, usefulness, without_width
from medjax.evaluation.counts import of_several_patients
from medjax.evaluation.figure import Figure
from medjax.evaluation.frozen import FrozenPoint
from medjax.evaluation.label_figures import (
  BIASED,
  CONFIDENCE,
  NEEDS,
  OF_PROBABILITIES,
  Computed,
  column,
  figure,
  of_label,
)
from medjax.evaluation.label_result import LabelResult
from medjax.evaluation.predictions import Predictions, ranks_of
from medjax.evaluation.result import Mean, Result, Size
from medjax.evaluation.statistics import delong, intervals, resampled

METHOD = 'DeLong, Wilson, bootstrap by patient'


def evaluate(
  validation: Predictions | None,
  test: Predictions,
  points: Mapping[str, Sequence[FrozenPoint]],
  protocol: Protocol,
  *,
  uncalibrated: Mapping[str, Predictions] | None = None,
) -> Result:
  """Evaluates on test, at operating points that were chosen before.

  Args:
    validation: predictions on the validation split, None where there are none.
    test: predictions on the test split, with the same labels in any order; grades rise as they do
      here. Exclusive classes have passed medjax.evaluation.classes.check before they were
      aggregated and calibrated.
    points: label → its operating points, the same rules for every label; the first makes the
      decisions.
    protocol: its head, prevalence, level (of what the predictions are), replicates and seed; the
      same seed gives the same result.
    uncalibrated: 'test' and, if given, 'validation' → the same predictions before calibration; None
      where nothing was calibrated.

  Returns:
    The result without levels, subgroups and variants.

  Raises:
    InputError: no such head; the splits do not have the same labels.
  """
  check_option('head', protocol.head, ('sigmoid', *classes.FIGURES))
  names = list(test.labels)
  if validation is not None:
    validation = with_labels(validation, names, 'validation', 'test')
  raw = {
    name: with_labels(part, names, name, 'test') for name, part in (uncalibrated or {}).items()
  }
  thresholds = np.array([[_nan_if_none(at.threshold) for at in points[name]] for name in names])
  drawn, left_out = _resampled(test, thresholds, protocol.replicates, protocol.seed)
  computed = Computed(
    test=test,
    validation=validation,
    points=points,
    values=_values(test, thresholds),
    of_validation=None if validation is None else _values(validation, thresholds),
    raw={name: _values(part, thresholds) for name, part in raw.items()},
    drawn=drawn,
    left_out=left_out,
    parts=contributions(test),
  )
  labels = {
    label: of_label(computed, index, raw.get('test'), protocol.prevalence.get(label))
    for index, label in enumerate(names)
  }
  labels = {
    label: dataclasses.replace(
      labels[label],
      usefulness=usefulness.of_label(test, index, labels[label], CONFIDENCE),
    )
    for index, label in enumerate(names)
  }
  result = Result(
    test=_size(test),
    validation=None if validation is None else _size(validation),
    unit=protocol.level,
    aggregate=protocol.aggregate,
    confidence=CONFIDENCE,
    replicates=protocol.replicates,
    seed=protocol.seed,
    method=METHOD,
    mean=_mean(labels, computed),
    labels=labels,
    classes=None
    if protocol.head == 'sigmoid'
    else classes.summarise(
      test,
      labels,
      head=protocol.head,
      confidence=CONFIDENCE,
      replicates=protocol.replicates,
      seed=protocol.seed,
    ),
  )
  return dataclasses.replace(result, notes=tuple(notes.notes(result, validation, test)))


def with_labels(
  predictions: Predictions, labels: list[str], what: str, reference: str
) -> Predictions:
  """Returns the predictions for `what` with labels in the order of those for `reference`."""
  own = list(predictions.labels)
  for here, there, one, other in ((labels, own, reference, what), (own, labels, what, reference)):
    for label in here:
      if label not in there:
        raise InputError(
          f"label '{label}' is in the predictions for {one} and not in those for {other}"
          f'{nearest(label, there)} Predict both splits with the same model'
        )
  columns = [own.index(label) for label in labels]
  return predictions._replace(
    labels=labels,
    probabilities=predictions.probabilities[:, columns],
    truth=predictions.truth[:, columns],
    known=predictions.known[:, columns],
    log_odds=None if predictions.log_odds is None else predictions.log_odds[:, columns],
  )


def contributions(predictions: Predictions) -> list[delong.Contributions]:
  """Returns what every patient adds to the AUROC of each label."""
  unique, patient = np.unique(np.asarray(predictions.patients), return_inverse=True)
  parts = []
  for index in range(len(predictions.labels)):
    ranks, truth = ranks_of(predictions, index)
    patient_of_image = patient[np.asarray(predictions.known[:, index], bool)]
    parts.append(delong.contributions(ranks[None], truth, patient_of_image, len(unique)))
  return parts


def prepare(predictions: Predictions, thresholds: np.ndarray) -> resampled.Prepared:
  """Prepares all figures of predictions at thresholds f64[L, K], NaN where a label has none."""
  patients = np.asarray(predictions.patients)
  return resampled.prepare(patients, *predictions[3:6], thresholds, predictions.ranks)


def _values(predictions: Predictions, thresholds: np.ndarray) -> dict[str, np.ndarray]:
  """Returns every figure, f64[L] or f64[L, K], NaN where it does not exist."""
  prepared = prepare(predictions, thresholds)
  figures = _computed(predictions, prepared, np.ones((1, prepared.patients)))
  return {name: values[0] for name, values in figures.items()}


def _computed(
  predictions: Predictions, prepared: resampled.Prepared, weights: np.ndarray
) -> dict[str, np.ndarray]:
  """Returns every figure; those of probabilities are of the source that patients stand for."""
  figures = resampled.compute(prepared, weights)
  if predictions.weights is None:
    return figures
  _, first = np.unique(np.asarray(predictions.patients), return_index=True)
  of_source = resampled.compute(prepared, weights * predictions.weights[first])
  return figures | {name: of_source[name] for name in OF_PROBABILITIES}


def _resampled(
  test: Predictions, thresholds: np.ndarray, replicates: int, seed: int
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
  """Returns every figure in each bootstrap replicate, and without each group of patients."""
  prepared = prepare(test, thresholds)

  def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
    return _computed(test, prepared, weights)

  drawn = intervals.replicate(
    compute, prepared.patients, prepared.images, replicates=replicates, seed=seed
  )
  return drawn, intervals.jackknife(compute, prepared.patients) if drawn else {}


def _size(predictions: Predictions) -> Size:
  return Size(images=len(predictions.images), patients=len(set(predictions.patients)))


def _nan_if_none(value: float | None) -> float:
  return np.nan if value is None else value


def _mean(labels: Mapping[str, LabelResult], computed: Computed) -> Mean:
  """Averages over the labels with both classes, in each replicate too; see `Mean`."""
  both = {label: r.auroc.value for label, r in labels.items() if r.auroc.value is not None}
  entered = [label for label in both if of_several_patients(labels[label])] or list(both)
  of_one_patient = tuple(label for label in both if label not in entered)
  columns = [list(labels).index(label) for label in entered]
  figures = {}
  for name in NEEDS:
    if not entered:
      figures[name] = figure(np.nan, np.zeros(0), np.zeros(0), 'no label has both classes')
      continue
    if len(entered) == 1:  # Its own interval, which of a proportion is not the bootstrap's.
      figures[name] = _of_label(labels[entered[0]], name)
      continue
    place: tuple = (columns,) if name in resampled.OF_SCORES else (columns, 0)
    # A replicate counts only if every label has its figure: else each would average other labels.
    drawn, left_out = (
      column(values, name, *place).mean(axis=-1) if computed.drawn else np.zeros(0)
      for values in (computed.drawn, computed.left_out)
    )
    figures[name] = figure(
      np.mean(computed.values[name][place]),
      drawn,
      left_out,
      _reason_of_mean({label: labels[label] for label in entered}, name),
      name in BIASED,
    )
  if len(entered) > 1:
    parts = [computed.parts[index] for index in columns]
    figures['auroc'] = delong.with_interval(figures['auroc'], parts, CONFIDENCE)
  return Mean(
    labels=tuple(entered),
    of_one_patient=of_one_patient,
    auroc_of_all=float(np.mean(list(both.values()))) if of_one_patient else None,
    **figures,
  )


def _of_label(result: LabelResult, name: str) -> Figure:
  """Returns a figure of one label, at its first operating point if it is one of decisions."""
  return getattr(result if name in resampled.OF_SCORES else result.operating_points[0], name)


def _reason_of_mean(labels: Mapping[str, LabelResult], name: str) -> str:
  """Returns why a mean over labels has no value or interval, '' if it has both."""
  reasons = {label: _of_label(result, name).reason for label, result in labels.items()}
  common = set(reasons.values())
  if len(common) == 1 and common <= set(without_width.REASONS):
    return common.pop()
  there = ('', intervals.NONE_DRAWN, *without_width.REASONS)
  missing = [(label, reason) for label, reason in reasons.items() if reason not in there]
  if len(missing) == len(labels) and len(set(reasons.values())) == 1:
    return missing[0][1]
  return next((f'{label}: {reason}' for label, reason in missing), '')

"""What is chosen on validation and then left alone: calibration and operating points.

They are kept with the checkpoint, in frozen.json of the work directory, so that the test set, and
every image predicted later, meets the very thresholds that validation chose. The file holds
`Frozen` as it stands here, parameters that a calibration does not have left out, and a version.
"""

import dataclasses
import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from medjax.config import vocabulary
from medjax.config.protocol import Protocol
from medjax.errors import InputError, nearest
from medjax.evaluation import calibration as calibrations
from medjax.evaluation import operating_points, results_file
from medjax.evaluation.calibration import Calibration, ClassesCalibration, LabelCalibration
from medjax.evaluation.predictions import Predictions
from medjax.runtime import files

NAME = 'frozen.json'
VERSION = 1


@dataclasses.dataclass(frozen=True)
class FrozenPoint:
  """The threshold that a rule chose for one label.

  Attributes:
    rule: such as 'sensitivity=0.9'.
    threshold: of calibrated probabilities; None where the rule has none.
    reason: why it has none, else ''.
  """

  rule: str
  threshold: float | None
  reason: str


@dataclasses.dataclass(frozen=True)
class FrozenLevel:
  """What validation chose at one level.

  Attributes:
    calibration: of the probabilities.
    operating_points: label → a point for each rule; the first makes the decisions.
    source_prevalence: label → its prevalence in the source, to which probabilities are calibrated
      and by which thresholds of 'cost' are chosen, where a floor of positives made validation
      unlike it; None where validation is taken as it is. A label without known truth is left out.
    source_counted: whether that prevalence was counted in the source, over all units whose truth is
      known; else it is estimated from the weights of validation.
  """

  calibration: Calibration
  operating_points: dict[str, tuple[FrozenPoint, ...]]
  source_prevalence: dict[str, float] | None = None
  source_counted: bool | None = None

  def threshold(self, label: str) -> float | None:
    """Returns the threshold that decides for a label; None where it has none."""
    return self.operating_points[label][0].threshold


@dataclasses.dataclass(frozen=True)
class ChosenBy:
  """By which mean AUROC on validation a checkpoint was chosen.

  Attributes:
    level: of the units: 'image', 'study', 'patient' or 'slide'.
    labels: that enter the mean.
    fewest: validation patients of the rarer class of any of these labels.
  """

  level: str
  labels: tuple[str, ...]
  fewest: int


@dataclasses.dataclass(frozen=True)
class Frozen:
  """What frozen.json holds.

  Attributes:
    step: of the checkpoint, None where no validation had a mean AUROC to choose by.
    split_sha256: of the split that the validation set is of; None where it is not recorded.
    head: 'sigmoid', 'softmax' or 'ordinal'.
    aggregate: how images become studies, patients or slides.
    levels: level → what was chosen at it.
    chosen_by: how the step was chosen; None where that is not recorded.
    absent: patients of the source whom no weight can stand for, since validation has nobody like
      them, see medjax.data.split.source_weights.absent; None where there are none.
    weights_sha256: of the checkpoints that it was chosen for, see medjax.runs.trained_network; None
      where it is not recorded.
  """

  step: int | None
  split_sha256: str | None
  head: str
  aggregate: str
  levels: dict[str, FrozenLevel]
  chosen_by: ChosenBy | None = None
  absent: dict[str, int] | None = None
  weights_sha256: str | None = None


# What the file holds only where a calibration has it.
_OPTIONAL = {
  field.name
  for kind in (Calibration, LabelCalibration, ClassesCalibration, FrozenLevel, Frozen)
  for field in dataclasses.fields(kind)
  if field.default is None
}


def freeze(
  validation: Predictions, protocol: Protocol, counted: Mapping[str, float] | None = None
) -> FrozenLevel:
  """Fits the calibration, then chooses the thresholds of the calibrated probabilities.

  Args:
    validation: the raw predictions on the validation split, at one level.
    protocol: its head, calibration and operating points.
    counted: label → its prevalence in the source at that level, where that was counted.

  Raises:
    InputError: no such head, method or rule.
  """
  vocabulary.check_rules(protocol.operating_points)
  fitted = calibrations.fit(
    protocol.calibration,
    validation.probabilities,
    validation.truth,
    validation.known,
    validation.labels,
    protocol.head,
    log_odds=validation.log_odds,
    weights=validation.weights,
  )
  scores = _calibrated(fitted, validation).probabilities
  points = {}
  for column, label in enumerate(validation.labels):
    known = validation.known[:, column]
    points[label] = tuple(
      _point(
        rule,
        scores[known, column],
        validation.truth[known, column],
        None if validation.weights is None else validation.weights[known],
      )
      for rule in protocol.operating_points
    )
  if validation.weights is None:
    return FrozenLevel(fitted, points)
  shares = counted or prevalence(validation)
  return FrozenLevel(fitted, points, dict(shares), source_counted=bool(counted))


def prevalence(units: Predictions) -> dict[str, float]:
  """Returns label → its share of positives among those whose truth is known, weighted if they are.

  A label without known truth is left out.
  """
  weights = np.ones(len(units.images)) if units.weights is None else units.weights
  totals = weights @ units.known
  positives = weights @ (units.known * units.truth.astype(np.float64))
  return {
    label: float(positive / total)
    for label, positive, total in zip(units.labels, positives, totals)
    if total
  }


def _point(
  rule: str, scores: np.ndarray, truth: np.ndarray, weights: np.ndarray | None = None
) -> FrozenPoint:
  lacking = operating_points.lacking(rule, truth)
  if lacking:
    return FrozenPoint(rule, None, f'{lacking} on validation')
  return FrozenPoint(rule, operating_points.choose(rule, scores, truth, weights), '')


def without_validation(labels: Sequence[str], protocol: Protocol) -> FrozenLevel:
  """Returns what `freeze` would without validation: only fixed thresholds, no calibration."""
  vocabulary.check_rules(protocol.operating_points)
  nothing = np.zeros((0, len(labels)))
  fitted = calibrations.fit('none', nothing, nothing, nothing.astype(bool), labels, protocol.head)
  points = []
  for rule in protocol.operating_points:
    point = _point(rule, nothing[:, 0], nothing[:, 0])
    reason = point.reason and 'no validation to choose it on'
    points.append(dataclasses.replace(point, reason=reason))
  return FrozenLevel(fitted, {label: tuple(points) for label in labels})


def calibrated(level: FrozenLevel, predictions: Predictions) -> Predictions:
  """Returns the predictions with calibrated probabilities, f64[N, L]; labels are joined by name.

  Raises:
    InputError: the predictions have other labels.
  """
  return _calibrated(level.calibration, predictions)


def _calibrated(fitted: Calibration, predictions: Predictions) -> Predictions:
  log_odds, labels = predictions.log_odds, predictions.labels
  return predictions._replace(
    probabilities=calibrations.apply(fitted, predictions.probabilities, labels, log_odds),
    log_odds=None if log_odds is None else calibrations.log_odds_of(fitted, log_odds, labels),
  )


def decide(level: FrozenLevel, labels: Sequence[str], probabilities: np.ndarray) -> np.ndarray:
  """Decides at the first operating point of each label.

  Args:
    level: from `freeze`.
    labels: L names, frozen ones.
    probabilities: f[N, L], calibrated. In float32 a probability next to a threshold may fall on its
      other side.

  Returns:
    int[N, L]: 1 where the probability is at or above the threshold, else 0; -1 without a threshold.

  Raises:
    InputError: a label that has no operating points.
  """
  for label in labels:
    if label not in level.operating_points:
      raise InputError(
        f"label '{label}' has no operating point{nearest(label, level.operating_points)}"
      )
  thresholds = np.array([level.threshold(label) for label in labels], np.float64)
  decided = (np.asarray(probabilities, np.float64) >= thresholds).astype(np.int64)
  return np.where(np.isnan(thresholds), -1, decided)


def to_plain(chosen: Frozen | Mapping[str, FrozenLevel]) -> dict[str, Any]:
  """Returns what JSON can hold: the content of frozen.json, or of its levels."""
  if isinstance(chosen, Frozen):
    return {'version': VERSION, **_without_absent(results_file.to_plain(chosen))}
  return {name: _without_absent(results_file.to_plain(level)) for name, level in chosen.items()}


def _without_absent(content: Any) -> Any:
  if isinstance(content, Mapping):
    return {
      name: _without_absent(value)
      for name, value in content.items()
      if not (value is None and name in _OPTIONAL)
    }
  if isinstance(content, list | tuple):
    return [_without_absent(value) for value in content]
  return content


def write(workdir: pathlib.Path, chosen: Frozen) -> None:
  """Writes frozen.json whole or not at all."""
  text = json.dumps(to_plain(chosen), indent=2, allow_nan=False)
  files.write_whole(pathlib.Path(workdir) / NAME, text + '\n')


def read(workdir: pathlib.Path, labels: Sequence[str]) -> Frozen:
  """Returns what `write` wrote.

  Args:
    workdir: of the run.
    labels: those that the model predicts, in any order.

  Raises:
    InputError: there is no such file, it is no JSON or not what a run wrote, it is of another
      version, or of other labels, which are named.
  """
  path = pathlib.Path(workdir) / NAME
  if not path.is_file():
    tested = path.parent / 'evaluation' / 'test.json'
    if tested.is_file():
      raise InputError(
        f'{path}: no such file, though the run is finished; delete {tested} and start the run '
        'again, which tests it again'
      )
    raise InputError(
      f'{path}: no such file; the run is not finished, and its thresholds are chosen at its end. '
      'Start it again in the same work directory, and it continues from where it is'
    )
  content = files.read_json(path)
  version = content.pop('version', None)
  if version != VERSION:
    raise InputError(
      f'{path}: is of version {version}, and this medjax reads version {VERSION}; use the medjax '
      'that wrote it, or test the run again with this one'
    )
  try:
    chosen = results_file.from_plain(content, Frozen)
    frozen_labels = list(chosen.levels['image'].operating_points)
    for level in chosen.levels.values():
      _check(level, frozen_labels)
  except (KeyError, ValueError) as error:
    raise InputError(f'{path}: not what a run wrote ({type(error).__name__}: {error})') from None
  for here, there, words in (
    (labels, frozen_labels, 'is predicted, and nothing was chosen for it on validation'),
    (frozen_labels, labels, 'was calibrated on validation, and is not predicted'),
  ):
    for label in here:
      if label not in there:
        raise InputError(
          f"{path}: label '{label}' {words}{nearest(label, there)}; the file is of a model of "
          'other labels'
        )
  return chosen


def _check(level: FrozenLevel, labels: list[str]) -> None:
  """Uses every part once: anybody may have edited the file, and here it can still be named."""
  if set(level.operating_points) != set(labels):
    raise ValueError('the levels have different labels')
  for points in level.operating_points.values():
    vocabulary.check_rules([point.rule for point in points])
  even = np.full((2, len(labels)), 1 / max(1, len(labels)))
  probabilities = calibrations.apply(level.calibration, even, labels)
  if not ((probabilities >= 0) & (probabilities <= 1)).all():
    raise ValueError('its calibration gives probabilities outside [0, 1]')

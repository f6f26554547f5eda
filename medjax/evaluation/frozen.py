"""What is chosen on validation and then left alone: calibration and operating points.

They are kept with the checkpoint, in frozen.json of the work directory, so that the test set, and every
image predicted later, meets the very thresholds that validation chose:

  {'version': 1, 'step': the checkpoint's or None, 'split_sha256', 'head', 'aggregate',
   'levels': {'image': {'calibration': of medjax.evaluation.calibration.fit,
                        'operating_points': {label: [{'rule', 'threshold', 'reason'}, ...]}}, ...}}

A threshold is of calibrated probabilities, and None where 'reason' says why the rule has none.
"""

import json
import pathlib
from collections.abc import Sequence

import numpy as np

from medjax.config import vocabulary
from medjax.errors import InputError, nearest
from medjax.evaluation import calibration as calibrations
from medjax.evaluation import operating_points
from medjax.evaluation.predictions import Predictions
from medjax.runtime import files

NAME = 'frozen.json'
VERSION = 1


def freeze(validation: Predictions, *, head: str, calibration: str, rules: Sequence[str]) -> dict:
  """Fits the calibration, then chooses the thresholds of the calibrated probabilities.

  Args:
    validation: the raw predictions on the validation split, at one level.
    head: 'sigmoid', 'softmax' or 'ordinal'.
    calibration: a method of medjax.evaluation.calibration.
    rules: of medjax.evaluation.operating_points; the first makes the decisions.

  Returns:
    {'calibration', 'operating_points'} of this level, as the file holds them.

  Raises:
    InputError: no such head, method or rule.
  """
  vocabulary.check_rules(rules)
  fitted = calibrations.fit(
    calibration,
    validation.probabilities,
    validation.truth,
    validation.known,
    validation.labels,
    head,
  )
  scores = calibrations.apply(fitted, validation.probabilities, validation.labels)
  points = {}
  for column, label in enumerate(validation.labels):
    known = validation.known[:, column]
    points[label] = [
      _point(rule, scores[known, column], validation.truth[known, column]) for rule in rules
    ]
  return {'calibration': fitted, 'operating_points': points}


def _point(rule: str, scores: np.ndarray, truth: np.ndarray) -> dict:
  lacking = operating_points.lacking(rule, truth)
  return {
    'rule': rule,
    'threshold': None if lacking else operating_points.choose(rule, scores, truth),
    'reason': f'{lacking} on validation' if lacking else '',
  }


def without_validation(labels: Sequence[str], head: str, rules: Sequence[str]) -> dict:
  """Returns what `freeze` would where there is no validation: only fixed thresholds, no calibration."""
  vocabulary.check_rules(rules)
  nothing = np.zeros((0, len(labels)))
  fitted = calibrations.fit('none', nothing, nothing, nothing.astype(bool), labels, head)
  points = [_point(rule, nothing[:, 0], nothing[:, 0]) for rule in rules]
  for point in points:
    point['reason'] = point['reason'] and 'no validation to choose it on'
  return {
    'calibration': fitted,
    'operating_points': {label: [dict(point) for point in points] for label in labels},
  }


def calibrated(of_level: dict, predictions: Predictions) -> Predictions:
  """Returns the predictions with calibrated probabilities, f64[N, L]; labels are joined by name.

  Raises:
    InputError: the predictions have other labels.
  """
  return predictions._replace(
    probabilities=calibrations.apply(
      of_level['calibration'], predictions.probabilities, predictions.labels
    )
  )


def decide(of_level: dict, labels: Sequence[str], probabilities: np.ndarray) -> np.ndarray:
  """Decides at the first operating point of each label.

  Args:
    of_level: from `freeze`.
    labels: L names, frozen ones.
    probabilities: f[N, L], calibrated. In float32 a probability next to a threshold may fall on its
      other side.

  Returns:
    int[N, L]: 1 where the probability is at or above the threshold, else 0; -1 without a threshold.

  Raises:
    InputError: a label that has no operating points.
  """
  points = of_level['operating_points']
  for label in labels:
    if label not in points:
      raise InputError(f"label '{label}' has no operating point{nearest(label, points)}")
  thresholds = np.array([points[label][0]['threshold'] for label in labels], np.float64)
  decided = (np.asarray(probabilities, np.float64) >= thresholds).astype(np.int64)
  return np.where(np.isnan(thresholds), -1, decided)


def write(workdir: pathlib.Path, content: dict) -> None:
  """Writes frozen.json whole or not at all; `content` is as above, less its version."""
  text = json.dumps({'version': VERSION, **content}, indent=2, allow_nan=False)
  files.write_whole(pathlib.Path(workdir) / NAME, text + '\n')


def read(workdir: pathlib.Path, labels: Sequence[str]) -> dict:
  """Returns what `write` wrote.

  Args:
    workdir: of the run.
    labels: those that the model predicts, in any order.

  Raises:
    InputError: there is no such file, it is no JSON or not what a run wrote, it is of another version,
      or of other labels, which are named.
  """
  path = pathlib.Path(workdir) / NAME
  if not path.is_file():
    tested = path.parent / 'evaluation' / 'test.json'
    if tested.is_file():
      raise InputError(
        f'{path}: no such file, though the run is finished; delete {tested} and start the run again, '
        'which tests it again'
      )
    raise InputError(
      f'{path}: no such file; the run is not finished, and its thresholds are chosen at its end. '
      'Start it again with the same --workdir, and it goes on from where it is'
    )
  content = files.read_json(path)
  version = content.get('version')
  if version != VERSION:
    raise InputError(
      f'{path}: is of version {version}, and this medjax reads version {VERSION}; use the medjax that '
      'wrote it, or test the run again with this one'
    )
  try:
    names = list(content['levels']['image']['operating_points'])
    for of_level in content['levels'].values():
      _try(of_level, names)
  except (AttributeError, IndexError, KeyError, TypeError, ValueError) as error:
    raise InputError(f'{path}: not what a run wrote ({type(error).__name__}: {error})') from None
  for here, there, words in (
    (labels, names, 'is predicted, and nothing was chosen for it on validation'),
    (names, labels, 'was calibrated on validation, and is not predicted'),
  ):
    for label in here:
      if label not in there:
        raise InputError(
          f"{path}: label '{label}' {words}{nearest(label, there)}; the file is of a model of other "
          'labels'
        )
  return content


def _try(of_level: dict, labels: list[str]) -> None:
  """Uses every part once: anybody may have edited the file, and here it can still be named."""
  points = of_level['operating_points']
  if set(points) != set(labels):
    raise ValueError('the levels have different labels')
  for each in points.values():
    vocabulary.check_rules([point['rule'] for point in each])
    for point in each:
      if not isinstance(point['reason'], str):
        raise TypeError(f"'reason' is {point['reason']!r}")
      if (
        type(point['threshold']) not in (float, type(None))
        or point['threshold'] != point['threshold']
      ):
        raise TypeError(f"'threshold' is {point['threshold']!r}")
  even = np.full((2, len(labels)), 1 / max(1, len(labels)))
  probabilities = calibrations.apply(of_level['calibration'], even, labels)
  if not ((probabilities >= 0) & (probabilities <= 1)).all():
    raise ValueError('its calibration gives probabilities outside [0, 1]')

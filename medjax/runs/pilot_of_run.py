"""A finished run as the pilot of the next test."""

import os

from medjax.errors import InputError, check_option
from medjax.evaluation import frozen, levels, pilot
from medjax.evaluation.pilot import Pilot
from medjax.evaluation.predictions import Predictions
from medjax.runs import finished
from medjax.runs.finished import Run
from medjax.runtime import remote_work


def measure(
  workdir: str | os.PathLike,
  against: str | os.PathLike | None = None,
  label: str | None = None,
) -> Pilot:
  """Returns what a run's own test says of one label, at the level that it was tested.

  Args:
    workdir: of the run.
    against: of another run on the same split, for the correlation of the two AUROCs.
    label: of the run; may be left out where it has one.

  Raises:
    InputError: a run that is not finished, no such label, or as medjax.evaluation.pilot.measure.
  """
  run = finished.open_run(remote_work.local_copy(workdir))
  labels = list(run.config.data.labels)
  if label is None:
    if len(labels) > 1:
      raise InputError(f'--label is missing; {workdir} has {", ".join(labels)}')
    label = labels[0]
  check_option('--label', label, labels)
  test, threshold = _tested(run, run, label)
  other = None
  if against is not None:
    other, _ = _tested(finished.open_run(remote_work.local_copy(against)), run, label)
  return pilot.measure(test, label, threshold, other)


def _tested(run: Run, first: Run, label: str) -> tuple[Predictions, float | None]:
  """Returns a run's calibrated test predictions at the level of the first, and its threshold."""
  protocol = first.config.protocol
  settings = protocol.level, protocol.aggregate, protocol.head
  test = levels.to_level(run.raw_predictions('test'), *settings)
  level = run.frozen.levels.get(protocol.level, run.frozen.levels.get('image'))
  if level is None:
    return test, None
  threshold = level.threshold(label) if label in test.labels else None
  return frozen.calibrated(level, test), threshold


def of_flags(
  workdir: str | os.PathLike | None, against: str | os.PathLike | None, label: str | None
) -> Pilot | None:
  """Returns the pilot of these paths; None without a run.

  Raises:
    InputError: another run or a label without a run, or as `measure`.
  """
  if workdir is None:
    for name, value in (('against', against), ('label', label)):
      if value is not None:
        raise InputError(f'--{name}={value}: is of a run; add --workdir=runs/phantom')
    return None
  return measure(workdir, against, label)

"""What a tracker is told of a run, and when."""

import dataclasses
import pathlib
from collections.abc import Mapping, Sequence
from typing import Protocol


@dataclasses.dataclass(frozen=True)
class TrackedRun:
  """The run that a tracker is told of.

  Attributes:
    workdir: its folder, in which a tracker may keep what it needs when the run goes on.
    settings: name of a setting → its value as text; no patient is named in it.
    step: where it begins: 0, or that of the checkpoint from which it goes on.
  """

  workdir: pathlib.Path
  settings: Mapping[str, str]
  step: int


@dataclasses.dataclass(frozen=True)
class TrackedFile:
  """A file that a tracker may show or keep.

  Attributes:
    path: where it lies.
    shows_patients: whether images of patients are in it; such files stay on this machine.
  """

  path: pathlib.Path
  shows_patients: bool = False


class Tracker(Protocol):
  """Anybody's tracker. What it raises ends its part in the run, with a warning, and nothing else.

  Its functions are called in this order, one at a time, in a thread of its own; so it may wait.
  """

  def start(self, run: TrackedRun) -> None:
    """Is called once, before anything else."""

  def metrics(self, step: int, values: Mapping[str, float]) -> None:
    """Takes 'train/loss', 'validation/auroc/Edema', 'test/auroc_mean' and so on, after a step."""

  def files(self, step: int, files: Sequence[TrackedFile]) -> None:
    """Takes files: the augmented images before the first step, the report after the test."""

  def end(self, status: str) -> None:
    """Is called last: 'finished', 'stopped' (the same command goes on) or 'failed'."""

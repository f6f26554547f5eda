"""TensorBoard's event files, in the work directory's tensorboard/."""

import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image

from medjax.experiment.tracking.contract import TrackedFile, TrackedRun
from medjax.runs.layout import Layout


class TensorBoardTracker:
  """Draws metrics and pictures. It leaves files on this machine alone, so patients may be shown."""

  def start(self, run: TrackedRun) -> None:
    """Opens a file of events; those of later steps than the run's, of before, are hidden."""
    # It takes seconds where torch is installed, and mistakes need none of it.
    from tensorboardX import event_file_writer, summary
    from tensorboardX.proto import event_pb2

    folder = Layout(run.workdir).tensorboard
    folder.mkdir(exist_ok=True)
    self._summary, self._event = summary, event_pb2.Event
    # Not its SummaryWriter, whose thread a full disk ends; the next rows then wait for it for ever.
    self._events = event_file_writer.EventsWriter(str(folder / 'events'))
    begins = event_pb2.SessionLog(status=event_pb2.SessionLog.START)
    self._write(run.step + 1, session_log=begins)

  def metrics(self, step: int, values: Mapping[str, float]) -> None:
    """Draws each."""
    for name, value in values.items():
      self._write(step, summary=self._summary.scalar(name, value))
    self._events.flush()

  def files(self, step: int, files: Sequence[TrackedFile]) -> None:
    """Shows the pictures among them."""
    for file in files:
      if file.path.suffix == '.png':
        with Image.open(file.path) as picture:
          pixels = np.asarray(picture)
        shown = self._summary.image(f'train/{file.path.stem}', pixels, dataformats='HWC')
        self._write(step, summary=shown)
    self._events.flush()

  def end(self, status: str) -> None:
    """Closes the file."""
    del status
    self._events.close()

  def _write(self, step: int, **content: Any) -> None:
    self._events.write_event(self._event(step=step, wall_time=time.time(), **content))

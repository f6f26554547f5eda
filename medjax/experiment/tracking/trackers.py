"""The trackers of a run at work: each in a thread of its own, so that none can hold the run up."""

import contextlib
import importlib.util
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from medjax.config import Config
from medjax.errors import InputError, one_line
from medjax.experiment.tracking.contract import TrackedFile, TrackedRun, Tracker
from medjax.experiment.tracking.mlflow_tracker import MlflowTracker
from medjax.experiment.tracking.tensorboard_tracker import TensorBoardTracker
from medjax.experiment.tracking.wandb_tracker import WandbTracker
from medjax.runtime import devices, import_by_name, progress

_KNOWN: dict[str, Callable[..., Any]] = {
  'tensorboard': TensorBoardTracker,
  'mlflow': MlflowTracker,
  'wandb': WandbTracker,
}
_EXTRAS = ('mlflow', 'wandb')
_PATIENCE = 30.0  # seconds that a run that has ended waits for a tracker


class Trackers:
  """Those of one run. After `start`, whatever they are told they take when they have time.

  Args:
    trackers: name → tracker.
  """

  def __init__(self, trackers: Mapping[str, Tracker]):
    self._threads = [_TrackerThread(name, tracker) for name, tracker in trackers.items()]

  def start(self, run: TrackedRun) -> None:
    """Tells them which run it is."""
    self._tell('start', run)

  def metrics(self, step: int, split: str, values: Mapping[str, Any]) -> None:
    """Gives them a row: numbers, None, or mappings of label to those."""
    if self._threads:
      self._tell('metrics', step, {f'{split}/{name}': value for name, value in _flat(values)})

  def files(self, step: int, files: Sequence[TrackedFile]) -> None:
    """Gives them the files among these that are there."""
    self._tell('files', step, [file for file in files if file.path.is_file()])

  def end(self, status: str) -> None:
    """Tells them how it ended, and waits for each, but not for long."""
    self._tell('end', status)
    for thread in self._threads:
      with progress.waiting(f'waiting for {thread.name} to take the rest (config.tracking)'):
        thread.close(_PATIENCE)

  def _tell(self, function: str, *arguments: Any) -> None:
    for thread in self._threads:
      thread.tell(function, *arguments)


NONE = Trackers({})


class _TrackerThread:
  """Calls one tracker's functions in their order; the first that raises is the last."""

  def __init__(self, name: str, tracker: Tracker):
    self.name, self._tracker, self._has_failed = name, tracker, False
    self._calls: queue.SimpleQueue[tuple[str, tuple[Any, ...]] | None] = queue.SimpleQueue()
    self._thread = threading.Thread(target=self._work, daemon=True, name=f'tracker {name}')
    self._thread.start()

  def tell(self, function: str, *arguments: Any) -> None:
    if not self._has_failed:
      self._calls.put((function, arguments))

  def close(self, patience: float) -> None:
    self._calls.put(None)
    self._thread.join(patience)
    if self._thread.is_alive() and not self._has_failed:
      self._fail(f'has not answered for {patience:.0f} s')

  def _work(self) -> None:
    for function, arguments in iter(self._calls.get, None):
      try:
        getattr(self._tracker, function)(*arguments)
      except BaseException as error:  # Whatever anybody's tracker may raise, an exit included.
        self._fail(f'{function}: {one_line(error)}')
        return

  def _fail(self, why: str) -> None:
    self._has_failed = True
    progress.say(f'warning: tracker {self.name} {why}; the run goes on without it')


@contextlib.contextmanager
def opened(config: Config) -> Iterator[Trackers]:
  """Yields the trackers of a run, on all processes but the first none, and says how it ended."""
  known = {name: _find(name)() for name in config.tracking} if devices.is_first() else {}
  trackers, status = Trackers(known), 'failed'
  try:
    yield trackers
    status = 'finished'
  except (SystemExit, KeyboardInterrupt):
    status = 'stopped'
    raise
  finally:
    trackers.end(status)


def check(config: Config) -> None:
  """Raises InputError where config.tracking names what is not there or not installed."""
  for name in config.tracking:
    _find(name)
    if name in _EXTRAS and importlib.util.find_spec(name) is None:
      raise InputError(
        f"config.tracking: {name} is not installed; pip install 'medjax[{name}]', or leave it out"
      )


def _find(name: str) -> Callable[..., Any]:
  return import_by_name.find(name, _KNOWN, 'config.tracking')


def _flat(values: Mapping[str, Any]) -> list[tuple[str, float]]:
  pairs = []
  for name, value in values.items():
    if isinstance(value, Mapping):
      pairs += [(f'{name}/{inner}', number) for inner, number in _flat(value)]
    elif value is not None:
      pairs.append((name, float(value)))
  return pairs

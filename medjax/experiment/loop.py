"""The training loop. Every turn: evaluate, save, next batches, one step of training or several.

A run killed at any instant and started again goes on from its last checkpoint and ends in the same
bits as one that was never interrupted.
"""

import contextlib
import itertools
import signal
import threading
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Any, NamedTuple

import jax
import numpy as np
from jax.experimental import multihost_utils

from medjax import config as configs
from medjax.config import Config
from medjax.experiment import training_calls
from medjax.experiment.log import TrainingLog
from medjax.experiment.tracking.trackers import Trackers
from medjax.experiment.training_calls import TrainingCalls
from medjax.runs import checkpoints
from medjax.runs.checkpoints import Checkpoints
from medjax.runs.layout import Layout
from medjax.runtime import devices, progress
from medjax.training import optimizers
from medjax.training.steps import TrainState

# (step, mean AUROC of its validation or None where it is undefined): called once a validation is
# given to be saved, after a restart first for those before it. What it raises ends the training.
Watch = Callable[[int, float | None], None]


def unwatched(step: int, auroc_mean: float | None) -> None:
  """Watches nothing."""
  del step, auroc_mean


class Start(NamedTuple):
  """Where the loop begins: at step 0, or as a checkpoint was saved.

  Attributes:
    state: after `step` steps.
    step: how many are done.
    history: the validations so far, {'step', 'auroc_mean'} each.
    unwritten_losses: of the steps since the last row of metrics.jsonl.
    steps_per_call: as the run has begun, 0 where that is still to be chosen.
  """

  state: TrainState
  step: int = 0
  history: tuple[dict[str, Any], ...] = ()
  unwritten_losses: tuple[float, ...] = ()
  steps_per_call: int = 0


def train(
  config: Config,
  layout: Layout,
  start: Start,
  *,
  calls: TrainingCalls,
  batches: Callable[..., Generator[dict[str, np.ndarray], None, None]],
  validate: Callable[[TrainState], dict[str, Any]],
  watch: Watch,
  saved: Checkpoints,
  carried: Mapping[str, Any],
  trackers: Trackers,
) -> tuple[TrainState, list[dict[str, Any]]]:
  """Steps until the last step, an early stop or SIGTERM.

  Args:
    config: of the run.
    layout: of its work directory.
    start: where to begin.
    calls: the training steps.
    batches: start=step → this process's part of the batches, from that number on.
    validate: state → 'auroc_mean' and further metrics.
    watch: told each validation.
    saved: the checkpoints of the run.
    carried: JSON that every checkpoint carries, the hash of the split in it.
    trackers: are given the metrics.

  Returns:
    The last state, and all validations.

  Raises:
    InputError: a metric is not finite.
    SystemExit: 143 after SIGTERM and 130 after Ctrl-C, with everything saved.
  """
  state, step, history = start.state, start.step, list(start.history)
  rate, losses = optimizers.schedule(config.optimizer, config.steps), list(start.unwritten_losses)
  quiet = not devices.is_first()
  with (
    TrainingLog(layout, config, step, rate, losses, quiet=quiet, trackers=trackers) as log,
    contextlib.closing(batches(start=step)) as input_batches,
    _signals_noted() as signals,
  ):
    for entry in history:
      watch(entry['step'], entry['auroc_mean'])
    per_call, known = start.steps_per_call, set[int]()
    turns = itertools.count()
    while True:
      stopping = _stop_asked(signals, next(turns))
      validation = None
      if _validation_due(config, step, history):
        with log.between_steps():
          validation = validate(state)
        is_better = _add_to_history(history, step, validation['auroc_mean'])
        log.validation(step, validation, is_better)
      if validation or stopping or _save_due(config, step):
        with log.between_steps():
          content = {
            **carried,
            'next_batch': step,
            'config': configs.to_dict(config),
            'history': list(history),  # It grows while the save is still being written.
            'unwritten_losses': log.unwritten_losses,
            'steps_per_call': per_call,
          }
          auroc = validation['auroc_mean'] if validation else None
          saved.save(state, step, content, auroc)
      if validation:
        watch(step, validation['auroc_mean'])
      if step == config.steps:
        return state, history
      if _is_stale(config, history):
        if devices.is_first():
          progress.say(
            f'stopped at step {step:,} of {config.steps:,}: no validation was better in '
            f'{config.patience} (config.patience)'
          )
        return state, history
      if stopping:
        saved.wait()
        _leave(stopping, step)
      is_first, is_unfrozen = step == start.step, step in config.model.unfreeze_at
      with _told('reading the first images', is_first):
        read = [next(input_batches)]
      if not per_call:
        per_call = calls.steps_per_call(config, state, read[0])
      count = training_calls.together(config, step, per_call)
      read += itertools.islice(input_batches, count - 1)
      known = set() if is_unfrozen else known
      is_new, known = count not in known, {*known, count}
      with _told('compiling the training step; the next start finds it compiled', is_new):
        state, metrics = calls(state, read, step)
      step += count
      log.steps(step, metrics)


def _told(what: str, is_long: bool) -> contextlib.AbstractContextManager[None]:
  speaks = is_long and devices.is_first()
  return progress.waiting(what) if speaks else contextlib.nullcontext()


def _validation_due(config: Config, step: int, history: list[dict[str, Any]]) -> bool:
  is_done = bool(history) and history[-1]['step'] == step
  return step > 0 and not is_done and (step % config.evaluate_every == 0 or step == config.steps)


def _save_due(config: Config, step: int) -> bool:
  return bool(config.save_every and step and step % config.save_every == 0)


def _add_to_history(history: list[dict[str, Any]], step: int, auroc_mean: float | None) -> bool:
  """Returns whether this validation is better than those before."""
  before = checkpoints.best_validation(history)
  history.append({'step': step, 'auroc_mean': auroc_mean})
  best = checkpoints.best_validation(history)
  return best is not None and (before is None or best['auroc_mean'] > before['auroc_mean'])


def _is_stale(config: Config, history: list[dict[str, Any]]) -> bool:
  best = checkpoints.best_validation(history)
  if not config.patience or best is None:
    return False
  # An equal is no better: patience counts from the first that was as good.
  first = [entry['auroc_mean'] for entry in history].index(best['auroc_mean'])
  # A stage that is still to be unfrozen may make it better: patience begins with the last.
  last_unfrozen = max(config.model.unfreeze_at, default=0)
  since = [entry for entry in history[first + 1 :] if entry['step'] > last_unfrozen]
  return len(since) >= config.patience


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[signal.Signals]]:
  """Yields a list that SIGTERM and Ctrl-C are noted in, instead of ending the process at once."""
  noted: list[signal.Signals] = []
  # With several processes jax's runtime listens itself, to make all of them agree. Other threads
  # than the first, such as those of a server, may not listen.
  in_first_thread = threading.current_thread() is threading.main_thread()
  if jax.process_count() > 1 or not in_first_thread:
    yield noted
    return

  def note(number: int, frame: Any) -> None:
    del frame
    noted.append(signal.Signals(number))
    signal.signal(number, old[signal.Signals(number)])  # A second one does not wait.

  old = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
  try:
    yield noted
  finally:
    for number, handler in old.items():
      signal.signal(number, handler)


def _stop_asked(noted: list[signal.Signals], turn: int) -> signal.Signals | None:
  if jax.process_count() == 1:
    return noted[0] if noted else None
  # All processes must leave at the same step: jax's runtime agrees on a number, and asks for each
  # in turn, which the numbers of steps are not where a call does several.
  return signal.SIGTERM if multihost_utils.reached_preemption_sync_point(turn) else None


def _leave(stopping: signal.Signals, step: int) -> None:
  if devices.is_first():
    progress.say(
      f'stopped by {stopping.name}, saved at step {step:,}; the same command goes on from there'
    )
  raise SystemExit(128 + stopping)

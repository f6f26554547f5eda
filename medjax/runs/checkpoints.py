"""Checkpoints through orbax: the state, and beside it what a run needs to go on.

Beside the state, as JSON: the number of the next batch (the whole position of the input, see
medjax.data.pipeline), the split's hash, the config and the validations so far.
"""

import contextlib
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh
from orbax.checkpoint import v1 as ocp

from medjax.errors import InputError, one_line
from medjax.runs.layout import Layout
from medjax.runtime import devices, remote_work
from medjax.training.learner import Learner
from medjax.training.steps import TrainState


class Checkpoints:
  """The checkpoints of a run that trains: the latest, and so many of the best.

  From `open_checkpoints`. All processes of a run call each method together.
  """

  def __init__(self, checkpointer: ocp.training.Checkpointer):
    self._checkpointer = checkpointer
    self._saving: Any = None  # Orbax's response to the last save.

  def save(
    self, state: TrainState, step: int, run: dict[str, Any], auroc_mean: float | None
  ) -> None:
    """Starts saving and returns once the state is copied; a step saved before is left as it is.

    What keeps the save before from being written is raised here.

    Args:
      state: may be donated as soon as this returns.
      step: of the state.
      run: what the run needs to go on, JSON.
      auroc_mean: the validation's at this step; None where there was none or it is undefined.
    """
    self._finish_saving()
    if any(known.step == step for known in self._checkpointer.checkpoints):
      return
    metrics = None if auroc_mean is None else {'auroc_mean': auroc_mean}
    with _folders_at_once():
      self._saving = self._checkpointer.save_checkpointables_async(
        step, {'state': state}, metrics=metrics, custom_metadata=run
      )
    if self._saving is not None:
      remote_work.push_after(self._saving.result)

  def wait(self) -> None:
    """Waits for the last save; raises what keeps it from being written."""
    self._finish_saving()
    self._checkpointer.wait()

  def latest_step(self) -> int | None:
    """Returns the newest step saved in full, or None."""
    return self._checkpointer.latest.step if self._checkpointer.latest else None

  def restore(self, step: int, learner: Learner, mesh: Mesh) -> tuple[TrainState, dict[str, Any]]:
    """Returns the learner's state after so many steps, on all devices, and the run's JSON.

    Waits for a save in progress.
    """
    sharding = devices.replicated(mesh)
    target = jax.tree.map(
      lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding),
      learner.state_after(step),
    )
    self.wait()  # It may be the very step that is still being written.
    state = self._checkpointer.load_checkpointables(step, {'state': target})['state']
    return state, self._checkpointer.checkpointables_metadata(step).custom_metadata

  def _finish_saving(self) -> None:
    saving, self._saving = self._saving, None
    if saving is not None:
      saving.result()  # Only this ends the thread, and closes the files, that orbax waits with.


def _folders_at_once() -> ocp.Context:
  """Has orbax make the folders of a checkpoint before it starts its threads.

  Else those wait ten minutes for a folder that could not be made, and the process with them.
  """
  options = ocp.options.AsyncOptions(create_directories_asynchronously=False)
  return ocp.Context(async_options=options)


@contextlib.contextmanager
def open_checkpoints(layout: Layout, best: int = 1) -> Iterator[Checkpoints]:
  """Yields checkpoints that keep the latest and so many of the best.

  Leaving waits for the last save.
  """
  policies = ocp.training.preservation_policies
  checkpointer = ocp.training.Checkpointer(
    layout.checkpoints.absolute(),
    save_decision_policy=ocp.training.save_decision_policies.FixedIntervalPolicy(1),
    preservation_policy=policies.AnyPreservationPolicy(
      [
        policies.LatestN(1),
        policies.BestN(
          n=best,
          get_metric_fn=lambda metrics: metrics['auroc_mean'],
          keep_checkpoints_without_metrics=False,
        ),
      ]
    ),
    cleanup_tmp_directories=True,
  )
  checkpoints = Checkpoints(checkpointer)
  try:
    yield checkpoints
    checkpoints.wait()
  except jax.errors.JaxRuntimeError:
    raise  # Closing would wait, for ever, for the process that is gone.
  except BaseException:
    with contextlib.suppress(Exception):  # A save that has failed fails again; the first is told.
      checkpoints.wait()
    with contextlib.suppress(Exception):
      checkpointer.close()
    raise
  checkpointer.close()


def best_validation(history: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
  """The validation with the highest mean AUROC, the latest of equals as the checkpoints keep it."""
  return next(iter(best_validations(history, 1)), None)


def best_validations(history: Sequence[dict[str, Any]], count: int) -> list[dict[str, Any]]:
  """The validations with the highest mean AUROC, best first, of equals the latest first.

  Fewer than `count` where fewer had a mean AUROC.
  """
  defined = [entry for entry in reversed(history) if entry['auroc_mean'] is not None]
  return sorted(defined, key=lambda entry: entry['auroc_mean'], reverse=True)[:count]


def several_best_variables(layout: Layout, count: int) -> list[tuple[dict[str, Any], int]]:
  """Returns what evaluation uses of the so many best checkpoints by validation, best first.

  Read without the run's network, of a run finished or not.

  Returns:
    ({'params', 'batch_stats'} of numpy arrays, step) of each; fewer where there are fewer.

  Raises:
    InputError: the run has saved none yet, or one is damaged.
  """
  saved, directory = layout.saved_steps(), layout.checkpoints.absolute()
  if not saved:
    raise InputError(f'{layout.workdir}: this run has no checkpoint yet')
  try:
    run = ocp.checkpointables_metadata(directory / str(saved[-1])).custom_metadata
    steps = [entry['step'] for entry in best_validations(run['history'], count)] or [saved[-1]]
    return [(_variables(directory / str(step)), step) for step in steps]
  except Exception as error:  # Whatever orbax may raise where files are damaged or missing.
    best = 'its best checkpoint' if count == 1 else f'its {count} best checkpoints'
    # What orbax says of damaged files is long, and about itself.
    reason = one_line(error) if isinstance(error, OSError) else f'{type(error).__name__}, damaged?'
    raise InputError(
      f'{directory}: {best} cannot be read ({reason}); restore the folder as its run left it, or, '
      'if the run is still training, try again'
    ) from error


def best_variables(layout: Layout) -> tuple[dict[str, Any], int]:
  """As `several_best_variables`, of the best one alone."""
  return several_best_variables(layout, 1)[0]


def _variables(checkpoint: pathlib.Path) -> dict[str, Any]:
  metadata = ocp.checkpointables_metadata(checkpoint).metadata['state']
  here = jax.sharding.SingleDeviceSharding(jax.local_devices(backend='cpu')[0])
  target = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=here), metadata
  )
  state = ocp.load_checkpointables(checkpoint, {'state': target})['state']
  average = state['average'] or {}
  variables = {
    kind: {**(state[kind] or {}), **(average.get(kind) or {})} for kind in ('params', 'batch_stats')
  }
  return jax.tree.map(np.asarray, variables)

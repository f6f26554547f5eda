"""The training loop: the only place that knows the order of things.

Every turn: evaluate, save, next batch, step. A run killed at any instant and started again goes on
from its last checkpoint and ends in the same bits as one that was never interrupted.
"""

import contextlib
import dataclasses
import functools
import pathlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh
from orbax.checkpoint import v1 as ocp

from medjax import (
  checkpoints,
  devices,
  evaluate,
  logs,
  lookup,
  models,
  optimizers,
  steps,
  study,
)
from medjax import config as configs
from medjax.config import Config
from medjax.data import augment, pipeline
from medjax.errors import InputError, one_line
from medjax.study import Study
from medjax.workdir import locked, open_workdir


def run(config: Config, workdir: pathlib.Path) -> None:
  """Trains, picks the best checkpoint on validation, tests it once and writes the report.

  Started again in the same work directory it goes on where it stopped.

  Raises:
    InputError: anything about the config, the data or the work directory that needs the user.
    SystemExit: 143 after SIGTERM and 130 after Ctrl-C, with everything saved.
  """
  workdir = workdir.absolute()
  parts = _parts(config)
  data, broken = open_workdir(config, workdir, functools.partial(_check_fit, config, parts))
  with locked(workdir):
    _run(config, workdir, parts, data, broken)


def _run(
  config: Config, workdir: pathlib.Path, parts: '_Parts', data: Study, broken: set[str]
) -> None:
  rows, loss, stream = study.training(config, data, broken)
  if (workdir / 'evaluation' / 'test.json').is_file():
    if devices.is_first():
      logs.say(f'this run is complete: {workdir / "report" / "index.html"}')
    return
  mesh = devices.data_mesh()
  state = jax.jit(parts.init_state, out_shardings=devices.replicated(mesh))()
  if devices.is_first():
    logs.say('\n'.join(_first_screen(config, data, broken, state, workdir)))
  predict = functools.partial(_predict, config, data, _eval_step(parts, mesh), mesh)
  batches = functools.partial(
    pipeline.train_batches,
    study.records(config, data, rows['train']),
    stream.batch,
    batch_size=config.batch_size,
    stop=config.steps,
    workers=config.data.workers,
    share=pipeline.Share(jax.process_index(), jax.process_count()),
  )
  validate = functools.partial(_validate, config, data, rows['validation'], predict)
  with checkpoints.open_checkpoints(workdir / 'checkpoints') as checkpointer:
    state, history = _train(
      config,
      workdir,
      state,
      step_function=_train_step(config, parts, loss, mesh),
      batches=batches,
      validate=validate,
      mesh=mesh,
      checkpointer=checkpointer,
      split_hash=data.proof['split_sha256'],
    )
    best = _best(history)
    if best is not None and best['step'] != int(state.step):
      state, _ = checkpoints.restore(checkpointer, best['step'], state)
  evaluate.test_and_report(
    config,
    workdir,
    data,
    broken,
    {part: rows[part] for part in ('validation', 'test')},
    probabilities={part: predict(state.variables, rows[part]) for part in ('validation', 'test')},
    best_step=best['step'] if best else None,
    parameters=_count(state),
  )
  devices.wait_for_all('report')


@dataclasses.dataclass(frozen=True)
class _Parts:
  """What the config's names stand for."""

  model: Any
  optimizer: Any
  augment: Callable
  init_state: Callable[[], steps.TrainState]


def _parts(config: Config) -> _Parts:
  devices.check_batch_size(config.batch_size, config.optimizer.accumulate)
  network = lookup.find(config.model.name, lookup.public(models), 'config.model.name')
  lookup.check_settings(
    network,
    config.model.settings,
    'config.model.settings',
    ours=('num_labels', 'dtype', 'name', 'parent'),
  )
  settings = {'num_labels': len(config.data.labels), **config.model.settings}
  if lookup.takes(network, 'dtype'):
    settings['dtype'] = jnp.dtype(config.precision)
  elif config.precision != 'float32':
    raise InputError(
      f'config.precision={config.precision}: {config.model.name} takes no dtype to compute in'
    )
  try:
    model = network(**settings)
  except Exception as error:  # Whatever anybody's network may raise.
    raise InputError(f"config.model.name='{config.model.name}': {one_line(error)}") from error
  size, channels = config.data.image_size, config.data.channels
  optimizer = optimizers.optimizer(config.optimizer, config.steps)
  init_state = functools.partial(
    steps.init_state,
    model,
    optimizer,
    (size, size, channels),
    config.seed,
    average=config.optimizer.ema > 0,
  )
  policy = lookup.find(config.augment, lookup.public(augment), 'config.augment')
  return _Parts(model, optimizer, policy, init_state)


def _check_fit(config: Config, parts: _Parts, data: Study) -> None:
  """Raises InputError where network, loss and augmentation do not fit together; computes nothing."""
  _, loss, _ = study.training(config, data)
  size, labels = config.data.image_size, len(config.data.labels)
  shapes = {
    'image': ((size, size, config.data.channels), jnp.uint8),
    'label': ((labels,), jnp.float32),
    'mask': ((labels,), jnp.float32),
    'weight': ((), jnp.float32),
  }
  batch = {
    name: jax.ShapeDtypeStruct((config.batch_size, *shape), dtype)
    for name, (shape, dtype) in shapes.items()
  }
  try:
    jax.eval_shape(_step_function(config, parts, loss), jax.eval_shape(parts.init_state), batch)
  except Exception as error:  # Whatever a network, loss or policy of anybody's may raise.
    raise InputError(
      f'config.model, config.loss and config.augment do not fit together: {one_line(error)}'
    ) from error


def _step_function(config: Config, parts: _Parts, loss: Callable) -> Callable:
  return functools.partial(
    steps.train_step,
    model=parts.model,
    loss=loss,
    optimizer=parts.optimizer,
    augment=parts.augment,
    seed=config.seed,
    accumulate=config.optimizer.accumulate,
    ema=config.optimizer.ema,
  )


def _train_step(config: Config, parts: _Parts, loss: Callable, mesh: Mesh) -> Callable:
  step = _step_function(config, parts, loss)
  return jax.jit(step, donate_argnums=0, out_shardings=devices.replicated(mesh))


def _eval_step(parts: _Parts, mesh: Mesh) -> Callable:
  step = functools.partial(steps.eval_step, model=parts.model)
  return jax.jit(step, out_shardings=devices.replicated(mesh))


def _predict(
  config: Config, data: Study, eval_step: Callable, mesh: Mesh, variables: Any, rows: np.ndarray
) -> np.ndarray:
  batches = pipeline.eval_batches(
    study.records(config, data, rows),
    batch_size=config.batch_size,
    workers=config.data.workers,
    share=pipeline.Share(jax.process_index(), jax.process_count()),
  )
  return evaluate.probabilities(eval_step, variables, batches, len(rows), mesh)


def _validate(
  config: Config, data: Study, rows: np.ndarray, predict: Callable, state: steps.TrainState
) -> dict[str, Any]:
  scores = predict(state.variables, rows)
  return evaluate.validation_metrics(config.data.labels, scores, data.truth[rows], data.known[rows])


def _train(
  config: Config,
  workdir: pathlib.Path,
  state: steps.TrainState,
  *,
  step_function: Callable,
  batches: Callable[..., Iterator],
  validate: Callable,
  mesh: Mesh,
  checkpointer: ocp.training.Checkpointer,
  split_hash: str,
) -> tuple[steps.TrainState, list[dict[str, Any]]]:
  """Steps until the last step, an early stop or SIGTERM; returns the state and the validations."""
  step, history, losses = checkpoints.latest_step(checkpointer) or 0, [], []
  if step:
    state, saved = checkpoints.restore(checkpointer, step, state)
    if saved['split_sha256'] != split_hash:
      raise InputError(
        f'{workdir / "split.csv"} is not the split that trained the checkpoint of step {step}; '
        'restore it, or take another --workdir'
      )
    history, losses = saved['history'], saved['unwritten_losses']
    if devices.is_first():
      logs.say(f'going on from the checkpoint of step {step:,}')
  rate = optimizers.schedule(config.optimizer, config.steps)
  with (
    logs.TrainingLog(workdir, config, step, rate, losses, quiet=not devices.is_first()) as log,
    contextlib.closing(batches(start=step)) as input_batches,
    _signals_noted() as signals,
  ):
    while True:
      stopping = _stop_asked(signals, step)
      validated = None
      if _validation_due(config, step, history):
        log.flush()
        validated = validate(state)
        before = _best(history)
        history.append({'step': step, 'auroc_mean': validated['auroc_mean']})
        best = _best(history)
        is_better = best is not None and (
          before is None or best['auroc_mean'] > before['auroc_mean']
        )
        log.validation(step, validated, is_better)
      if validated or stopping or (config.save_every and step and step % config.save_every == 0):
        log.flush()
        run = {
          'next_batch': step,
          'split_sha256': split_hash,
          'config': configs.to_dict(config),
          'history': list(history),  # It grows while the save is still being written.
          'unwritten_losses': log.unwritten_losses,
        }
        checkpoints.save(
          checkpointer, state, step, run, validated['auroc_mean'] if validated else None
        )
      if step == config.steps or _stale(config, history):
        return state, history
      if stopping:
        checkpointer.wait()
        if devices.is_first():
          logs.say(
            f'stopped by {stopping.name}, saved at step {step:,}; the same command goes on from there'
          )
        raise SystemExit(128 + stopping)
      batch = devices.put_batch(next(input_batches), mesh)
      state, metrics = step_function(state, batch)
      step += 1
      log.step(step, metrics)


def _validation_due(config: Config, step: int, history: list[dict[str, Any]]) -> bool:
  done = bool(history) and history[-1]['step'] == step
  return step > 0 and not done and (step % config.evaluate_every == 0 or step == config.steps)


def _best(history: list[dict[str, Any]]) -> dict[str, Any] | None:
  """The validation with the highest mean AUROC, the latest of equals as the checkpoints keep it."""
  defined = [entry for entry in reversed(history) if entry['auroc_mean'] is not None]
  return max(defined, key=lambda entry: entry['auroc_mean'], default=None)


def _stale(config: Config, history: list[dict[str, Any]]) -> bool:
  best = _best(history)
  if not config.patience or best is None:
    return False
  # An equal is no better: patience counts from the first that was as good.
  first = [entry['auroc_mean'] for entry in history].index(best['auroc_mean'])
  return len(history) - 1 - first >= config.patience


@contextlib.contextmanager
def _signals_noted() -> Iterator[list[signal.Signals]]:
  """Yields a list that SIGTERM and Ctrl-C are noted in, instead of ending the process at once."""
  noted: list[signal.Signals] = []
  if jax.process_count() > 1:  # jax's runtime listens itself, to make all processes agree.
    yield noted
    return

  def note(number: int, frame: Any) -> None:
    del frame
    noted.append(signal.Signals(number))
    signal.signal(number, old[number])  # A second one does not wait.

  old = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
  try:
    yield noted
  finally:
    for number, handler in old.items():
      signal.signal(number, handler)


def _stop_asked(noted: list[signal.Signals], step: int) -> signal.Signals | None:
  if jax.process_count() == 1:
    return noted[0] if noted else None
  # All processes must leave at the same step: jax's runtime agrees on it.
  return signal.SIGTERM if multihost_utils.reached_preemption_sync_point(step) else None


def _first_screen(
  config: Config, data: Study, broken: set[str], state: steps.TrainState, workdir: pathlib.Path
) -> list[str]:
  device = jax.devices()[0]
  channels = 'grey' if config.data.channels == 1 else 'RGB'
  return [
    f'data      {config.data.source} in {config.data.root}: {len(data.table):,} images',
    *(f'          {line}' for line in study.describe(data)),
    f'split     test {data.proof["how"]["test"]["from"]}, validation '
    f'{data.proof["how"]["validation"]["from"]}, by patient; SHA-256 {data.proof["split_sha256"][:12]}',
    f'set aside {len(broken):,} images that cannot be read',
    f'model     {config.model.name}, {_count(state):,} parameters, {channels} images of '
    f'{config.data.image_size} px, {config.precision}',
    f'training  {config.steps:,} steps of {config.batch_size} images, {config.optimizer.name}, loss '
    f'{config.loss.name}, augmentation {config.augment}, sampling {config.sampling.name}',
    f'devices   {jax.device_count()} × {device.device_kind} ({device.platform}), '
    f'{jax.process_count()} process{"es" if jax.process_count() > 1 else ""}',
    f'work dir  {workdir}',
    *(
      f'note      {note}' for note in evaluate.notes(data, broken, ('train', 'validation', 'test'))
    ),
  ]


def _count(state: steps.TrainState) -> int:
  return sum(leaf.size for leaf in jax.tree.leaves(state.params))

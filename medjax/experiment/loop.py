"""The training loop: the only place that knows the order of things.

Every turn: evaluate, save, next batch, step. A run killed at any instant and started again goes on
from its last checkpoint and ends in the same bits as one that was never interrupted.
"""

import contextlib
import functools
import pathlib
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from orbax.checkpoint import v1 as ocp

from medjax import config as configs
from medjax.augment import label_check
from medjax.config import Config
from medjax.data import pipeline, study, targets
from medjax.data.leakage import seen_before
from medjax.data.study import Study
from medjax.errors import InputError, one_line
from medjax.final_test import evaluate_once
from medjax.runs import averaging, checkpoints, model_file, weights_of_run
from medjax.runs.model_file import Provenance
from medjax.runs.workdir import has_checkpoint, locked, open_workdir
from medjax.runtime import devices, progress
from medjax.training import fine_tuning, learner, optimizers, preprocessing, steps
from medjax.training import objective as objectives
from medjax.training.learner import Learner


def run(config: Config, workdir: pathlib.Path) -> None:
  """Trains, picks the best checkpoint on validation, tests it once and writes the report.

  Started again in the same work directory it goes on where it stopped.

  Raises:
    InputError: anything about the config, the data or the work directory that needs the user.
    SystemExit: 143 after SIGTERM and 130 after Ctrl-C, with everything saved.
  """
  workdir = workdir.absolute()
  devices.check_batch_size(config.batch_size, config.optimizer.accumulate)
  # A run that has trained something keeps what its weights brought; the weights are not needed again.
  started = model_file.read(workdir) if has_checkpoint(workdir) else None
  weights = None
  if started is None and config.model.pretrained:
    # What is wrong with the data is said before anything is fetched.
    devices.first_does(lambda: study.make(config))
    weights = weights_of_run.find(config.model.pretrained)
  image_format, normalisation = (
    (started.image_format, started.normalisation)
    if started
    else preprocessing.resolve(config, weights)
  )
  learn = learner.build(config, image_format, normalisation)
  fitted = learn.fit(weights) if weights else None
  seen = seen_before.seen_by(weights.run) if weights and weights.run else None

  def check(data: Study) -> None:
    _check_fit(config, learn, data)
    if not config.force_augment:
      label_check.check_policy(
        learn.augment, config.augment, config.data.modality, config.data.channels
      )
    if seen is not None:
      seen_before.check_unseen(data.table, data.split, config.data.root, seen)
    averaging.check_members(config, workdir, data.proof['split_sha256'])

  started = started or model_file.describe(learn, weights, fitted)
  beside = {
    model_file.FILE: model_file.to_json(started),
    seen_before.FILE: None if seen is None else seen.to_csv(index=False),
  }
  data, broken = open_workdir(config, workdir, check, beside)
  with locked(workdir):
    _run(config, workdir, learn, started, fitted.variables if fitted else {}, data, broken)


def _run(
  config: Config,
  workdir: pathlib.Path,
  learn: Learner,
  started: Provenance,
  filled: dict[str, Any],
  data: Study,
  broken: set[str],
) -> None:
  objective = objectives.make(config, data, broken)
  rows, loss, stream = objective.rows, objective.loss, objective.stream
  if (workdir / 'evaluation' / 'test.json').is_file():
    if devices.is_first():
      progress.say(f'this run is complete: {workdir / "report" / "index.html"}')
    return
  mesh = devices.data_mesh()
  if devices.is_first():
    progress.say('\n'.join(_first_screen(config, learn, started, data, broken, workdir)))
  eval_step = jax.jit(learn.eval_step, out_shardings=devices.replicated(mesh))
  predict = functools.partial(_predict, config, learn, data, eval_step, mesh)
  batches = functools.partial(
    pipeline.train_batches,
    study.records(config, learn.image_format, data, rows['train']),
    stream.batch,
    batch_size=config.batch_size,
    stop=config.steps,
    workers=config.data.workers,
    share=pipeline.Share(jax.process_index(), jax.process_count()),
  )
  validate = functools.partial(_validate, config, data, rows['validation'], predict)
  averaged = config.evaluation.checkpoints
  with checkpoints.open_checkpoints(workdir / 'checkpoints', averaged) as checkpointer:
    state, history = _train(
      config,
      workdir,
      learn,
      filled,
      loss=loss,
      batches=batches,
      validate=validate,
      mesh=mesh,
      checkpointer=checkpointer,
      split_hash=data.proof['split_sha256'],
    )
    best = checkpoints.best_validations(history, averaged)
    chosen = [each['step'] for each in best] or [int(state.step)]
    variables = [state.variables]
    if chosen != [int(state.step)]:
      variables = [_restore(checkpointer, step, learn, mesh)[0].variables for step in chosen]
  if averaged > len(chosen) and devices.is_first():
    progress.say(f'of the {averaged} best checkpoints to average there are {len(chosen)}')
  parts = {part: rows[part] for part in ('validation', 'test')}
  if averaging.averages(config.evaluation):
    members = averaging.open_members(config, workdir, data.proof['split_sha256'])
    runs = [averaging.Run(learn, averaging.stacked(variables), tuple(chosen)), *members]
    predicted = _predict_with(config, data, mesh, runs, parts)
    probabilities = {part: averaging.mean(predicted[part]) for part in parts}
    beside = {part: averaging.beside(config, predicted[part]) for part in parts}
  else:
    probabilities = {part: predict(variables[0], parts[part]) for part in parts}
    beside = {part: {} for part in parts}
  report = functools.partial(
    evaluate_once.test_and_report,
    config,
    workdir,
    data,
    broken,
    parts,
    probabilities=probabilities,
    beside={name: {part: beside[part][name] for part in parts} for name in beside['test']},
    best_step=best[0]['step'] if best else None,
    checkpoints=len(chosen),
    started=started,
    learner=learn,
    variables=jax.device_get(variables[0]),
  )
  devices.first_does(report)


def _check_fit(config: Config, learn: Learner, data: Study) -> None:
  """Raises InputError where network, loss and augmentation do not fit together; computes nothing."""
  loss = objectives.make(config, data).loss
  outputs = targets.outputs(config.model.head, len(config.data.labels))
  shapes = {
    'image': (learn.image_format.shape, jnp.uint8),
    'label': ((outputs,), jnp.float32),
    'mask': ((outputs,), jnp.float32),
    'weight': ((), jnp.float32),
  }
  batch = {
    name: jax.ShapeDtypeStruct((config.batch_size, *shape), dtype)
    for name, (shape, dtype) in shapes.items()
  }
  try:
    for step in {0, *config.model.unfreeze_at}:
      state = learn.state_after(step + 1)
      jax.eval_shape(learn.train_step(loss, learn.frozen(step)), state, batch)
  except Exception as error:  # Whatever a network, loss or policy of anybody's may raise.
    raise InputError(
      f'config.model, config.loss and config.augment do not fit together: {one_line(error)}'
    ) from error


def _restore(
  checkpointer: ocp.training.Checkpointer, step: int, learn: Learner, mesh: Mesh
) -> tuple[steps.TrainState, dict[str, Any]]:
  return checkpoints.restore(checkpointer, step, learn.state_after(step), devices.replicated(mesh))


def _predict(
  config: Config,
  learn: Learner,
  data: Study,
  eval_step: Callable,
  mesh: Mesh,
  variables: Any,
  rows: np.ndarray,
) -> np.ndarray:
  batches = pipeline.eval_batches(
    study.records(config, learn.image_format, data, rows),
    batch_size=config.batch_size,
    workers=config.data.workers,
    share=pipeline.Share(jax.process_index(), jax.process_count()),
  )
  return evaluate_once.probabilities(eval_step, variables, batches, len(rows), mesh)


def _predict_with(
  config: Config,
  data: Study,
  mesh: Mesh,
  runs: Sequence[averaging.Run],
  parts: Mapping[str, np.ndarray],
) -> dict[str, list[np.ndarray]]:
  """Returns part → f32[N, K, P, L] of each run; each reads the images with its own preprocessing."""
  replicated, predicted = devices.replicated(mesh), {part: [] for part in parts}
  for run in runs:
    step = jax.jit(averaging.step(run.learner), out_shardings=replicated)
    variables = jax.device_put(run.variables, replicated)
    for part, rows in parts.items():
      predicted[part].append(_predict(config, run.learner, data, step, mesh, variables, rows))
  return predicted


def _validate(
  config: Config, data: Study, rows: np.ndarray, predict: Callable, state: steps.TrainState
) -> dict[str, Any]:
  scores = predict(state.variables, rows)
  return evaluate_once.validation_metrics(
    config.data.labels, scores, data.truth[rows], data.known[rows]
  )


def _train(
  config: Config,
  workdir: pathlib.Path,
  learn: Learner,
  filled: dict[str, Any],
  *,
  loss: Callable,
  batches: Callable[..., Iterator],
  validate: Callable,
  mesh: Mesh,
  checkpointer: ocp.training.Checkpointer,
  split_hash: str,
) -> tuple[steps.TrainState, list[dict[str, Any]]]:
  """Steps until the last step, an early stop or SIGTERM; returns the state and the validations."""
  step, history, losses = checkpoints.latest_step(checkpointer) or 0, [], []
  frozen = learn.frozen(max(step - 1, 0))
  replicated = devices.replicated(mesh)
  if step:
    state, saved = _restore(checkpointer, step, learn, mesh)
    if saved['split_sha256'] != split_hash:
      raise InputError(
        f'{workdir / "split.csv"} is not the split that trained the checkpoint of step {step}; '
        'restore it, or take another --workdir'
      )
    history, losses = saved['history'], saved['unwritten_losses']
    if devices.is_first():
      progress.say(f'going on from the checkpoint of step {step:,}')
  else:
    state = jax.jit(learn.init_state, out_shardings=replicated)(filled)
  step_function = _train_step(learn, loss, frozen, replicated)
  rate = optimizers.schedule(config.optimizer, config.steps)
  with (
    progress.TrainingLog(workdir, config, step, rate, losses, quiet=not devices.is_first()) as log,
    contextlib.closing(batches(start=step)) as input_batches,
    _signals_noted() as signals,
  ):
    while True:
      stopping = _stop_asked(signals, step)
      validated = None
      if _validation_due(config, step, history):
        log.flush()
        validated = validate(state)
        before = checkpoints.best_validation(history)
        history.append({'step': step, 'auroc_mean': validated['auroc_mean']})
        best = checkpoints.best_validation(history)
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
          progress.say(
            f'stopped by {stopping.name}, saved at step {step:,}; the same command goes on from there'
          )
        raise SystemExit(128 + stopping)
      if learn.frozen(step) < frozen:
        frozen = learn.frozen(step)
        thaw = functools.partial(learn.unfreeze, frozen=frozen)
        state = jax.jit(thaw, out_shardings=replicated, donate_argnums=0)(state)
        step_function = _train_step(learn, loss, frozen, replicated)
      batch = devices.put_batch(next(input_batches), mesh)
      state, metrics = step_function(state, batch)
      step += 1
      log.step(step, metrics)


def _train_step(learn: Learner, loss: Callable, frozen: int, replicated: NamedSharding) -> Callable:
  return jax.jit(learn.train_step(loss, frozen), donate_argnums=0, out_shardings=replicated)


def _validation_due(config: Config, step: int, history: list[dict[str, Any]]) -> bool:
  done = bool(history) and history[-1]['step'] == step
  return step > 0 and not done and (step % config.evaluate_every == 0 or step == config.steps)


def _stale(config: Config, history: list[dict[str, Any]]) -> bool:
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
  config: Config,
  learn: Learner,
  started: Provenance,
  data: Study,
  broken: set[str],
  workdir: pathlib.Path,
) -> list[str]:
  device = jax.devices()[0]
  channels = 'grey' if config.data.channels == 1 else 'RGB'
  return [
    f'data      {config.data.source} in {config.data.root}: {len(data.table):,} images',
    *(f'          {line}' for line in study.describe(data)),
    f'split     test {data.proof["how"]["test"]["from"]}, validation '
    f'{data.proof["how"]["validation"]["from"]}, by patient; SHA-256 {data.proof["split_sha256"][:12]}',
    f'set aside {len(broken):,} images that cannot be read',
    f'model     {config.model.name}, {started.parameters:,} parameters, {channels} images of '
    f'{learn.image_format.size} px, {config.precision}',
    f'weights   {model_file.in_words(started)}',
    f'pixels    mean {_rounded(learn.normalisation.mean)}, standard deviation '
    f'{_rounded(learn.normalisation.std)}, resized {learn.image_format.interpolation}, '
    f'{config.data.fit}, intensity {config.data.intensity}',
    f'training  {fine_tuning.in_words(config.model)}, {config.steps:,} steps of {config.batch_size} images, '
    f'{config.optimizer.name}, loss {config.loss.name}, augmentation {config.augment}, sampling '
    f'{config.sampling.mixture or config.sampling.name}',
    f'reported  {averaging.in_words(config, config.evaluation.checkpoints)}',
    f'devices   {jax.device_count()} × {device.device_kind} ({device.platform}), '
    f'{jax.process_count()} process{"es" if jax.process_count() > 1 else ""}',
    f'work dir  {workdir}',
    *(
      f'note      {note}'
      for note in (
        *evaluate_once.notes(data, broken, ('train', 'validation', 'test')),
        *evaluate_once.notes_on_weights(workdir, data, started),
      )
    ),
  ]


def _rounded(values: tuple[float, ...]) -> str:
  return ' '.join(f'{value:.4g}' for value in values)

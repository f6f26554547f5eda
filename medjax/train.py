"""The training loop: the only place that knows the order of things.

Every turn: evaluate, save, next batch, step. A run killed at any instant and started again goes on
from its last checkpoint and ends in the same bits as one that was never interrupted.
"""

import contextlib
import dataclasses
import functools
import json
import math
import os
import pathlib
import signal
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
from jax.experimental import multihost_utils
from jax.sharding import Mesh

from medjax import (
  checkpoints,
  devices,
  evaluate,
  files,
  logs,
  lookup,
  losses,
  models,
  optimizers,
  steps,
  study,
)
from medjax import config as configs
from medjax.config import Config
from medjax.data import augment, images, labels, pipeline, sampling, splits
from medjax.data.table import patients_unknown
from medjax.errors import InputError
from medjax.evaluation import predictions
from medjax.evaluation.predictions import Predictions
from medjax.study import Study

# Settings that say where and how fast, never what: a resumed run may change them.
_FREE_TO_CHANGE = ('config.data.root:', 'config.data.workers:')


def run(config: Config, workdir: pathlib.Path) -> None:
  """Trains, picks the best checkpoint on validation, tests it once and writes the report.

  Started again in the same work directory it goes on where it stopped.

  Raises:
    InputError: anything about the config, the data or the work directory that needs the user.
    SystemExit: 143 after SIGTERM, with everything saved.
  """
  workdir = workdir.absolute()
  experiment = _Experiment.of(config)
  data, broken = _prepare(config, workdir)
  rows = {part: data.rows(part, broken) for part in ('train', 'validation', 'test')}
  for part, count in rows.items():
    if not len(count):
      raise InputError(f'the {part} split has no image left; {len(broken)} images were set aside')
  loss, stream = _loss_and_stream(config, data, rows['train'])
  mesh = devices.data_mesh()
  init = jax.jit(experiment.init_state, out_shardings=devices.replicated(mesh))
  state = init()
  if devices.is_first():
    logs.say('\n'.join(_first_screen(config, data, broken, state, workdir)))
  with checkpoints.open_checkpoints(workdir / 'checkpoints') as checkpointer:
    eval_step = jax.jit(
      functools.partial(steps.eval_step, model=experiment.model),
      out_shardings=devices.replicated(mesh),
    )
    predict = functools.partial(_predict, config, data.table, eval_step, mesh)
    state, history = _train(
      config, workdir, data, rows, experiment, loss, stream, state, mesh, predict, checkpointer
    )
    best = _best(history)
    if best is not None and best['step'] != int(state.step):
      state, _ = checkpoints.restore(checkpointer, best['step'], state)
    if (workdir / 'evaluation' / 'test.json').is_file():
      if devices.is_first():
        logs.say(f'this run is complete: {workdir / "report" / "index.html"}')
      return
    predicted = {
      part: _predictions(config, data, rows[part], predict(state.variables, rows[part]))
      for part in ('validation', 'test')
    }
  if devices.is_first():
    _report(config, workdir, data, broken, predicted, history, state)
  devices.wait_for_all('report')


@dataclasses.dataclass(frozen=True)
class _Experiment:
  """What the config's names stand for."""

  model: Any
  optimizer: Any
  augment: Callable
  init_state: Callable[[], steps.TrainState]

  @classmethod
  def of(cls, config: Config) -> '_Experiment':
    devices.check_batch_size(config.batch_size, config.optimizer.accumulate)
    network = lookup.find(config.model.name, lookup.public(models), 'config.model.name')
    lookup.check_settings(network, config.model.settings, 'config.model.settings')
    model = network(
      num_labels=len(config.data.labels),
      dtype=jnp.dtype(config.precision),
      **config.model.settings,
    )
    size, channels = config.data.image_size, config.data.channels
    optimizer = optimizers.optimizer(config.optimizer, config.steps)
    init_state = functools.partial(
      steps.init_state,
      model,
      optimizer,
      (size, size, channels),
      config.seed,
      config.optimizer.ema > 0,
    )
    policy = lookup.find(config.augment, lookup.public(augment), 'config.augment')
    return cls(model, optimizer, policy, init_state)


def _prepare(config: Config, workdir: pathlib.Path) -> tuple[Study, set[str]]:
  """Returns the study and the images set aside, from the work directory where it holds them."""
  _check_writable(workdir)
  if not (workdir / 'config.json').is_file():
    devices.first_does(functools.partial(_begin, config, workdir))
  _check_same_config(config, workdir)
  data = study.read(config, workdir)
  set_aside = pd.read_csv(workdir / 'set_aside.csv', dtype=str, keep_default_na=False)
  return data, set(set_aside['image'])


def _begin(config: Config, workdir: pathlib.Path) -> None:
  """Makes the split and looks at every image; only when all is well does it write anything."""
  data, csv = study.make(config)
  paths = study.paths(config, data.table['image'])
  used = np.flatnonzero(data.split != 'unused')
  progress = logs.Progress('image checked', 0, len(used))
  reasons = images.find_broken([paths[row] for row in used], progress=progress.update)
  progress.close()
  if reasons and config.data.broken == 'stop':
    others = f' (and {len(reasons) - 1:,} more)' if len(reasons) > 1 else ''
    raise InputError(
      f'{next(iter(reasons.values()))}{others}; mend it, or set config.data.broken=set_aside to go '
      'on without such images'
    )
  broken = [
    {'image': data.table['image'][used[at]], 'split': data.split[used[at]], 'reason': reason}
    for at, reason in reasons.items()
  ]
  workdir.mkdir(parents=True, exist_ok=True)
  table = pd.DataFrame(broken, columns=['image', 'split', 'reason'])
  files.write_whole(workdir / 'set_aside.csv', table.to_csv(index=False))
  splits.write(workdir, csv, data.proof)
  # Last, because its presence says that the others are there.
  text = json.dumps(configs.to_dict(config), indent=2) + '\n'
  files.write_whole(workdir / 'config.json', text)


def _check_writable(workdir: pathlib.Path) -> None:
  existing = next(folder for folder in (workdir, *workdir.parents) if folder.exists())
  if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
    raise InputError(f'--workdir={workdir}: {existing} is not a folder that can be written to')


def _check_same_config(config: Config, workdir: pathlib.Path) -> None:
  old = json.loads((workdir / 'config.json').read_text())
  changed = [
    line
    for line in configs.differences(old, configs.to_dict(config))
    if not line.startswith(_FREE_TO_CHANGE)
  ]
  if changed:
    raise InputError(
      f'{workdir} holds a run with another config: {"; ".join(changed)}. Take another --workdir, or '
      'the old settings to go on with that run'
    )


def _loss_and_stream(
  config: Config, data: Study, train_rows: np.ndarray
) -> tuple[Callable, 'sampling.IndexStream']:
  """The loss with its settings bound, and the order of the training images."""
  loss = lookup.find(config.loss.name, lookup.public(losses), 'config.loss.name')
  lookup.check_settings(loss, config.loss.settings, 'config.loss.settings')
  values, mask = _targets(config, data.table)
  values, mask = values[train_rows], mask[train_rows]
  weights = labels.class_weights(values, mask)
  settings = dict(config.loss.settings)
  for name, weight in zip(('positive_weight', 'negative_weight'), weights):
    if lookup.takes(loss, name):
      settings.setdefault(name, weight)
  stream = sampling.IndexStream(
    config.sampling.name,
    values,
    mask,
    labels=config.data.labels,
    label=config.sampling.label,
    seed=config.seed,
  )
  return functools.partial(loss, **settings), stream


def _targets(config: Config, table: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
  data = config.data
  return labels.resolve(table, data.labels, data.uncertain, data.blank)


def _records(config: Config, table: pd.DataFrame, rows: np.ndarray) -> pipeline.Records:
  values, mask = _targets(config, table)
  return pipeline.Records(
    paths=study.paths(config, table['image'].iloc[rows]),
    values=values[rows],
    mask=mask[rows],
    image_size=config.data.image_size,
    channels=config.data.channels,
  )


def _share() -> pipeline.Share:
  return pipeline.Share(jax.process_index(), jax.process_count())


def _predict(
  config: Config,
  table: pd.DataFrame,
  eval_step: Callable,
  mesh: Mesh,
  variables: Any,
  rows: np.ndarray,
) -> np.ndarray:
  batches = pipeline.eval_batches(
    _records(config, table, rows),
    batch_size=config.batch_size,
    workers=config.data.workers,
    share=_share(),
  )
  return evaluate.probabilities(eval_step, variables, batches, len(rows), mesh)


def _predictions(
  config: Config, data: Study, rows: np.ndarray, probabilities: np.ndarray
) -> Predictions:
  return Predictions(
    images=list(data.table['image'].iloc[rows]),
    patients=list(data.table['patient'].iloc[rows]),
    labels=list(config.data.labels),
    probabilities=probabilities,
    truth=data.truth[rows],
    known=data.known[rows],
  )


def _train(
  config: Config,
  workdir: pathlib.Path,
  data: Study,
  rows: dict[str, np.ndarray],
  experiment: _Experiment,
  loss: Callable,
  stream: 'sampling.IndexStream',
  state: steps.TrainState,
  mesh: Mesh,
  predict: Callable,
  checkpointer: Any,
) -> tuple[steps.TrainState, list[dict[str, Any]]]:
  """Steps until the last step, an early stop or SIGTERM; returns the state and the validations."""
  step, history = 0, []
  split_hash = data.proof['split_sha256']
  if checkpoints.latest_step(checkpointer) is not None:
    step = checkpoints.latest_step(checkpointer)
    state, saved = checkpoints.restore(checkpointer, step, state)
    if saved['split_sha256'] != split_hash:
      raise InputError(
        f'{workdir / "split.csv"} is not the split that trained the checkpoint of step {step}; '
        'restore it, or take another --workdir'
      )
    history = saved['history']
    if devices.is_first():
      logs.say(f'going on from the checkpoint of step {step:,}')
  train_step = jax.jit(
    functools.partial(
      steps.train_step,
      model=experiment.model,
      loss=loss,
      optimizer=experiment.optimizer,
      augment=experiment.augment,
      seed=config.seed,
      accumulate=config.optimizer.accumulate,
      ema=config.optimizer.ema,
    ),
    donate_argnums=0,
    out_shardings=devices.replicated(mesh),
  )
  batches = pipeline.train_batches(
    _records(config, data.table, rows['train']),
    stream.batch,
    batch_size=config.batch_size,
    start=step,
    stop=config.steps,
    workers=config.data.workers,
    share=_share(),
  )
  rate = optimizers.schedule(config.optimizer, config.steps)
  with (
    _Log(workdir, config, step, rate) as log,
    contextlib.closing(batches),
    _sigterm_noted() as sigterm,
  ):
    while True:
      stopping = _stop_asked(sigterm, step)
      validated = None
      ended = step == config.steps or _stale(config, history)
      due = step > 0 and (step % config.evaluate_every == 0 or step == config.steps)
      if due and not (history and history[-1]['step'] == step):
        log.flush()
        scores = predict(state.variables, rows['validation'])
        validated = evaluate.validation_metrics(
          config.data.labels, scores, data.truth[rows['validation']], data.known[rows['validation']]
        )
        history.append({'step': step, 'auroc_mean': validated['auroc_mean']})
        log.validation(step, validated, is_best=_best(history) is history[-1])
        ended = ended or _stale(config, history)
      due = validated or stopping or (config.save_every and step and step % config.save_every == 0)
      if due:
        log.flush()
        run = {
          'next_batch': step,
          'split_sha256': split_hash,
          'config': configs.to_dict(config),
          'history': history,
        }
        auroc_mean = validated['auroc_mean'] if validated else None
        checkpoints.save(checkpointer, state, step, run, auroc_mean)
      if ended:
        return state, history
      if stopping:
        checkpointer.wait()
        if devices.is_first():
          logs.say(
            f'stopped by SIGTERM, saved at step {step:,}; the same command goes on from there'
          )
        raise SystemExit(128 + signal.SIGTERM)
      batch = devices.put_batch(next(batches), mesh)
      state, metrics = train_step(state, batch)
      step += 1
      log.step(step, metrics)


def _best(history: list[dict[str, Any]]) -> dict[str, Any] | None:
  """The validation with the highest mean AUROC, the latest of equals; None if none has one."""
  defined = [entry for entry in reversed(history) if entry['auroc_mean'] is not None]
  return max(defined, key=lambda entry: entry['auroc_mean'], default=None)


def _stale(config: Config, history: list[dict[str, Any]]) -> bool:
  best = _best(history)
  return bool(
    config.patience and best and len(history) - 1 - history.index(best) >= config.patience
  )


@contextlib.contextmanager
def _sigterm_noted() -> Iterator[list[int]]:
  """Yields a list that SIGTERM is noted in, instead of ending the process."""
  noted: list[int] = []
  old = signal.signal(signal.SIGTERM, lambda number, frame: noted.append(number))
  try:
    yield noted
  finally:
    signal.signal(signal.SIGTERM, old)


def _stop_asked(sigterm: list[int], step: int) -> bool:
  if jax.process_count() == 1:
    return bool(sigterm)
  # All processes must leave at the same step: jax's runtime agrees on it.
  return multihost_utils.reached_preemption_sync_point(step)


class _Log:
  """Writes what happens in the loop, reading the metrics of a step only while the next one runs."""

  def __init__(self, workdir: pathlib.Path, config: Config, step: int, rate: Callable):
    self._config, self._rate, self._start = config, rate, step
    self._first = devices.is_first()
    self._writer = logs.MetricWriter(workdir, step) if self._first else None
    self._progress = logs.Progress(
      'step', step, config.steps, config.batch_size, quiet=not self._first
    )
    self._every = max(1, min(100, config.steps // 100))
    self._pending: tuple[int, Any] | None = None
    self._losses: list[float] = []

  def __enter__(self) -> '_Log':
    return self

  def __exit__(self, *_: Any) -> None:
    self._progress.close()
    if self._writer:
      self._writer.close()

  def step(self, step: int, metrics: dict[str, jax.Array]) -> None:
    """Takes the metrics of a step just dispatched and reads those of the step before."""
    self.flush()
    self._pending = step, metrics

  def flush(self) -> None:
    """Reads the pending metrics; stops the run if they are not finite."""
    if self._pending is None:
      return
    (step, metrics), self._pending = self._pending, None
    values = {name: float(value) for name, value in metrics.items()}
    for name, value in values.items():
      if not math.isfinite(value):
        raise InputError(
          f'step {step}: the {name.replace("_", " ")} is {value}; the last good checkpoint is kept. '
          'Try a lower optimizer.learning_rate, a clip_norm, or precision=float32'
        )
    self._losses.append(values['loss'])
    if step % self._every == 0 or step == self._config.steps:
      loss = sum(self._losses) / len(self._losses)
      self._losses = []
      if self._writer:
        row = {'loss': loss, 'gradient_norm': values['gradient_norm']}
        self._writer.write(step, 'train', row | {'learning_rate': float(self._rate(step - 1))})
    self._progress.update(step, f'loss {values["loss"]:.4f}')

  def validation(self, step: int, values: dict[str, Any], is_best: bool) -> None:
    """Writes a validation."""
    if not self._writer:
      return
    self._writer.write(step, 'validation', values)
    mean = values['auroc_mean']
    text = 'undefined: no label has both classes' if mean is None else f'{mean:.4f}'
    logs.say(f'step {step:,}: validation mean AUROC {text}{", the best so far" if is_best else ""}')


def _first_screen(
  config: Config, data: Study, broken: set[str], state: steps.TrainState, workdir: pathlib.Path
) -> list[str]:
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  device = jax.devices()[0]
  channels = 'grey' if config.data.channels == 1 else 'RGB'
  lines = [
    f'data      {config.data.source} in {config.data.root}: {len(data.table):,} images',
    *(f'          {line}' for line in study.describe(data)),
    f'split     test {data.proof["how"]["test"]["from"]}, validation '
    f'{data.proof["how"]["validation"]["from"]}, by patient; SHA-256 {data.proof["split_sha256"][:12]}',
    f'set aside {len(broken):,} images that cannot be read',
    f'model     {config.model.name}, {parameters:,} parameters, {channels} images of '
    f'{config.data.image_size} px, {config.precision}',
    f'training  {config.steps:,} steps of {config.batch_size} images, {config.optimizer.name}, loss '
    f'{config.loss.name}, augmentation {config.augment}, sampling {config.sampling.name}',
    f'devices   {jax.device_count()} × {device.device_kind} ({device.platform}), '
    f'{jax.process_count()} processes',
    f'work dir  {workdir}',
  ]
  return lines + [f'note      {note}' for note in _notes(data, broken)]


def _notes(data: Study, broken: set[str]) -> list[str]:
  """What weakens the study, in plain words."""
  notes = list(data.proof['notes'])
  if patients_unknown(data.table) and not notes:
    notes.append('The source names no patients: every image counts as a patient of its own.')
  for part, names in data.proof['labels_without_positives'].items():
    if names and part != 'unused':
      notes.append(f'No positives in {part}: {", ".join(names)}.')
  if broken:
    notes.append(f'{len(broken):,} images could not be read and were set aside (set_aside.csv).')
  return notes


def _report(
  config: Config,
  workdir: pathlib.Path,
  data: Study,
  broken: set[str],
  predicted: dict[str, Predictions],
  history: list[dict[str, Any]],
  state: steps.TrainState,
) -> None:
  for part, each in predicted.items():
    predictions.write(workdir / 'predictions' / f'{part}.csv', *each)
  result = evaluate.write_evaluation(
    workdir,
    predicted['validation'],
    predicted['test'],
    replicates=config.replicates,
    seed=config.seed,
  )
  best = _best(history)
  parameters = sum(leaf.size for leaf in jax.tree.leaves(state.params))
  path = evaluate.write_report(
    workdir,
    title=f'{config.model.name} on {config.data.source}',
    summary=result,
    history=logs.read_metrics(workdir),
    split_proof=data.proof,
    config=configs.to_dict(config),
    facts={
      'source': config.data.source,
      'model': f'{config.model.name}, {parameters:,} parameters',
      'checkpoint': f'step {best["step"] if best else int(state.step):,}, the best on validation',
      'images set aside': f'{len(broken):,}',
      'notes': _notes(data, broken),
    },
  )
  mean = result['mean']['auroc']
  if mean['value'] is not None:
    low, high = mean['interval'] or (math.nan, math.nan)
    logs.say(f'test mean AUROC {mean["value"]:.4f} (95 % interval {low:.4f} to {high:.4f})')
  logs.say(f'report: {path}')

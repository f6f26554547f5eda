"""What a run reports while it trains: metrics to files, progress to a person."""

import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np

from medjax.config import Config
from medjax.data import study
from medjax.data.study import Study
from medjax.errors import InputError
from medjax.evaluation import test_size_words
from medjax.experiment.tracking.trackers import NONE, Trackers
from medjax.final_test import notes
from medjax.runs import averaging, metrics_file, model_file, readings
from medjax.runs.layout import Layout
from medjax.runs.model_file import Provenance
from medjax.runtime import files
from medjax.runtime.progress import Progress, say
from medjax.training import fine_tuning


class MetricWriter:
  """Appends rows to metrics.jsonl.

  A resumed run continues where its checkpoint stands: rows of later steps are dropped first, so
  that every step is there once.
  """

  def __init__(self, layout: Layout, resume_step: int):
    self._path = layout.metrics
    rows = [row for row in metrics_file.read(layout) if row['step'] <= resume_step]
    files.write_whole(self._path, ''.join(json.dumps(row) + '\n' for row in rows))

  def write(self, step: int, split: str, values: Mapping[str, Any]) -> None:
    """Writes one row; values are numbers, None, or mappings of label to those."""
    with self._path.open('a') as file:
      file.write(json.dumps({'step': step, 'split': split, **values}) + '\n')


class TrainingLog:
  """Reports what happens in the loop, reading a step's metrics only while the next one runs.

  Args:
    layout: where metrics.jsonl is.
    config: of the run.
    step: where a resumed run begins.
    rate: the learning-rate schedule.
    unwritten_losses: of the steps since the last row of metrics.jsonl, where a run is resumed.
    quiet: writes and says nothing, only checks; for all processes but the first.
    trackers: are given the same rows.
  """

  def __init__(
    self,
    layout: Layout,
    config: Config,
    step: int,
    rate: Callable[[int], Any],
    unwritten_losses: list[float],
    *,
    quiet: bool,
    trackers: Trackers = NONE,
  ):
    self._config, self._rate, self._steps = config, rate, config.steps
    self._writer = None if quiet else MetricWriter(layout, step)
    self._trackers = trackers
    self._progress = Progress('step', step, config.steps, config.batch_size, quiet)
    self._every = max(1, min(100, config.steps // 100))
    self._pending: tuple[int, Mapping[str, Any]] | None = None
    self._losses = list(unwritten_losses)
    self._images = config.batch_size
    # When the last row was written and at which step, and how long there was no training since.
    self._since: tuple[float, int] | None = None
    self._idle = 0.0

  def __enter__(self) -> 'TrainingLog':
    return self

  def __exit__(self, *_: Any) -> None:
    self._progress.close()

  def steps(self, step: int, metrics: Mapping[str, Any]) -> None:
    """Takes the metrics of steps just dispatched and reads those of the call before.

    Args:
      step: the last of them.
      metrics: f32[], or f32[K] where a call does K steps.
    """
    self._flush()
    self._pending = step, metrics

  @contextlib.contextmanager
  def between_steps(self) -> Iterator[None]:
    """Waits for the last step; what is done inside, validating or saving, is not timed as training.

    Raises:
      InputError: one of its metrics is not finite.
    """
    self._flush()
    began = time.monotonic()
    try:
      with self._progress.paused():
        yield
    finally:
      self._idle += time.monotonic() - began

  def _flush(self) -> None:
    if self._pending is None:
      return
    (last, metrics), self._pending = self._pending, None
    of_steps = {name: np.atleast_1d(values).tolist() for name, values in metrics.items()}
    count = len(of_steps['loss'])
    for place in range(count):
      values = {name: of_step[place] for name, of_step in of_steps.items()}
      self._one(last - count + 1 + place, values, is_last=place == count - 1)

  def _one(self, step: int, values: Mapping[str, float], is_last: bool) -> None:
    for name, value in values.items():
      if not math.isfinite(value):
        raise InputError(_not_finite(self._config, step, name.replace('_', ' '), value))
    self._losses.append(values['loss'])
    if is_last:
      self._progress.update(step, f'loss {values["loss"]:.4f}')
    if step % self._every == 0 or step == self._steps:
      row = {
        'loss': sum(self._losses) / len(self._losses),
        'gradient_norm': values['gradient_norm'],
        'learning_rate': float(self._rate(step - 1)),
        **(self._speed(step) if is_last else {}),  # The clock has stood at the ends of calls alone.
      }
      self._losses = []
      if self._writer:
        self._writer.write(step, 'train', row)
        self._trackers.metrics(step, 'train', row)

  def _speed(self, step: int) -> dict[str, float]:
    """Returns the images a second since the last row; nothing of the first, which compiled."""
    now, since, idle = time.monotonic(), self._since, self._idle
    self._since, self._idle = (now, step), 0.0
    if since is None or now - since[0] <= idle:
      return {}
    return {'images_per_second': (step - since[1]) * self._images / (now - since[0] - idle)}

  @property
  def unwritten_losses(self) -> list[float]:
    """The losses of the steps since the last row of metrics.jsonl, for the checkpoint."""
    return list(self._losses)

  def validation(self, step: int, values: Mapping[str, Any], is_better: bool) -> None:
    """Writes and says a validation."""
    if self._writer:
      self._writer.write(step, 'validation', values)
      self._trackers.metrics(step, 'validation', values)
      mean = values['auroc_mean']
      text = 'undefined: no label has both classes' if mean is None else f'{mean:.4f}'
      best = ', the best so far' if is_better else ''
      say(f'step {step:,}: validation mean AUROC {text}{best}')


def _not_finite(config: Config, step: int, what: str, value: float) -> str:
  """Returns what may have made a metric so; at the first step no learning rate has acted yet."""
  loss = config.loss.name
  parts = {'loss.name': loss, 'model.name': config.model.name, 'augment': config.augment}
  yours = [f'config.{field}={given}' for field, given in parts.items() if ':' in given]
  if ':' in config.optimizer.name and step > 1:
    yours.append(f'config.optimizer.name={config.optimizer.name}')
  remedies = []
  if yours:
    remedies.append(f'look for divisions, logarithms and roots of 0 in {", ".join(yours)}')
  if step > 1:
    remedies.append('try a lower config.optimizer.learning_rate or a config.optimizer.clip_norm')
  if config.precision != 'float32':
    remedies.append('try config.precision=float32')
  if config.model.pretrained and step == 1:
    remedies.append(f'look at the weights of {config.model.pretrained}')
  return (
    f'step {step}: the {what} of {loss} is {value}'
    + (', before anything was learned' if step == 1 else '; checkpoints of earlier steps are kept')
    + (f'. To do: {"; ".join(remedies)}' if remedies else '')
  )


def opening_lines(
  config: Config, layout: Layout, started: Provenance, data: Study, broken: set[str]
) -> list[str]:
  """Returns what a run is about to do, for a person to check before it takes hours."""
  device, before, reading = jax.devices()[0], readings.read(layout), readings.make(config, None)
  channels = 'grey' if config.data.channels == 1 else 'RGB'
  can_show = test_size_words.of_split(data.proof)
  return [
    f'data      {config.data.source} in {config.data.root}: {len(data.table):,} images',
    *(f'          {line}' for line in (*study.describe(data), *can_show)),
    f'split     test {_origin(data.proof["how"]["test"])}, validation '
    f'{data.proof["how"]["validation"]["from"]}, by patient; SHA-256 '
    f'{data.proof["split_sha256"][:12]}',
    f'set aside {len(broken):,} images that cannot be read',
    f'model     {config.model.name}, {started.parameters:,} parameters, {channels} images of '
    f'{started.image_format.size} px, {config.precision}',
    f'weights   {model_file.in_words(started)}',
    f'pixels    mean {_rounded(started.mean)}, standard deviation '
    f'{_rounded(started.std)}, resized {started.image_format.interpolation}, '
    f'{config.data.fit}, intensity {config.data.intensity}',
    f'training  {fine_tuning.in_words(config.model)}, {config.steps:,} steps of '
    f'{config.batch_size} images ({_epochs(config, len(data.rows("train", broken)))}), '
    f'{config.optimizer.name} at {config.optimizer.learning_rate:g}, loss {config.loss.name}, '
    f'augmentation {config.augment}, sampling {config.sampling.mixture or config.sampling.name}',
    f'reported  {averaging.in_words(config, config.evaluation.checkpoints)}',
    f'devices   {jax.device_count()} × {device.device_kind} ({device.platform}), '
    f'{jax.process_count()} process{"es" if jax.process_count() > 1 else ""}'
    f'{_same_bits(config, device.platform)}',
    f'work dir  {layout.workdir}',
    *(
      f'note      {note}'
      for note in (
        *(notes.notes_on_readings(layout, before, reading) if layout.saved_steps() else ()),
        *notes.notes(data, broken, ('train', 'validation', 'test')),
        *notes.notes_on_weights(config, layout, data, started),
        *notes.notes_on_members(config),
      )
    ),
  ]


def _same_bits(config: Config, platform: str) -> str:
  if not config.deterministic:
    return ''
  return (
    '; the same bits every time (config.deterministic), for which steps on a GPU take longer'
    if platform == 'gpu'
    else '; config.deterministic changes nothing but on a GPU'
  )


def _origin(how: Mapping[str, Any]) -> str:
  """Returns where a test set comes from, as 'drawn' or 'fold 0 of 5'."""
  return f'fold {how["fold"]} of {how["folds"]}' if how['from'] == 'folds' else str(how['from'])


def _epochs(config: Config, images: int) -> str:
  """Returns how often the training images are shown; re-sampling shows some more often."""
  resampled = config.sampling.mixture or config.sampling.name != 'none'
  of_each = 'as many as ' if resampled else ''
  return f'{of_each}{config.steps * config.batch_size / images:,.1f} epochs of {images:,}'


def _rounded(values: tuple[float, ...]) -> str:
  return ' '.join(f'{value:.4g}' for value in values)

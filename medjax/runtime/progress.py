"""What a run says while it works: metrics to JSON lines and TensorBoard, progress to the terminal."""

import json
import math
import pathlib
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any

import tqdm

from medjax.config import Config
from medjax.errors import InputError
from medjax.runtime import files


def say(text: str = '') -> None:
  """Prints a line for the person at the terminal, or in the log."""
  tqdm.tqdm.write(text)
  sys.stdout.flush()


class MetricWriter:
  """Appends rows to `metrics.jsonl` and draws their numbers in TensorBoard.

  A resumed run continues where its checkpoint stands: rows of later steps are dropped first, so
  that every step is there once.
  """

  def __init__(self, workdir: pathlib.Path, resume_step: int):
    import tensorboardX  # It takes seconds where torch is installed, and mistakes need none of it.

    self._path = workdir / 'metrics.jsonl'
    rows = [row for row in read_metrics(workdir) if row['step'] <= resume_step]
    files.write_whole(self._path, ''.join(json.dumps(row) + '\n' for row in rows))
    self._tensorboard = tensorboardX.SummaryWriter(
      str(workdir / 'tensorboard'), purge_step=resume_step + 1, flush_secs=30
    )

  def write(self, step: int, split: str, values: Mapping[str, Any]) -> None:
    """Writes one row; values are numbers, None, or mappings of label to those."""
    with self._path.open('a') as file:
      file.write(json.dumps({'step': step, 'split': split, **values}) + '\n')
    for name, value in _flat(values):
      self._tensorboard.add_scalar(f'{split}/{name}', value, step)

  def close(self) -> None:
    """Flushes what TensorBoard still holds."""
    self._tensorboard.close()


def _flat(values: Mapping[str, Any]) -> list[tuple[str, float]]:
  pairs = []
  for name, value in values.items():
    if isinstance(value, Mapping):
      pairs += [(f'{name}/{inner}', number) for inner, number in _flat(value)]
    elif value is not None:
      pairs.append((name, value))
  return pairs


def read_metrics(workdir: pathlib.Path) -> list[dict[str, Any]]:
  """Returns the rows of metrics.jsonl; a last line cut off by a kill is left out."""
  path = workdir / 'metrics.jsonl'
  rows = []
  for line in path.read_text().splitlines() if path.is_file() else ():
    try:
      rows.append(json.loads(line))
    except json.JSONDecodeError:
      break
  return rows


class Progress:
  """A bar with rate and time left on a terminal; in a log, a plain line twenty times a run.

  Args:
    what: the unit of `total`, such as 'step'.
    start: where a resumed run begins.
    total: where it ends.
    images: images per unit, for the rate.
    quiet: says nothing; for all processes but the first.
  """

  def __init__(self, what: str, start: int, total: int, images: int = 1, quiet: bool = False):
    self._what, self._start, self._total, self._images = what, start, total, images
    self._quiet, self._began, self._first = quiet, 0.0, 0
    self._every = max(1, total // 20)
    self._bar = None
    if sys.stderr.isatty() and not quiet:
      self._bar = tqdm.tqdm(initial=start, total=total, unit=what, dynamic_ncols=True)

  def update(self, done: int, note: str = '') -> None:
    """Shows that `done` of the total are done."""
    if not self._began:  # The clock starts here: what came before was compiling.
      self._began, self._first = time.monotonic(), done
    rate = (done - self._first) / max(time.monotonic() - self._began, 1e-9)
    if rate:
      note = f'{note}  {rate * self._images:,.0f} images/s'.strip()
    if self._bar is not None:
      self._bar.set_postfix_str(note, refresh=False)
      self._bar.update(done - self._bar.n)
    elif (
      not self._quiet and (done % self._every == 0 or done == self._total) and done > self._start
    ):
      left = f'  {_clock((self._total - done) / rate)} left' if rate else ''
      say(f'{self._what} {done:,}/{self._total:,}  {note}{left}')

  def close(self) -> None:
    """Leaves the terminal to what comes next."""
    if self._bar is not None:
      self._bar.close()


def _clock(seconds: float) -> str:
  minutes, seconds = divmod(math.ceil(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02}:{seconds:02}'


class TrainingLog:
  """Says and writes what happens in the loop, reading a step's metrics only while the next one runs.

  Args:
    workdir: where metrics.jsonl and tensorboard/ are.
    config: of the run.
    step: where a resumed run begins.
    rate: the learning-rate schedule.
    unwritten_losses: of the steps since the last row of metrics.jsonl, where a run is resumed.
    quiet: writes and says nothing, only checks; for all processes but the first.
  """

  def __init__(
    self,
    workdir: pathlib.Path,
    config: Config,
    step: int,
    rate: Callable[[int], Any],
    unwritten_losses: list[float],
    *,
    quiet: bool,
  ):
    self._rate, self._steps = rate, config.steps
    self._writer = None if quiet else MetricWriter(workdir, step)
    self._progress = Progress('step', step, config.steps, config.batch_size, quiet)
    self._every = max(1, min(100, config.steps // 100))
    self._pending: tuple[int, Mapping[str, Any]] | None = None
    self._losses = list(unwritten_losses)

  def __enter__(self) -> 'TrainingLog':
    return self

  def __exit__(self, *_: Any) -> None:
    self._progress.close()
    if self._writer:
      self._writer.close()

  def step(self, step: int, metrics: Mapping[str, Any]) -> None:
    """Takes the metrics of a step just dispatched and reads those of the step before."""
    self.flush()
    self._pending = step, metrics

  def flush(self) -> None:
    """Reads the pending metrics.

    Raises:
      InputError: one of them is not finite.
    """
    if self._pending is None:
      return
    (step, metrics), self._pending = self._pending, None
    values = {name: float(value) for name, value in metrics.items()}
    for name, value in values.items():
      if not math.isfinite(value):
        raise InputError(
          f'step {step}: the {name.replace("_", " ")} is {value}; checkpoints of earlier steps are kept. '
          'Try a lower optimizer.learning_rate, a clip_norm, or precision=float32'
        )
    self._losses.append(values['loss'])
    self._progress.update(step, f'loss {values["loss"]:.4f}')
    if step % self._every == 0 or step == self._steps:
      row = {
        'loss': sum(self._losses) / len(self._losses),
        'gradient_norm': values['gradient_norm'],
        'learning_rate': float(self._rate(step - 1)),
      }
      self._losses = []
      if self._writer:
        self._writer.write(step, 'train', row)

  @property
  def unwritten_losses(self) -> list[float]:
    """The losses of the steps since the last row of metrics.jsonl, for the checkpoint."""
    return list(self._losses)

  def validation(self, step: int, values: Mapping[str, Any], is_better: bool) -> None:
    """Writes and says a validation."""
    if self._writer:
      self._writer.write(step, 'validation', values)
      mean = values['auroc_mean']
      text = 'undefined: no label has both classes' if mean is None else f'{mean:.4f}'
      say(f'step {step:,}: validation mean AUROC {text}{", the best so far" if is_better else ""}')

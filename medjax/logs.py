"""What a run says while it works: metrics to JSON lines and TensorBoard, progress to the terminal."""

import json
import math
import pathlib
import sys
import time
from collections.abc import Mapping
from typing import Any

import tensorboardX
import tqdm


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
    self._path = workdir / 'metrics.jsonl'
    rows = [row for row in read_metrics(workdir) if row['step'] <= resume_step]
    self._path.write_text(''.join(json.dumps(row) + '\n' for row in rows))
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
    self._quiet, self._began = quiet, time.monotonic()
    self._every = max(1, total // 20)
    self._bar = None
    if sys.stderr.isatty() and not quiet:
      self._bar = tqdm.tqdm(initial=start, total=total, unit=what, dynamic_ncols=True)

  def update(self, done: int, note: str = '') -> None:
    """Shows that `done` of the total are done."""
    seconds = max(time.monotonic() - self._began, 1e-9)
    rate = (done - self._start) / seconds
    note = f'{note}  {rate * self._images:,.0f} images/s'.strip()
    if self._bar is not None:
      self._bar.set_postfix_str(note, refresh=False)
      self._bar.update(done - self._bar.n)
    elif (
      not self._quiet and (done % self._every == 0 or done == self._total) and done > self._start
    ):
      left = _clock((self._total - done) / rate)
      say(f'{self._what} {done:,}/{self._total:,}  {note}  {left} left')

  def close(self) -> None:
    """Leaves the terminal to what comes next."""
    if self._bar is not None:
      self._bar.close()


def _clock(seconds: float) -> str:
  minutes, seconds = divmod(math.ceil(seconds), 60)
  hours, minutes = divmod(minutes, 60)
  return f'{hours}:{minutes:02}:{seconds:02}'

"""Long work: many steps with validations and saves, many images predicted, many audited.

Memory, open files, threads and disk of the process must be flat once it is at work: from a third of
its time on, no more at the end than before.
"""

import contextlib
import csv
import dataclasses
import json
import os
import pathlib
import shutil
import time
from collections.abc import Callable

import common
import numpy as np
import watched

_GROWTH = 60e6  # bytes of memory that noise may make of it
_OF_ROWS = ('metrics.jsonl', 'tensorboard')  # What grows by a row is no leak.


@dataclasses.dataclass(frozen=True)
class Sample:
  """Attributes:
  seconds: since the start.
  memory: bytes, resident, of all its processes.
  files: open.
  threads: of its first process.
  disk: bytes of its folder, but for what grows by rows.
  """

  seconds: float
  memory: int
  files: int
  threads: int
  disk: int


def main(quick: bool, folder: pathlib.Path) -> common.Figures:
  """Works long; see the module."""
  lines, lost = [], []
  works = [
    _train(folder, steps=600 if quick else 60_000, validations=60 if quick else 300),
    _predict(folder, images=2_000 if quick else 300_000),
    _audit(folder, images=1_000 if quick else 100_000),
  ]
  for line, problems in works:
    lines.append(line)
    lost += problems
  return common.Figures(len(works), tuple(lost), '; '.join(lines))


def _train(folder: pathlib.Path, steps: int, validations: int) -> tuple[str, list[str]]:
  every = steps // validations
  out = folder / 'run'
  shutil.rmtree(out, ignore_errors=True)
  line = common.training(
    out, common.phantom(folder), f'--config.steps={steps}', f'--config.evaluate_every={every}',
    '--config.batch_size=4', '--config.data.image_size=16', '--config.data.placement=device',
    f'--config.steps_per_call={min(every, 50)}', '--config.evaluation.saliency=none',
  )  # fmt: skip

  def is_training() -> bool:  # Before its second validation, programs are compiled.
    return 2 * every <= _last_step(out / 'metrics.jsonl') < steps

  samples, problems = _watched(line, folder, out, is_at_work=is_training)
  name = f'{steps:,} steps with {validations} validations and saves'
  # A save opens a dozen files and as many threads for a moment; a leak is one for each save.
  return _judged(name, samples, problems, files=16, threads=12)


def _last_step(metrics: pathlib.Path) -> int:
  """Returns the step of the last row that is whole; 0 where there is none."""
  with contextlib.suppress(OSError, IndexError, ValueError), metrics.open('rb') as file:
    file.seek(max(metrics.stat().st_size - 10_000, 0))
    return json.loads(file.read().rpartition(b'\n')[0].splitlines()[-1])['step']
  return 0


def _predict(folder: pathlib.Path, images: int) -> tuple[str, list[str]]:
  out, table = folder / 'predicted', folder / 'images.csv'
  shutil.rmtree(out, ignore_errors=True)
  out.mkdir(parents=True)
  films = sorted(common.phantom(folder, seed=1).rglob('*.jpg'))
  links = folder / 'links'
  rows = [['image']]
  for number in range(images):
    path = links / f'{number // 1000}/{number}.jpg'
    if number % 1000 == 0:
      path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
      os.link(films[number % len(films)], path)
    rows.append([str(path)])
  with table.open('w', newline='') as file:
    csv.writer(file).writerows(rows)
  run = common.finished_run(folder)
  line = common.command(
    'predict', f'--workdir={run}', f'--images={table}', f'--output={out / "out.csv"}'
  )
  samples, problems = _watched(
    line, folder, out, is_at_work=lambda: (out / 'out.csv').exists(), grows=True
  )
  if not problems:
    with (out / 'out.csv').open() as file:
      rows = sum(1 for _ in file) - 1
    if rows != images:
      problems.append(f'{rows:,} rows of {images:,} images')
  return _judged(f'{images:,} images predicted', samples, problems)


def _audit(folder: pathlib.Path, images: int) -> tuple[str, list[str]]:
  """Audits random pictures, one in a hundred of which another patient has too."""
  from PIL import Image

  root, rng = folder / 'audited', np.random.default_rng(0)
  copies = images // 100
  if not root.exists():
    root.mkdir(parents=True)
    rows = [['image', 'patient', 'split', 'Edema']]
    for number in range(images):
      name = f'{number // 1000}/{number}.png'
      (root / name).parent.mkdir(exist_ok=True)
      is_copy = number >= images - copies
      split = 'test' if is_copy else 'train' if number % 10 else 'validation'
      rows.append([name, f'p{number}', split, number % 2])
      if is_copy:
        shutil.copy(root / f'{(number - images + copies) // 1000}/{number - images + copies}.png',
                    root / name)  # fmt: skip
      else:
        smooth = Image.fromarray(rng.integers(0, 256, (4, 4), np.uint8)).resize((24, 24))
        smooth.save(root / name, compress_level=1)
    with (root / 'table.csv').open('w', newline='') as file:
      csv.writer(file).writerows(rows)
    (root / 'config.py').write_text(_CONFIG.format(root=str(root)))
  out = folder / 'audit'
  shutil.rmtree(out, ignore_errors=True)
  line = common.command('audit', f'--config={root / "config.py"}', f'--output={out}')
  samples, problems = _watched(line, folder, out, is_at_work=lambda: True, statuses=(0, 2))
  peak = max((sample.memory for sample in samples), default=0)
  if not problems:
    shared = json.loads((out / 'audit.json').read_text())['copies']['kinds']['file']
    if shared != copies:
      problems.append(f'the audit finds {shared:,} of {copies:,} copies')
  name = f'{images:,} images audited, {copies:,} of them copies, all found'
  return f'{name}, memory at most {peak / 1e6:,.0f} MB', [f'{name}: {what}' for what in problems]


_CONFIG = """
from medjax.config import Config, Data, Model, Split

def get_config(arg=''):
  data = Data(
    'csv', {root!r}, ('Edema',), image_size=24,
    settings={{'table_file': 'table.csv'}},
  )
  return Config(data=data, model=Model('resnet_tiny'), split=Split('official', file='table.csv'))
"""


def _watched(
  line: list[str],
  folder: pathlib.Path,
  out: pathlib.Path,
  *,
  is_at_work: Callable[[], bool],
  grows: bool = False,
  statuses: tuple[int, ...] = (0,),
) -> tuple[list[Sample], list[str]]:
  """Runs a command; returns what was seen of it while it was at work, and what went wrong."""
  begun, samples, problems = time.monotonic(), [], []
  with watched.Started(line, folder) as started:
    while (status := started.wait(0.25)) is None:
      if is_at_work() and (sample := _sample(started, begun, out, grows)):
        samples.append(sample)
    if status not in statuses:
      problems.append(f'status {status}: {started.printed[-1500:]}')
    if left := started.left_behind():
      problems.append(f'left behind: {left}')
  return samples, problems


def _sample(
  started: watched.Started, begun: float, out: pathlib.Path, grows: bool
) -> Sample | None:
  """Returns what a command holds now; None where it has just ended."""
  import psutil

  try:
    first = psutil.Process(started.process.pid)
    memory = sum(psutil.Process(pid).memory_info().rss for pid in watched.alive(started.mark))
    return Sample(
      time.monotonic() - begun, memory, first.num_fds(), first.num_threads(),
      0 if grows else _bytes(out),
    )  # fmt: skip
  except psutil.Error:
    return None


def _bytes(out: pathlib.Path) -> int:
  """Returns the bytes of a folder; what is removed meanwhile does not count."""
  total = 0
  for here, folders, names in os.walk(out):
    folders[:] = set(folders) - set(_OF_ROWS)
    for name in set(names) - set(_OF_ROWS):
      with contextlib.suppress(OSError):
        total += os.stat(os.path.join(here, name)).st_size
  return total


def _judged(
  name: str, samples: list[Sample], problems: list[str], files: int = 8, threads: int = 4
) -> tuple[str, list[str]]:
  """Returns a line about samples, and what of them has grown, between the thirds of the time."""
  count = len(samples) // 3
  if problems or not count:
    return name, [f'{name}: {what}' for what in problems or ['it ended before it was seen']]
  thirds = samples[count : 2 * count], samples[2 * count :]
  said = []
  limits = {'memory': _GROWTH, 'files': files, 'threads': threads, 'disk': 2e6}
  for field, limit in limits.items():
    middle, last = (np.median([getattr(sample, field) for sample in third]) for third in thirds)
    if last - middle > limit:
      problems.append(f'{name}: {field} grew from {middle:,.0f} to {last:,.0f}')
    unit = 1e6 if field in ('memory', 'disk') else 1
    said.append(f'{field} {middle / unit:,.0f} → {last / unit:,.0f}{" MB" * (unit > 1)}')
  return f'{name} in {samples[-1].seconds:,.0f} s ({", ".join(said)})', problems

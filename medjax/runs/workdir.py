"""The work directory: everything a run leaves, and what a run started again finds there."""

import contextlib
import fcntl
import functools
import json
import os
import pathlib
from collections.abc import Callable, Iterator, Mapping
from typing import IO

import numpy as np
import pandas as pd

from medjax import config as configs
from medjax.config import Config
from medjax.data import study
from medjax.data.images import decoding
from medjax.data.split import split_files
from medjax.data.study import Study
from medjax.errors import InputError
from medjax.runtime import devices, files, progress
from medjax.training import objective

# Settings that choose nothing, which the report of a finished run can be made again with.
_TOLD_AGAIN = (
  'config.evaluation.subgroups:',
  'config.evaluation.prevalence',
  'config.replicates:',
)
# Settings that say where and how fast, never what: a run started again may change them.
_FREE_TO_CHANGE = ('config.data.root:', 'config.data.workers:')


def open_workdir(
  config: Config,
  workdir: pathlib.Path,
  check: Callable[[Study], None],
  beside: Mapping[str, str | None],
) -> tuple[Study, set[str]]:
  """Returns the study and the images set aside; a new work directory is filled with them first.

  Called by all processes; the first one looks and writes, all of them read. `check` is called with the
  study before anything is written, to raise what else is wrong. `beside` are further files of a new
  work directory, name → text, None for one that must not be there.

  Raises:
    InputError: the folder cannot be written, holds a run of another config or split, or anything
      about the data is wrong; a new folder is not made then.
  """
  _check_writable(workdir)
  devices.first_does(functools.partial(_fill, config, workdir, check, beside))
  if not devices.all_agree((workdir / 'config.json').is_file()):
    raise InputError(f'--workdir={workdir}: must be a folder that all processes share')
  _check_same_config(config, workdir)
  set_aside = pd.read_csv(workdir / 'set_aside.csv', dtype=str, keep_default_na=False)
  return study.read(config, workdir), set(set_aside['image'])


@contextlib.contextmanager
def locked(workdir: pathlib.Path) -> Iterator[None]:
  """Keeps a second run out of the work directory; the lock ends with the process, however it ends."""
  with contextlib.ExitStack() as stack:
    devices.first_does(lambda: stack.enter_context(_lock(workdir)))
    yield


def _lock(workdir: pathlib.Path) -> IO[str]:
  file = (workdir / '.lock').open('w')
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except BlockingIOError:
    raise InputError(f'{workdir}: another run is at work there; wait for it, or stop it') from None
  return file


def has_checkpoint(workdir: pathlib.Path) -> bool:
  """Whether a run has saved anything there to go on from."""
  return any(each.name.isdigit() for each in (workdir / 'checkpoints').glob('*'))


def _check_writable(workdir: pathlib.Path) -> None:
  existing = next(folder for folder in (workdir, *workdir.parents) if os.path.lexists(folder))
  if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
    raise InputError(f'--workdir={workdir}: {existing} is not a folder that can be written to')


def _check_same_config(config: Config, workdir: pathlib.Path) -> None:
  changed = _changes(config, workdir)
  if changed:
    told_again = all(line.startswith(_TOLD_AGAIN) for line in changed)
    raise InputError(
      f'{workdir} holds a run with another config: {"; ".join(changed)}. Take another --workdir, or '
      'the old settings to go on with that run'
      + (f', or python -m medjax.evaluate --workdir={workdir} once it is finished' * told_again)
    )


def _changes(config: Config, workdir: pathlib.Path) -> list[str]:
  try:
    old = json.loads((workdir / 'config.json').read_text())
  except ValueError as error:
    raise InputError(
      f'{workdir / "config.json"}: not the JSON that the run wrote ({error}); take another --workdir'
    ) from None
  return [
    line
    for line in configs.differences(old, configs.to_dict(config))
    if not line.startswith(_FREE_TO_CHANGE)
  ]


def _changed(beside: Mapping[str, str | None], workdir: pathlib.Path) -> bool:
  """Whether the weights, or whom they have seen, are no longer what the folder says."""
  paths = {workdir / name: text for name, text in beside.items()}
  return any((path.read_text() if path.is_file() else None) != text for path, text in paths.items())


def _fill(
  config: Config,
  workdir: pathlib.Path,
  check: Callable[[Study], None],
  beside: Mapping[str, str | None],
) -> None:
  if (workdir / 'config.json').is_file() and (
    has_checkpoint(workdir) or not (_changes(config, workdir) or _changed(beside, workdir))
  ):
    return
  if workdir.is_dir():
    _lock(workdir).close()  # Until something is trained settings may change, but not under a run.
  data, csv = study.make(config)
  check(data)
  broken = _find_broken(config, data)
  if len(broken):
    _check_enough_left(config, data, broken)
  try:
    workdir.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(f'--workdir={workdir}: cannot be made ({error.strerror})') from None
  # Killed half-way, a folder must not pair the old settings with the new split.
  (workdir / 'config.json').unlink(missing_ok=True)
  files.write_whole(workdir / 'set_aside.csv', broken.to_csv(index=False))
  split_files.write(workdir, csv, data.proof)
  for name, text in beside.items():
    if text is None:
      (workdir / name).unlink(missing_ok=True)
    else:
      files.write_whole(workdir / name, text)
  # Last, because its presence says that the others are there.
  files.write_whole(workdir / 'config.json', json.dumps(configs.to_dict(config), indent=2) + '\n')


def _find_broken(config: Config, data: Study) -> pd.DataFrame:
  """Decodes every image that has a split; returns image, split and reason of the broken ones."""
  rows = np.flatnonzero(data.split != 'unused')
  paths = study.paths(config, data.table['image'].iloc[rows])
  bar = progress.Progress('image checked', 0, len(rows))
  reasons = decoding.find_broken(
    paths, config.data.image_size, config.data.intensity, progress=bar.update
  )
  bar.close()
  if reasons and config.data.broken == 'stop':
    others = f' (and {len(reasons) - 1:,} more)' if len(reasons) > 1 else ''
    first, reason = next(iter(reasons.items()))
    # A table kept to some views no longer tells rows by their numbers.
    where = f'{data.table["named_in"][rows[first]]}: ' if 'named_in' in data.table else ''
    raise InputError(
      f'{where}{reason}{others}; mend it, or set config.data.broken=set_aside to go on without such '
      'images'
    )
  at = rows[list(reasons)]
  return pd.DataFrame(
    {'image': data.table['image'].iloc[at], 'split': data.split[at], 'reason': reasons.values()}
  )


def _check_enough_left(config: Config, data: Study, broken: pd.DataFrame) -> None:
  try:
    objective.make(config, data, set(broken['image']))
  except InputError as error:
    raise InputError(f'{error}; the first is {broken["reason"].iloc[0]}') from None

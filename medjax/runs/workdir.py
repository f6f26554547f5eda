"""The work directory while a run starts: what is there, what is written, who may work there."""

import contextlib
import dataclasses
import functools
import json
import os
from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from medjax import config as configs
from medjax.config import Config
from medjax.data import study
from medjax.data.images import decoding
from medjax.data.split import split_files
from medjax.data.study import Study
from medjax.errors import InputError
from medjax.runs.layout import Layout
from medjax.runtime import devices, files, progress

# Settings that choose nothing: the report of a finished run can be made again with others.
_OF_THE_REPORT = (
  'config.evaluation.subgroups:',
  'config.evaluation.prevalence',
  'config.replicates:',
)
# Settings that say where and how fast, never what: a run started again may change them.
_FREE_TO_CHANGE = ('config.data.root:', 'config.data.workers:')


@dataclasses.dataclass(frozen=True)
class Draft:
  """A study before the work directory is written.

  Attributes:
    study: the study.
    split_csv: the text of split.csv.
    is_kept: whether the work directory holds this very config and split already.
  """

  study: Study
  split_csv: str
  is_kept: bool


def check(config: Config, layout: Layout) -> None:
  """Raises InputError if nothing can be written, or a run of another config has trained there."""
  folders = (layout.workdir, *layout.workdir.parents)
  existing = next(folder for folder in folders if os.path.lexists(folder))
  if not existing.is_dir() or not os.access(existing, os.W_OK | os.X_OK):
    raise InputError(
      f'--workdir={layout.workdir}: {existing} is not a folder that can be written to'
    )
  if layout.is_run() and layout.saved_steps():
    _check_same_config(config, layout)


def draft(config: Config, layout: Layout) -> Draft:
  """Reads the source, once, and the split that the work directory holds or else a new one.

  Until something is trained the settings may change; then the split is drawn anew.

  Raises:
    InputError: anything about the source or the split, or another process is at work there.
  """
  if layout.is_run() and (layout.saved_steps() or not _changes(config, layout)):
    return Draft(study.read(config, layout.workdir), layout.split.read_text(), is_kept=True)
  if layout.workdir.is_dir():
    with _lock(layout):  # Settings may not change under a run.
      pass
  return Draft(*study.make(config), is_kept=False)


def holds(layout: Layout, texts: Mapping[str, str | None]) -> bool:
  """Whether files of the work directory have these texts; None for one that must not be there."""
  paths = {layout.workdir / name: text for name, text in texts.items()}
  return all((path.read_text() if path.is_file() else None) == text for path, text in paths.items())


def write(
  config: Config,
  layout: Layout,
  drafted: Draft,
  broken: pd.DataFrame,
  texts: Mapping[str, str | None],
) -> None:
  """Fills a new work directory.

  Args:
    config: of the run.
    layout: where to.
    drafted: its study.
    broken: from `find_broken`.
    texts: of further files by name, None for one that must not be there.
  """
  try:
    layout.workdir.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(f'--workdir={layout.workdir}: cannot be made ({error.strerror})') from None
  # Killed half-way, a folder must not pair the old settings with the new split.
  layout.config.unlink(missing_ok=True)
  files.write_whole(layout.set_aside, broken.to_csv(index=False))
  split_files.write(layout.workdir, drafted.split_csv, drafted.study.proof)
  for name, text in texts.items():
    if text is None:
      (layout.workdir / name).unlink(missing_ok=True)
    else:
      files.write_whole(layout.workdir / name, text)
  # Last, because its presence says that the others are there.
  files.write_whole(layout.config, json.dumps(configs.to_dict(config), indent=2) + '\n')


def read(config: Config, layout: Layout, drafted: Draft | None) -> tuple[Study, set[str]]:
  """Returns the study and the images set aside, on all processes; the first has drafted the study.

  Raises:
    InputError: the processes do not share the folder, or it holds a run of another config.
  """
  if not devices.all_agree(layout.is_run()):
    raise InputError(f'--workdir={layout.workdir}: must be a folder that all processes share')
  _check_same_config(config, layout)
  data = drafted.study if drafted else study.read(config, layout.workdir)
  return data, read_set_aside(layout)


def read_set_aside(layout: Layout) -> set[str]:
  """Returns the images that cannot be read."""
  return set(pd.read_csv(layout.set_aside, dtype=str, keep_default_na=False)['image'])


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
  """Keeps a second run out; the lock ends with the process, however it ends."""
  with contextlib.ExitStack() as stack:
    devices.first_does(functools.partial(stack.enter_context, _lock(layout)))
    yield


def _lock(layout: Layout) -> contextlib.AbstractContextManager[None]:
  return files.locked(
    layout.lock,
    f'{layout.workdir}: another run is at work there; wait for it, or stop it',
  )


def _check_same_config(config: Config, layout: Layout) -> None:
  changed = _changes(config, layout)
  if not changed:
    return
  advice = 'Take another --workdir, or the old settings to go on with that run'
  if all(line.startswith(_OF_THE_REPORT) for line in changed):
    advice += f', or python -m medjax.evaluate --workdir={layout.workdir} once it is finished'
  raise InputError(
    f'{layout.workdir} holds a run with another config: {"; ".join(changed)}. {advice}'
  )


def _changes(config: Config, layout: Layout) -> list[str]:
  try:
    old = json.loads(layout.config.read_text())
  except ValueError as error:
    raise InputError(
      f'{layout.config}: not the JSON that the run wrote ({error}); take another --workdir'
    ) from None
  return [
    line
    for line in configs.differences(old, configs.to_dict(config))
    if not line.startswith(_FREE_TO_CHANGE)
  ]


def find_broken(config: Config, data: Study) -> pd.DataFrame:
  """Decodes every image that has a split; returns image, split and reason of the broken ones.

  Raises:
    InputError: there is one, and config.data.broken is 'stop'.
  """
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
      f'{where}{reason}{others}; mend it, or set config.data.broken=set_aside to go on without '
      'such images'
    )
  positions = rows[list(reasons)]
  return pd.DataFrame(
    {
      'image': data.table['image'].iloc[positions],
      'split': data.split[positions],
      'reason': reasons.values(),
    }
  )

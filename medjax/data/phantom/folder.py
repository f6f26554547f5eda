"""The folder of a generated data set: made whole or not at all, and recognised by its settings."""

import contextlib
import json
import os
import pathlib
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from medjax.errors import InputError, nearest
from medjax.runtime import files, progress, remote

_LOCK = 'lock'  # held by who generates
WARNING = 'Generated pictures (a phantom), not patients: the figures say nothing about medicine.'


def check_least(settings: Mapping[str, int], least: Mapping[str, int]) -> None:
  """Raises InputError for a setting below its least, which is 0 unless `least` names another."""
  for name, value in settings.items():
    if value < least.get(name, 0):
      raise InputError(f'phantom: {name} is {value}; it must be at least {least.get(name, 0)}')


def make(
  root: str | os.PathLike,
  settings: Mapping[str, int | float | str],
  write: Callable[[pathlib.Path], None],
) -> None:
  """Has `write` fill a folder, adds phantom.json, and only then calls the folder `root`.

  A root that holds these settings already is left as it is. `write` creates its folder.

  Raises:
    InputError: `root` exists and holds anything else.
  """
  if remote.is_remote(root):
    raise InputError(f'{root}: generated pictures are written to a disk; name a folder of one')
  root = pathlib.Path(root)
  if _exists(root, settings):
    return
  root.parent.mkdir(parents=True, exist_ok=True)
  folders = (path.name for path in root.parent.iterdir() if path.is_dir())
  siblings = [name for name in folders if not name.startswith('.')]
  progress.say(
    f'{root}: there is no such folder; generated pictures are written there, once'
    f'{nearest(root.name, siblings)}'
  )
  _remove_abandoned(root)
  with _locked_scratch(root) as scratch:
    finished = scratch / 'phantom'
    with progress.waiting(f'generating the data set {root}, which happens once'):
      write(finished)
    (finished / 'phantom.json').write_text(json.dumps(settings, indent=2) + '\n', encoding='utf-8')
    try:
      finished.rename(root)
    except OSError:
      # Another process may have finished first; its files are the same.
      if not _exists(root, settings):
        raise


@contextlib.contextmanager
def _locked_scratch(root: pathlib.Path) -> Iterator[pathlib.Path]:
  """Gives a locked folder next to `root`: on one file system a rename is atomic."""
  import filelock  # Here, so that commands that generate nothing start sooner.

  while True:
    with tempfile.TemporaryDirectory(prefix=f'.{root.name}.', dir=root.parent) as name:
      lock = filelock.FileLock(pathlib.Path(name, _LOCK))
      try:
        lock.acquire()
      except FileNotFoundError:  # Taken for abandoned by another start before it was locked.
        continue
      try:
        yield pathlib.Path(name)
      finally:
        lock.release()
      return


def _remove_abandoned(root: pathlib.Path) -> None:
  """Removes what a process that was killed has left half generated: its lock ended with it."""
  import filelock

  for scratch in root.parent.glob(f'.{root.name}.*'):
    if not (scratch / _LOCK).is_file():
      continue
    gone = (filelock.Timeout, FileNotFoundError)  # At work, or done since.
    with contextlib.suppress(*gone), filelock.FileLock(scratch / _LOCK, timeout=0):
      shutil.rmtree(scratch, ignore_errors=True)


def _exists(root: pathlib.Path, settings: Mapping[str, int | float | str]) -> bool:
  """Whether `root` holds these settings' phantom; False if nothing is there, else InputError."""
  if not os.path.lexists(root):
    return False
  try:
    stored = files.parsed((root / 'phantom.json').read_text(encoding='utf-8'))
  except (OSError, ValueError):
    raise InputError(
      f'{root}: exists but is no phantom; choose a root that does not exist'
    ) from None
  if stored != settings:
    raise InputError(
      f'{root}: holds a phantom of other settings ({stored}; wanted {settings}); '
      'choose another root, or delete this one'
    )
  return True


def warning(*roots: str | os.PathLike) -> str:
  """Returns `WARNING` if one of these folders of images holds a phantom, else ''."""
  holds_one = any(remote.is_file(os.path.join(root, 'phantom.json')) for root in roots)
  return WARNING if holds_one else ''


def warning_of(source: str, root: str | os.PathLike, settings: Mapping[str, Any]) -> str:
  """Returns `WARNING` if a data set has generated pictures, else ''.

  Args:
    source: config.data.source; a phantom's own is known after its folder has gone, too.
    root: config.data.root.
    settings: config.data.settings; the sets of 'several' have a source and a root each.
  """
  sets: Mapping[str, Mapping[str, Any]] = settings.get('sets') or {}
  sources = [source, *(str(one.get('source', '')) for one in sets.values())]
  if any(name.startswith('phantom') for name in sources):
    return WARNING
  return warning(root, *(os.path.join(root, one.get('root', name)) for name, one in sets.items()))

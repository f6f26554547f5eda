"""The folder of a generated data set: made whole or not at all, and known again by its settings."""

import json
import os
import pathlib
import tempfile
from collections.abc import Callable, Mapping

from medjax.errors import InputError


def check_least(settings: Mapping[str, int], least: Mapping[str, int]) -> None:
  """Raises InputError for a setting below its least, which is 0 where `least` does not name it."""
  for name, value in settings.items():
    if value < least.get(name, 0):
      raise InputError(f'phantom: {name} is {value}; it must be at least {least.get(name, 0)}')


def make(
  root: pathlib.Path, settings: dict[str, int | str], write: Callable[[pathlib.Path], None]
) -> None:
  """Has `write` fill a folder, adds phantom.json, and only then calls the folder `root`.

  A root that holds these settings already is left as it is. `write` creates the folder it is given.

  Raises:
    InputError: `root` exists and holds anything else.
  """
  if _made(root, settings):
    return
  root.parent.mkdir(parents=True, exist_ok=True)
  # A directory beside it is on the same file system, where a rename is atomic.
  with tempfile.TemporaryDirectory(prefix=f'.{root.name}.', dir=root.parent) as scratch:
    made = pathlib.Path(scratch, 'phantom')
    write(made)
    (made / 'phantom.json').write_text(json.dumps(settings, indent=2) + '\n', encoding='utf-8')
    try:
      made.rename(root)
    except OSError:
      # Another process may have finished first; its files are the same.
      if not _made(root, settings):
        raise


def _made(root: pathlib.Path, settings: dict) -> bool:
  """Whether `root` holds these settings' phantom; False if nothing is there, else InputError."""
  if not os.path.lexists(root):
    return False
  try:
    found = json.loads((root / 'phantom.json').read_text(encoding='utf-8'))
  except (OSError, ValueError):
    raise InputError(
      f'{root}: exists and is no phantom; choose a root that does not exist'
    ) from None
  if found != settings:
    raise InputError(
      f'{root}: holds a phantom of other settings ({found}; wanted {settings}); '
      'choose another root, or delete this one'
    )
  return True

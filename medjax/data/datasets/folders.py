"""Where a release's images lie: people unpack archives side by side, nested, or into one folder."""

import os
import pathlib
from collections.abc import Iterable, Mapping, Sequence

from medjax.errors import InputError


def paths(
  names: Iterable[str], root: pathlib.Path, folders: Sequence[str], endings: Sequence[str]
) -> list[str]:
  """Returns each image's path relative to `root`.

  Args:
    names: file names, with one of the endings or without, in any case.
    root: the data root.
    folders: where to look, the first that has an image wins; '' is the root itself.
    endings: '.jpg' and so on, lower case.

  Returns:
    A path for each name; an image that is in none of the folders is named as if it were in the
    first of them that exists, with the first ending.

  Raises:
    InputError: a folder has several files that a name may mean, and none of exactly that name.
  """
  found: dict[str, list[str]] = {}
  there = [folder for folder in folders if (root / folder).is_dir()]
  for folder in there:
    here: dict[str, list[str]] = {}
    for file in sorted(os.listdir(root / folder)):
      name, ending = os.path.splitext(file)
      if ending.lower() in endings:
        here.setdefault(name.casefold(), []).append(_join(folder, file))
    found = here | found
  return [_found(name.strip(), found, root, there or folders, endings) for name in names]


def _found(
  name: str,
  found: Mapping[str, Sequence[str]],
  root: pathlib.Path,
  there: Sequence[str],
  endings: Sequence[str],
) -> str:
  files = found.get(stem(name, endings).casefold())
  if not files:
    return _join(there[0], stem(name, endings) + endings[0])
  exact = [file for file in files if os.path.basename(file) == name]
  if len(files) > 1 and not exact:
    raise InputError(
      f"{root}: the image '{name}' may be {' or '.join(files)}; keep one of them there"
    )
  return (exact or files)[0]


def stem(name: str, endings: Sequence[str]) -> str:
  """Returns a name without its ending, if that is one of `endings` in any case."""
  start, ending = os.path.splitext(name)
  return start if ending.lower() in endings else name


def _join(folder: str, name: str) -> str:
  return f'{folder}/{name}' if folder else name

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
    folders: where to look, in order of preference; '' is the root itself.
    endings: '.jpg' and so on, lower case.

  Returns:
    A path for each name; an image that no folder has is named as if it were in the first folder
    that exists, with the first ending.

  Raises:
    InputError: a folder has several files that match a name, and none of exactly that name.
  """
  files: dict[str, list[str]] = {}
  present = [folder for folder in folders if (root / folder).is_dir()]
  for folder in present:
    in_folder: dict[str, list[str]] = {}
    for file in sorted(path.name for path in (root / folder).iterdir()):
      name, ending = os.path.splitext(file)
      if ending.lower() in endings:
        in_folder.setdefault(name.casefold(), []).append(_join(folder, file))
    files = in_folder | files
  first = (present or folders)[0]
  return [_path(name.strip(), files, root, first, endings) for name in names]


def _path(
  name: str,
  files_by_stem: Mapping[str, Sequence[str]],
  root: pathlib.Path,
  first_folder: str,
  endings: Sequence[str],
) -> str:
  files = files_by_stem.get(stem(name, endings).casefold())
  if not files:
    return _join(first_folder, stem(name, endings) + endings[0])
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

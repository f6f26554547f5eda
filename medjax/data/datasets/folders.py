"""Where a release's images lie: people unpack archives side by side, nested, or into one folder."""

import os
import pathlib
from collections.abc import Iterable, Sequence


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
  """
  found, there = {}, [folder for folder in folders if (root / folder).is_dir()]
  for folder in there:
    for file in os.scandir(root / folder):
      stem, ending = os.path.splitext(file.name)
      if ending.lower() in endings:
        found.setdefault(stem.casefold(), _join(folder, file.name))
  return [
    found.get(stem.casefold()) or _join((there or folders)[0], stem + endings[0])
    for stem in (_stem(name.strip(), endings) for name in names)
  ]


def _stem(name: str, endings: Sequence[str]) -> str:
  stem, ending = os.path.splitext(name)
  return stem if ending.lower() in endings else name


def _join(folder: str, name: str) -> str:
  return f'{folder}/{name}' if folder else name

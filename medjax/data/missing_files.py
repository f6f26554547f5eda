"""A study table against the files that are there: rows without an image, images without a row."""

import os
import pathlib
import posixpath
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medjax.data.images import containers, lists
from medjax.data.table import named_in
from medjax.errors import InputError, count
from medjax.runtime import remote

_LOOKED_AT = 100_000  # files
_COMPLETE = 'complete the images, or set config.data.broken=set_aside to go on without such rows'


def check(table: pd.DataFrame, root: pathlib.Path, broken: str, source: str = '') -> list[str]:
  """Looks whether table and files agree, by their names alone: 112,120 take about a second.

  A table of which not one image is there is being read without its images, which splitting allows.

  Args:
    table: a checked study table.
    root: the folder that image paths are relative to.
    broken: config.data.broken; with 'set_aside' rows without an image are no error: training sets
      them aside with the images that cannot be decoded.
    source: config.data.source; the settings of 'csv' say in which folder images lie and how their
      names end.

  Returns:
    Notes for a person, none where all is as it should be.

  Raises:
    InputError: an image is missing; names the first one's file and row, the count, and where a file
      of that name lies. Or all are, and settings would find them.
  """
  rows, strays = compare(table['image'].tolist(), root)
  all_missing = len(rows) == len(table)
  if len(rows) and (broken == 'stop' or all_missing):
    row = int(rows[0])
    file_there, settings = _elsewhere(table['image'].iloc[rows].tolist(), root)
    settings = settings if source == 'csv' else ''
    there = f"'{file_there}' is there" if file_there else ''
    if all_missing and not settings:
      note = f'No image of the table is under {root}, so files and rows were not compared'
      return [f'{note}{there and f"; {there}"}.']
    advice = f'{there}: set {settings}' if settings else '; '.join(filter(None, (there, _COMPLETE)))
    raise InputError(
      f"{named_in(table, row, root)}: image '{table['image'][row]}' is not under {root} "
      f'({count(len(rows), "such row")}); {advice}'
    )
  if not strays:
    return []
  return [
    f"{count(len(strays), 'image')} under {root} in no row of the table, such as '{strays[0]}': "
    'no part of the study.'
  ]


def _elsewhere(images: Sequence[str], root: pathlib.Path) -> tuple[str, str]:
  """Looks below `root` for the first of these missing images.

  Returns:
    A file called as it is but for folder and ending, relative to `root`, '' if none is near the
    beginning; and the settings by which it and the others are found, '' if there are none.
  """
  image = images[0]
  for number, file in enumerate(_files_below(root)):
    name, wanted = posixpath.basename(file), posixpath.basename(image)
    if wanted in (name, posixpath.splitext(name)[0]) and lists.is_image(os.path.join(root, file)):
      break
    if number == _LOOKED_AT:
      return '', ''
  else:
    return '', ''
  folder, _, suffix = f'/{file}'.rpartition(f'/{image}')
  parts = {'folder': folder.removeprefix('/'), 'suffix': suffix}
  fits = f'/{file}' == f'{folder}/{image}{suffix}' and all(
    remote.exists(os.path.join(root, parts['folder'], other + suffix)) for other in images
  )
  settings = ', '.join(f"{name}='{value}'" for name, value in parts.items() if value)
  return file, f'data.settings.{settings}' if fits else ''


def _files_below(root: pathlib.Path) -> Iterator[str]:
  if remote.is_remote(root):
    yield from remote.files_below(root)
    return
  for folder, below, names in os.walk(root):
    below.sort()
    for name in sorted(names):
      yield os.path.relpath(os.path.join(folder, name), root).replace(os.sep, '/')


def compare(images: Iterable[str], root: pathlib.Path) -> tuple[np.ndarray, list[str]]:
  """Returns the positions of images that are not there, int64, and the files that no row names.

  A stray lies in a folder that holds images of the table, or below the deepest one that holds all
  those under the same top folder, and has the ending of one of them. Both are relative to `root`.
  """
  images = list(images)
  plain = [image for image in images if '#' not in image]
  files = set(_files_near(plain, root))
  unmatched = [row for row, image in enumerate(images) if image not in files]
  # Where a study's images are not there, one look at their folder answers for all.
  tops = {images[row].partition('/')[0] for row in unmatched}
  absent = {top for top in tops if not remote.exists(os.path.join(root, top))}

  def exists(image: str) -> bool:
    if '#' not in image and image.partition('/')[0] in absent:
      return False
    # Walking does not follow links to folders, and an image in a container is no file of its own.
    return remote.exists(containers.container_of(os.path.join(root, image)))

  missing = np.array([row for row in unmatched if not exists(images[row])], np.int64)
  others = files.difference(plain) if files else files
  endings = {posixpath.splitext(image)[1].lower() for image in plain} if others else set()
  strays = [
    file
    for file in others
    if posixpath.splitext(file)[1].lower() in endings and posixpath.basename(file)[0] != '.'
  ]
  return missing, sorted(strays)


def _files_near(images: Iterable[str], root: pathlib.Path) -> Iterable[str]:
  # Absolute paths, which only a person's own table has, are looked up one by one.
  images = [image for image in images if not image.startswith(('/', '../'))]
  by_top: dict[str, list[str]] = {}
  if top := _common_folder(images).partition('/')[0]:
    by_top[top] = images
  else:
    for image in images:
      by_top.setdefault(image[: image.find('/') + 1], []).append(image)
  for top, inside in by_top.items():
    if remote.is_remote(root):
      yield from _in_bucket(root, _common_folder(inside), is_deep=bool(top))
      continue
    for folder, below, names in os.walk(root / _common_folder(inside)):
      if not top:
        below.clear()  # Next to the table lies what has nothing to do with it.
      relative = os.path.relpath(folder, root)
      prefix = '' if relative == '.' else relative.replace(os.sep, '/') + '/'
      yield from (prefix + name for name in names)


def _in_bucket(root: Any, folder: str, is_deep: bool) -> Iterator[str]:
  prefix = f'{folder}/' if folder else ''
  for name in remote.files_below(root / folder if folder else root):
    if is_deep or '/' not in name:  # Next to the table lies what has nothing to do with it.
      yield prefix + name


def _common_folder(images: Sequence[str]) -> str:
  # What the first and the last in order have in common, all have.
  ends = (min(images, default=''), max(images, default=''))
  return posixpath.commonpath([posixpath.dirname(image) for image in ends])

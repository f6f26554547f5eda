"""A folder as it is at one instant, while others write there: what a copy of it can be made of."""

import os
import pathlib
import posixpath
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import NamedTuple

from medjax.errors import InputError
from medjax.runtime import files

_TRIES, _PAUSE = 40, 0.05  # seconds between two
# What a run has decoded to read it many times; whoever misses it decodes again.
_DECODED, _PIXELS = ('decoded', 'prepared'), 'pixels.npy'
_UNFINISHED = '.orbax-checkpoint-tmp'  # in the name of a checkpoint that is being written


class Stamp(NamedTuple):
  """By what a file is known to be the one that was looked at before.

  Attributes:
    size: bytes.
    modified: when it was written last, nanoseconds.
    inode: its number on the disk; another file under the same name has another one.
  """

  size: int
  modified: int
  inode: int


class Restless(InputError):
  """What is in a folder changes faster than it can be looked at."""


def counted(paths: Iterable[str]) -> set[str]:
  """Returns those of all files of a folder that `stamps` would return.

  A folder that came to a bucket by other means has locks and what is half written too.
  """
  paths = set(paths)
  decoded = {folder for folder, name in map(posixpath.split, paths) if _is_decoded(folder, [name])}

  def counts(path: str) -> bool:
    parts = path.split('/')
    above = ('/'.join(parts[:length]) for length in range(1, len(parts)))
    return not any(map(_is_passing, parts)) and decoded.isdisjoint(above)

  return {path for path in paths if counts(path)}


def stamps(
  folder: pathlib.Path, belongs: Callable[[str], bool] = lambda path: True
) -> dict[str, Stamp]:
  """Returns the files below a folder by their path in it, without locks and what is half written.

  Args:
    folder: that may not exist.
    belongs: which paths are looked at.
  """
  return dict(sorted((path, stamp) for path, stamp in _walk(folder, '') if belongs(path)))


def _walk(folder: pathlib.Path, inside: str) -> Iterator[tuple[str, Stamp]]:
  try:
    entries = list(os.scandir(folder / inside))
  except FileNotFoundError:
    return
  if _is_decoded(inside, [entry.name for entry in entries]):
    return
  for entry in entries:
    path = f'{inside}/{entry.name}' if inside else entry.name
    if _is_passing(entry.name):
      continue
    if entry.is_dir():
      yield from _walk(folder, path)
    elif entry.is_file():
      try:
        status = os.stat(entry.path)
      except FileNotFoundError:
        continue
      yield path, Stamp(status.st_size, status.st_mtime_ns, status.st_ino)


def _is_decoded(folder: str, names: list[str]) -> bool:
  return posixpath.basename(folder) in _DECODED and _PIXELS in names


def _is_passing(name: str) -> bool:
  return name.endswith('.lock') or files.is_temporary(name) or _UNFINISHED in name


def take(
  folder: pathlib.Path,
  known: Mapping[str, Stamp],
  copies: pathlib.Path,
  belongs: Callable[[str], bool] = lambda path: True,
) -> tuple[dict[str, Stamp], dict[str, pathlib.Path]]:
  """Takes what a folder holds at one instant.

  Two looks that agree, with nothing changed between them but files that have grown at their end,
  show what was there at each instant between them.

  Args:
    folder: to look at.
    known: files of which nothing is needed while they are as they were.
    copies: a folder of the same disk, emptied first, for links to all other files.
    belongs: as of `stamps`.

  Returns:
    All files by path, and the links to those that are not known. Of a file that others append to
    the first bytes count, as many as its size says.

  Raises:
    Restless: no two looks agree.
  """
  for _ in range(_TRIES):
    shutil.rmtree(copies, ignore_errors=True)
    copies.mkdir(parents=True)
    seen = stamps(folder, belongs)
    links = {
      path: copies / str(number)
      for number, (path, stamp) in enumerate(seen.items())
      if known.get(path) != stamp
    }
    try:
      for path, link in links.items():
        _link(folder / path, link)
    except FileNotFoundError:
      continue
    if _agree(seen, stamps(folder, belongs)):
      return seen, links
    time.sleep(_PAUSE)
  raise Restless(f'{folder} is being written to all the time')


def _link(path: pathlib.Path, link: pathlib.Path) -> None:
  try:
    os.link(path, link)
  except FileNotFoundError:
    raise
  except OSError:  # Not on every file system.
    shutil.copyfile(path, link)


def _agree(seen: Mapping[str, Stamp], again: Mapping[str, Stamp]) -> bool:
  return seen.keys() == again.keys() and all(
    is_grown_or_same(stamp, again[path]) for path, stamp in seen.items()
  )


def is_grown_or_same(stamp: Stamp, again: Stamp) -> bool:
  """Whether a file is the one that was seen, or that with more at its end."""
  return stamp == again or (stamp.inode == again.inode and stamp.size < again.size)

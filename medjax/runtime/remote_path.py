"""A folder of a bucket as sources know folders: the part of pathlib.Path that reads."""

import fnmatch
import functools
import io
import os
import pathlib
import posixpath
from collections.abc import Iterator
from typing import IO, Any

from medjax.runtime import remote


def path(root: str | os.PathLike) -> Any:
  """Returns a folder as a path: of pathlib, or a `RemotePath`, which can be read alike."""
  if not remote.is_remote(root):
    return pathlib.Path(root)
  remote.know(os.fspath(root))
  return RemotePath(os.fspath(root))


@functools.total_ordering
class RemotePath:
  """A path in a bucket; `exists`, `glob` and the like are answered from the list of the bucket."""

  def __init__(self, url: str):
    self._url = url.rstrip('/')

  def __str__(self) -> str:
    return self._url

  def __repr__(self) -> str:
    return f"RemotePath('{self._url}')"

  def __fspath__(self) -> str:
    return self._url

  def __hash__(self) -> int:
    return hash(self._url)

  def __eq__(self, other: object) -> bool:
    return isinstance(other, RemotePath) and self._url == other._url

  def __lt__(self, other: 'RemotePath') -> bool:
    return self._url < other._url

  def __truediv__(self, name: str | os.PathLike) -> Any:
    name = os.fspath(name)
    if os.path.isabs(name):  # As pathlib has it: a file of a disk.
      return pathlib.Path(name)
    if remote.is_remote(name):
      return RemotePath(name)
    start, _, rest = self._url.partition('://')
    return RemotePath(f'{start}://{posixpath.normpath(posixpath.join(rest, name))}')

  @property
  def name(self) -> str:
    return posixpath.basename(self._url)

  @property
  def stem(self) -> str:
    return pathlib.PurePosixPath(self.name).stem

  @property
  def suffix(self) -> str:
    return pathlib.PurePosixPath(self.name).suffix

  @property
  def parent(self) -> 'RemotePath':
    start, _, rest = self._url.partition('://')
    return RemotePath(f'{start}://{posixpath.dirname(rest) or rest}')

  def resolve(self) -> 'RemotePath':
    return self

  absolute = resolve

  def with_name(self, name: str) -> Any:
    return self.parent / name

  def relative_to(self, other: 'RemotePath') -> pathlib.PurePosixPath:
    if not f'{self}/'.startswith(f'{other}/'):
      raise ValueError(f'{self} is not in {other}')
    return pathlib.PurePosixPath(self._url.removeprefix(str(other)).lstrip('/'))

  def exists(self) -> bool:
    return remote.exists(self._url)

  def is_file(self) -> bool:
    return remote.is_file(self._url)

  def is_dir(self) -> bool:
    listing, place = remote.find(self._url)
    return place in listing.folders

  def iterdir(self) -> Iterator['RemotePath']:
    listing, place = remote.find(self._url)
    return (self / name for name in listing.folders.get(place, {}))

  def glob(self, pattern: str) -> Iterator['RemotePath']:
    """Yields what fits a pattern, in which `**` is not known; `rglob` looks everywhere."""
    first, _, rest = pattern.partition('/')
    for inside in self.iterdir():
      if fnmatch.fnmatchcase(inside.name, first):
        if rest:
          yield from inside.glob(rest)
        else:
          yield inside

  def rglob(self, pattern: str) -> Iterator['RemotePath']:
    yield from self.glob(pattern)
    for inside in self.iterdir():
      yield from inside.rglob(pattern)

  def open(self, mode: str = 'r', encoding: str = 'utf-8', newline: str | None = None) -> IO[Any]:
    file = io.BytesIO(self.read_bytes())
    return file if 'b' in mode else io.TextIOWrapper(file, encoding, newline=newline)

  def read_bytes(self) -> bytes:
    return remote.read(self._url)

  def read_text(self, encoding: str = 'utf-8') -> str:
    return self.read_bytes().decode(encoding)

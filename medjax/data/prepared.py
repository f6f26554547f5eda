"""Images decoded once, to be read many times, in a folder of their own.

  prepared.json   what the folder is of: the format of its images, how many, and of which names
  index.jsonl     a line for each image, in the order of the pixels, as `ImageFile` has it
  pixels.npy      uint8[N, size, size, channels], zeros where an image is refused

They are the very bytes that decoding gives every time. A file that has changed since is refused by
its name: where its size or a time of change is another, it is read and its digest compared. So is
one that could not be read then and can be now.
"""

import concurrent.futures
import contextlib
import dataclasses
import functools
import hashlib
import io
import json
import math
import os
import pathlib
from collections.abc import Sequence
from typing import IO, Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.data import pipeline
from medjax.data.images import containers, content, decoding, headers
from medjax.data.images.mapped import MappedImages
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError, count
from medjax.runtime import files, progress, remote

_VERSION = 1  # of what the files hold
CONTENTS, INDEX, PIXELS, LOCK = 'prepared.json', 'index.jsonl', 'pixels.npy', '.lock'
_TOGETHER = 64  # images between two writes
_AGAIN = 'delete the folder and prepare it again'


class ImageFile(NamedTuple):
  """What a line of the index says, in this order.

  Attributes:
    image: its name, relative to the root.
    size: of its file or container, bytes; 0 where there is none.
    modified: when that was written last, nanoseconds, as its owner may set it.
    changed: when that or what is known of it changed last, nanoseconds, which nobody can set.
    digest: of what it holds, as medjax.data.images.content has it.
    reason: why it is refused, '' where it is not.
    width, height, mode, kind: as medjax.data.images.headers has them.
  """

  image: str
  size: int
  modified: int
  changed: int
  digest: str
  reason: str
  width: int
  height: int
  mode: str
  kind: str


@dataclasses.dataclass(frozen=True)
class Prepared:
  """A folder of prepared images.

  Attributes:
    folder: where it is.
    image_format: of its images.
    index: a row for each image, with the columns of `ImageFile`.
  """

  folder: pathlib.Path
  image_format: ImageFormat
  index: pd.DataFrame

  def select(self, images: Sequence[str]) -> MappedImages:
    """Returns these images, in this order.

    Raises:
      InputError: one of them is not there, or is refused.
    """
    rows = self._rows(images)
    reasons = self.index['reason'].to_numpy()[rows]
    refused = np.flatnonzero(reasons != '')
    if len(refused):
      raise InputError(reasons[refused[0]])
    return MappedImages(str(self.folder / PIXELS), rows)

  def about(self, images: Sequence[str]) -> pd.DataFrame:
    """Returns what the index says of these images, in this order; see `select`."""
    return self.index.iloc[self._rows(images)]

  def _rows(self, images: Sequence[str]) -> np.ndarray:
    rows = pd.Index(self.index['image']).get_indexer(pd.Index(images, dtype=object))
    absent = np.flatnonzero(rows < 0)
    if len(absent):
      raise InputError(
        f"{self.folder}: '{images[absent[0]]}' is not prepared there "
        f'({count(len(absent), "such image")}); the table has changed, or the folder is of another '
        f'one: {_AGAIN}, or name another folder'
      )
    return rows


def make(
  folder: pathlib.Path,
  root: str | pathlib.Path,
  images: Sequence[str],
  image_format: ImageFormat,
  workers: int = 0,
) -> Prepared:
  """Decodes images into a folder, goes on with one that was stopped, or opens one that is whole.

  Args:
    folder: where to.
    root: the folder that the names of images are relative to.
    images: their names.
    image_format: what they become.
    workers: input processes; 0 decodes in threads.

  Raises:
    InputError: the folder holds something else, or images of other names or of another format, a
      file has changed since it was decoded, or another process is at work there.
    OSError: the disk is full; the same call goes on.
  """
  if folder.exists() and not folder.is_dir():
    raise InputError(f'{folder}: not a folder')
  folder.mkdir(parents=True, exist_ok=True)
  refusal = f'{folder}: another process prepares images there; wait for it, or stop it'
  with files.locked(folder / LOCK, refusal):
    if (folder / CONTENTS).is_file():
      check_contents(folder, images, image_format)
    else:
      check_empty(folder)
      files.remove_temporaries(folder)
      content = json.dumps(contents(images, image_format), indent=2)
      files.write_whole(folder / CONTENTS, content + '\n')
    _decode_rest(folder, root, images, image_format, workers)
  return load(folder, root, image_format)


def contents(images: Sequence[str], image_format: ImageFormat) -> dict[str, Any]:
  """Returns what prepared.json says of these images."""
  return {
    'version': _VERSION,
    'format': dataclasses.asdict(image_format),
    'images': len(images),
    'names_sha256': hashlib.sha256(json.dumps(list(images)).encode()).hexdigest(),
  }


def check_contents(folder: pathlib.Path, images: Sequence[str], image_format: ImageFormat) -> None:
  """Raises InputError where a folder was begun for other images or another format."""
  _check_format(folder, image_format)
  if files.read_json(folder / CONTENTS) != contents(images, image_format):
    raise InputError(
      f'{folder}: holds the images of another table; {_AGAIN}, or name another folder'
    )


def check_empty(folder: pathlib.Path, *others: str) -> None:
  """Raises InputError where a folder holds what is no prepared image and none of `others`."""
  names = set(os.listdir(folder)) - {LOCK, *others} if folder.is_dir() else set()
  if not all(map(files.is_temporary, names)):
    raise InputError(f'{folder}: holds other files; name a new or an empty folder')


def _decode_rest(
  folder: pathlib.Path,
  root: str | pathlib.Path,
  images: Sequence[str],
  image_format: ImageFormat,
  workers: int,
) -> None:
  """Appends to the pixels and then to the index, a group of images at a time."""

  def decode(number: int) -> list[tuple[ImageFile, np.ndarray]]:
    group = images[number * _TOGETHER : (number + 1) * _TOGETHER]
    return [_decode(root, image, image_format) for image in group]

  with open(folder / PIXELS, 'a+b') as pixels, open(folder / INDEX, 'a+b') as index:
    done = _drop_incomplete(pixels, index, len(images), image_format)
    if done == len(images):
      return
    groups = pipeline.read_ahead(
      decode,
      start=done // _TOGETHER,
      stop=-(-len(images) // _TOGETHER),
      buffered=16,
      workers=workers,
    )
    bar = progress.Progress('image prepared', done, len(images))
    with contextlib.closing(groups), contextlib.closing(bar):
      for group in groups:
        _append(pixels, b''.join(array.tobytes() for _, array in group))
        _append(index, b''.join(json.dumps(row).encode() + b'\n' for row, _ in group))
        done += len(group)
        bar.update(done)


def _append(file: IO[bytes], data: bytes) -> None:
  """Writes to the disk itself: a line of the index promises that its pixels are there."""
  file.write(data)
  file.flush()
  os.fsync(file.fileno())


def _decode(
  root: str | pathlib.Path, image: str, image_format: ImageFormat
) -> tuple[ImageFile, np.ndarray]:
  path = os.path.join(root, image)
  before = _status(path)
  with remote.held(path):
    try:
      (pixels, header), reason = decoding.decode_with_header(path, image_format), ''
    except InputError as error:
      pixels, header, reason = np.zeros(image_format.shape, np.uint8), headers.UNREAD, str(error)
    digest = content.digest(path)
  if _status(path) != before:
    raise InputError(f'{path}: changed while it was read; the same command goes on')
  width, height, mode, kind = header
  return ImageFile(image, *before, digest, reason, width, height, mode, kind), pixels


def _status(path: str) -> tuple[int, int, int]:
  """Returns size and times of change of a file, or of the container that an image is in."""
  container = containers.container_of(path)
  if remote.is_remote(container):
    return remote.info(container)
  if os.path.isdir(container):  # TensorFlow Datasets: the folder itself does not change.
    files_there = [os.path.join(container, name) for name in sorted(os.listdir(container))]
    sizes, modified, changed = zip((0, 0, 0), *map(_status_of_file, files_there))
    return sum(sizes), max(modified), max(changed)
  return _status_of_file(container)


def _status_of_file(path: str) -> tuple[int, int, int]:
  try:
    status = os.stat(path)
  except OSError:
    return 0, 0, 0
  return status.st_size, status.st_mtime_ns, status.st_ctime_ns


def _drop_incomplete(
  pixels: IO[bytes], index: IO[bytes], images: int, image_format: ImageFormat
) -> int:
  """Cuts off what a kill or a full disk has left half written; returns how many images are left."""
  header, image_size = pixels_header(images, image_format), math.prod(image_format.shape)
  index.seek(0)
  lines = [line for line in index if line.endswith(b'\n')]
  bytes_there = pixels.seek(0, os.SEEK_END) - len(header)
  done = min(len(lines), max(bytes_there, 0) // image_size)
  if done < images:
    done -= done % _TOGETHER
  index.truncate(sum(map(len, lines[:done])))
  if bytes_there < 0:
    pixels.truncate(0)
    _append(pixels, header)
  pixels.truncate(len(header) + done * image_size)
  return done


def pixels_header(images: int, image_format: ImageFormat) -> bytes:
  """Returns the beginning of pixels.npy."""
  header = io.BytesIO()
  shape = (images, *image_format.shape)
  np.lib.format.write_array_header_1_0(
    header, {'descr': '|u1', 'fortran_order': False, 'shape': shape}
  )
  return header.getvalue()


def load(folder: pathlib.Path, root: str | pathlib.Path, image_format: ImageFormat) -> Prepared:
  """Opens a folder of prepared images, and looks whether the files are still what they were.

  Raises:
    InputError: no such folder, one that is not finished or was damaged, images of another format,
      or a file that has changed since.
  """
  _check_format(folder, image_format)
  made = read(folder, image_format)
  _check_unchanged(made, root)
  return made


def read(folder: pathlib.Path, image_format: ImageFormat) -> Prepared:
  """Opens a folder of prepared images, whatever became of the files that they were made of.

  Raises:
    InputError: it is not finished or was damaged.
  """
  images = files.read_json(folder / CONTENTS)['images']
  try:
    with open(folder / INDEX, encoding='utf-8') as file:
      lines = [ImageFile(*files.parsed(line)) for line in file]
    size = (folder / PIXELS).stat().st_size
  except (OSError, ValueError, TypeError) as error:
    raise InputError(f'{folder}: damaged or not finished ({error}); {_AGAIN}') from None
  whole = len(pixels_header(images, image_format)) + images * math.prod(image_format.shape)
  if len(lines) != images or size != whole:
    raise InputError(
      f'{folder}: {len(lines):,} of {count(images, "image")} are prepared; medjax.prepare goes on '
      'with it'
    )
  return Prepared(folder, image_format, pd.DataFrame(lines, columns=ImageFile._fields))


def _check_format(folder: pathlib.Path, image_format: ImageFormat) -> None:
  if not (folder / CONTENTS).is_file():
    raise InputError(f'{folder}: not a folder that medjax.prepare has written')
  contents = files.read_json(folder / CONTENTS)
  if contents.get('version') != _VERSION or not isinstance(contents.get('format'), dict):
    raise InputError(f'{folder}: prepared by another version of medjax; {_AGAIN}')
  wanted = dataclasses.asdict(image_format)
  changed = [
    f'{name} {value!r} there and {wanted.get(name)!r} here'
    for name, value in contents['format'].items()
    if value != wanted.get(name)
  ]
  if changed:
    raise InputError(
      f'{folder}: prepared with other settings ({", ".join(changed)}); {_AGAIN}, or name another '
      'folder'
    )


def _check_unchanged(prepared: Prepared, root: str | pathlib.Path) -> None:
  status_of = functools.cache(_status)  # Of thousands of images one container holds.

  def is_changed(line: Any) -> bool:
    path = os.path.join(root, line.image)
    if line.reason:
      return not decoding.check(path, prepared.image_format.size, prepared.image_format.intensity)[
        0
      ]
    container = containers.container_of(path)
    is_same = status_of(container) == (line.size, line.modified, line.changed)
    return not is_same and content.digest(path) != line.digest

  lines = list(prepared.index.itertuples(index=False))
  waiting = progress.waiting('looking whether the images are still what they were')
  with concurrent.futures.ThreadPoolExecutor(8) as pool, waiting:
    changed = [line.image for line, is_so in zip(lines, pool.map(is_changed, lines)) if is_so]
  if changed:
    raise InputError(
      f"{os.path.join(root, changed[0])}: has changed since '{prepared.folder}' was prepared from "
      f'it ({count(len(changed), "such file")}); restore the file, or {_AGAIN}'
    )

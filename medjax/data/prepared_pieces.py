"""Images decoded once by several jobs, a piece each, put together to the bytes of one.

The pieces lie in `shards/` of the folder as 0-of-3 and so on, each a folder of prepared images of
its own (medjax.data.prepared). While they are put together they take twice the room.
"""

import functools
import json
import os
import pathlib
import shutil
from collections.abc import Sequence

from medjax.data import prepared
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.prepared import Prepared
from medjax.errors import InputError
from medjax.runtime import files, progress, shards
from medjax.runtime.shards import Shard


def make(
  folder: pathlib.Path,
  root: str | pathlib.Path,
  images: Sequence[str],
  image_format: ImageFormat,
  workers: int = 0,
  shard: Shard | None = None,
) -> Prepared | None:
  """Decodes a piece, and puts all together once the last is finished.

  Where no piece is asked for and none is there, it decodes all.

  Args:
    folder: of all; see medjax.data.prepared.make for it and the others.
    root, images, image_format, workers: as there; `images` are those of all pieces.
    shard: the piece; None puts together those that are there.

  Returns:
    The prepared images, None where other pieces are not finished yet.

  Raises:
    InputError: as medjax.data.prepared.make; no piece is asked for, and one is missing.
  """
  pieces = shards.find(_pieces(folder), shard)
  if not pieces:
    return prepared.make(folder, root, images, image_format, workers)
  contents = prepared.contents(images, image_format)
  if (folder / prepared.CONTENTS).is_file():
    if files.read_json(folder / prepared.CONTENTS) == contents and not _is_whole(
      folder, image_format
    ):
      raise InputError(f'{folder}: was begun without --shard; go on without it')
    made = prepared.make(folder, root, images, image_format, workers)
    shards.remove(_pieces(folder))  # Whoever put them together was stopped.
    return made
  if not _pieces(folder).is_dir():  # Another piece may make it now.
    prepared.check_empty(folder, _pieces(folder).name)
  if shard:
    path, own = _pieces(folder) / shard.name, _own(images, shard)
    prepared.make(path, root, own, image_format, workers)
  waiting = f'{folder}: another process puts its pieces together; waiting for it'
  with files.waited_lock(folder / prepared.LOCK, functools.partial(progress.say, waiting)):
    if _pieces(folder).is_dir():  # Else another process was faster.
      missing = [one for one in pieces if not _is_finished(folder, images, image_format, one)]
      if missing and shard:
        progress.say(
          f'not yet finished: {shards.in_words(missing)}; the last to finish puts them together'
        )
        return None
      shards.check_finished(folder, missing)
      _put_together(folder, contents, len(images), image_format, pieces)
  return prepared.load(folder, root, image_format)


def _pieces(folder: pathlib.Path) -> pathlib.Path:
  return folder / 'shards'


def _own(images: Sequence[str], shard: Shard) -> Sequence[str]:
  span = shard.span(len(images))
  return images[span.start : span.stop]


def _is_whole(folder: pathlib.Path, image_format: ImageFormat) -> bool:
  try:
    prepared.read(folder, image_format)
  except InputError:
    return False
  return True


def _is_finished(
  folder: pathlib.Path, images: Sequence[str], image_format: ImageFormat, shard: Shard
) -> bool:
  """Whether a piece is there to its last image, and nobody is at work on it.

  Raises:
    InputError: it is of another table or of other settings.
  """
  path = _pieces(folder) / shard.name
  if not (path / prepared.CONTENTS).is_file() or files.is_locked(path / prepared.LOCK):
    return False
  prepared.check_contents(path, _own(images, shard), image_format)
  return _is_whole(path, image_format)


def _put_together(
  folder: pathlib.Path,
  contents: dict,
  images: int,
  image_format: ImageFormat,
  pieces: Sequence[Shard],
) -> None:
  paths = [_pieces(folder) / shard.name for shard in pieces]
  bar = progress.Progress('piece put together', 0, len(pieces))
  with (
    files.writing_whole(folder / prepared.PIXELS) as pixels,
    files.writing_whole(folder / prepared.INDEX) as index,
  ):
    pixels.write(prepared.pixels_header(images, image_format))
    for number, (shard, path) in enumerate(zip(pieces, paths), start=1):
      with open(path / prepared.PIXELS, 'rb') as part:
        part.seek(len(prepared.pixels_header(len(shard.span(images)), image_format)))
        shutil.copyfileobj(part, pixels, 2**22)
      with open(path / prepared.INDEX, 'rb') as part:
        shutil.copyfileobj(part, index)
      bar.update(number)
    bar.close()
    for file in (pixels, index):
      file.flush()
      os.fsync(file.fileno())
  # Last: it says that the others are there.
  files.write_whole(folder / prepared.CONTENTS, json.dumps(contents, indent=2) + '\n')
  shards.remove(_pieces(folder))

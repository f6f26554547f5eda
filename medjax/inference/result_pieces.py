"""Results that several jobs write a piece of each, put together to the bytes that one would write.

The pieces of `out.csv` lie in `out.csv.shards/` as 0-of-3.csv and so on, each a result file of its
own (medjax.inference.result_file) of whole batches, so that every image is in the batch that it
would be in without pieces.
"""

import contextlib
import functools
import json
import os
import pathlib
import shutil
from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from medjax.errors import InputError
from medjax.inference import result_file
from medjax.runtime import files, progress, shards
from medjax.runtime.shards import Shard


class WholeFile(NamedTuple):
  """What the pieces make together.

  Attributes:
    output: the CSV.
    settings: JSON; what it hangs on.
    columns: of its rows.
    images: how many there are.
    batch_size: how many are predicted together.
    names: which images, of these numbers; as `result_file.printable` gives them.
  """

  output: pathlib.Path
  settings: dict[str, Any]
  columns: Sequence[str]
  images: int
  batch_size: int
  names: Callable[[Iterable[int]], Iterable[str]]

  def span(self, shard: Shard) -> range:
    """Returns the numbers of a piece's images: those of whole batches."""
    batches = shard.span(-(-self.images // self.batch_size))
    stop = min(batches.stop * self.batch_size, self.images)
    return range(min(batches.start * self.batch_size, stop), stop)

  def settings_of(self, shard: Shard) -> dict[str, Any]:
    """Returns what a piece hangs on."""
    return {**self.settings, 'shard': str(shard)}


def folder(output: pathlib.Path) -> pathlib.Path:
  """out.csv → out.csv.shards, where its pieces lie."""
  return output.with_name(output.name + shards.BESIDE)


def piece(output: pathlib.Path, shard: Shard) -> pathlib.Path:
  """Returns the file of a piece."""
  return folder(output) / f'{shard.name}.csv'


def batch_size(output: pathlib.Path, pieces: Iterable[Shard]) -> int | None:
  """Returns how many images are predicted together in the pieces that were begun; None in none."""
  for shard in pieces:
    with contextlib.suppress(InputError):
      return int(files.read_json(result_file.settings_path(piece(output, shard)))['batch_size'])
  return None


def _is_finished(whole: WholeFile, shard: Shard) -> bool:
  path, span = piece(whole.output, shard), whole.span(shard)
  if not path.is_file() or files.is_locked(result_file.lock_path(path)):
    return False
  settings, names = whole.settings_of(shard), whole.names(span)
  with result_file.opened(path, settings, whole.columns, names) as results:
    return results.done == len(span)


def put_together(whole: WholeFile, pieces: Sequence[Shard]) -> list[Shard]:
  """Writes the whole file of its pieces and deletes them, if all are finished.

  Returns:
    The pieces that are not: not there to the last row, or being written.

  Raises:
    InputError: one was begun with other settings.
  """
  output = whole.output
  waiting = f'{output}: another process puts its pieces together; waiting for it'
  lock = result_file.lock_path(output)
  with files.waited_lock(lock, functools.partial(progress.say, waiting)):
    if not folder(output).is_dir():
      return []  # It was faster.
    missing = [shard for shard in pieces if not _is_finished(whole, shard)]
    if missing:
      return missing
    # Empty until all is there: whoever is stopped in between finds the pieces again.
    output.touch()
    content = json.dumps(whole.settings, indent=2) + '\n'
    files.write_whole(result_file.settings_path(output), content)
    paths = [piece(output, shard) for shard in pieces]
    _join([result_file.broken_path(path) for path in paths], result_file.broken_path(output))
    _join(paths, output)
    shards.remove(folder(output))
  return []


def _join(parts: Iterable[pathlib.Path], path: pathlib.Path) -> None:
  """Writes the rows of all parts under one header."""
  with files.writing_whole(path) as whole:
    for number, part in enumerate(parts):
      with part.open('rb') as file:
        header = file.readline()
        if not number:
          whole.write(header)
        shutil.copyfileobj(file, whole)
    whole.flush()
    os.fsync(whole.fileno())  # The pieces are deleted next.

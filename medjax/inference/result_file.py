"""A CSV of results that grows by whole rows, and goes on where it was cut off, however it was.

Next to `out.csv` are `out.broken.csv`, the images that could not be read, and `out.csv.json`, the
settings that both were begun with. Both files hold the images in one order, each row on one line,
so that what is done is what a comparison with the list of images says: nothing else must be kept in
step. While a process writes it holds `.out.csv.lock`.
"""

import contextlib
import csv
import io
import json
import os
import pathlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, BinaryIO, NamedTuple

from medjax.errors import InputError
from medjax.runtime import files


class Results(NamedTuple):
  """Attributes:
  good: the rows, open at its end.
  broken: image, reason; open at its end.
  done: how many images of the list stand in one or the other.
  rows: how many of them in `good`.
  """

  good: BinaryIO
  broken: BinaryIO
  done: int
  rows: int


def broken_path(path: pathlib.Path) -> pathlib.Path:
  """out.csv → out.broken.csv."""
  return path.with_name(f'{path.stem}.broken{path.suffix}')


def lock_path(path: pathlib.Path) -> pathlib.Path:
  """out.csv → .out.csv.lock."""
  return path.with_name(f'.{path.name}.lock')


def settings_path(path: pathlib.Path) -> pathlib.Path:
  """out.csv → out.csv.json."""
  return path.with_name(path.name + '.json')


def check_writable(path: pathlib.Path) -> None:
  """Raises InputError unless the file could be written, before any work is done for it."""
  if path.is_dir():
    raise InputError(f'--output={path}: is a folder; name a file in it, such as {path / "out.csv"}')
  if path.exists() and not path.is_file():
    raise InputError(f'--output={path}: is no file that rows can be added to; take another place')
  if not path.parent.is_dir():
    raise InputError(f'--output={path}: there is no folder {path.parent}; make it first')
  if not os.access(path.parent, os.W_OK | os.X_OK) or (
    path.exists() and not os.access(path, os.W_OK)
  ):
    raise InputError(f'--output={path}: cannot be written to; take another place')
  for other in (broken_path(path), settings_path(path)):
    # The file itself is made first: what stands here without it is of something else.
    if other.is_dir() or (other.exists() and not path.exists()):
      raise InputError(
        f'--output={path}: {other} is there already, without it; delete that, or take another '
        '--output'
      )


def first_reason(path: pathlib.Path) -> str:
  """Returns why the first image of `out.broken.csv` could not be read; '' where all could."""
  with broken_path(path).open(newline='', encoding='utf-8') as file:
    return next((row['reason'] for row in csv.DictReader(file)), '')


def counts(path: pathlib.Path, settings: dict[str, Any]) -> tuple[int, int]:
  """Returns how many images stand in the rows, and in `out.broken.csv`; nothing is locked.

  Raises:
    InputError: the files were begun with other settings.
  """
  _check_same(path, settings, empty=False)
  return _lines(path) - 1, _lines(broken_path(path)) - 1


def _lines(path: pathlib.Path) -> int:
  with path.open('rb') as file:
    return sum(1 for _ in file)


def remove(path: pathlib.Path) -> None:
  """Deletes the results and what stands next to them."""
  for part in (broken_path(path), settings_path(path), path):
    part.unlink(missing_ok=True)


@contextlib.contextmanager
def opened(
  path: pathlib.Path, settings: dict[str, Any], columns: Sequence[str], images: Iterable[str]
) -> Iterator[Results]:
  """Opens the results to go on with them; what a kill left of a last row is cut off.

  Args:
    path: of the rows.
    settings: JSON; what both files hang on.
    columns: of the rows, the first being the image.
    images: the names of the whole list, in order, as `printable` gives them.

  Raises:
    InputError: the files were begun with other settings, are none of ours, or are being written.
  """
  check_writable(path)
  refusal = f'{path}: another process is writing it; wait for it, stop it, or take another --output'
  with (
    files.locked(lock_path(path), refusal),
    path.open('a+b') as good,
    broken_path(path).open('a+b') as broken,
  ):
    files.remove_temporaries(path.parent, settings_path(path).name)
    empty = os.path.getsize(path) == 0
    _check_same(path, settings, empty)
    _begin(broken, ('image', 'reason'))
    if empty:  # What was broken then may be good now.
      broken.truncate(len(_line(('image', 'reason'))))
    _begin(good, columns)
    done, rows = _cut(good, broken, images)
    yield Results(good, broken, done, rows)


def append(file: BinaryIO, rows: Sequence[Sequence[Any]]) -> None:
  """Writes rows in one piece and hands them to the system, where no kill can lose them."""
  file.write(_line(*rows))
  file.flush()


def printable(text: str) -> str:
  """Returns a name or reason as it stands on one line of a file in UTF-8."""
  text = os.fsencode(text).decode('utf-8', 'backslashreplace')
  return text.replace('\n', '\\n').replace('\r', '\\r')


def _check_same(path: pathlib.Path, settings: dict[str, Any], empty: bool) -> None:
  saved = settings_path(path)
  if empty:
    files.write_whole(saved, json.dumps(settings, indent=2) + '\n')
    return
  if not saved.is_file():
    raise InputError(
      f'{path}: exists, and no {saved.name} says that it was begun here; take another --output'
    )
  before = files.read_json(saved)
  for name in before.keys() | settings.keys():
    if before.get(name) != settings.get(name):
      raise InputError(
        f'{path}: was begun with other settings ({name}: was {before.get(name)!r}, is now '
        f'{settings.get(name)!r}); take another --output, or the old settings to go on with it'
      )


def _begin(file: BinaryIO, header: Sequence[str]) -> None:
  """Writes the header where there is none, or not all of it."""
  line = _line(header)
  file.seek(0)
  beginning = file.read(len(line))
  if beginning == line:
    return
  if not line.startswith(beginning):
    raise InputError(f'{file.name}: does not begin as it was written; take another --output')
  file.truncate(0)
  file.write(line)
  file.flush()


def _cut(good: BinaryIO, broken: BinaryIO, images: Iterable[str]) -> tuple[int, int]:
  """Cuts both files after the last image up to which all are there.

  Returns how many these are, and how many of them are in `good`.
  """
  rows = {file: _whole_rows(file) for file in (good, broken)}
  ahead = {file: next(rows[file]) for file in rows}
  counts = {good: 0, broken: 0}
  for image in images:
    file = next((file for file in rows if ahead[file][0] == image), None)
    if file is None:
      break
    counts[file] += 1
    ahead[file] = next(rows[file])
  for file in rows:
    file.truncate(ahead[file][1])
    file.seek(0, os.SEEK_END)
  return sum(counts.values()), counts[good]


def _whole_rows(file: BinaryIO) -> Iterator[tuple[str | None, int]]:
  """Yields the image of each whole row and where the row starts; at the end None, for ever."""
  file.seek(0)
  start = len(file.readline())
  while (line := file.readline()).endswith(b'\n'):
    yield next(csv.reader([line.decode()]))[0], start
    start += len(line)
  while True:
    yield None, start


def _line(*rows: Sequence[Any]) -> bytes:
  text = io.StringIO()
  csv.writer(text, lineterminator='\n').writerows(rows)
  return text.getvalue().encode()

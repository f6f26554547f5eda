"""The state of a folder in a bucket, which changes as a whole: a push cut off anywhere changes
nothing, or all.

Buckets put an object whole or not at all, and know no locks, renames or order of many. So a push
first says in a journal what it will do (`.medjax/all.push.json`). New files then go to their
places, where nobody counts them, and files that replace others beside the journal
(`.medjax/all.next/`, in a folder of the push's number). With the journal put again, now as whole,
all of them count; what is left, to move them to their places and delete what is gone, is done again
by whoever finds it unfinished.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import pathlib
import posixpath
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from medjax.errors import InputError
from medjax.runtime import files, remote, shards, snapshots
from medjax.runtime.remote import Info

WHOLE = 'all'  # what is called of a folder as a whole, and not of one piece of its work
PUSH, LEASE = '.push.json', '.lease.json'  # what journals and leases end in, after the piece
_CONTROL = '.medjax'
_THREADS = 8  # files at a time
_READS, _PAUSE = 5, 0.2  # seconds between two, of a file that is written meanwhile
_IN_MEMORY = 16_000_000  # bytes of a file that is read before it is sent


@dataclasses.dataclass(frozen=True)
class Place:
  """What is worked on: a folder of a bucket, or a file in one and what is called after it.

  Attributes:
    url: of the folder.
    file: the name of the file, '' for the folder as a whole.
  """

  url: str
  file: str = ''

  def has(self, path: str) -> bool:
    """Whether a path in the folder, which ends in '/' for a folder, belongs to it.

    To films.csv belong films.broken.csv and films.csv.shards/, and no other folders.
    """
    if not self.file or path == self.file:
      return True
    if '/' in path:
      return path.startswith((f'{self.control}/', f'{self.file}{shards.BESIDE}/'))
    return path.startswith(f'{pathlib.PurePosixPath(self.file).stem}.')

  @property
  def control(self) -> str:
    """The folder, in it, of journals and leases."""
    return f'.{self.file}{_CONTROL}' if self.file else _CONTROL

  def __str__(self) -> str:
    return f'{self.url}/{self.file}' if self.file else self.url


class Journal(NamedTuple):
  """What a push does.

  Attributes:
    number: nobody else has.
    is_whole: whether everything was sent, so that it counts.
    new: paths that were not there before.
    replaced: paths that were, or that others may write too.
    removed: paths that are no more.
  """

  number: str
  is_whole: bool
  new: tuple[str, ...]
  replaced: tuple[str, ...]
  removed: tuple[str, ...]


class Listing(NamedTuple):
  """Everything in the bucket at one look.

  Attributes:
    objects: path in the folder → what the list says, journals and the like too.
    journals: of pushes that have not ended, by the name of the piece of work.
  """

  objects: dict[str, Info]
  journals: dict[str, Journal]


def place_of(url: str, is_file: bool) -> Place:
  """Returns what a URL names; raises InputError for a file without a folder or bucket."""
  url = url.rstrip('/')
  start, _, rest = url.partition('://')
  if not rest:
    raise InputError(f'{url}: names no bucket')
  if not is_file:
    return Place(url)
  folder, name = posixpath.split(rest)
  if not folder:
    raise InputError(f'{url}: names a bucket and no file in it')
  return Place(f'{start}://{folder}', name)


def refuse_system(place: Place) -> None:
  """Raises InputError where files cannot be copied on the server, which a push needs."""
  from fsspec import AbstractFileSystem
  from fsspec.asyn import AsyncFileSystem

  fs, _ = remote.system(place.url)
  is_missing = getattr(fs.cp_file, '__func__', None) is AbstractFileSystem.cp_file
  if is_missing or getattr(type(fs), '_cp_file', None) is AsyncFileSystem._cp_file:
    raise InputError(
      f'{place}: {place.url.partition("://")[0]}:// copies no files on the server, so nothing is '
      'written there; s3, gs, az, hf, file and memory are supported'
    )


def look(place: Place) -> Listing:
  """Looks at what is in the bucket.

  Raises:
    InputError: it may not be read, or a package is missing.
    remote.Unreachable: it does not answer.
  """
  objects = remote.listed(place.url, place.has if place.file else None).files
  journals = {}
  for path in objects:
    if path.startswith(f'{place.control}/') and path.endswith(PUSH):
      values = read_json(place, path)
      if values:
        lists = {name: tuple(values[name]) for name in ('new', 'replaced', 'removed')}
        name = posixpath.basename(path).removesuffix(PUSH)
        journals[name] = Journal(values['number'], values['is_whole'], **lists)
  return Listing(objects, journals)


def state(place: Place, listing: Listing) -> dict[str, tuple[str, Info]]:
  """Returns the files that count: path → the key of its content in the folder, and its info."""
  sent = snapshots.counted(path for path in listing.objects if not _is_control(path))
  counting = {path: (path, info) for path, info in listing.objects.items() if path in sent}
  for name, journal in listing.journals.items():
    if not journal.is_whole:
      for path in journal.new:
        counting.pop(path, None)
      continue
    for path in journal.removed:
      counting.pop(path, None)
    for path in journal.replaced:
      key = _next(place, name, journal, path)
      if key in listing.objects:  # Else it is in its place already.
        counting[path] = key, listing.objects[key]
  return counting


def _is_control(path: str) -> bool:
  parts = path.split('/')
  return any(part.startswith('.') and part.endswith(_CONTROL) for part in parts)


def send(
  place: Place,
  name: str,
  journal: Journal,
  sources: Mapping[str, tuple[pathlib.Path, int]],
  check: Callable[[str], None],
) -> None:
  """Sends what a journal names, so that `commit` can have it count.

  Args:
    place: where to.
    name: of the piece of work.
    journal: of the push, not whole.
    sources: path → the file, and how many bytes of it.
    check: called with each path before and after it is sent; raises where that must not go on.
  """
  _write_journal(place, name, journal)
  targets = {path: path for path in journal.new}
  targets |= {path: _next(place, name, journal, path) for path in journal.replaced}

  def send_one(path: str) -> None:
    check(path)
    put(place, targets[path], *sources[path])
    check(path)

  _for_all(send_one, targets)


def commit(place: Place, name: str, journal: Journal) -> None:
  """Has all that was sent count, at once."""
  _write_journal(place, name, journal._replace(is_whole=True))


def finish(
  place: Place,
  name: str,
  journal: Journal,
  listing: Listing,
  check: Callable[[str], None],
) -> None:
  """Brings the bucket to what a whole journal says, or undoes one that is not; see `forget`.

  Args:
    place: of the bucket.
    name: of the piece of work.
    journal: of it.
    listing: what is in the bucket.
    check: as of `send`.
  """
  if not journal.is_whole:
    remove(place, [path for path in journal.new if path in listing.objects], check)
    return
  staged = {path: _next(place, name, journal, path) for path in journal.replaced}
  staged = {path: key for path, key in staged.items() if key in listing.objects}

  def move(path: str) -> None:
    check(path)
    fs, source = remote.system(f'{place.url}/{staged[path]}')
    target = remote.system(f'{place.url}/{path}')[1]
    _write(f'{place.url}/{path}', lambda: fs.cp_file(source, target))

  _for_all(move, staged)
  remove(place, [path for path in journal.removed if path in listing.objects], check)


def is_pending(place: Place, name: str, journal: Journal) -> bool:
  """Whether the journal is still there."""
  return read_json(place, _journal_path(place, name)).get('number') == journal.number


def forget(place: Place, name: str, listing: Listing) -> None:
  """Removes what was sent beside a finished journal, and then the journal."""
  start = f'{place.control}/{name}.next/'
  remove(place, [path for path in listing.objects if path.startswith(start)])
  remove(place, [_journal_path(place, name)])


def put(place: Place, path: str, source: pathlib.Path, size: int) -> None:
  """Writes a file of the disk, or its first bytes, to the bucket."""
  url = f'{place.url}/{path}'
  fs, key = remote.system(url)
  if size <= _IN_MEMORY or os.path.getsize(source) != size:
    with open(source, 'rb') as file:
      content = file.read(size)
    _write(url, lambda: fs.pipe_file(key, content))
  else:
    _write(url, lambda: fs.put_file(str(source), key))


def fetch(place: Place, keys: Mapping[str, str], folder: pathlib.Path) -> None:
  """Fetches files to their paths in a folder, each whole or not at all.

  Args:
    place: of the bucket.
    keys: path → key of its content.
    folder: of the disk.

  Raises:
    FileNotFoundError: one is gone since the bucket was looked at.
  """

  def get(path: str) -> None:
    url, target = f'{place.url}/{keys[path]}', folder / path
    fs, key = remote.system(url)
    target.parent.mkdir(parents=True, exist_ok=True)
    with files.writing_whole(target) as file:
      remote.tried(url, lambda: fs.get_file(key, file.name))

  _for_all(get, sorted(keys))


def remove(
  place: Place, paths: Iterable[str], check: Callable[[str], None] = lambda path: None
) -> None:
  """Deletes files of the bucket, each after its check; what is not there is none."""

  def delete(path: str) -> None:
    check(path)
    url = f'{place.url}/{path}'
    fs, key = remote.system(url)
    with contextlib.suppress(FileNotFoundError):
      remote.tried(url, lambda: fs.rm_file(key), 'written')
    if _keeps_full_folders(fs):
      with contextlib.suppress(OSError, ValueError):  # They hold something else, or are gone.
        for parent in pathlib.PurePosixPath(path).parents[:-1]:
          fs.rmdir(remote.system(f'{place.url}/{parent}')[1])

  _for_all(delete, paths)


def read_json(place: Place, path: str) -> dict[str, Any]:
  """Returns the JSON object of a file of ours; {} where there is none.

  Raises:
    InputError: it holds something else, also after a second.
  """
  url = f'{place.url}/{path}'
  fs, key = remote.system(url)
  for number in range(_READS):
    if number:  # Not everywhere a file is written at once.
      time.sleep(_PAUSE)
    with contextlib.suppress(ValueError):
      try:
        values = files.parsed(remote.tried(url, lambda: fs.cat_file(key)))
      except FileNotFoundError:
        return {}
      if isinstance(values, dict):
        return values
  raise InputError(f'{url}: damaged; if no command works there, remove it and start again')


def write_json(place: Place, path: str, values: Mapping[str, Any]) -> None:
  """Writes a JSON object, whole or not at all."""
  from fsspec.implementations import local

  url = f'{place.url}/{path}'
  fs, key = remote.system(url)
  content = json.dumps(values).encode()
  if isinstance(fs, local.LocalFileSystem):
    _write(url, lambda: files.write_whole(pathlib.Path(key), content))
  else:
    _write(url, lambda: fs.pipe_file(key, content))


def _journal_path(place: Place, name: str) -> str:
  return f'{place.control}/{name}{PUSH}'


def _write_journal(place: Place, name: str, journal: Journal) -> None:
  write_json(place, _journal_path(place, name), journal._asdict())


def _next(place: Place, name: str, journal: Journal, path: str) -> str:
  return f'{place.control}/{name}.next/{journal.number}/{path}'


def _has_folders(fs: Any) -> bool:
  """Whether there are folders, as on a disk or a server of files, and not only names with '/'."""
  return fs.root_marker == '/'


def _keeps_full_folders(fs: Any) -> bool:
  """Whether `rmdir` surely leaves a folder with something in it; that of HDFS deletes all."""
  from fsspec.implementations import local, memory

  return isinstance(fs, local.LocalFileSystem | memory.MemoryFileSystem)


def _write(url: str, write: Callable[[], Any]) -> None:
  def attempt() -> None:
    try:
      write()
    except FileNotFoundError:
      fs, key = remote.system(url)
      if not _has_folders(fs):  # Then it is the bucket that is missing.
        raise
      fs.makedirs(posixpath.dirname(key), exist_ok=True)
      write()

  try:
    remote.tried(url, attempt, 'written')
  except FileNotFoundError:
    raise InputError(f'{url}: there is no such bucket; make it first') from None


def _for_all(function: Callable[[str], None], paths: Iterable[str]) -> None:
  """Calls a function for each path, several at a time; the first error ends it."""
  paths = list(paths)
  if len(paths) < 2:
    for path in paths:
      function(path)
    return
  with concurrent.futures.ThreadPoolExecutor(_THREADS) as pool:
    waiting: Sequence[concurrent.futures.Future] = [pool.submit(function, path) for path in paths]
    try:
      for future in concurrent.futures.as_completed(waiting):
        future.result()
    except BaseException:
      pool.shutdown(cancel_futures=True)
      raise

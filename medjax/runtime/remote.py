"""Files of a bucket or a server: s3://, gs://, az://, hf:// and whatever else fsspec reads.

A folder there is listed once, a page at a time; what exists and how large it is is answered from
that list. Files are read whole. What cannot be reached is tried again, and then `Unreachable`: it
is never taken for a file that is missing or damaged.
"""

import contextlib
import datetime
import hashlib
import io
import os
import pathlib
import posixpath
import re
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from medjax.errors import InputError, one_line
from medjax.runtime import files, progress

_URL = re.compile(r'[A-Za-z][A-Za-z0-9+.-]+://')
_TRIES, _PAUSE = 4, 0.5  # seconds before the second try, twice as long before each other
# What file systems call when a file was written, and what follows from its content.
_MODIFIED = (
  *('LastModified', 'last_modified', 'mtime', 'updated', 'modified', 'created'),
  *('modificationTime', 'modify'),
)
_CONTENT = ('ETag', 'etag', 'md5Hash', 'blob_id', 'oid')


class Unreachable(Exception):
  """A server does not answer, or not as it should; the message is one line."""


class Info(NamedTuple):
  """What a list says of a file.

  Attributes:
    size: bytes.
    modified: when it was written last, nanoseconds; 0 where nobody says.
    content: a number that follows from its content, where the server names one, else 0.
  """

  size: int = 0
  modified: int = 0
  content: int = 0


class Listing:
  """What lies below a folder, or a file alone, whose path is ''.

  Attributes:
    files: path relative to the folder → what is known of the file.
    folders: path of a folder, '' for the one that is listed → the names in it.
  """

  def __init__(self, found: Mapping[str, Info]):
    self.files = dict(sorted(found.items()))
    self.folders: dict[str, dict[str, None]] = {}
    for name in self.files:
      while name:
        folder, own = posixpath.split(name)
        is_known = folder in self.folders
        self.folders.setdefault(folder, {})[own] = None
        name = '' if is_known else folder


def is_remote(path: str | os.PathLike) -> bool:
  """Whether a path is of a bucket or a server."""
  return _URL.match(os.fspath(path)) is not None


def real(path: str | os.PathLike) -> str:
  """Returns a path without links; in a bucket there are none."""
  return os.fspath(path).rstrip('/') if is_remote(path) else os.path.realpath(path)


def name(path: str | os.PathLike) -> str:
  """Returns what a folder is called."""
  return posixpath.basename(real(path))


def exists(path: str | os.PathLike) -> bool:
  """Whether there is such a file or folder."""
  if not is_remote(path):
    return os.path.exists(path)
  listing, place = find(path)
  return place in listing.files or place in listing.folders


def is_file(path: str | os.PathLike) -> bool:
  """Whether there is such a file."""
  if not is_remote(path):
    return os.path.isfile(path)
  listing, place = find(path)
  return place in listing.files


def info(path: str | os.PathLike) -> Info:
  """Returns what the list says of a file of a bucket; zeros where there is none."""
  listing, place = find(path)
  return listing.files.get(place, Info())


def files_below(path: str | os.PathLike) -> list[str]:
  """Returns the files below a folder of a bucket, relative to it, in order."""
  listing, place = find(path)
  start = f'{place}/' if place else ''
  return [name.removeprefix(start) for name in listing.files if name.startswith(start)]


def opened(path: str | os.PathLike) -> io.BytesIO | io.BufferedReader:
  """Opens a file to read.

  Raises:
    OSError: there is none, or it may not be read.
    Unreachable: the bucket does not answer.
  """
  return io.BytesIO(read(path)) if is_remote(path) else open(path, 'rb')


def read(path: str | os.PathLike) -> bytes:
  """Returns a file of a bucket; raises as `opened`."""
  url = os.fspath(path)
  content = getattr(_held, 'files', {}).get(url)
  return _fetched(url) if content is None else content


_held = threading.local()


@contextlib.contextmanager
def held(path: str | os.PathLike) -> Iterator[None]:
  """Within it this thread fetches a file of a bucket once, however often it is opened."""
  if is_remote(path):
    with contextlib.suppress(OSError):  # Whoever opens it will say so.
      _held.files = {os.fspath(path): _fetched(os.fspath(path))}
  try:
    yield
  finally:
    _held.files = {}


@contextlib.contextmanager
def ranges(path: str | os.PathLike) -> Iterator[Any]:
  """Gives a path as it is, or a file of a bucket of which only what is read is fetched.

  Raises:
    FileNotFoundError: there is no such file.
    Unreachable: the bucket does not answer.
  """
  if not is_remote(path):
    yield os.fspath(path)
    return
  fs, key = system(os.fspath(path))
  with tried(os.fspath(path), lambda: fs.open(key, 'rb')) as file:
    yield file


def local_copy(path: str | os.PathLike) -> str:
  """Returns a file, or a folder with all files in it, that lies on a disk; it is fetched once.

  A path that is of a disk is returned as it is.

  Raises:
    OSError: there is no such file.
    Unreachable: the bucket does not answer.
  """
  if not is_remote(path):
    return os.fspath(path)
  url = os.fspath(path).rstrip('/')
  inside = [''] if is_file(url) else files_below(url)
  if not inside:
    raise FileNotFoundError(f'{url}: no such file')
  urls = [f'{url}/{name}' if name else url for name in inside]
  known = repr([(one, info(one)) for one in urls])
  folder = cache() / 'remote' / hashlib.sha256(known.encode()).hexdigest()[:16]
  copy, whole = folder / posixpath.basename(url), folder / 'whole'
  folder.mkdir(parents=True, exist_ok=True)
  with files.waited_lock(folder / '.lock', lambda: None), progress.waiting(f'fetching {url}'):
    if not whole.exists():
      for name, one in zip(inside, urls):
        target = copy / name if name else copy
        target.parent.mkdir(parents=True, exist_ok=True)
        fs, key = system(one)
        tried(one, lambda: fs.get_file(key, str(target)))  # noqa: B023  It is called here.
      whole.touch()
  return str(copy)


def cache() -> pathlib.Path:
  """Returns the folder of the user's disk where copies lie."""
  return pathlib.Path(os.environ.get('XDG_CACHE_HOME', '~/.cache')).expanduser() / 'medjax'


def refuse(path: str | os.PathLike | None, name: str) -> None:
  """Raises InputError where what must lie on a disk is in a bucket."""
  if path and is_remote(path):
    raise InputError(
      f'{name}={os.fspath(path)}: only data.root, data.prepared, a work directory and an output '
      'may lie there; copy it to a disk (`aws s3 sync`, `gcloud storage rsync`, `azcopy sync`), or '
      'mount the bucket'
    )


_roots: set[str] = set()
_listings: dict[str, Listing] = {}
_listing = threading.Lock()


def know(root: str) -> None:
  """Has a folder listed as a whole, once something in it is asked for."""
  _roots.add(root.rstrip('/'))


def find(path: str | os.PathLike) -> tuple[Listing, str]:
  """Returns the list that a path of a bucket is in, and its place there.

  Raises:
    InputError: it may not be read, or a package is missing.
    Unreachable: the bucket does not answer.
  """
  url = os.fspath(path).rstrip('/')
  with _listing:
    for root, listing in _listings.items():
      if url == root or url.startswith(root + '/'):
        return listing, url[len(root) + 1 :]
    top = next((root for root in _roots if url.startswith(root + '/')), url)
    with progress.waiting(f'listing {top}'):
      listing = listed(top)
    if listing.files:
      _listings[top] = listing
  return listing, url[len(top) + 1 :]


def listed(url: str, belongs: Callable[[str], bool] | None = None) -> Listing:
  """Lists a folder as it is now; nothing is remembered.

  Args:
    url: of the folder, or of one file.
    belongs: which names in the folder are wanted, those of folders with '/' at the end; None is
      all.

  Raises:
    InputError: it may not be read, or a package is missing.
    Unreachable: the bucket does not answer.
  """
  fs, root = system(url)
  root = root.rstrip('/')

  def ask() -> dict[str, Any]:
    fs.invalidate_cache()
    if belongs is None:
      return fs.find(root, detail=True)
    entries: dict[str, Any] = {}
    for entry in fs.ls(root, detail=True):
      is_folder = entry['type'] == 'directory'
      if belongs(posixpath.basename(entry['name'].rstrip('/')) + '/' * is_folder):
        entries |= fs.find(entry['name'], detail=True) if is_folder else {entry['name']: entry}
    return entries

  try:
    entries = tried(url, ask)
  except FileNotFoundError:
    entries = {}
  in_folder = {
    name.removeprefix(root).lstrip('/'): _info(details) for name, details in entries.items()
  }
  for name in in_folder:  # A key may be any text, and files are written by it.
    if '..' in name.split('/') or '\\' in name or '\0' in name:
      raise InputError(f'{url}: the name {name[:80]!a} leads out of its folder; rename it there')
  if len(in_folder) > 1 or belongs is not None:
    in_folder.pop('', None)  # What some buckets have for the folder itself.
  return Listing(in_folder)


def _info(details: Mapping[str, Any]) -> Info:
  modified = next((details[name] for name in _MODIFIED if details.get(name)), 0)
  if isinstance(modified, str):
    with contextlib.suppress(ValueError):
      modified = datetime.datetime.fromisoformat(modified)
  if isinstance(modified, datetime.datetime):
    modified = modified.timestamp()
  seconds = modified if isinstance(modified, int | float) else 0
  content = next((str(details[name]) for name in _CONTENT if details.get(name)), '')
  return Info(int(details.get('size') or 0), int(seconds * 1e9), zlib.crc32(content.encode()))


def _fetched(url: str) -> bytes:
  fs, key = system(url)
  return tried(url, lambda: fs.cat_file(key))


def system(url: str) -> tuple[Any, str]:
  """Returns the file system of a bucket, of fsspec, and what it calls the path.

  Raises:
    InputError: nobody knows such URLs, or a package is missing.
  """
  try:
    import fsspec

    return fsspec.core.url_to_fs(url)
  except ImportError as error:
    raise InputError(f"{url}: {error}; pip install 'medjax[remote]'") from None
  except ValueError as error:  # An unknown protocol, or a path that is none.
    raise InputError(f'{url}: {error}') from None


def tried(url: str, ask: Callable[[], Any], done: str = 'read') -> Any:
  """Returns what `ask` does, asked again where it is worth it.

  Args:
    url: that is asked about.
    ask: of fsspec.
    done: what is done there, 'read' or 'written'.

  Raises:
    FileNotFoundError: there is no such file.
    InputError: it may not be done.
    Unreachable: the bucket does not answer, or with an error.
  """
  for number in range(_TRIES):
    try:
      return ask()
    except FileNotFoundError:
      raise FileNotFoundError(2, 'no such file', url) from None
    except (PermissionError, NotImplementedError) as error:
      raise InputError(f'{url}: may not be {done} ({one_line(error)})') from None
    except Exception as error:  # Of many libraries.
      if number == _TRIES - 1:
        raise Unreachable(
          f'{url}: cannot be reached ({one_line(error)}); the same command goes on'
        ) from None
    time.sleep(_PAUSE * 2**number)

"""Files of a run: written so that nobody ever finds half of one, and read back with care."""

import contextlib
import errno
import functools
import glob
import hashlib
import json
import os
import pathlib
import re
import socket
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

import psutil

from medjax.errors import InputError

try:
  import fcntl
except ImportError:  # Windows has none: what is left there stays, as it does without file locks.
  fcntl = None  # type: ignore[assignment]

_TEMPORARY = '.tmp'  # what names of files end in while they are written
_PROCESS = re.compile(rf'-(\d+){re.escape(_TEMPORARY)}$')


@contextlib.contextmanager
def locked(path: pathlib.Path, refusal: str) -> Iterator[None]:
  """Holds a lock file; the lock ends with the process, however it ends.

  Raises:
    InputError: another process holds it; the message is `refusal`.
    OSError: the file system has no locks; see medjax.runtime.storage.
  """
  import filelock  # Here, so that commands that lock nothing start sooner.

  lock = filelock.FileLock(path)
  try:
    lock.acquire(blocking=False)
  except filelock.Timeout:
    raise InputError(refusal) from None
  try:
    yield
  finally:
    lock.release()


@contextlib.contextmanager
def waited_lock(path: pathlib.Path, is_held: Callable[[], None]) -> Iterator[None]:
  """Holds a lock file as `locked` does, waiting for who holds it; `is_held` is called first."""
  import filelock

  lock = filelock.FileLock(path)
  try:
    lock.acquire(blocking=False)
  except filelock.Timeout:
    is_held()
    lock.acquire()
  try:
    yield
  finally:
    lock.release()


def is_locked(path: pathlib.Path) -> bool:
  """Whether another process holds a lock file."""
  if not path.is_file():
    return False
  try:
    with locked(path, ''):
      return False
  except InputError:
    return True


def write_whole(path: pathlib.Path, content: str | bytes) -> None:
  """Writes the file whole or not at all; a reader sees the old content or the new. Text is
  UTF-8.
  """
  with writing_whole(path) as file:
    file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def writing_whole(path: pathlib.Path) -> Iterator[BinaryIO]:
  """Gives a file to write in parts; with its end it is `path`, after an error nothing is.

  The first call of a process for a folder removes what killed processes left of such files there.
  """
  _remove_abandoned(path.parent)
  temporary = path.with_name(f'.{path.name}{_ending(os.getpid())}')
  try:
    with open(temporary, 'wb') as file:
      _lock(file)
      yield file
    os.replace(temporary, path)
  except BaseException:
    temporary.unlink(missing_ok=True)  # On a full disk half a file takes what room there was.
    raise


def _ending(process: int) -> str:
  # In containers every process is the first, so its number alone would not be its own.
  return f'.{socket.gethostname()}-{process}{_TEMPORARY}'


def _lock(file: BinaryIO) -> bool:
  """Locks an open file until it is closed; returns whether it could."""
  if fcntl is None:
    return False
  try:
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
  except OSError:  # Another process holds it, or there are no locks on this disk.
    return False
  return True


@functools.cache
def _remove_abandoned(folder: pathlib.Path) -> None:
  """Removes, once in a process, the temporary files of a folder whose process is no more.

  Those of other machines stay. Containers may share a name and not see each other's processes,
  but they see each other's locks.
  """
  for path in folder.glob(f'.*{_TEMPORARY}'):
    number = _PROCESS.search(path.name)
    if number is None or not path.name.endswith(_ending(int(number[1]))):
      continue
    if not psutil.pid_exists(int(number[1])):
      with contextlib.suppress(OSError), open(path, 'r+b') as file:
        if _lock(file):
          path.unlink()


def is_temporary(name: str) -> bool:
  """Whether a file is called as one that `writing_whole` has not ended yet, or never will."""
  return name.startswith('.') and name.endswith(_TEMPORARY)


def remove_temporaries(folder: pathlib.Path, name: str = '') -> None:
  """Removes what killed processes have left of files that they wrote whole, and of nothing else.

  Only for who holds the lock of the folder: another process may be writing its own there.

  Args:
    folder: whose they are.
    name: of the file that was written; '' for all, in all folders of it too.
  """
  pattern = f'.{glob.escape(name) or "*"}.*{_TEMPORARY}'
  for path in folder.glob(pattern) if name else folder.rglob(pattern):
    path.unlink(missing_ok=True)


def sha256(path: pathlib.Path) -> str:
  """Returns the digest of a file as hexadecimal digits."""
  with open(path, 'rb') as file:
    return hashlib.file_digest(file, 'sha256').hexdigest()


def name_is_refused(error: OSError) -> bool:
  """Whether no file can be called so where it was to be written: too long, or not its letters."""
  return error.errno in (errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ)


def short_name(name: str) -> str:
  """Returns a name that every file system takes, another one for every name.

  It is the beginning and the ending of the name in ASCII, with 16 digits of its SHA-256 between.
  """
  stem, ending = os.path.splitext(name)
  digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
  beginning = re.sub(r'[^A-Za-z0-9._-]', '_', os.path.basename(stem))[:80]
  return f'{beginning}~{digest}{ending}'


def parsed(text: str | bytes) -> Any:
  """Returns what JSON says.

  Raises:
    ValueError: it is none, or brackets within brackets deeper than Python goes.
  """
  try:
    return json.loads(text)
  except RecursionError:
    raise ValueError('brackets within brackets by the thousand') from None


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """Returns the JSON object of a file that a run wrote.

  Raises:
    InputError: there is no such file, or it holds something else.
  """
  try:
    values = parsed(path.read_text(encoding='utf-8'))
  except (FileNotFoundError, NotADirectoryError):
    raise InputError(
      f'{path}: no such file; {path.parent} is not the work directory of a run'
    ) from None
  except (OSError, ValueError, RecursionError) as error:
    raise InputError(f'{path}: not the JSON that a run wrote ({error})') from None
  if not isinstance(values, dict):
    raise InputError(f'{path}: not the JSON that a run wrote')
  return values

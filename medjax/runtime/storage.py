"""A disk that is full, read-only or gone: one line in place of what each writer makes of it."""

import errno
import logging
import os
import pathlib
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, TypeVar

from medjax.errors import InputError

Result = TypeVar('Result')

_NO_ROOM: tuple[int, ...] = (errno.ENOSPC, errno.EDQUOT)
OF_WRITING: tuple[int, ...] = (*_NO_ROOM, errno.EFBIG, errno.EROFS)  # Never of a file that is read.
# A file system that is mounted over a network, or by a program, and has gone away.
_GONE: tuple[int, ...] = (errno.ESTALE, errno.ENOTCONN, errno.EHOSTDOWN)
_STUMBLES: tuple[int, ...] = (*_GONE, errno.EIO, errno.ETIMEDOUT)
_PAUSE = 0.2  # seconds before what has stumbled is read once more
_FAILURES: tuple[int, ...] = (*OF_WRITING, *_GONE, errno.EIO, errno.ENOLCK)
# Libraries in C++ raise errors of their own that repeat what the system said.
_IN_TEXT: tuple[int, ...] = (*_FAILURES, errno.EACCES, errno.EPERM)
_PATH_IN_TEXT = re.compile(r'(?<=["\' ])/[^"\';]+')
# Whose background threads log, traceback and all, what the first thread raises too.
_LOGGERS = ('absl', 'asyncio')


class _Room(NamedTuple):
  """Bytes that are free to us, and in all; whether no further file fits, however small."""

  free: int
  total: int
  is_out_of_files: bool


def failure(error: BaseException) -> OSError | None:
  """Returns the failure of a disk that an error comes of; None where it comes of anything else.

  An InputError that speaks of one in its own words is left alone, unless there is no room.
  """
  for link in _chain(error):
    if isinstance(link, OSError) and link.errno is not None:
      code, path, known = link.errno, link.filename, _FAILURES
    else:
      text, known = str(link), _IN_TEXT
      code = next((code for code in known if os.strerror(code) in text), 0)
      match = _PATH_IN_TEXT.search(text)
      path = match[0] if match else None
    if code in (_NO_ROOM if isinstance(error, InputError) else known):
      return OSError(code, os.strerror(code), path)
  return None


def _chain(error: BaseException) -> Iterator[BaseException]:
  """Yields an error and all that it was raised from, or after."""
  waiting: list[BaseException | None] = [error]
  seen: set[int] = set()
  while waiting:
    link = waiting.pop()
    if link is not None and id(link) not in seen:
      seen.add(id(link))
      yield link
      waiting += [link.__context__, link.__cause__, *getattr(link, 'exceptions', ())]


def read_again(read: Callable[[], Result]) -> Result:
  """Returns what `read` returns, which is called once more where the disk has stumbled."""
  try:
    return read()
  except OSError as error:
    if not has_stumbled(error):
      raise
  time.sleep(_PAUSE)
  return read()


def has_stumbled(error: BaseException) -> bool:
  """Whether reading has failed as it does where a disk, or the way to it, fails for a moment."""
  return isinstance(error, OSError) and error.errno in _STUMBLES


def is_gone(error: BaseException) -> bool:
  """Whether reading has failed because the whole file system is away: no fault of the file's."""
  return isinstance(error, OSError) and error.errno in _GONE


def in_words(error: OSError, folders: Iterable[str | os.PathLike]) -> str:
  """Returns what happened, in which folder, and what to do, on one line.

  Args:
    error: from `failure`.
    folders: that are written to. Where an error names no path it is the fullest of them.
  """
  folder = _folder(error, [pathlib.Path(folder) for folder in folders])
  room = _room(folder)
  left = f' ({size(room.free)} of {size(room.total)} are free)' if room else ''
  if error.errno == errno.ENOSPC:
    what = (
      'holds as many files as it can' if room and room.is_out_of_files else 'has too little room'
    )
    return f'{folder}: the disk {what}{left}; make room; the same command goes on'
  if error.errno == errno.EDQUOT:
    return f'{folder}: your share of the disk is full (quota); make room; the same command goes on'
  if error.errno == errno.EFBIG:
    return (
      f'{folder}: a file became larger than is allowed there{left}; raise the limit (`ulimit -f`, '
      'or that of the file system); the same command goes on'
    )
  if error.errno == errno.ENOLCK:
    return (
      f'{error.filename or folder}: the file system has no file locks, which keep a second process '
      'out; mount it with them (of NFS its lock daemon, or local locks), or take another folder; '
      'the same command goes on'
    )
  return (
    f'{error.filename or folder}: {os.strerror(error.errno or 0)}; once the disk can be read and '
    'written again, the same command goes on'
  )


def size(count: int) -> str:
  """Returns bytes as '87 B', '520 kB', '3.1 MB' or '1,200.0 GB'."""
  for unit, length in (('GB', 1e9), ('MB', 1e6)):
    if count >= length:
      return f'{count / length:,.1f} {unit}'
  return f'{count / 1e3:.0f} kB' if count >= 1e3 else f'{count} B'


def quiet_threads() -> None:
  """Keeps threads from reporting a failing disk, which the first thread learns of anyway."""
  for name in _LOGGERS:
    logging.getLogger(name).addFilter(_is_no_failure)
  if not isinstance(sys.unraisablehook, _WithoutClosedLoops):
    sys.unraisablehook = _WithoutClosedLoops(sys.unraisablehook)


class _WithoutClosedLoops:
  """Reports what could be raised nowhere, but for writes that end after who waited for them.

  A checkpoint of which one write has failed is given up, and the others' ends find nobody.
  """

  def __init__(self, report: Callable[[Any], object]):
    self._report = report

  def __call__(self, unraisable: Any) -> None:
    error = unraisable.exc_value
    if not (isinstance(error, RuntimeError) and str(error) == 'Event loop is closed'):
      self._report(unraisable)


def _is_no_failure(record: logging.LogRecord) -> bool:
  error = record.exc_info and record.exc_info[1]
  return not (error and failure(error))


def _folder(error: OSError, folders: list[pathlib.Path]) -> pathlib.Path:
  """Returns the folder to name, as the user calls it if that is known."""
  if error.filename:
    path = _existing(pathlib.Path(os.fsdecode(error.filename)))
    return next((folder for folder in folders if path.is_relative_to(folder.absolute())), path)
  # What processes share, and what libraries write meanwhile, lies elsewhere.
  others = [pathlib.Path(tempfile.gettempdir()), pathlib.Path('/dev/shm')]
  candidates = [folder for folder in (*folders, *others) if os.access(_existing(folder), os.W_OK)]
  rooms = {folder: room for folder in candidates if (room := _room(folder))}
  if error.errno != errno.ENOSPC or not rooms:
    return candidates[0]
  return min(rooms, key=lambda folder: (not rooms[folder].is_out_of_files, rooms[folder].free))


def _existing(path: pathlib.Path) -> pathlib.Path:
  """Returns the folder of a path, or the nearest one above it that exists."""
  path = path.absolute()
  # pathlib's own raises where a folder may not be looked into.
  return next((folder for folder in (path, *path.parents) if os.path.isdir(folder)), path)


def _room(folder: pathlib.Path) -> _Room | None:
  """Returns the room where a folder is or will be, None where the disk does not even say that."""
  existing = _existing(folder)
  try:
    usage = shutil.disk_usage(existing)
    # Windows has no such call, and its disks no such limit.
    status = os.statvfs(existing) if hasattr(os, 'statvfs') else None
  except OSError:
    return None
  is_out_of_files = status is not None and status.f_files > 0 and status.f_favail == 0
  return _Room(usage.free, usage.total, is_out_of_files)

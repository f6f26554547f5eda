"""Mistakes in the words of the functions here, not of the commands."""

import contextlib
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from medjax.errors import InputError
from medjax.runtime import remote, storage


@contextlib.contextmanager
def renamed(
  names: Mapping[str, str] | None = None, folders: Iterable[str | os.PathLike] = ()
) -> Iterator[None]:
  """Replaces each of `names` in the message of an InputError, such as '--margin' by 'margin'.

  A path that cannot be read or written, and a disk that fails, is an InputError too, as it is one
  line of the commands.

  Args:
    names: of the commands → of the functions.
    folders: that are written to.
  """
  storage.quiet_threads()
  try:
    yield
  except Exception as error:
    failure = storage.failure(error)
    if failure is not None:
      on_disk = [folder for folder in folders if not remote.is_remote(folder)]
      line = storage.in_words(failure, on_disk).replace('the same command', 'the same call')
      raise InputError(line) from None
    if isinstance(error, OSError) and error.filename is not None:
      raise InputError(f'{error.filename}: {error.strerror}') from None
    if isinstance(error, remote.Unreachable):
      raise InputError(str(error).replace('the same command', 'the same call')) from None
    if not isinstance(error, InputError):
      raise
    message = str(error).replace('the same command', 'the same call')
    for name, argument in (names or {}).items():
      message = message.replace(name, argument)
    raise InputError(message) from None


def path(value: Any, what: str) -> pathlib.Path:
  """Returns a path of a disk that the caller gave; raises InputError for what is none."""
  given = text(value, what)
  remote.refuse(given, what)
  return pathlib.Path(given)


def text(value: Any, what: str) -> str:
  """Returns a path of a disk or a bucket that the caller gave, see medjax.runtime.remote_work.

  Raises:
    InputError: it is none.
  """
  if not isinstance(value, str | os.PathLike):
    raise InputError(f'{what}: {type(value).__name__} given; give a path')
  if not os.fspath(value):
    raise InputError(f'{what}: is empty; give a path')
  return os.fspath(value)

"""Mistakes in the words of the functions here, not of the commands."""

import contextlib
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from medjax.errors import InputError


@contextlib.contextmanager
def renamed(names: Mapping[str, str] | None = None) -> Iterator[None]:
  """Replaces each of `names` in the message of an InputError, such as '--margin' by 'margin'.

  A path that cannot be read or written is an InputError too, as it is one line of the commands.
  """
  try:
    yield
  except InputError as error:
    message = str(error)
    for name, argument in (names or {}).items():
      message = message.replace(name, argument)
    raise InputError(message) from None
  except OSError as error:
    if error.filename is None:
      raise
    raise InputError(f'{error.filename}: {error.strerror}') from None


def path(value: Any, what: str) -> pathlib.Path:
  """Returns a path that the caller gave; raises InputError for what is none."""
  if not isinstance(value, str | os.PathLike):
    raise InputError(f'{what}: {type(value).__name__} given; give a path')
  if not os.fspath(value):
    raise InputError(f'{what}: is empty; give a path')
  return pathlib.Path(value)

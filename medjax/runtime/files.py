"""Files of a run: written so that nobody ever finds half of one, and read back with care."""

import contextlib
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

import filelock

from medjax.errors import InputError


@contextlib.contextmanager
def locked(path: pathlib.Path, refusal: str) -> Iterator[None]:
  """Holds a lock file; the lock ends with the process, however it ends.

  Raises:
    InputError: another process holds it; the message is `refusal`.
  """
  lock = filelock.FileLock(path)
  try:
    lock.acquire(blocking=False)
  except filelock.Timeout:
    raise InputError(refusal) from None
  try:
    yield
  finally:
    lock.release()


def write_whole(path: pathlib.Path, content: str | bytes) -> None:
  """Writes the file whole or not at all; a reader sees the old content or the new. Text is
  UTF-8.
  """
  temporary = path.with_name(f'.{path.name}.{os.getpid()}.tmp')
  temporary.write_bytes(content.encode() if isinstance(content, str) else content)
  os.replace(temporary, path)


def read_json(path: pathlib.Path) -> dict[str, Any]:
  """Returns the JSON object of a file that a run wrote.

  Raises:
    InputError: there is no such file, or it holds something else.
  """
  try:
    values = json.loads(path.read_text(encoding='utf-8'))
  except FileNotFoundError:
    raise InputError(
      f'{path}: no such file; {path.parent} is not the work directory of a run'
    ) from None
  except (OSError, ValueError) as error:
    raise InputError(f'{path}: not the JSON that a run wrote ({error})') from None
  if not isinstance(values, dict):
    raise InputError(f'{path}: not the JSON that a run wrote')
  return values

"""Messages of the commands in the words of the functions here."""

import contextlib
from collections.abc import Iterator, Mapping

from medjax.errors import InputError


@contextlib.contextmanager
def renamed(names: Mapping[str, str]) -> Iterator[None]:
  """Replaces each of `names` in the message of an InputError, such as '--margin' by 'margin'."""
  try:
    yield
  except InputError as error:
    message = str(error)
    for name, argument in names.items():
      message = message.replace(name, argument)
    raise InputError(message) from None

"""Text that a terminal only shows: what a file or label is called can hold orders to it."""

import io
import unicodedata
from collections.abc import Callable
from typing import TextIO

_LONGEST = 2_000  # characters of a line for the person at the terminal
_STEERING = ('Cc', 'Cf', 'Zl', 'Zp')  # Unicode's control, format (right-to-left marks) and breaks


def visible(text: str, but: str = '') -> str:
  """Returns the text with what steers a terminal or turns the direction of reading as an escape.

  Args:
    text: any.
    but: characters that stay as they are.
  """
  if text.isprintable():
    return text
  return ''.join(
    character.encode('unicode_escape').decode()
    if unicodedata.category(character) in _STEERING and character not in but
    else character
    for character in text
  )


def line(text: str) -> str:
  """Returns the text as one visible line of at most 2,000 characters."""
  shown = visible(' '.join(text[: 2 * _LONGEST].split()))
  return shown if len(shown) <= _LONGEST else f'{shown[:_LONGEST]} …'


class VisibleStream(io.TextIOBase):
  """A stream that writes to another, `visible` but for its lines and tabulators.

  Args:
    stream: the other.
    called: text → the same, in which paths are called as the user does.
  """

  def __init__(self, stream: TextIO, called: Callable[[str], str] = str):
    self._stream, self._called = stream, called

  def write(self, text: str) -> int:
    self._stream.write(visible(self._called(text), but='\n\t'))
    return len(text)

  def flush(self) -> None:
    self._stream.flush()

  def isatty(self) -> bool:
    return self._stream.isatty()

  def fileno(self) -> int:
    return self._stream.fileno()

  @property
  def encoding(self) -> str:  # type: ignore[override]  # The base class has it read-only, too.
    return self._stream.encoding

  def writable(self) -> bool:
    return True

"""The one error that a person sees as one line instead of a traceback."""

import difflib
import traceback
from collections.abc import Iterable


class InputError(ValueError):
  """Something the user gave is wrong. The message is one line: what, where, what to do.

  A message quotes names and cells of files, which can hold line breaks and orders to a terminal:
  they are there as escapes.
  """

  def __init__(self, message: str = ''):
    super().__init__(_printable(message))


def _printable(text: str) -> str:
  if text.isprintable():
    return text
  return ''.join(
    letter if letter.isprintable() else letter.encode('unicode_escape').decode() for letter in text
  )


def one_line(error: BaseException) -> str:
  """Returns what an error says, on one line, with the file and line that raised it."""
  frames = traceback.extract_tb(error.__traceback__)
  # The innermost frame outside installed packages is where the user can do something.
  own = [frame for frame in frames if 'site-packages' not in frame.filename] or frames
  where = f' ({own[-1].filename}, line {own[-1].lineno})' if own else ''
  text = ' '.join(str(error).split()) or 'no message'
  return f'{type(error).__name__}: {text[:300]}{where}'


def nearest(word: object, options: Iterable[str]) -> str:
  """Returns '; did you mean X?' for the option closest to `word`, or '' if none is close."""
  folded = {option.casefold(): option for option in options}
  close = difflib.get_close_matches(str(word).casefold(), folded, n=1, cutoff=0.6)
  return f"; did you mean '{folded[close[0]]}'?" if close else ''


def check_option(what: str, value: object, options: Iterable[str]) -> None:
  """Raises InputError naming `what`, the value, what is allowed and the nearest spelling."""
  options = list(options)
  if value not in options:
    allowed = ', '.join(str(option) or "''" for option in options)
    raise InputError(f"{what} is '{value}'; allowed: {allowed}{nearest(value, options)}")


def count(number: int, noun: str) -> str:
  """Returns '1 image', '1,200 images'."""
  return f'{number:,} {noun}' if number == 1 else f'{number:,} {noun}s'

"""The one error that a person sees as one line instead of a traceback."""

import difflib
from collections.abc import Iterable


class InputError(ValueError):
  """Something the user gave is wrong. The message is one line: what, where, what to do."""


def nearest(word: str, options: Iterable[str]) -> str:
  """Returns '; did you mean X?' for the option closest to `word`, or '' if none is close."""
  folded = {option.casefold(): option for option in options}
  close = difflib.get_close_matches(str(word).casefold(), folded, n=1, cutoff=0.6)
  return f"; did you mean '{folded[close[0]]}'?" if close else ''


def check_option(what: str, value: str, options: Iterable[str]) -> None:
  """Raises InputError naming `what`, the value, what is allowed and the nearest spelling."""
  options = list(options)
  if value not in options:
    allowed = ', '.join(map(str, options))
    raise InputError(f"{what} is '{value}'; allowed: {allowed}{nearest(value, options)}")

"""Markdown whose text is always escaped: a label may be called `T1 < 2 cm | N*`."""

import re
from collections.abc import Iterable, Sequence

from medjax.config import names

# What begins markup (CommonMark 0.31, GitHub's tables, formulas and addresses that become links).
_MARKS = re.compile(
  r'[\\`*<>&$~|]|(?<=\])[\[(:]|(?<!\w)_|_(?!\w)|(?<=\w):(?=//)|(?<=www)\.', re.IGNORECASE
)


def text(value: object) -> str:
  """Returns text that a page of Markdown shows as it is, on one line.

  Line breaks, control characters and those that turn the direction of reading become escapes.
  """
  shown = ''.join(
    character.encode('unicode_escape').decode() if names.is_steering(character) else character
    for character in str(value)
  )
  return _MARKS.sub(r'\\\g<0>', shown)


def items(*lines: str) -> str:
  """Returns a list of plain text."""
  return '\n'.join(f'- {text(line)}' for line in lines)


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
  """Returns a table of plain text."""
  lines = [[text(cell) for cell in line] for line in (header, *rows)]
  return '\n'.join(
    '| ' + ' | '.join(line) + ' |' for line in (lines[0], ['---'] * len(header), *lines[1:])
  )

"""What a name must not be, because of where it goes: a spreadsheet, a terminal, a page.

Labels, images and people come from others. Their names stand in CSV files as they are, for medjax
and other programs read them back, and a spreadsheet computes a cell that begins like a formula
(OWASP, CSV injection). The usual remedy, an apostrophe before the cell, makes another name of it;
here such a name is refused before anything is written.
"""

import re
import unicodedata
from collections.abc import Callable, Iterable

from medjax.errors import InputError

LONGEST = 200  # characters of a label's name; some become names of files
_FORMULA_SIGNS = ('=', '+', '-', '@', '\t', '\r')
# A number after signs, with a decimal comma too; and text as spreadsheets keep it: ="0071".
_HARMLESS = re.compile(
  r'[+-]+|[+-]?[\d.,]*\d[\d.,]*(e[+-]?\d+)?|="[^"]*"', re.ASCII | re.IGNORECASE
)
# What a formula needs to do more than arithmetic: a function, another sheet, another program.
_REACHES_OUT = re.compile(r'[\w.]\s*\(|[|!]')
# Characters that turn the direction of reading (Unicode's UAX 9), so that a name shows as another.
_TURNING = frozenset('\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069')
_BREAKING = ('Cc', 'Cs', 'Zl', 'Zp')  # Unicode's control characters, half characters and breaks


def is_formula(text: str) -> bool:
  """Whether a spreadsheet would take a cell for a formula; a number and '+++' are none."""
  return text.startswith(_FORMULA_SIGNS) and not _HARMLESS.fullmatch(text)


def is_harmful_formula(text: str) -> bool:
  """Whether a formula could fetch or run something: '-2+3+cmd|…' could, '-0.5 D' could not.

  Names such as '+ve', '@site', and ids that are hashes begin with a sign, too.
  """
  signs_alone = text.startswith(('+', '-', '@')) and not _REACHES_OUT.search(text)
  return is_formula(text) and not signs_alone


def is_steering(character: str) -> bool:
  """Whether a character breaks a line, steers a terminal or turns the direction of reading."""
  return character in _TURNING or unicodedata.category(character) in _BREAKING


def check_name(name: str, what: str, where: object) -> None:
  """Raises InputError for a name that a spreadsheet would compute; see `check_cells`."""
  if is_harmful_formula(name):
    raise InputError(
      f'{where}: the {what} {name[:80]!a} begins like a formula, which a spreadsheet that opens a '
      'table of the results would compute; rename it, or leave it out'
    )


def check_cells(values: Iterable[str], what: str, place: Callable[[int], str]) -> None:
  """Raises InputError for a name, such as that of an image, that a spreadsheet would compute.

  Args:
    values: the names.
    what: they name: 'image', 'patient'.
    place: of the value with a number: 'labels.csv: row 7'.
  """
  values = list(values)
  if {value[:1] for value in values}.isdisjoint(_FORMULA_SIGNS):  # A million rows in no time.
    return
  for row, value in enumerate(values):
    if value.startswith(_FORMULA_SIGNS):
      check_name(value, what, place(row))


def check_labels(labels: Iterable[str], where: str) -> None:
  """Raises InputError, naming `where`, for a label that would be more than a name where it goes."""
  for label in labels:
    check_name(label, 'label', where)
    if not label.isprintable() and any(map(is_steering, label)):
      raise InputError(
        f'{where}: the label {label[:40]!a} holds a line break, a control character or one that '
        'turns the direction of reading; rename it'
      )
    if len(label) > LONGEST:
      raise InputError(
        f"{where}: the label '{label[:40]}…' has {len(label):,} characters; at most {LONGEST}"
      )
    if not label.strip():
      raise InputError(f'{where}: a label without a name; name it')

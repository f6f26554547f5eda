"""What one cell of a table says, however it is written: ages, sexes, labels and grades.

Every source and every command reads such cells here, so that none takes what another refuses.
"""

import contextlib
import datetime
import math
import re
from collections.abc import Callable, Mapping
from typing import TypeVar

from medjax.data import identifiers

Value = TypeVar('Value')

# Codes of labels: positive, negative, uncertain, not mentioned.
LABELS = {'1': 1.0, '0': 0.0, '-1': -1.0, '': math.nan}
# Those of readers and references, who are never uncertain; and where there is always an answer.
ANSWERS = {'1': 1.0, '0': 0.0, '': math.nan}
BINARY = {'1': 1.0, '0': 0.0}

# What programs write for an empty cell; pandas reads all of them as missing.
_EMPTY = frozenset(('nan', '-nan', 'na', 'n/a', '<na>', 'none', 'null'))
_WORDS = {
  **dict.fromkeys(('true', 't', 'yes', 'y', 'positive', 'pos', 'present'), 1.0),
  **dict.fromkeys(('false', 'f', 'no', 'n', 'negative', 'neg', 'absent'), 0.0),
  'uncertain': -1.0,
}
_NUMBER = re.compile(r'[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?', re.ASCII | re.IGNORECASE)

# W is a woman or weiblich. H is not here: M is a man where it is homme, a woman where it is hombre.
_SEXES = {
  **dict.fromkeys(('m', 'male', 'man', 'boy', 'männlich', 'masculin', 'masculino'), 'M'),
  **dict.fromkeys(('f', 'female', 'woman', 'girl', 'w', 'weiblich', 'féminin', 'femenino'), 'F'),
  **dict.fromkeys(('o', 'other', 'd', 'divers', 'diverse', 'intersex', 'nonbinary'), 'O'),
  **dict.fromkeys(('u', 'notreported', 'notrecorded', 'notspecified', 'unspecified'), ''),
}
_PARTS = {
  **dict.fromkeys(('train', 'training', 'trn'), 'train'),
  **dict.fromkeys(('validation', 'validate', 'val', 'valid', 'dev'), 'validation'),
  **dict.fromkeys(('test', 'testing', 'tst'), 'test'),
  **dict.fromkeys(('', 'unused'), ''),
}
_UNITS = {
  **dict.fromkeys(('', 'y', 'yr', 'yrs', 'year', 'years', 'yo', 'y/o'), 1),
  **dict.fromkeys(('m', 'mo', 'mos', 'mth', 'mths', 'month', 'months'), 12),
  **dict.fromkeys(('w', 'wk', 'wks', 'week', 'weeks'), 52.18),
  **dict.fromkeys(('d', 'day', 'days'), 365.25),
}
_AGE = re.compile(r'(\d+(?:[.,]\d+)?)\s*([a-z/]*)(?: old)?', re.ASCII)
_LEAST_AGE = re.compile(
  r'(?P<above>>|over )?(?:>=|≥)?\s*(?P<years>\d+)\s*(?:y|yrs?|years?)?\s*'
  r'(?:\+|(?:or|and) (?:older|over|above))?',
  re.ASCII,
)


def attempt(parse: Callable[[str], Value], text: str, otherwise: Value) -> Value:
  """Returns what a parser of this module gives, or `otherwise` where it refuses the text."""
  try:
    return parse(text)
  except ValueError:
    return otherwise


def is_empty(text: str) -> bool:
  """Whether nothing is written, or what programs write for an empty cell: 'nan', 'NA', 'None'."""
  return text.strip().casefold() in _EMPTY | {''}


def number(text: str) -> float:
  """Returns the number that a text is, NaN where it is none."""
  text = text.strip().replace('\N{MINUS SIGN}', '-')
  return float(text) if _NUMBER.fullmatch(text) else math.nan


def code(text: str, codes: Mapping[str, Value]) -> Value:
  """Returns what `codes` says of a cell.

  Spaces around it and its case make no difference. Where keys are numbers, so does none how the
  number is written (1, 1.0, 1.00, 1e+00), nor what a program writes for an empty cell; where they
  are 1, 0 and at most -1, words say them too: True, yes, y, t, positive, pos and present; False,
  no, n, f, negative, neg and absent; uncertain.

  Raises:
    KeyError: nothing is said of it.
  """
  text = text.strip()
  if text in codes:
    return codes[text]
  folded = [key for key in codes if key.casefold() == text.casefold()]
  if len(folded) == 1:
    return codes[folded[0]]
  numbers = {number(key): key for key in codes if key}
  if not any(map(math.isnan, numbers)):
    if is_empty(text) and '' in codes:
      return codes['']
    said = number(text)
    if {0.0, 1.0} <= numbers.keys() <= {0.0, 1.0, -1.0}:
      said = _WORDS.get(text.casefold(), said)
    if said in numbers:
      return codes[numbers[said]]
  raise KeyError(text)


def sex(text: str) -> str:
  """Returns M, F or O (other), the values of DICOM's PatientSex, or '' where it is not known.

  Raises:
    ValueError: the text is neither. Numbers are not, for they mean other sexes in other places.
  """
  words = re.sub(r'[\s._-]', '', text).casefold()
  if words in _SEXES:
    return _SEXES[words]
  if identifiers.is_unknown(text):
    return ''
  raise ValueError(f"'{text}' is no sex that is understood")


def years(text: str) -> float:
  """Returns an age in years, NaN where it is not known.

  45, 45.0, 45y, '45 years', and as DICOM has it (PS3.5 6.2, AS): 045Y. 018M, 003W and 010D are
  completed years: 1, 0, 0. What stands for the oldest people, as rules of de-identification ask for
  (45 CFR 164.514), is the least age that it can be: 90+, >89 and ≥90 are 90.

  Raises:
    ValueError: the text is no age.
  """
  if identifiers.is_unknown(text):
    return math.nan
  if not math.isnan(plain := number(text)):
    return plain
  words = ' '.join(text.casefold().split())
  if match := _AGE.fullmatch(words.replace('y.o.', 'yo')):
    count, unit = float(match[1].replace(',', '.')), _UNITS.get(match[2])
    if unit:
      return count if unit == 1 else float(int(count / unit))
  if match := _LEAST_AGE.fullmatch(words):
    return int(match['years']) + (1.0 if match['above'] else 0.0)
  raise ValueError(f"'{text}' is no age that is understood")


def part(text: str) -> str:
  """Returns the part of a split that a word names: train, validation, test, or '' where unused.

  Raises:
    ValueError: it names none, as a number does: folds are numbered in many ways.
  """
  word = text.strip().casefold()
  if word in _PARTS:
    return _PARTS[word]
  raise ValueError(f"'{text}' names no part of a split")


def day(text: str) -> datetime.date:
  """Returns the day of 2024-05-31, or of 20240531 as DICOM has it (PS3.5 6.2, DA), a time after it.

  Raises:
    ValueError: it is no such date; 31/05/2024 is none, for others write the month first.
  """
  date = re.fullmatch(r'(\d{4})(-?)(\d\d)\2(\d\d)(?:[ T]\d\d:\d\d.*)?', text.strip(), re.ASCII)
  with contextlib.suppress(ValueError):  # of a day that no month has
    if date:
      return datetime.date(int(date[1]), int(date[3]), int(date[4]))
  raise ValueError(f"'{text}' is no date such as 2024-05-31 or 20240531")


def age(text: str) -> str:
  """Returns an age in years as the study table has it, '45' or '45.5', '' where it is not known.

  Raises:
    ValueError: the text is no age.
  """
  value = years(text)
  return '' if math.isnan(value) else f'{value:g}'

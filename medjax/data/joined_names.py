"""Several names in one cell of a table, so that they can be told apart again.

Names are joined by '|', as published tables do it. A '|' or backslash within a name is written with
a backslash before it.
"""

import re
from collections.abc import Iterable

import pandas as pd

_SPECIAL = re.compile(r'([\\|])')
_NAME = re.compile(r'(?:\\.|[^\\|])+', re.DOTALL)
_ESCAPED = re.compile(r'\\(.)', re.DOTALL)


def join(names: Iterable[str]) -> str:
  """Returns the names, none of them empty, as one text."""
  return '|'.join(_SPECIAL.sub(r'\\\1', name) for name in names)


def join_columns(*columns: pd.Series) -> pd.Series:
  """Returns the names of each row as one text, as `join` does; NaN where one of them is."""
  first, *others = (
    names.str.replace('\\', r'\\', regex=False).str.replace('|', r'\|', regex=False)
    for names in columns
  )
  for names in others:
    first = first + '|' + names
  return first


def separate(text: str) -> list[str]:
  """Returns the names that `join` has joined."""
  return [_ESCAPED.sub(r'\1', name) for name in _NAME.findall(text)]

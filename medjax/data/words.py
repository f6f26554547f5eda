"""A column's text, cleaned by its distinct values, which are few where rows are many."""

from collections.abc import Callable

import numpy as np
import pandas as pd


def of(values: pd.Series) -> tuple[np.ndarray, list[str]]:
  """Returns which text each value is, int64[N], and the texts without spaces around them.

  What is missing is -1, so that the last of a list stands for it. Texts that differ in these spaces
  alone are listed twice.
  """
  codes, distinct = pd.factorize(values)
  if not all(isinstance(value, str) for value in distinct.tolist()):
    # 1, 1.0 and True are one to pandas.
    codes, distinct = pd.factorize(values.astype(object).where(values.notna(), None).map(_text))
  return codes, [value.strip() for value in distinct.tolist()]


def _text(value: object) -> str | None:
  return None if value is None else str(value)


def cleaned(values: pd.Series, clean: Callable[[str], str] = str) -> pd.Series:
  """Returns what `clean` makes of each value's text, that of '' where it is missing."""
  codes, texts = of(values)
  return pd.Series(list(map(clean, [*texts, ''])), dtype=str).take(codes).set_axis(values.index)


def stripped(values: pd.Series) -> pd.Series:
  """Returns each value's text without spaces around it, '' where it is missing."""
  if values.dtype == 'str':
    return values.fillna('').str.strip()
  return values.astype(object).where(values.notna(), '').astype(str).str.strip()

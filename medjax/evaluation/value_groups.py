"""Which group of a column an image is in: bands of ages and of other numbers, sexes, words."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from medjax.data import cells, identifiers
from medjax.evaluation.subgroup_notes import NOT_RECORDED

MOST = 12  # values of a column that are reported, and different numbers that are no bands yet
# Years. The bands are ours: children, then adults in steps of twenty years.
AGES = ((0, 17), (18, 39), (40, 59), (60, 79), (80, 120))
# Names, though some write them in digits: no number of a site lies between two others.
NAMES = ('view', 'site', 'scanner', 'dataset')


def of_values(column: str, values: Sequence[str]) -> list[str]:
  """Returns the group that each image is in by its value in a column.

  Ages, the column 'age', become bands of years, and sexes, the column 'sex', M, F and O, however
  they are written (see medjax.data.cells); what is neither stays a group of its own. Another column
  of more than twelve different numbers, if it is none of `NAMES`, is cut at its quartiles, each
  band named by its least and greatest number. Other values stay as they are. '' becomes 'not
  recorded', and so does an age below 0 or above 120.
  """
  series = pd.Series(list(values), dtype=object).astype(str).str.strip()
  if column in ('age', 'sex'):
    series = series.mask(series.map(identifiers.is_unknown), '')
  if column == 'sex':
    sexes = {word: cells.attempt(cells.sex, word, word) for word in series.unique()}
    series = series.map(sexes)
  result = series.where(series != '', NOT_RECORDED)
  known = series[series != '']
  if column == 'age':
    years = {word: cells.attempt(cells.years, word, np.nan) for word in known.unique()}
    numbers = known.map(years).astype(np.float64)
    for low, high in AGES:
      name = f'{low}+' if high == AGES[-1][1] else f'{low}-{high}'
      result[numbers.index[(numbers >= low) & (numbers < high + 1)]] = name
    result[numbers.index[(numbers < 0) | (numbers >= AGES[-1][1] + 1)]] = NOT_RECORDED
    return result.tolist()
  numbers = pd.to_numeric(known, errors='coerce')
  if column not in NAMES and np.isfinite(numbers).all() and numbers.nunique() > MOST:
    quartiles = np.unique(np.quantile(numbers, (0.25, 0.5, 0.75)))
    for _, part in numbers.groupby(np.searchsorted(quartiles, numbers)):
      low, high = part.min(), part.max()
      result[part.index] = f'{low:g}' if low == high else f'{low:g} to {high:g}'
  return result.tolist()

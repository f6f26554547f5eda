"""Who is in each part of a study: what a paper's Table 1 says, ready for JSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from medjax.data import cells, identifiers

OF_IMAGES = ('view', 'laterality', 'site', 'scanner', 'dataset')
SEVERAL = 'several'  # of a patient whose images differ
OTHER = 'other'
MOST = 6  # values of a column that are counted each, the others together


def of_rows(table: pd.DataFrame) -> dict[str, Any]:
  """Returns counts and figures of the images of one part of a study.

  Args:
    table: a row per image with `patient` and any of age (years), sex, view, ….

  Returns:
    'images_per_patient': {'median', 'lowest', 'highest'};
    'age': {'known', 'missing' (patients), 'mean', 'sd', 'median', 'quartiles', 'range' (years)}, a
      patient's age being the median of those of their images;
    'counts': column → {'unit': 'patient' or 'image', 'known', 'missing', 'values': value → how
      many, the most frequent first}.
    A column that the table does not have is not there.
  """
  if not len(table):
    return {}
  patients = table['patient'].to_numpy(object)
  numbers = table.groupby(patients, sort=False).size()
  summary: dict[str, Any] = {
    'images_per_patient': {
      'median': float(numbers.median()),
      'lowest': int(numbers.min()),
      'highest': int(numbers.max()),
    },
    'counts': {},
  }
  if 'age' in table:
    words = _text(table['age'])
    years = {word: cells.attempt(cells.years, word, np.nan) for word in words.unique()}
    ages = words.map(years).astype(np.float64)
    summary['age'] = _ages(ages.groupby(patients, sort=False).median())
  for column in ('sex', *OF_IMAGES):
    if column not in table:
      continue
    values = _text(table[column])
    unit = 'image'
    if column == 'sex':
      unit = 'patient'
      sexes = {word: cells.attempt(cells.sex, word, word) for word in values.unique()}
      values = values.map(sexes)
      known = values.where(values != '').groupby(patients, sort=False)
      values = known.first().fillna('').mask(known.nunique() > 1, SEVERAL)
    summary['counts'][column] = _counted(values, unit)
  return summary


def of_images(patients: Sequence[str], about: pd.DataFrame | None) -> dict[str, Any]:
  """Returns `of_rows` of N images, given their patients and what is told about them."""
  table = pd.DataFrame() if about is None else about.reset_index(drop=True)
  return of_rows(table.assign(patient=list(patients)))


def _text(values: pd.Series) -> pd.Series:
  words = values.astype(object).where(values.notna(), '').astype(str).str.strip()
  unknown = [word for word in words.unique() if identifiers.is_unknown(word)]
  return words.mask(words.isin(unknown), '')


def _ages(ages: pd.Series) -> dict[str, Any]:
  known = ages.dropna().to_numpy(np.float64)
  counts = {'known': len(known), 'missing': int(ages.isna().sum())}
  if not len(known):
    return counts
  low, median, high = np.percentile(known, (25, 50, 75))
  return counts | {
    'mean': float(known.mean()),
    'sd': float(known.std(ddof=1)) if len(known) > 1 else None,
    'median': float(median),
    'quartiles': [float(low), float(high)],
    'range': [float(known.min()), float(known.max())],
  }


def _counted(values: pd.Series, unit: str) -> dict[str, Any]:
  known = values[values != '']
  by_value = {str(value): int(number) for value, number in known.value_counts().items()}
  names = sorted(by_value, key=lambda name: (-by_value[name], name))
  shown = names if len(names) <= MOST + 1 else names[:MOST]
  counts = {name: by_value[name] for name in shown}
  if len(shown) < len(names):
    counts[OTHER] = counts.get(OTHER, 0) + sum(by_value[n] for n in names[MOST:])
  return {
    'unit': unit,
    'known': len(known),
    'missing': int((values == '').sum()),
    'values': counts,
  }

"""Who is in each part of a study: what a paper's Table 1 says, ready for JSON."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medjax.data import cells, identifiers, words
from medjax.errors import count

OF_IMAGES = ('view', 'laterality', 'site', 'scanner', 'dataset')
# That `of_rows` looks at.
COLUMNS = ('patient', 'age', 'sex', *OF_IMAGES)
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
  patients, _ = pd.factorize(table['patient'])
  numbers = np.bincount(patients)
  summary: dict[str, Any] = {
    'images_per_patient': {
      'median': float(np.median(numbers)),
      'lowest': int(numbers.min()),
      'highest': int(numbers.max()),
    },
    'counts': {},
  }
  if 'age' in table:
    codes, texts = _texts(table['age'])
    years = [cells.attempt(cells.years, text, np.nan) for text in texts]
    ages = pd.Series(np.array(years, np.float64)[codes])
    summary['age'] = _ages(ages.groupby(patients, sort=False).median())
  for column in ('sex', *OF_IMAGES):
    if column not in table:
      continue
    codes, texts = _texts(table[column])
    unit = 'image'
    if column == 'sex':
      unit = 'patient'
      codes, texts = _of_patients(codes, [cells.attempt(cells.sex, t, t) for t in texts], patients)
    numbers_of_codes = np.bincount(codes, minlength=len(texts)).tolist()
    summary['counts'][column] = _counted(zip(texts, numbers_of_codes), unit)
  return summary


def of_images(patients: Sequence[str], about: pd.DataFrame | None) -> dict[str, Any]:
  """Returns `of_rows` of N images, given their patients and what is told about them."""
  table = pd.DataFrame() if about is None else about.reset_index(drop=True)
  return of_rows(table.assign(patient=list(patients)))


def note_on_sexes(table: pd.DataFrame) -> list[str]:
  """Returns a sentence on the patients with images of both sexes, if any.

  Either their id is that of two people, or a sex is mistyped.

  Args:
    table: a row per image with `patient`, maybe `sex`, in any spelling that `cells.sex` reads.
  """
  if 'sex' not in table:
    return []
  codes, texts = _texts(table['sex'])
  sexes = np.array([cells.attempt(cells.sex, text, '') for text in texts], object)[codes]
  of_patients = [set(table['patient'][sexes == sex]) for sex in ('F', 'M')]
  both = sorted(set.intersection(*of_patients))
  if not both:
    return []
  return [
    f"{count(len(both), 'patient')} with images of both sexes, such as '{both[0]}'. Either two "
    'people share an id (splits and intervals then count them as one), or a sex is mistyped.'
  ]


def _texts(values: pd.Series) -> tuple[np.ndarray, list[str]]:
  """Returns which text each value is, int64[N], and the texts, '' where nothing is known."""
  codes, texts = words.of(values)
  known = ['' if identifiers.is_unknown(text) else text for text in texts]
  return np.where(codes < 0, len(known), codes), [*known, '']


def _of_patients(
  codes: np.ndarray, texts: Sequence[str], patients: np.ndarray
) -> tuple[np.ndarray, list[str]]:
  """Returns the same of each patient: what is known of their images, if it is one."""
  names, distinct = pd.factorize(np.array(['', *texts], object))
  number = names[1:][codes]  # 0 for what is not known
  pairs = np.unique(patients * len(distinct) + number)
  whose, number = np.divmod(pairs[pairs % len(distinct) > 0], len(distinct))
  result = np.zeros(patients.max() + 1, np.int64)
  result[whose] = number
  result[np.bincount(whose, minlength=len(result)) > 1] = len(distinct)
  return result, [*distinct, SEVERAL]


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


def _counted(numbers: Iterable[tuple[str, int]], unit: str) -> dict[str, Any]:
  by_value: dict[str, int] = {}
  for value, number in numbers:
    if number:
      by_value[value] = by_value.get(value, 0) + number
  missing = by_value.pop('', 0)
  names = sorted(by_value, key=lambda name: (-by_value[name], name))
  shown = names if len(names) <= MOST + 1 else names[:MOST]
  counts = {name: by_value[name] for name in shown}
  if len(shown) < len(names):
    counts[OTHER] = counts.get(OTHER, 0) + sum(by_value[n] for n in names[MOST:])
  return {
    'unit': unit,
    'known': sum(by_value.values()),
    'missing': missing,
    'values': counts,
  }

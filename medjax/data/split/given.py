"""A split that the user has already: in a column of the table, in a file, or by date."""

import datetime
import pathlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from medjax.config import Split
from medjax.data import cells
from medjax.data.identifiers import Place
from medjax.data.split import split_files
from medjax.data.table import named_in, read_csv
from medjax.errors import InputError, check_option, count

_OFFICIAL = ('train', 'validation', 'test', '')


def with_official(
  table: pd.DataFrame, root: pathlib.Path, settings: Split
) -> tuple[pd.DataFrame, list[str]]:
  """Returns the table with the given split as its column `official_split`, and notes on it.

  Where neither a file nor a date is set the column is the table's own, if it has one.

  With a date whoever was imaged on that day or later is tested, by these images alone. Their
  earlier images are unused: in training they would be of tested patients, and in the test they are
  not of that time. To leave such patients out instead would test new patients only, who differ from
  those who come again.

  Args:
    table: a checked study table.
    root: the data root, which the file is relative to.
    settings: of the split.

  Raises:
    InputError: a word that names no part of a split, a file that does not fit the table, a date
      that is missing or cannot be read, or a file or date that no part of the split asks for.
  """
  names = _names(settings.names)
  if not (settings.file or settings.date):
    if 'official_split' not in table:
      return table, []
    parts = _parts(table['official_split'], names, lambda row: named_in(table, row, root))
    return table.assign(official_split=parts), []
  field = 'file' if settings.file else 'date'
  if settings.file and settings.date:
    raise InputError('config.split: file and date are both set; a split is given by one of them')
  asked = (str(part).strip() for part in (settings.test, settings.validation))
  if not any(part.startswith('official') for part in asked):
    raise InputError(
      f'config.split.{field} is set, but test and validation are drawn; set '
      "config.split.test='official' to use it"
    )
  if settings.date:
    return _by_date(table, root, settings.date)
  path = root / settings.file
  frame = read_csv(path, ('split',))
  frame['split'] = _parts(frame['split'], names, lambda row: f'{path}: row {row + 2}')
  if 'image' in frame or 'patient' not in frame:
    split, _, notes = split_files.joined(frame, path, table)
    return table.assign(official_split=np.where(split == 'unused', '', split)), notes
  return _by_patient(table, frame, path)


def _names(names: Mapping) -> dict[str, str]:
  for word, part in names.items():
    check_option(f"config.split.names['{word}']", part, (*_OFFICIAL[:-1], 'unused'))
  return {str(word): '' if part == 'unused' else part for word, part in names.items()}


def _parts(words: pd.Series, names: Mapping[str, str], place: Place) -> pd.Series:
  texts = _texts(words)
  known = {}
  for word in texts.unique():
    try:
      known[word] = names[word] if word in names else cells.part(word)
    except ValueError as error:
      row = int(np.flatnonzero(texts == word)[0])
      raise InputError(
        f"{place(row)}, column '{words.name}': {error}; write train, validation, test or "
        f"unused, or say what it means: config.split.names={{'{word}': 'train', …}}"
      ) from None
  return texts.map(known)


def _texts(column: pd.Series) -> pd.Series:
  return column.fillna('').astype(str).str.strip()


def _by_patient(
  table: pd.DataFrame, frame: pd.DataFrame, path: pathlib.Path
) -> tuple[pd.DataFrame, list[str]]:
  patients = frame['patient'].str.strip()
  part_of: dict[str, str] = {}
  for row, (patient, part) in enumerate(zip(patients, frame['split'])):
    if part_of.setdefault(patient, part) != part:
      raise InputError(
        f"{path}: row {row + 2}: patient '{patient}' is on two sides of the split; keep one of them"
      )
  absent = ~table['patient'].isin(part_of)
  if absent.all():
    raise InputError(
      f"{path}: none of its patients is in the table, such as '{patients[0]}' (the table has "
      f"'{table['patient'].iloc[0]}'); write patients as it does"
    )
  notes = []
  if absent.any():
    number = count(table['patient'][absent].nunique(), 'patient')
    notes.append(f'Named in the table but not in {path.name}, so on no side: {number}.')
  unknown = [patient for patient in part_of if patient not in set(table['patient'])]
  if unknown:
    notes.append(
      f'Named in {path.name} but not in the table: {count(len(unknown), "patient")}, such as '
      f"'{unknown[0]}'."
    )
  return table.assign(official_split=table['patient'].map(part_of).fillna('')), notes


def _by_date(table: pd.DataFrame, root: pathlib.Path, date: str) -> tuple[pd.DataFrame, list[str]]:
  try:
    first = cells.day(date)
  except ValueError as error:
    raise InputError(f'config.split.date: {error}') from None
  if 'date' not in table:
    raise InputError(
      f"config.split.date={date}: the table has no column 'date'; name it in "
      "config.data.settings.columns={'date': …}"
    )
  days: dict[str, datetime.date] = {}
  texts = _texts(table['date'])
  for row, text in enumerate(texts):
    if text not in days:
      try:
        days[text] = cells.day(text)
      except ValueError as error:
        raise InputError(f"{named_in(table, row, root)}, column 'date': {error}") from None
  later = texts.map(days) >= first
  tested = table['patient'].isin(set(table['patient'][later]))
  earlier = tested & ~later
  notes = []
  if earlier.any():
    notes.append(
      f'From before {first} and unused, because their patients are tested: '
      f'{count(int(earlier.sum()), "image")} of '
      f'{count(table["patient"][earlier].nunique(), "patient")}.'
    )
  parts = np.where(later, 'test', np.where(tested, '', 'train'))
  return table.assign(official_split=parts), notes

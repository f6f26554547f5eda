"""The study table: one row per image, and the checks every source's table must pass.

Required columns are `image` (path relative to the data root) and `patient` (string). A column that
is neither required nor in `OPTIONAL` is a label, float32: 1 positive, 0 negative, -1 uncertain, NaN
not mentioned. Columns are joined by name, never by position.
"""

import pathlib
from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from medjax.errors import InputError, nearest

REQUIRED = ('image', 'patient')
# `official_split` is the publisher's own split: train, validation, test, or '' where it has none.
OPTIONAL = ('study', 'view', 'sex', 'age', 'site', 'reader', 'official_split')
LABEL_CODES = {'1': 1.0, '1.0': 1.0, '0': 0.0, '0.0': 0.0, '-1': -1.0, '-1.0': -1.0, '': np.nan}


def label_columns(table: pd.DataFrame) -> list[str]:
  """Returns the names of the label columns, in the table's order."""
  return [column for column in table.columns if column not in REQUIRED + OPTIONAL]


def patients_unknown(table: pd.DataFrame) -> bool:
  """Whether the source knows no patients, so that every image counts as a patient of its own."""
  return bool((table['patient'] == table['image']).all())


def read_csv(path: pathlib.Path, columns: Iterable[str] = ()) -> pd.DataFrame:
  """Reads every field as a string ('' where empty), checking that `columns` are all there.

  The row of index i stands on line i + 2 of the file: messages name it so.
  """
  try:
    frame = pd.read_csv(
      path, dtype=str, keep_default_na=False, index_col=False, encoding='utf-8-sig'
    )
  except FileNotFoundError:
    raise InputError(f'{path}: no such file') from None
  except (OSError, UnicodeDecodeError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
    raise InputError(f'{path}: not a readable CSV table ({error})'.replace('\n', ' ')) from None
  frame.columns = [str(column).strip() for column in frame.columns]
  for column in columns:
    if column not in frame.columns:
      raise InputError(
        f"{path}: no column '{column}'{nearest(column, frame.columns) or '.'} "
        f'The columns are: {", ".join(frame.columns)}'
      )
  if frame.empty:
    raise InputError(f'{path}: the table has a header and no rows')
  return frame


def label_values(
  frame: pd.DataFrame, column: str, path: pathlib.Path, codes: Mapping[str, float] = LABEL_CODES
) -> np.ndarray:
  """Turns a column of codes into f32[rows]; an unknown code is an error naming file, row, column."""
  text = frame[column].str.strip()
  unknown = ~text.isin(list(codes))
  if unknown.any():
    row = int(np.flatnonzero(unknown)[0])
    allowed = ', '.join(code or 'empty' for code in codes)
    raise InputError(
      f"{path}: row {row + 2}, column '{column}': unknown code '{text.iloc[row]}'; allowed: {allowed}"
    )
  return text.map(codes).to_numpy(np.float32)


def check(table: pd.DataFrame, where: str) -> pd.DataFrame:
  """Returns the table with a fresh index after checking it; errors name `where`, row and column.

  Raises:
    InputError: a required column missing, an image or patient empty, an image listed twice, or a
      label column with anything but 1, 0, -1 and NaN.
  """
  table = table.reset_index(drop=True)
  for column in REQUIRED:
    if column not in table.columns:
      raise InputError(f"{where}: the study table has no column '{column}'")
    empty = table[column].isna() | (table[column].astype(str).str.strip() == '')
    if empty.any():
      row = int(np.flatnonzero(empty)[0])
      raise InputError(
        f'{where}: row {row + 2}: the {column} is empty ({int(empty.sum())} such rows); '
        'fill it in, or leave these rows out of the table'
      )
    table[column] = table[column].astype(str)
  twice = table['image'].duplicated()
  if twice.any():
    row = int(np.flatnonzero(twice)[0])
    raise InputError(
      f"{where}: row {row + 2}: image '{table['image'][row]}' is listed twice; keep one row per image"
    )
  for column in label_columns(table):
    try:
      values = table[column].to_numpy(np.float32)
    except (TypeError, ValueError):
      raise InputError(f"{where}: label column '{column}' is not numeric") from None
    unknown = ~(np.isnan(values) | np.isin(values, (1.0, 0.0, -1.0)))
    if unknown.any():
      row = int(np.flatnonzero(unknown)[0])
      raise InputError(
        f"{where}: row {row + 2}, column '{column}': unknown code '{values[row]}'; "
        'allowed: 1, 0, -1 and empty'
      )
    table[column] = values
  return table


def check_labels(table: pd.DataFrame, labels: Iterable[str], where: str) -> None:
  """Raises InputError, with the nearest spelling, where a wanted label is no column of the table."""
  known = label_columns(table)
  for label in labels:
    if label not in known:
      raise InputError(
        f"data.labels: {where} has no label '{label}'{nearest(label, known) or '.'} "
        f'The labels are: {", ".join(known)}'
      )

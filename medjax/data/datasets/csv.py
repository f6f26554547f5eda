"""Anybody's own table: one row per image, its columns named in the config."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data import table
from medjax.errors import InputError, check_option


def read(
  root: pathlib.Path,
  labels: Sequence[str],
  table_file: str = 'labels.csv',
  columns: Mapping[str, str] | None = None,
  grouped_by: str = 'patient',
) -> pd.DataFrame:
  """Returns the study table of `root / table_file`.

  Args:
    root: the folder that image paths are relative to.
    labels: the columns that are labels: codes 1, 0, -1 and empty; or, where `columns` names a
      'class', the values of that column, one of which an image has; empty is unknown.
    table_file: the CSV, relative to root.
    columns: our name → the file's name, for those of image, patient, study, view, sex, age, site,
      reader and official_split that the file names otherwise; and 'class', see labels.
    grouped_by: what the patient column holds where the file has no patients: 'lesion' or 'slide';
      with 'image' there is no such column, and every image counts as a patient of its own. Never
      assumed: intervals and splits are as wrong as this is.

  Raises:
    InputError: the file or a named column missing, or an unknown code.
  """
  if not isinstance(columns or {}, Mapping):
    raise InputError(
      f"config.data.settings.columns={columns!r}: must be a dict such as {{'patient': 'case_id'}}"
    )
  check_option('config.data.settings.grouped_by', grouped_by, table.GROUPS)
  columns = dict(columns or {})
  allowed = [name for name in table.REQUIRED + table.OPTIONAL if name != 'named_in']
  for ours in columns:
    check_option('config.data.settings.columns: the column', ours, (*allowed, 'class'))
  path = root / table_file
  if not path.is_file():
    raise InputError(
      f'{path}: no such table; set config.data.root and config.data.settings.table_file, '
      'or start from configs/phantom.py, which needs no data'
    )
  required = ['image'] if grouped_by == 'image' else ['image', 'patient']
  wanted = [columns.get(ours, ours) for ours in required]
  in_columns = () if 'class' in columns else labels
  frame = table.read_csv(path, [*wanted, *columns.values(), *in_columns])
  present = {
    ours: frame[columns.get(ours, ours)] for ours in allowed if columns.get(ours, ours) in frame
  }
  if grouped_by == 'image':
    present['patient'] = present['image']
  result = pd.DataFrame(present | {'named_in': table.rows_of(path, frame)})
  if grouped_by != 'patient':
    result['grouped_by'] = grouped_by
  _check_official_split(result, path)
  for name in in_columns:
    result[name] = table.label_values(frame, name, path)
  if 'class' in columns:
    result = result.assign(**_one_of(frame[columns['class']], labels, path))
  return table.check(result, str(path))


def _one_of(classes: pd.Series, labels: Sequence[str], path: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns f32[N] for each label: 1 where it is the class, NaN where the class is empty."""
  classes = classes.str.strip()
  for row, value in enumerate(classes):
    if value and value not in labels:
      check_option(f"{path}: row {row + 2}, column '{classes.name}': the class", value, labels)
  unknown = (classes == '').to_numpy()
  return {label: np.where(unknown, np.nan, classes == label).astype(np.float32) for label in labels}


def _check_official_split(frame: pd.DataFrame, path: pathlib.Path) -> None:
  if 'official_split' not in frame:
    return
  for row, value in enumerate(frame['official_split']):
    check_option(
      f"{path}: row {row + 2}, column 'official_split'", value, ('train', 'validation', 'test', '')
    )

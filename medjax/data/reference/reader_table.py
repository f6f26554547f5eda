"""Readings: who read which image and what they saw, one row per image and reader.

Columns are `image` and `reader`, both strings, and one float32 column per label: the reader's
answer, 1 yes, 0 no, NaN not read; where readers choose one of K classes or grades there is one such
column, and the answer is the class, 0 … K - 1. Not every reader need read every image. `patient`
and the study table's other optional columns may be there too and are no labels; in a file `patient`
alone may, lest answers that bear such a name be lost.
"""

import pathlib
import posixpath
from collections.abc import Collection, Iterable, Sequence

import numpy as np
import pandas as pd

from medjax.config import names as naming
from medjax.data import cells, identifiers, table
from medjax.errors import InputError, check_option

KEYS = ('image', 'reader')
NOT_LABELS = (*KEYS, 'patient')  # columns of a file that are no labels
TEST = 'test'  # of a definitive table: the test's name


def labels_of(readings: pd.DataFrame) -> list[str]:
  """Returns the names of the columns that hold answers."""
  return [name for name in table.label_columns(readings) if name != TEST]


def read(
  path: pathlib.Path, classes: Sequence[str] = (), images: Collection[str] | None = None
) -> pd.DataFrame:
  """Reads a CSV of readings.

  Either one row per image and reader with a column for each label, or one row per answer with the
  columns `label` and `value` (image, reader, label, value).

  Args:
    path: the CSV.
    classes: where an answer is one of several classes, their names as the file has them, grades in
      rising order; the answer becomes its place in this list.
    images: the images that there are; None where any will do.

  Raises:
    InputError: a column missing, an unknown answer (file, row and column), one reader twice on an
      image, an image or reader empty, an image that is not there or of two patients, a column or
      label called as a column of the study table is that is no label.
  """
  return _read(table.read_csv(path, KEYS), path, classes, images)


def _read(
  frame: pd.DataFrame,
  path: pathlib.Path,
  classes: Sequence[str],
  images: Collection[str] | None = None,
) -> pd.DataFrame:
  frame = _keyed(frame, KEYS, path, images)
  _check_names(frame, NOT_LABELS, path)
  naming.check_labels(labels_of(frame), str(path))
  if set(labels_of(frame)) == {'label', 'value'}:
    frame = _widened(frame, classes, path)
  else:
    frame = _answered(frame, labels_of(frame), classes, path)
  return check(frame, str(path), classes)


def read_files(paths: Sequence[pathlib.Path], classes: Sequence[str] = ()) -> pd.DataFrame:
  """Reads one CSV of all readings, or several; see `read`.

  Of several, one without the column `reader` is of one reader, named as the file is. What a file
  does not ask, its readers have not read.

  Raises:
    InputError: as `read`; a reader in two files, two files of one name, patients in some only.
  """
  if len(paths) == 1:
    return read(paths[0], classes)
  parts = [_of_file(path, classes) for path in paths]
  first: dict[str, pathlib.Path] = {}
  for path, part in zip(paths, parts):
    for reader in part['reader'].unique():
      key = identifiers.key(reader)
      if key in first:
        raise InputError(
          f"{path}: reader '{reader}' is in {first[key]} too; name the file, or its column "
          "'reader', as the person who read"
        )
    first |= {identifiers.key(reader): path for reader in part['reader'].unique()}
    if ('patient' in part) != ('patient' in parts[0]):
      raise InputError(
        f"{path}: of it and {paths[0]} one has a column 'patient'; give it in all of the readers' "
        'files or in none'
      )
  return check(pd.concat(parts, ignore_index=True), ', '.join(map(str, paths)), classes)


def _of_file(path: pathlib.Path, classes: Sequence[str]) -> pd.DataFrame:
  frame = table.read_csv(path, ['image'])
  return _read(frame if 'reader' in frame else frame.assign(reader=path.stem), path, classes)


def read_definitive(
  path: pathlib.Path,
  labels: Sequence[str],
  classes: Sequence[str] = (),
  images: Collection[str] | None = None,
) -> pd.DataFrame:
  """Reads a CSV of what a more definitive test says: image, some of the labels, maybe `test`.

  Raises:
    InputError: a column missing or none of `labels`, an unknown value, an image twice, empty or not
      among `images`.
  """
  frame = _keyed(table.read_csv(path, ['image']), ['image'], path, images)
  _check_names(frame, (*NOT_LABELS, TEST), path)
  for label in labels_of(frame):
    check_option(f'{path}: the label column', label, labels)
  frame = _answered(frame, labels_of(frame), classes, path)
  return check_definitive(frame, labels, str(path), classes)


def check_definitive(
  definitive: pd.DataFrame, labels: Sequence[str], where: str, classes: Sequence[str] = ()
) -> pd.DataFrame:
  """Returns the table of a more definitive test after checking it, as `check` does.

  Raises:
    InputError: no image column, a label that no reader was asked, an unknown value, an image twice.
  """
  if 'image' not in definitive:
    raise InputError(f"{where}: no column 'image'")
  definitive = definitive.reset_index(drop=True)
  for label in labels_of(definitive):
    check_option(f'{where}: the label column', label, labels)
    definitive[label] = _answers(definitive, label, where, classes)
  _check_once(definitive, ['image'], where, "image '{0}' is listed twice; keep one row per image")
  return definitive


def check(readings: pd.DataFrame, where: str, classes: Sequence[str] = ()) -> pd.DataFrame:
  """Returns the readings with a fresh index after checking them; errors name file, row, column.

  Raises:
    InputError: a column missing, no label, an answer other than 0, 1 (or the places of the classes)
      and NaN, one reader twice on an image, a patient empty, an image of two patients.
  """
  for column in KEYS:
    if column not in readings:
      raise InputError(f"{where}: no column '{column}'; readings have image, reader and labels")
  labels = labels_of(readings)
  if not labels:
    raise InputError(f'{where}: no label column; there is one per label next to image and reader')
  if classes and len(labels) > 1:
    raise InputError(
      f'{where}: where an answer is one of {len(classes)} classes there is one label column, not '
      f'{len(labels)} ({", ".join(labels)})'
    )
  readings = readings.reset_index(drop=True)
  for label in labels:
    readings[label] = _answers(readings, label, where, classes)
  _check_once(
    readings,
    list(KEYS),
    where,
    "reader '{1}' reads image '{0}' twice; keep one row per image and reader",
  )
  for key in ('reader', 'patient'):
    if key in readings:
      names = readings[key].where(readings[key].notna(), '').astype(str).str.strip().tolist()
      identifiers.check_known(names, key, identifiers.in_file(where))
      identifiers.check_distinct(names, key, identifiers.in_file(where))
  if 'patient' in readings:
    several = readings.groupby('image')['patient'].transform('nunique') > 1
    if several.any():
      row = _first(several)
      raise InputError(
        f"{where}: row {row + 2}: image '{readings['image'][row]}' is of two patients in its rows"
      )
  return readings


def _first(bad: np.ndarray | pd.Series) -> int:
  return int(np.flatnonzero(bad)[0])


def _answers(frame: pd.DataFrame, label: str, where: str, classes: Sequence[str]) -> np.ndarray:
  codes = range(max(len(classes), 2))
  values = frame[label].to_numpy(np.float32)
  unknown = ~np.isnan(values) & ~np.isin(values, codes)
  if unknown.any():
    row = _first(unknown)
    raise InputError(
      f"{where}: row {row + 2}, column '{label}': unknown answer '{values[row]:g}'; allowed: "
      f'{", ".join(map(str, codes))}, and empty where there is none'
    )
  return values


def _keyed(
  frame: pd.DataFrame, keys: Sequence[str], path: pathlib.Path, images: Collection[str] | None
) -> pd.DataFrame:
  """Returns the frame with its keys stripped and paths written as the study table writes them."""
  named = [*keys, 'patient'] if 'reader' in keys and 'patient' in frame else keys
  for key in named:
    frame[key] = frame[key].str.strip()
    empty = frame[key] == ''
    if empty.any():
      row = _first(empty)
      raise InputError(
        f'{path}: row {row + 2}: the {key} is empty; fill it in or leave the row out'
      )
    naming.check_cells(frame[key].tolist(), key, identifiers.in_file(path))
  frame['image'] = [posixpath.normpath(image) for image in frame['image']]
  if images is not None:
    missing = ~frame['image'].isin(images)
    if missing.any():
      row = _first(missing)
      raise InputError(
        f"{path}: row {row + 2}: image '{frame['image'][row]}' is not in the study table "
        f'({int(missing.sum()):,} such rows); write it as there, or leave these rows out'
      )
  return frame


def _check_names(names: Iterable[str], allowed: Sequence[str], path: pathlib.Path) -> None:
  for name in names:
    if name in (*table.REQUIRED, *table.OPTIONAL, TEST) and name not in allowed:
      raise InputError(
        f"{path}: '{name}' is the name of a column that is no label and would be lost; rename it "
        'if readers answered it, else leave it out'
      )


def _answered(
  frame: pd.DataFrame, columns: Sequence[str], classes: Sequence[str], path: pathlib.Path
) -> pd.DataFrame:
  """Turns columns of codes into numbers, f32."""
  if not columns:
    raise InputError(f'{path}: no label column; the columns are {", ".join(frame)}')
  codes = {name: float(place) for place, name in enumerate(classes)} | {'': np.nan}
  try:
    values = {
      column: table.label_values(frame, column, path, codes if classes else cells.ANSWERS)
      for column in columns
    }
  except InputError as error:
    raise InputError(f'{error}; leave out columns that are no labels') from None
  return frame.assign(**values)


def _widened(frame: pd.DataFrame, classes: Sequence[str], path: pathlib.Path) -> pd.DataFrame:
  """Turns one row per answer into one row per image and reader; what is not there is not read."""
  frame['label'] = frame['label'].str.strip()
  _check_names(frame['label'].unique(), (), path)
  naming.check_labels(frame['label'].unique(), str(path))
  keys = [*KEYS, 'label']
  _check_once(
    frame, keys, str(path), "reader '{1}' reads image '{0}' twice for '{2}'; keep one row of them"
  )
  frame = _answered(frame, ['value'], classes, path)
  wide = frame.pivot(index=list(KEYS), columns='label', values='value')
  wide = wide[frame['label'].unique()].astype(np.float32).reset_index()
  others = frame.drop(columns=['label', 'value']).drop_duplicates(list(KEYS))
  return others.merge(wide, on=list(KEYS), validate='one_to_one')


def _check_once(frame: pd.DataFrame, keys: list[str], where: str, words: str) -> None:
  twice = frame.duplicated(keys)
  if twice.any():
    row = _first(twice)
    named = words.format(*frame.loc[row, keys])
    raise InputError(f'{where}: row {row + 2}: {named} ({int(twice.sum()):,} such rows)')

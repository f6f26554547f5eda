"""The study table: one row per image, and the checks every source's table must pass.

Required columns are `image` and `patient`, both strings. An image is a file, its path relative to
the data root, or one of many in a container: `container#key`, as medjax.data.images.containers
reads it. A column that is neither required nor in `OPTIONAL` is a label, float32: 1 positive, 0
negative, -1 uncertain, NaN not mentioned; between 0 and 1 it is soft, the share of readers who say
so. Columns are joined by name, never by position.
"""

import contextlib
import pathlib
import posixpath
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd

from medjax.config import names as naming
from medjax.data import cells, formulas, identifiers, joined_names, table_files, words
from medjax.errors import InputError, check_option, count, nearest

REQUIRED = ('image', 'patient')
# `official_split` is the publisher's own split: train, validation, test, or '' where it has none;
# other words are the table's own, which config.split.names explains. `date` is that of the study.
# `grouped_by` is what `patient` holds where the source names no patients: lesion, slide or image.
# `reference` is how the labels came to be, `dataset` the set the image is from where there are
# several, `laterality` the side of the body, `width` and `height` the original image's, in pixels.
# `view` is AP, PA, or 'frontal' where it is not known which, 'lateral', or another word of the
# source's; `sex` M, F, O (other) or ''; `age` in years; `scanner` the device's maker and model.
# `named_in` is the file and row that name the image: 'train.csv: row 17'.
# `patient_as_written` is the patient as the source wrote it, where data.ids has joined some.
# `unlabelled` are the labels of which nothing is known for the image, as joined_names joins them:
# its set does not give them, or nobody read them. No policy for blank labels makes them negative.
OPTIONAL = (
  'study',
  'view',
  'sex',
  'age',
  'site',
  'scanner',
  'reader',
  'official_split',
  'date',
  'grouped_by',
  'reference',
  'dataset',
  'laterality',
  'lesion',
  'slide',
  'width',
  'height',
  'named_in',
  'unlabelled',
  'patient_as_written',
)
# What the name of any other column begins with that a source carries for subgroups.
ABOUT = 'about '
# Of what a study table groups images by, besides patients.
IDENTIFIERS = ('study', 'lesion', 'slide', 'reader')
# The words for views that every source shares; other words are the source's own.
VIEWS = ('AP', 'PA', 'frontal', 'lateral')
GROUPS = ('patient', 'lesion', 'slide', 'image')
_OF_THE_TABLE = ('named_in', 'unlabelled', 'patient_as_written')  # not of what an image shows
_CELLS = {  # What is wrong with a cell of these columns, and what to write there.
  'age': (cells.age, 'write years, such as 45, 045Y or 018M'),
  'sex': (cells.sex, 'write M, F or O (other)'),
}


def label_columns(table: pd.DataFrame) -> list[str]:
  """Returns the names of the label columns, in the table's order."""
  others = [column for column in table.columns if column not in REQUIRED + OPTIONAL]
  return [column for column in others if not str(column).startswith(ABOUT)]


def subgroup_columns(table: pd.DataFrame) -> dict[str, str]:
  """Returns what a subgroup may be called → the column of the study table that tells it."""
  kept = [name for name in table.columns if name not in (*REQUIRED, *_OF_THE_TABLE)]
  return {str(name).removeprefix(ABOUT): name for name in kept}


def check_label_names(labels: Iterable[str], where: str) -> None:
  """Raises InputError where a label has the name of a column that is none, and so would be lost."""
  naming.check_labels(labels, where)
  for label in labels:
    if label in REQUIRED + OPTIONAL:
      raise InputError(
        f"{where}: a label cannot be called '{label}', the name of a column of the study table "
        f"that is no label; rename it, to '{label}_label' or whatever it says"
      )


def checked_columns(columns: Mapping[str, str] | None, allowed: Iterable[str]) -> dict[str, str]:
  """Returns the setting `columns` of a source, our name → the file's; errors name the setting."""
  where = 'config.data.settings.columns'
  if not isinstance(columns or {}, Mapping):
    raise InputError(f"{where}={columns!r}: must be a dict such as {{'patient': 'case_id'}}")
  for name in columns or {}:
    check_option(f'{where}: the column', name, allowed)
  return dict(columns or {})


def view_called(name: str) -> str:
  """Returns a view without spaces around it, 'pa' and 'Lateral' as the words of `VIEWS`."""
  name = name.strip()
  return {view.casefold(): view for view in VIEWS}.get(name.casefold(), name)


def stand_ins_for_patients(table: pd.DataFrame) -> dict[str, int]:
  """Returns {'lesion', 'slide' or 'image': how many images are grouped by it, not by patient}."""
  if 'grouped_by' in table:
    counts = table.loc[table['grouped_by'] != 'patient', 'grouped_by'].value_counts()
    return {group: int(count) for group, count in counts.items()}
  return {'image': len(table)} if (table['patient'] == table['image']).all() else {}


def names_patient(table: pd.DataFrame) -> np.ndarray:
  """Returns bool[N], whether the source names the patient of each image; nothing stands in."""
  if 'grouped_by' in table:
    return (table['grouped_by'] == 'patient').to_numpy()
  return np.full(len(table), bool((table['patient'] != table['image']).any()))


def unlabelled(values: pd.DataFrame) -> np.ndarray:
  """Returns the column `unlabelled`: the labels that are NaN in each row, object[N]."""
  patterns, rows = np.unique(values.isna().to_numpy(), axis=0, return_inverse=True)
  texts = np.array([joined_names.join(values.columns[pattern]) for pattern in patterns], object)
  return texts[rows.reshape(-1)]


def rows_of(path: pathlib.Path, frame: pd.DataFrame) -> list[str]:
  """Returns the column `named_in` for a frame that `read_csv` returned, or for rows of it."""
  start = f'{path}: row '
  return [start + str(row) for row in (frame.index + 2).tolist()]


def named_in(table: pd.DataFrame, row: int, where: object) -> str:
  """Returns the file and row that name an image, as far as they are known."""
  return table['named_in'].iloc[row] if 'named_in' in table else f'{where}: row {row + 2}'


def read_csv(path: pathlib.Path, columns: Iterable[str] = ()) -> pd.DataFrame:
  """Reads every field as a string ('' where empty), checking that `columns` are all there.

  Row i of the table is named i + 2 in messages: its line in the file. The file may be any that
  medjax.data.table_files reads.

  Raises:
    InputError: no such file, or one that cannot be read, a row with more or fewer fields than the
      header has names, an empty row before the last, a column named twice or missing.
  """
  columns = tuple(columns)
  names, frame = table_files.frame(path, columns)
  for name in names:
    if name and names.count(name) > 1:
      raise InputError(f"{path}: the header names the column '{name}' twice; rename one of them")
  for column in columns:
    if column not in names:
      raise InputError(
        f"{path}: no column '{column}'{nearest(column, names) or '.'} "
        f'The columns are: {", ".join(names)}'
      )
  return frame.set_axis(names, axis=1)


def label_values(
  frame: pd.DataFrame,
  column: str,
  path: pathlib.Path,
  codes: Mapping[str, float] = cells.LABELS,
  soft: bool = False,
  quoted: bool = True,
) -> np.ndarray:
  """Turns a column of codes, and of numbers between 0 and 1 if `soft`, into f32[rows].

  Raises:
    InputError: an unknown code, by file, row and column, which it tells if `quoted`.
  """
  word, names = words.of(frame[column])
  said = _said(names, codes)
  values = np.array([said.get(name, np.nan) for name in names], np.float32)[word]
  unknown = np.array([name not in said for name in names], bool)[word]
  text = frame[column].str.strip() if unknown.any() else frame[column]
  if soft and unknown.any():
    shares = pd.to_numeric(text.where(unknown), errors='coerce').to_numpy(np.float32)
    between = (shares >= 0) & (shares <= 1)
    values, unknown = np.where(between, shares, values), unknown & ~between
  if unknown.any():
    row = int(np.flatnonzero(unknown)[0])
    allowed = ', '.join([*(code or 'empty' for code in codes), *(['0 … 1'] if soft else [])])
    code = f"unknown code '{text.iloc[row]}'" if quoted else 'unknown code'
    where = f"{path}: row {frame.index[row] + 2}, column '{column}'"
    raise InputError(f'{where}: {code}; allowed: {allowed}')
  return values


def _said(words: Iterable[str], codes: Mapping[str, Any]) -> dict[str, Any]:
  """Returns what `codes` says of each word that it knows, however that is written."""
  said = {}
  for word in words:
    with contextlib.suppress(KeyError):
      said[word] = cells.code(word, codes)
  return said


def numbers(frame: pd.DataFrame, column: str, path: pathlib.Path) -> np.ndarray:
  """Turns a column of numbers into f64[rows], NaN where empty or nan; errors as `label_values`."""
  text = frame[column].str.strip()
  values = pd.to_numeric(text, errors='coerce')
  wrong = (values.isna() & ~text.map(cells.is_empty)).to_numpy()
  if wrong.any():
    row = int(wrong.argmax())
    raise InputError(
      f"{path}: row {frame.index[row] + 2}, column '{column}': '{text.iloc[row]}' is no number"
    )
  return values.to_numpy(np.float64)


def mapped(
  frame: pd.DataFrame, column: str, path: pathlib.Path, names: Mapping[str, str]
) -> pd.Series:
  """Returns `names` of a column's values; errors as `label_values`."""
  text = frame[column].str.strip()
  said = _said(text.unique(), names)
  unknown = ~text.isin(said).to_numpy()
  if unknown.any():
    row = int(unknown.argmax())
    allowed = ', '.join(name or 'empty' for name in names)
    raise InputError(
      f"{path}: row {frame.index[row] + 2}, column '{column}': unknown code '{text.iloc[row]}'; "
      f'allowed: {allowed}{nearest(text.iloc[row], names)}'
    )
  return text.map(said)


def check(table: pd.DataFrame, where: str) -> pd.DataFrame:
  """Returns the table with a fresh index after checking it; errors name `where`, row and column.

  Raises:
    InputError: a required column missing, an image or patient empty, an image listed twice, or a
      label column with anything but 0 … 1, -1 and NaN, or an age or sex that is not understood.
  """
  if not isinstance(table, pd.DataFrame):
    raise InputError(f'{where}: the source returned {type(table).__name__}, not a pandas DataFrame')
  table = table.reset_index(drop=True)

  def place(row: int) -> str:
    return named_in(table, row, where)

  for column in REQUIRED:
    if column not in table.columns:
      raise InputError(f"{where}: the study table has no column '{column}'")
  for column in (*REQUIRED, *(name for name in IDENTIFIERS if name in table)):
    # 'P1 ' and 'P1' are one patient, './a.png' and 'a.png' one image.
    identities = words.stripped(table[column])
    if column in REQUIRED:
      identifiers.check_known(identities.tolist(), column, place)
    else:
      unknown = [name for name in identities.unique() if identifiers.is_unknown(name)]
      identities = identities.mask(identities.isin(unknown), '')
    table[column] = identities
  table['image'] = _normal(table['image'].tolist())
  formulas.check(table.drop(columns=[*_OF_THE_TABLE], errors='ignore'), IDENTIFIERS, place)
  if 'view' in table:
    views = table['view'].fillna('').astype(str)
    table['view'] = views.map({view: view_called(view) for view in views.unique()})
  for kind in _CELLS:
    if kind in table:
      table[kind] = described(table[kind], kind, place)
  if 'official_split' in table:
    parts = table['official_split'].fillna('').astype(str)
    said = {word: cells.attempt(cells.part, word, word) for word in parts.unique()}
    table['official_split'] = parts.map(said)
  if 'grouped_by' in table.columns:
    unknown = ~table['grouped_by'].isin(GROUPS).to_numpy()
    if unknown.any():
      row = int(unknown.argmax())
      check_option(f"{named_in(table, row, where)}: 'grouped_by'", table['grouped_by'][row], GROUPS)
  twice = table['image'].duplicated()
  if twice.any():
    row = int(np.flatnonzero(twice)[0])
    raise InputError(
      f"{named_in(table, row, where)}: image '{table['image'][row]}' is listed twice; keep one row "
      'per image'
    )
  for column in label_columns(table):
    try:
      values = table[column].to_numpy(np.float32)
    except (TypeError, ValueError):
      raise InputError(f"{where}: label column '{column}' is not numeric") from None
    unknown = ~(np.isnan(values) | (values == -1) | ((values >= 0) & (values <= 1)))
    if unknown.any():
      row = int(np.flatnonzero(unknown)[0])
      raise InputError(
        f"{named_in(table, row, where)}, column '{column}': unknown code '{values[row]}'; "
        'allowed: 1, 0, -1, empty, and the shares of readers between 0 and 1'
      )
    table[column] = values
  return table


def _normal(paths: list[str]) -> list[str]:
  lines = '\n'.join(['', *paths, ''])
  if not any(part in lines for part in ('//', './', '.\n', '/\n', '\n\n')):
    return paths  # as nearly all tables have them
  return [posixpath.normpath(path) for path in paths]


def described(values: pd.Series, kind: str, place: identifiers.Place) -> pd.Series:
  """Returns a column of ages or sexes as the study table has them.

  Args:
    values: text, or numbers; NaN is empty.
    kind: 'age' or 'sex'.
    place: of the rows.

  Raises:
    InputError: a cell is not understood.
  """
  parse, advice = _CELLS[kind]

  def said(word: str) -> str:
    try:
      return parse(word)
    except ValueError as error:
      row = int(np.flatnonzero(words.stripped(values) == word)[0])
      raise InputError(
        f"{place(row)}, column '{values.name}': {error}; {advice}, or leave it empty"
      ) from None

  return words.cleaned(values, said)


def with_identifiers(table: pd.DataFrame, where: str, ids: str = 'refuse') -> pd.DataFrame:
  """Returns a checked table with each patient, study, lesion, slide and reader written in one way.

  Studies are told apart within their patient. Images that stand in for patients are left alone.

  Args:
    table: a study table.
    where: what messages call it.
    ids: what to do with names that medjax.data.identifiers takes for one: 'refuse' or 'normalise'.
      The column `patient_as_written` then keeps the patients as the source names them.

  Raises:
    InputError: two names look like one, and `ids` is 'refuse'.
  """
  stands_in = table['patient'] == table['image']
  if 'grouped_by' in table:
    stands_in |= table['grouped_by'] == 'image'
  for column in ('patient', *(name for name in IDENTIFIERS if name in table)):
    names = table[column][table[column] != '']
    if column == 'patient':
      names = names[~stands_in.reindex(names.index)]
    if not identifiers.look_alikes(names):
      continue
    groups = [part for _, part in names.groupby(table['patient'])] if column == 'study' else [names]
    if ids == 'refuse':
      for part in groups:
        _check_distinct(table, where, part)
    if column == 'patient':
      table = table.assign(patient_as_written=table['patient'])
    merged = pd.concat([identifiers.joined(part) for part in groups])
    table = table.assign(**{column: merged.reindex(table.index).fillna(table[column])})
  return table


def _check_distinct(table: pd.DataFrame, where: str, names: pd.Series) -> None:
  identifiers.check_distinct(
    names.tolist(),
    str(names.name),
    lambda row: named_in(table, int(names.index[row]), where),
    f", or set data.ids='normalise' to take each such {names.name} for one",
  )


def note_on_identifiers(table: pd.DataFrame) -> list[str]:
  """Returns a sentence on the patients that `with_identifiers` has joined, if any."""
  if 'patient_as_written' not in table:
    return []
  spellings = table['patient_as_written'].groupby(table['patient']).unique()
  several = spellings[spellings.map(len) > 1]
  example = ' and '.join(f"'{name}'" for name in several.iloc[0][:2])
  return [
    f'{count(len(several), "patient")} written in several ways, such as {example}, '
    f"{'was' if len(several) == 1 else 'were'} each taken for one (data.ids='normalise')."
  ]


def check_labels(table: pd.DataFrame, labels: Iterable[str], where: str) -> None:
  """Raises InputError, with the nearest spelling, where a wanted label is no label of the table."""
  known = label_columns(table)
  check_label_names(labels, 'data.labels')
  for label in labels:
    if label not in known:
      raise InputError(
        f"data.labels: {where} has no label '{label}'{nearest(label, known) or '.'} "
        f'The labels are: {", ".join(known)}'
      )

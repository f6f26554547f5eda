"""Arrays and tables of truth and probabilities, as predictions that can be evaluated."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medjax.config import names as naming
from medjax.data import identifiers
from medjax.errors import InputError, nearest
from medjax.evaluation.predictions import Predictions, within_rounding


def predictions(
  truth: Any,
  probabilities: Any,
  patients: Sequence[Any] | None,
  labels: Sequence[str] | None,
  about: pd.DataFrame | None = None,
  where: str = '',
  scores: str = 'probabilities',
) -> Predictions:
  """Returns predictions of N images and L labels.

  Args:
    truth: [N] or [N, L]: 1, 0, and NaN where unknown.
    probabilities: likewise, in [0, 1]. Columns of two DataFrames are joined by name, rows by index.
    patients: N, or None: each image is of a patient of its own.
    labels: names of the L columns; None takes those of a table, which they must equal.
    about: N rows of what else is known of the images. It and `patients`, where they have an index,
      are joined by it to the truth and probabilities that have one.
    where: what messages begin with, such as 'validation: '.
    scores: 'probabilities', or 'ranks' for numbers of any scale.

  Raises:
    InputError: shapes, names or rows that do not fit, or a value that cannot be, by its place.
  """
  for name, array in (('truth', truth), ('probabilities', probabilities)):
    _check_columns(array, labels, f'{where}{name}')
  truth, probabilities = _joined(truth, probabilities, where)
  names = _names(probabilities, truth, labels, where)
  naming.check_labels(names, f'{where}labels')
  values, given = (
    _matrix(array, f'{where}{name}')
    for name, array in (('truth', truth), ('probabilities', probabilities))
  )
  if values.shape != given.shape:
    raise InputError(
      f'{where}truth has shape {values.shape}, probabilities {given.shape}; give one of each for '
      'every image and label'
    )
  if len(names) != given.shape[1]:
    raise InputError(f'{where}labels: {len(names)} given for {given.shape[1]} columns')
  rows = _row_names(probabilities, len(given), where.rstrip(': ') or 'row')
  known = ~np.isnan(values)
  _refuse(known & (values != 0) & (values != 1), values, rows, names, f'{where}truth', '1, 0, NaN')
  allowed, outside = 'numbers', ~np.isfinite(given)
  if scores != 'ranks':
    allowed = "numbers from 0 to 1, or scores='ranks' for others"
    given = within_rounding(given)
    outside = ~((given >= 0) & (given <= 1))
  _refuse(outside, given, rows, names, f'{where}probabilities', allowed)
  index = next((array.index for array in (truth, probabilities) if _has_index(array)), None)
  if about is not None:
    about = _texts(about, index, len(rows), f'{where}about')
  return Predictions(
    images=rows,
    patients=rows if patients is None else _people(patients, index, len(rows), f'{where}patients'),
    labels=names,
    probabilities=given.astype(np.float64),
    truth=np.where(known, values, 0).astype(np.float32),
    known=known,
    about=about,
    stated=patients is not None,
  )


def _check_columns(array: Any, labels: Sequence[str] | None, what: str) -> None:
  if isinstance(array, Mapping):
    raise InputError(f'{what}: {type(array).__name__} given; give an array or a pandas DataFrame')
  if not isinstance(array, pd.DataFrame):
    return
  columns = list(map(str, array.columns))
  if len(set(columns)) < len(columns):
    raise InputError(f'{what}: a column is there twice: {", ".join(columns)}')
  # Other names, or the same in another order, would give columns the figures of other labels.
  if labels is not None and _label_names(labels) != columns:
    raise InputError(
      f'{what}: its columns are {", ".join(columns)}, and labels are '
      f'{", ".join(_label_names(labels))}; leave labels out, or select and name the columns alike'
    )


def _joined(truth: Any, probabilities: Any, where: str) -> tuple[Any, Any]:
  """Brings rows and columns of two tables into the same order."""
  if (
    _has_index(truth) and _has_index(probabilities) and not truth.index.equals(probabilities.index)
  ):
    if not truth.index.is_unique or set(truth.index) != set(probabilities.index):
      raise InputError(
        f'{where}truth and probabilities have not the same index; give both the images as '
        'index, or both as arrays in the same order'
      )
    probabilities = probabilities.loc[truth.index]
  if isinstance(truth, pd.DataFrame) and isinstance(probabilities, pd.DataFrame):
    columns = list(map(str, truth.columns))
    for name in probabilities.columns:
      if name not in truth.columns:
        raise InputError(
          f"{where}truth has no column '{name}'{nearest(str(name), columns) or '.'} "
          f'The columns are: {", ".join(columns)}'
        )
    truth = truth[list(probabilities.columns)]
  return truth, probabilities


def _names(probabilities: Any, truth: Any, labels: Sequence[str] | None, where: str) -> list[str]:
  if labels is not None:
    names = _label_names(labels)
    if len(set(names)) < len(names):
      raise InputError(f'{where}labels names a label twice: {", ".join(names)}')
    return names
  for array in (probabilities, truth):
    if isinstance(array, pd.DataFrame):
      return list(map(str, array.columns))
  for array in (truth, probabilities):
    if isinstance(array, pd.Series) and array.name is not None:
      return [str(array.name)]
  columns = np.shape(probabilities)[1] if np.ndim(probabilities) == 2 else 1
  return ['label'] if columns == 1 else [f'label {number + 1}' for number in range(columns)]


def _label_names(labels: Sequence[str]) -> list[str]:
  names = [labels] if isinstance(labels, str) else labels
  if np.ndim(names) != 1 or not all(isinstance(name, str) for name in names):
    raise InputError(f"labels: {labels!r}; give a list of names, such as ['Edema']")
  return list(names)


def _matrix(array: Any, what: str) -> np.ndarray:
  """Returns f64[N, L]."""
  try:
    # pandas' missing values of any kind become NaN.
    values = pd.DataFrame(array).astype('Float64').to_numpy(np.float64, na_value=np.nan)
  except (TypeError, ValueError):
    raise InputError(f'{what}: must be numbers, [N] or [N, L]') from None
  if not values.size:
    raise InputError(f'{what}: is empty')
  return values


def _has_index(array: Any) -> bool:
  return isinstance(array, pd.DataFrame | pd.Series)


def _row_names(array: Any, count: int, part: str) -> list[str]:
  """Returns the names of images: an index of names, or their places in this part."""
  if _has_index(array) and array.index.is_unique and not pd.api.types.is_numeric_dtype(array.index):
    return [str(name) for name in array.index]
  return [f'{part} {row}' for row in range(count)]


def _refuse(
  wrong: np.ndarray, values: np.ndarray, rows: list[str], names: list[str], what: str, allowed: str
) -> None:
  if wrong.any():
    row, column = (int(place) for place in np.argwhere(wrong)[0])
    raise InputError(
      f"{what}: {rows[row]}, label '{names[column]}': {values[row, column]:g}; allowed: {allowed} "
      f'({int(wrong.sum()):,} such values)'
    )


def _people(patients: Any, index: pd.Index | None, count: int, what: str) -> list[str]:
  """Returns the names of the patients, one for each image, whole floats as integers."""
  if isinstance(patients, str) or np.ndim(patients) != 1:
    raise InputError(f'{what}: {type(patients).__name__} given; give one patient for each image')
  _check_length(patients, count, what)
  values = pd.Series(list(_by_index(patients, index, what)), dtype=object)
  # pandas turns integers into floats where one is missing.
  names = [
    str(int(value) if isinstance(value, float) and value.is_integer() else value).strip()
    for value in values
  ]
  names = ['' if missing else name for name, missing in zip(names, values.isna())]
  identifiers.check_known(names, 'patient', lambda row: f'{what}: row {row}')
  identifiers.check_distinct(names, 'patient', lambda row: f'{what}: row {row}')
  return names


def _texts(about: pd.DataFrame, index: pd.Index | None, count: int, what: str) -> pd.DataFrame:
  """As a file of predictions holds it: text, '' where nothing is known."""
  if not isinstance(about, pd.DataFrame):
    raise InputError(f'{what}: {type(about).__name__} given; give a pandas DataFrame')
  _check_columns(about, None, what)
  _check_length(about, count, what)
  about = _by_index(about, index, what)
  return pd.DataFrame(
    {
      str(name): about[name].astype(object).where(about[name].notna(), '').map(str)
      for name in about
    }
  ).reset_index(drop=True)


def _check_length(column: Any, count: int, what: str) -> None:
  if len(column) != count:
    raise InputError(f'{what}: {len(column):,} rows for {count:,} images')


def _by_index(column: Any, index: pd.Index | None, what: str) -> Any:
  """Brings a Series or DataFrame into the order of the images; anything else is in it."""
  if index is None or not _has_index(column) or column.index.equals(index):
    return column
  if not column.index.is_unique or set(column.index) != set(index):
    raise InputError(
      f'{what}: its index is not that of truth and probabilities; give the images as index, or an '
      'array in their order'
    )
  return column.loc[index]

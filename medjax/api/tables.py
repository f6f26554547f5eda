"""Tables of images in pandas: split them by patient, audit a split. Neither opens an image."""

import numbers
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.api import words
from medjax.data import labels as label_policies
from medjax.data import table as study_table
from medjax.data.split import by_patient, split_files
from medjax.errors import InputError

if TYPE_CHECKING:
  from medjax.data.leakage.findings import TableAudit


class PatientSplit(NamedTuple):
  """A split of a table's rows by patient, and its proof.

  Attributes:
    sides: 'train', 'validation', 'test' or 'unused' for each row, with the table's index.
    proof: as split.json holds it: hashes, settings, patients, images and prevalence of each side,
      the matrix of patients in common, and `notes` on what weakens the split.
    csv: as split.csv holds it: image, patient, split.
  """

  sides: pd.Series
  proof: dict[str, Any]
  csv: str

  def save(self, folder: str | pathlib.Path) -> None:
    """Writes split.csv and split.json, as `python -m medjax.split` does."""
    with words.renamed():
      split_files.write(words.path(folder, 'folder'), self.csv, self.proof)


def split_patients(
  table: pd.DataFrame,
  labels: Sequence[str],
  test: float | int | str = 0.1,
  validation: float | int | str = 0.1,
  test_floor: Mapping[str, float] | None = None,
  seed: int = 0,
) -> PatientSplit:
  """Splits a table by patient: the test set first, then validation like it; the rest trains.

  The draw is that of `python -m medjax.split`; see medjax.data.split.by_patient.make.

  Args:
    table: one row per image with the columns `image` and `patient` and one per label: 1 positive,
      0 negative, -1 or NaN unknown. Columns of medjax.data.table.OPTIONAL count as what they are;
      others do not matter.
    labels: the columns that validation resembles test in.
    test: share (0.1) or count (500) of patients, or 'official', of the column `official_split`.
    validation: likewise.
    test_floor: label → least share (0.2) or count (50) of test patients positive for it.
    seed: of the draw.

  Raises:
    InputError: a column missing, a value that is no label code, a size or floor that cannot be met.
  """
  labels = _listed(labels, 'labels')
  checked = _study_table(table, labels)
  truth, known = label_policies.reference(checked, labels, 'ignore')
  if not isinstance(test_floor, Mapping | None):
    raise InputError(f"test_floor={test_floor!r}: give shares or counts by label, {{'Edema': 0.2}}")
  if not isinstance(seed, numbers.Integral):
    raise InputError(f'seed={seed!r}: must be a whole number, 0 or more')
  # Numbers of numpy would not do in the proof, which is JSON.
  test, validation, seed = _plain(test), _plain(validation), int(seed)
  floor = {label: _plain(least) for label, least in (test_floor or {}).items()}
  with words.renamed({'config.split.': '', 'config.split': 'split_patients'}):
    sides, how = by_patient.make(
      checked,
      truth,
      known,
      labels,
      test=test,
      validation=validation,
      test_floor=floor,
      seed=seed,
    )
    by_patient.check_overlap(checked, sides)
  settings = {'test': test, 'validation': validation, 'test_floor': floor, 'seed': seed}
  proof = split_files.proof(checked, sides, truth, known, labels, settings=settings, how=how)
  series = pd.Series(sides, index=table.index, name='split')
  return PatientSplit(series, proof, split_files.to_csv(checked, sides))


def audit_table(
  table: pd.DataFrame,
  split: PatientSplit | pd.Series | Sequence[str],
  labels: Sequence[str] | None = None,
) -> 'TableAudit':
  """Looks in a table and its split for what would make a test flatter.

  Args:
    table: as for `split_patients`.
    split: 'train', 'validation', 'test' or 'unused' for each row; a Series has the table's index.
    labels: label columns; by default every numeric column that holds nothing but label codes.

  Raises:
    InputError: a column missing, a value that is no label code, or a split that does not fit the
      table.
  """
  from medjax.data.leakage import inspect

  sides = split.sides if isinstance(split, PatientSplit) else split
  if isinstance(sides, pd.Series) and isinstance(table, pd.DataFrame):
    if not sides.index.equals(table.index):
      raise InputError(
        f'split: its index is not that of the table ({len(sides):,} and {len(table):,} rows)'
      )
    sides = sides.to_numpy(object)
  if np.ndim(sides) != 1:
    raise InputError(
      f'split: {type(sides).__name__} given; give the side of each row, such as '
      "table['split'], or what medjax.split_patients returns"
    )
  names = _coded(table) if labels is None else _listed(labels, 'labels')
  return inspect.audit_table(_study_table(table, names), list(sides), names)


def _study_table(table: pd.DataFrame, labels: list[str]) -> pd.DataFrame:
  """Returns the checked study table: the columns that it has and these labels, no others."""
  if not isinstance(table, pd.DataFrame):
    raise InputError(f'table: {type(table).__name__} given; give a pandas DataFrame')
  if not len(table):
    raise InputError('table: has no rows')
  twice = table.columns[table.columns.duplicated()]
  if len(twice):
    raise InputError(f"table: column '{twice[0]}' is there twice; rename or drop one")
  known = [name for name in study_table.REQUIRED + study_table.OPTIONAL if name in table]
  columns = [*known, *labels]
  with words.renamed({'data.labels': 'labels'}):
    study_table.check_labels(table, labels, 'table')
  return study_table.with_identifiers(study_table.check(table[columns].copy(), 'table'), 'table')


def _coded(table: pd.DataFrame) -> list[str]:
  if not isinstance(table, pd.DataFrame):
    return []
  names = []
  for name in study_table.label_columns(table):
    if pd.api.types.is_numeric_dtype(table[name]):
      values = table[name].to_numpy(np.float64, na_value=np.nan)
      if (np.isnan(values) | (values == -1) | ((values >= 0) & (values <= 1))).all():
        names.append(name)
  return names


def _listed(names: Iterable[str], what: str) -> list[str]:
  is_list = np.asarray(names, dtype=object).ndim == 1  # Text, sets and None are not.
  if not is_list or not all(isinstance(name, str) for name in names):
    raise InputError(f"{what}: {names!r}; give a list of column names, such as ['Edema']")
  if len(set(names)) < len(list(names)):
    raise InputError(f'{what}: {", ".join(names)}; give every label once')
  return list(names)


def _plain(value: Any) -> Any:
  return value.item() if isinstance(value, np.generic) else value

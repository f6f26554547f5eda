"""Anybody's own table: one row per image, its columns named in the config."""

import pathlib
import posixpath
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data import cells, table
from medjax.data.reference import consensus as reader_consensus
from medjax.data.reference import reader_table
from medjax.errors import InputError, check_option, nearest


def read(
  root: pathlib.Path,
  labels: Sequence[str],
  table_file: str = 'labels.csv',
  columns: Mapping[str, str] | None = None,
  grouped_by: str = 'patient',
  readers_file: str = '',
  consensus: str = 'majority',
  ties: str = 'uncertain',
  definitive_file: str = '',
) -> pd.DataFrame:
  """Returns the study table of `root / table_file`.

  Args:
    root: the folder that image paths are relative to.
    labels: the columns that are labels: codes 1, 0, -1 and empty, or shares between 0 and 1; or,
      where `columns` names a 'class', the values of that column, one of which an image has; empty
      is unknown, whatever data.blank says.
    table_file: the CSV, relative to root.
    columns: our name → the file's name, for those of image, patient, study, view, sex, age, date,
      site, scanner, reader and official_split that the file names otherwise; and 'class', see
      labels.
    grouped_by: what the patient column holds where the file has no patients: 'lesion' or 'slide';
      with 'image' there is no such column, and every image counts as a patient of its own. It is
      never guessed: if it is wrong, so are intervals and splits.
    readers_file: a CSV of who read which image and what they saw, relative to root: image, reader
      and one column per label (or the class), as medjax.data.reference.reader_table reads it. The
      labels are then the readers' consensus, whatever table_file says; unknown where nobody read
      the image, whatever data.blank says.
    consensus, ties: as in medjax.data.reference.consensus.estimate; with 'share' the labels are
      soft.
    definitive_file: a CSV of image, labels and `test`, the name of a more definitive test, relative
      to root. It outranks the readers where it has a value.

  Raises:
    InputError: a file or a named column missing, an unknown code, one reader twice on an image, an
      image in readers_file that is not in table_file, a label with the name of another column of
      the study table.
  """
  table.check_label_names(labels, 'config.data.labels')
  check_option('config.data.settings.grouped_by', grouped_by, table.GROUPS)
  allowed = [name for name in table.REQUIRED + table.OPTIONAL if name != 'named_in']
  columns = table.checked_columns(columns, (*allowed, 'class'))
  path = root / table_file
  if not path.is_file():
    raise InputError(
      f'{path}: no such table; set config.data.root and config.data.settings.table_file, '
      'or start from configs/phantom.py, which needs no data'
    )
  required = ['image'] if grouped_by == 'image' else ['image', 'patient']
  wanted = [columns.get(name, name) for name in required]
  if definitive_file and not readers_file:
    raise InputError(
      'config.data.settings.definitive_file is set without a readers_file; name that too'
    )
  class_column = columns.pop('class', None)
  label_names = [class_column] if class_column else list(labels)
  in_table = [] if readers_file else label_names
  frame = table.read_csv(path, [*wanted, *columns.values(), *in_table])
  present = {
    name: frame[columns.get(name, name)] for name in allowed if columns.get(name, name) in frame
  }
  if grouped_by == 'image':
    present['patient'] = present['image']
  result = pd.DataFrame(present | {'named_in': table.rows_of(path, frame)})
  if grouped_by != 'patient':
    result['grouped_by'] = grouped_by
  if readers_file:
    agreed = _by_readers(
      result['image'],
      label_names,
      labels if class_column else (),
      root / readers_file,
      root / definitive_file if definitive_file else None,
      consensus,
      ties,
    )
    return table.check(result.assign(**agreed), str(path))
  if class_column:
    values = _one_of(frame[class_column], labels, path)
    result = result.assign(**values, unlabelled=table.unlabelled(pd.DataFrame(values)))
  else:
    values = {name: table.label_values(frame, name, path, soft=True) for name in labels}
    result = result.assign(**values)
  return table.check(result, str(path))


def _by_readers(
  images: pd.Series,
  label_names: Sequence[str],
  classes: Sequence[str],
  readers_file: pathlib.Path,
  definitive_file: pathlib.Path | None,
  method: str,
  ties: str,
) -> dict[str, np.ndarray]:
  """Returns what readers say: a column f32[N] per label, `reference` and `unlabelled`."""
  check_option('config.data.settings.consensus', method, reader_consensus.METHODS)
  check_option('config.data.settings.ties', ties, reader_consensus.TIES)
  images = pd.Index([posixpath.normpath(image.strip()) for image in images])
  readings = reader_table.read(readers_file, classes, images)
  known = reader_table.labels_of(readings)
  for label in label_names:
    check_option(f'{readers_file}: the label column', label, known)
  definitive = None
  if definitive_file:
    definitive = reader_table.read_definitive(definitive_file, known, classes, images)
    definitive = definitive.drop(
      columns=[label for label in known if label not in label_names], errors='ignore'
    )
  agreed = reader_consensus.consensus(
    readings[['image', 'reader', *label_names]],
    method=method,
    ties=ties,
    definitive=definitive,
    classes=classes,
  )
  agreed = agreed.set_index('image').reindex(images)
  columns = {label: agreed[label].to_numpy(np.float32) for label in label_names}
  if classes:
    (codes,) = columns.values()
    columns = {
      name: np.where(codes >= 0, codes == place, np.nan).astype(np.float32)
      for place, name in enumerate(classes)
    }
  return {
    **columns,
    'reference': agreed['reference'].fillna('').to_numpy(object),
    'unlabelled': table.unlabelled(pd.DataFrame(columns)),
  }


def _one_of(classes: pd.Series, labels: Sequence[str], path: pathlib.Path) -> dict[str, np.ndarray]:
  """Returns f32[N] for each label: 1 where it is the class, NaN where the class is empty."""
  classes, names = classes.str.strip(), {name: name for name in labels} | {'': ''}
  said: dict[str, str] = {}
  for row, value in enumerate(classes):
    try:
      said[value] = said.get(value) or cells.code(value, names)
    except KeyError:
      raise InputError(
        f"{path}: row {row + 2}, column '{classes.name}': the class is '{value}'; allowed: "
        f'{", ".join(labels)}{nearest(value, labels)}; name every class in data.labels or, for one '
        "of several sets, in its 'labels'"
      ) from None
  classes = classes.map(said)
  unknown = (classes == '').to_numpy()
  return {label: np.where(unknown, np.nan, classes == label).astype(np.float32) for label in labels}

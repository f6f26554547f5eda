"""Anybody's own table: one row per image, its columns named in the config."""

import dataclasses
import inspect
import pathlib
import posixpath
from collections.abc import Mapping, Sequence, Set

import numpy as np
import pandas as pd

from medjax.data import cells, table
from medjax.data.reference import consensus as reader_consensus
from medjax.data.reference import reader_table
from medjax.errors import InputError, check_option, nearest
from medjax.runtime import import_by_name


@dataclasses.dataclass(frozen=True)
class Readers:
  """Settings of labels that several people read. Their tables name images as table_file does.

  Attributes:
    readers_file: a CSV of who read which image and what they saw, relative to root: image, reader
      and one column per label (or the class), as medjax.data.reference.reader_table reads it. The
      labels are then the readers' consensus, whatever table_file says; unknown where nobody read
      the image, whatever data.blank says.
    consensus, ties: as in medjax.data.reference.consensus.estimate; with 'share' the labels are
      soft.
    definitive_file: a CSV of image, labels and `test`, the name of a more definitive test, relative
      to root. It outranks the readers where it has a value.
  """

  readers_file: str = ''
  consensus: str = 'majority'
  ties: str = 'uncertain'
  definitive_file: str = ''


def read(
  root: pathlib.Path,
  labels: Sequence[str],
  table_file: str = 'labels.csv',
  columns: Mapping[str, str] | None = None,
  grouped_by: str = 'patient',
  folder: str = '',
  suffix: str = '',
  about: str | Sequence[str] = (),
  **readers: str,
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
    folder: where the images lie, relative to root; the table's names are relative to it.
    suffix: how the files' names go on after those of the table, such as '.png'; a name that ends in
      it stays as it is.
    about: further columns of the file, by whose values evaluation.subgroups may ask; 'all' for all.
    **readers: those of `Readers`.

  Raises:
    InputError: a file or a named column missing, an unknown code, one reader twice on an image, an
      image in readers_file that is not in table_file, a label with the name of another column of
      the study table.
  """
  table.check_label_names(labels, 'config.data.labels')
  check_option('config.data.settings.grouped_by', grouped_by, table.GROUPS)
  reading = _readers(readers)
  allowed = [name for name in table.REQUIRED + table.OPTIONAL if name != 'named_in']
  columns = table.checked_columns(columns, (*allowed, 'class'))
  path = root / table_file
  if not path.is_file():
    raise InputError(
      f'{path}: no such table; set config.data.root and config.data.settings.table_file, '
      'or start from configs/phantom.py, which needs no data'
    )
  patient = columns.pop('patient', 'patient')
  class_column = columns.pop('class', None)
  label_names = [class_column] if class_column else list(labels)
  in_table = [] if reading.readers_file else label_names
  frame = table.read_csv(path, [columns.get('image', 'image'), *columns.values(), *in_table])
  check_patients(frame, patient, grouped_by, path)
  columns['patient'] = patient
  present = {
    name: frame[columns.get(name, name)] for name in allowed if columns.get(name, name) in frame
  }
  used = {*allowed, *labels, *label_names, *columns.values()}
  present |= {table.ABOUT + name: frame[name] for name in about_columns(about, frame, used, path)}
  result = pd.DataFrame(present | {'named_in': table.rows_of(path, frame)})
  if grouped_by != 'patient':
    result['grouped_by'] = grouped_by
  if reading.readers_file:
    classes = labels if class_column else ()
    result = result.assign(**_by_readers(result['image'], label_names, classes, root, reading))
  elif class_column:
    values = _one_of(frame[class_column], labels, path)
    result = result.assign(**values, unlabelled=table.unlabelled(pd.DataFrame(values)))
  else:
    values = {name: table.label_values(frame, name, path, soft=True) for name in labels}
    result = result.assign(**values)
  result['image'] = [_file(image.strip(), folder, suffix) for image in result['image']]
  if grouped_by == 'image':
    result['patient'] = result['image']
  return table.check(result, str(path))


def _readers(settings: Mapping[str, str]) -> Readers:
  own = [name for name in inspect.signature(read).parameters if name != 'readers']
  names = [field.name for field in dataclasses.fields(Readers)]
  for name in settings:
    check_option('config.data.settings: the setting', name, (*own[2:], *names))
  import_by_name.check_settings(Readers, settings, 'config.data.settings', given=())
  readers = Readers(**settings)
  check_option('config.data.settings.consensus', readers.consensus, reader_consensus.METHODS)
  check_option('config.data.settings.ties', readers.ties, reader_consensus.TIES)
  if readers.definitive_file and not readers.readers_file:
    raise InputError(
      'config.data.settings.definitive_file is set without a readers_file; name that too'
    )
  return readers


def check_patients(frame: pd.DataFrame, column: str, grouped_by: str, path: pathlib.Path) -> None:
  """Raises InputError for a frame without patients, unless the config says that it has none."""
  if grouped_by == 'image' or column in frame:
    return
  raise InputError(
    f"{path}: no column '{column}' that says whose image it is{nearest(column, frame.columns)}; "
    "name it in config.data.settings.columns, such as {'patient': 'case_id'}, or, if no patient "
    "has two images, set config.data.settings.grouped_by='image'. The columns are: "
    f'{", ".join(frame.columns)}'
  )


def about_columns(
  wanted: str | Sequence[str], frame: pd.DataFrame, used: Set[str], path: pathlib.Path
) -> list[str]:
  """Returns the columns to carry for subgroups; those used otherwise are there by that name."""
  if wanted == 'all':
    return [name for name in frame if name not in used]
  names = [wanted] if isinstance(wanted, str) else list(wanted)
  for name in names:
    check_option(f'config.data.settings.about: a column of {path}', name, list(frame))
  return [name for name in names if name not in used]


def _file(image: str, folder: str, suffix: str) -> str:
  """Returns the file of an image that the table names; of no name nothing is made."""
  if not image:
    return image
  return posixpath.join(folder, image if image.endswith(suffix) else image + suffix)


def _by_readers(
  images: pd.Series,
  label_names: Sequence[str],
  classes: Sequence[str],
  root: pathlib.Path,
  settings: Readers,
) -> dict[str, np.ndarray]:
  """Returns what readers say: a column f32[N] per label, `reference` and `unlabelled`."""
  readers_file = root / settings.readers_file
  images = pd.Index([posixpath.normpath(image.strip()) for image in images])
  readings = reader_table.read(readers_file, classes, images)
  known = reader_table.labels_of(readings)
  for label in label_names:
    check_option(f'{readers_file}: the label column', label, known)
  definitive = None
  if settings.definitive_file:
    path = root / settings.definitive_file
    definitive = reader_table.read_definitive(path, known, classes, images)
    definitive = definitive.drop(
      columns=[label for label in known if label not in label_names], errors='ignore'
    )
  agreed = reader_consensus.consensus(
    readings[['image', 'reader', *label_names]],
    method=settings.consensus,
    ties=settings.ties,
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

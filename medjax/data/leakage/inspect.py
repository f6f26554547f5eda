"""An audit from start to end: reads the study, its split and its images, and reports what leaks."""

import os
import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.config import Config
from medjax.data import datasets, labels, missing_files
from medjax.data import table as study_table
from medjax.data.images import containers, headers
from medjax.data.leakage import colours, copies, duplicates, table_audit
from medjax.data.leakage.findings import SIDES, Audit, Copies, TableAudit
from medjax.data.phantom import folder
from medjax.data.split import by_patient, folds, given, split_files
from medjax.errors import InputError
from medjax.runtime import remote, remote_path
from medjax.runtime.progress import Progress, waiting


class Study(NamedTuple):
  """A study table of N images with its labels.

  Attributes:
    config: that it was read by.
    names: every image that the source names, of whatever view.
    table: the study table.
    truth: f32[N, L], 1 where positive.
    known: bool[N, L].
  """

  config: Config
  names: pd.Series
  table: pd.DataFrame
  truth: np.ndarray
  known: np.ndarray


class Split(NamedTuple):
  """A split of N images, whoever made it.

  Attributes:
    sides: str[N], train, validation, test or unused.
    origin: where it comes from, in words.
    groups: name → N values, of what its file says must stay together.
    notes: sentences on what did not fit.
  """

  sides: np.ndarray
  origin: str
  groups: dict[str, pd.Series]
  notes: list[str]


class Pixels(NamedTuple):
  """What the images show that exist.

  Attributes:
    images: one row for each image that exists, see `_images`.
    readable: how many of them could be read.
    copies: None where none was opened.
    metadata: name → what the files say of each image of the study table.
    warnings: sentences on what should have been looked at and could not be.
    unseen: sentences on what was not looked at.
  """

  images: pd.DataFrame
  readable: int
  copies: Copies | None
  metadata: dict[str, pd.Series]
  warnings: list[str]
  unseen: list[str]


class Inspection(NamedTuple):
  """An audit and the images that it looked at.

  Attributes:
    audit: what was found.
    images: the rows that `audit.copies.pairs` count, with the columns `path` and `intensity`.
    warning: that pictures are generated, or ''.
  """

  audit: Audit
  images: pd.DataFrame
  warning: str = ''


def audit(
  config: Config,
  *,
  split: str = '',
  other: Config | None = None,
  pixels: bool = True,
) -> Inspection:
  """Audits a source and its split.

  Args:
    config: of the source, and of the split unless `split` is given.
    split: work directory, or CSV with the columns image and split; '' draws it as `config` says.
    other: config of a second set, to find images that both have.
    pixels: whether to open the images that exist.

  Raises:
    InputError: a source or a split that cannot be read, or a split without any image in use.
  """
  with waiting(f'reading the table of images and their labels in {config.data.root}'):
    study = _read(config)
    parts = _split(study, split)
  if not np.isin(parts.sides, SIDES).any():
    raise InputError(f'{parts.origin}: no image is in train, validation or test')
  second = None if other is None else _read(other)
  seen = _pixels(study, parts.sides, second, pixels)
  with waiting('comparing the sides of the split'):
    tables = table_audit.tables(
      study.table,
      parts.sides,
      config.data.labels,
      study.truth,
      study.known,
      further=seen.metadata,
      groups=parts.groups,
    )
  copy_warnings = copies.sentences(seen.copies) if seen.copies else []
  result = Audit(
    facts={
      'Audited': f'{config.data.source} in {config.data.root}, {len(study.table):,} images',
      'Split': parts.origin,
      'Labels': ', '.join(config.data.labels),
      'Opened': f'{seen.readable:,} images',
    },
    warnings=(*table_audit.sentences(tables), *copy_warnings, *seen.warnings),
    table=tables,
    copies=seen.copies,
    not_looked_at=(*parts.notes, *seen.unseen, *tables.not_asked),
  )
  audited = [one.data for one in (config, other) if one is not None]
  warnings = (folder.warning_of(one.source, one.root, one.settings) for one in audited)
  return Inspection(result, seen.images, next(filter(None, warnings), ''))


def audit_table(
  table: pd.DataFrame, split: Sequence[str], label_names: Sequence[str] = ()
) -> TableAudit:
  """Audits a study table and its split; no image is opened.

  Args:
    table: N rows with the columns image, patient and one per label: 1, 0, and -1 or NaN where not
      known.
    split: N of train, validation, test and unused.
    label_names: the labels; every column that can be one where none is given.

  Raises:
    InputError: a column missing, or a split that does not fit the table.
  """
  sides = np.asarray(split, object)
  if sides.shape != (len(table),):
    raise InputError(f'split: {sides.shape} values for {len(table):,} rows; give one for each row')
  table = table.reset_index(drop=True)
  for column in ('image', 'patient', *label_names):
    if column not in table:
      raise InputError(f"table: no column '{column}'; the columns are {', '.join(table)}")
  unknown = ~np.isin(sides, by_patient.SPLITS)
  if unknown.any():
    row = int(np.flatnonzero(unknown)[0])
    raise InputError(
      f"split: row {row + 1}: '{sides[row]}'; allowed are {', '.join(by_patient.SPLITS)}"
    )
  if not np.isin(sides, SIDES).any():
    raise InputError('split: no row is in train, validation or test')
  names = list(label_names) or study_table.label_columns(table)
  truth, known = labels.reference(table, names, 'ignore')
  return table_audit.tables(table, sides, names, truth, known)


def set_name(config: Config) -> str:
  """Returns what the folder of a set is called."""
  return remote.name(config.data.root)


def _read(config: Config) -> Study:
  every_image = datasets.read_all(config.data)
  table, _ = datasets.keep_views(every_image, config.data)
  truth, known = labels.reference(table, config.data.labels, config.data.blank)
  return Study(config, every_image['image'], table, truth, known)


def _split(study: Study, path: str) -> Split:
  """Returns the split that `path` names, or else the one that the config draws."""
  table, settings = study.table, study.config.split
  if path:
    folder = pathlib.Path(path)
    file = folder / split_files.CSV_NAME if folder.is_dir() else folder
    sides, patients, notes = split_files.read_published(file, table)
    groups = {} if patients is None else {"patient in the split's file": patients}
    return Split(sides, f'in {file}', groups, notes)
  table, given_notes = given.with_official(
    table, remote_path.path(study.config.data.root), settings
  )
  if str(settings.test).strip().startswith('official') and 'official_split' in table:
    published = table['official_split'].fillna('').replace('', 'unused').to_numpy(str)
    try:
      by_patient.check_overlap(table, published)
    except InputError:  # Training refuses it; here that is the question.
      return Split(published, 'as published', {}, given_notes)
  sides, how = folds.split(table, study.truth, study.known, study.config.data.labels, settings)
  test, validation = (how[part]['from'] for part in ('test', 'validation'))
  words = f'test {test}, validation {validation}, seed {how["seed"]}'
  return Split(sides, words, {}, given_notes)


def _pixels(study: Study, sides: np.ndarray, other: Study | None, opened: bool) -> Pixels:
  """Opens the images that exist and returns what they show."""
  images, truth = _images(study, sides, other)
  if not opened:
    return Pixels(images[:0], 0, None, {}, [], ['Pixels: no image was opened, as asked.'])
  exist = np.array([_exists(path) for path in images['path']])
  warnings, unseen = [], []
  if not exist.all():
    unseen.append(
      f'{int((~exist).sum()):,} of {len(exist):,} images are not there, such as '
      f'{images["path"][int(np.flatnonzero(~exist)[0])]}.'
    )
  in_second = (images['row'] < 0).to_numpy()
  if other and not exist[in_second].any():
    warnings.append(
      f'Nothing was compared with the second set: no image of it is under {other.config.data.root}.'
    )
  if not exist.any():
    return Pixels(images[:0], 0, None, {}, warnings, ['Pixels: no image was opened.', *unseen])
  images, truth = (frame[exist].reset_index(drop=True) for frame in (images, truth))
  bar = Progress('image looked at', 0, len(images))
  looks = duplicates.look(list(images['path']), list(images['intensity']), progress=bar.update)
  bar.close()
  if looks.broken:
    sentence = (
      f'{len(looks.broken):,} of {len(images):,} images cannot be read, and copies of them not be '
      f'found; the first: {next(iter(looks.broken.values()))}.'
    )
    warnings.append(sentence)
    unseen.append(sentence)
  if plain := len(duplicates.too_plain(looks)):
    unseen.append(f'{plain:,} images are so plain that only identical ones are found.')
  unseen.append(
    'Copies that were cropped, given borders, turned by anything but quarter turns, or shown in '
    'another window, gamma or colours other than red and blue exchanged: they may not be found.'
  )
  unseen += _strays(study)
  truths = truth.to_numpy(np.float64)
  with waiting('comparing the images with each other'):
    pairs = duplicates.find(looks, copies.apart(images, truths))
  same = copies.findings(pairs, images, list(truth.columns), truths)
  shown = ~np.isin(np.arange(len(images)), list(looks.broken))
  for column in ('set', 'side'):
    warnings += colours.sentences(images[column][shown], looks.colours[shown])
  readable = len(images) - len(looks.broken)
  return Pixels(images, readable, same, _metadata(study, images, looks), warnings, unseen)


def _metadata(study: Study, images: pd.DataFrame, looks: duplicates.Looks) -> dict[str, pd.Series]:
  read = pd.DataFrame(headers.metadata(looks.headers))[images['row'] >= 0]
  read.index = images.loc[images['row'] >= 0, 'row']
  return dict(read.reindex(study.table.index, fill_value='').items())


def _strays(study: Study) -> list[str]:
  root = remote_path.path(study.config.data.root)
  _, strays = missing_files.compare(study.names, root)
  if not strays:
    return []
  images = 'image' if len(strays) == 1 else 'images'
  return [f"{len(strays):,} {images} under {root} in no row of the table, such as '{strays[0]}'."]


def _images(
  study: Study, sides: np.ndarray, other: Study | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
  """Returns the images of both sets, as `copies.findings` takes them, with further columns.

  `path` is the file, `intensity` what its own set's config says of deep greys, `row` that of the
  study table. Images of the other set have row -1 and are on no side; unused images are left out.
  """
  name = set_name(study.config)
  kept = np.flatnonzero(sides != 'unused')
  parts = [_of_set(study, kept, name).assign(side=sides[kept], row=kept)]
  truths = [_truth(study, kept)]
  if other is not None:
    second = set_name(other.config)
    second = f'{second} (the second set)' if second == name else second
    all_rows = np.arange(len(other.table))
    parts.append(_of_set(other, all_rows, second).assign(side='', row=-1))
    truths.append(_truth(other, all_rows))
  return pd.concat(parts, ignore_index=True), pd.concat(truths, ignore_index=True)


def _of_set(study: Study, rows: np.ndarray, name: str) -> pd.DataFrame:
  table = study.table.iloc[rows]
  return pd.DataFrame(
    {
      'path': [os.path.join(study.config.data.root, image) for image in table['image']],
      'intensity': study.config.data.intensity,
      'image': table['image'].to_numpy(object),
      'patient': table['patient'].to_numpy(object),
      'set': table['dataset'].to_numpy(object) if 'dataset' in table else name,
      'named': study_table.names_patient(study.table)[rows],
    }
  )


def _truth(study: Study, rows: np.ndarray) -> pd.DataFrame:
  values = np.where(study.known, study.truth, np.nan)[rows]
  return pd.DataFrame(values, columns=list(study.config.data.labels))


def _exists(path: str) -> bool:
  container = containers.container_of(path)
  return remote.is_file(container) or (container != path and remote.exists(container))

"""Looks for what makes a test flatter: python -m medjax.audit --config=… --output=DIR

The split is the one that the config draws, or with --split=… one that is already there: a work
directory, or a CSV with the columns image and split, such as a paper publishes. --other=… is the config
of a second set, to see which images both have. --config.field=value overrides any field of the config.

DIR/index.html is for people, DIR/audit.json for programs. The images that are there are opened, unless
--nopixels is given; the page says what was not looked at.

Exit status: 2 where patients (or studies, lesions or slides) are on two sides of the split; 0 otherwise,
whatever else was found; 1 for a mistake in what was given.
"""

import base64
import io
import json
import os
import pathlib
import sys
from collections.abc import Iterable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line

if TYPE_CHECKING:
  from medjax.config import Config
  from medjax.data.leakage.duplicates import Looks

flags.adopt_module_key_flags(command_line)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for index.html and audit.json.')
_SPLIT = flags.DEFINE_string(
  'split', '', 'Work directory or CSV (image, split) of the split; the config draws it otherwise.'
)
_OTHER = flags.DEFINE_string('other', '', 'Config of a second set, to find images that both have.')
_OTHER_ROOT = flags.DEFINE_string(
  'other_root', '', 'Where the second set lies, if not as its config says.'
)
_PIXELS = flags.DEFINE_bool('pixels', True, 'Whether to open the images that are there.')
PICTURE = 240  # pixels of a picture's longer side on the page


class Set(NamedTuple):
  """A study table of N images with its labels.

  Attributes:
    config: that it was read by.
    named: every image that the source names, of whatever view.
    table: the study table.
    truth: f32[N, L], 1 where positive.
    known: bool[N, L].
  """

  config: 'Config'
  named: pd.Series
  table: pd.DataFrame
  truth: np.ndarray
  known: np.ndarray


class Split(NamedTuple):
  """A split of N images, whoever made it.

  Attributes:
    sides: str[N], train, validation, test or unused.
    whence: in words.
    groups: name → N values, of what its file says must stay together.
    notes: sentences on what did not fit.
  """

  sides: np.ndarray
  whence: str
  groups: dict[str, pd.Series]
  notes: list[str]


class Seen(NamedTuple):
  """What the images show that are there.

  Attributes:
    pictures: one row for each image that is there, see `_pictures`.
    readable: how many of them could be read.
    found: by `copies.findings`, None where none was opened.
    further: metadata, what the files say of each image of ours.
    warnings: sentences on what was to be looked at and could not be.
    unseen: sentences on what was not looked at.
  """

  pictures: pd.DataFrame
  readable: int
  found: dict | None
  further: dict[str, pd.Series]
  warnings: list[str]
  unseen: list[str]


def main() -> None:
  """Audits, writes the page and exits with 2 where patients are on two sides."""
  config = command_line.load_config()
  if not _OUTPUT.value:
    raise InputError('--output is missing; try --output=audits/phantom')
  other = _other()
  ours = _read(config)
  split = _split(ours, _SPLIT.value)

  from medjax.data.leakage import table_audit
  from medjax.report import audit_page
  from medjax.runtime import files

  if not np.isin(split.sides, table_audit.SIDES).any():
    raise InputError(f'{split.whence}: no image is in train, validation or test')
  seen = _copies(ours, split.sides, other and _read(other))
  tables = table_audit.tables(
    ours.table,
    split.sides,
    config.data.labels,
    ours.truth,
    ours.known,
    further=seen.further,
    groups=split.groups,
  )
  result = {
    'format': 'medjax audit 1',
    'facts': {
      'Audited': f'{config.data.source} in {config.data.root}, {len(ours.table):,} images',
      'Split': split.whence,
      'Labels': ', '.join(config.data.labels),
      'Opened': f'{seen.readable:,} images',
    },
    'warnings': [*_warnings(tables, seen.found), *seen.warnings],
    'table': tables,
    'copies': seen.found,
    'not_looked_at': [*split.notes, *seen.unseen, *tables['not_asked']],
  }
  directory = pathlib.Path(_OUTPUT.value)
  directory.mkdir(parents=True, exist_ok=True)
  title = _set_name(config)
  files.write_whole(directory / 'audit.json', json.dumps(result, indent=2) + '\n')
  pictures = _drawn(seen.pictures, audit_page.pairs_drawn(seen.found))
  files.write_whole(directory / 'index.html', audit_page.render(title, result, pictures))
  print('\n'.join(f'- {each}' for each in result['warnings']) or 'nothing that it looks for')
  print(f'written: {directory / "index.html"} and {directory / "audit.json"}')
  if table_audit.overlapping(tables):
    sys.exit(2)


def _other() -> 'Config | None':
  from medjax import config

  if not _OTHER.value:
    if _OTHER_ROOT.value:
      raise InputError('--other_root is given without --other, the config that it belongs to')
    return None
  return config.load(_OTHER.value, [f'data.root={_OTHER_ROOT.value}'] if _OTHER_ROOT.value else ())


def _read(config: 'Config') -> Set:
  from medjax.data import datasets, labels

  table = datasets.read(config.data)
  named = (datasets.read_all(config.data) if config.data.views else table)['image']
  return Set(config, named, table, *labels.reference(table, config.data.labels, config.data.blank))


def _split(of: Set, path: str) -> Split:
  """Returns the split that `path` names, or else the one that the config draws."""
  from medjax.data.split import by_patient, split_files

  table, settings = of.table, of.config.split
  if path:
    given = pathlib.Path(path)
    file = given / split_files.CSV_NAME if given.is_dir() else given
    sides, patients, notes = split_files.read_published(file, table)
    groups = {} if patients is None else {"patient in the split's file": patients}
    return Split(sides, f'in {file}', groups, notes)
  if str(settings.test).strip().startswith('official') and 'official_split' in table:
    published = table['official_split'].fillna('').replace('', 'unused').to_numpy(str)
    try:
      by_patient.check_overlap(table, published)
    except InputError:  # Training refuses it; here it is what was asked about.
      return Split(published, 'as published', {}, [])
  sides, how = by_patient.make(
    table,
    of.truth,
    of.known,
    of.config.data.labels,
    test=settings.test,
    validation=settings.validation,
    test_floor=settings.test_floor,
    seed=settings.seed,
  )
  words = f'test {how["test"]["from"]}, validation {how["validation"]["from"]}, seed {how["seed"]}'
  return Split(sides, words, {}, [])


def _copies(ours: Set, sides: np.ndarray, theirs: Set | None) -> Seen:
  """Opens the images that are there and returns what they show."""
  from medjax.data.leakage import copies, duplicates

  pictures, truth = _pictures(ours, sides, theirs)
  if not _PIXELS.value:
    return Seen(pictures[:0], 0, None, {}, [], ['Pixels: no image was opened (--nopixels).'])
  there = np.array([_is_there(path) for path in pictures['path']])
  warnings, unseen = [], []
  if not there.all():
    unseen.append(
      f'{int((~there).sum()):,} of {len(there):,} images are not there, such as '
      f'{pictures["path"][int(np.flatnonzero(~there)[0])]}.'
    )
  of_theirs = (pictures['row'] < 0).to_numpy()
  if theirs and not there[of_theirs].any():
    warnings.append(
      f'Nothing was compared with the second set: no image of it is under {theirs.config.data.root}.'
    )
  if not there.any():
    return Seen(pictures[:0], 0, None, {}, warnings, ['Pixels: no image was opened.', *unseen])
  pictures, truth = (each[there].reset_index(drop=True) for each in (pictures, truth))

  from medjax.runtime import progress

  bar = progress.Progress('image looked at', 0, len(pictures))
  looks = duplicates.look(list(pictures['path']), list(pictures['intensity']), progress=bar.update)
  bar.close()
  if looks.broken:
    sentence = (
      f'{len(looks.broken):,} of {len(pictures):,} images cannot be read, and copies of them not be '
      f'found; the first: {next(iter(looks.broken.values()))}.'
    )
    warnings.append(sentence)
    unseen.append(sentence)
  if plain := len(duplicates.too_plain(looks)):
    unseen.append(f'{plain:,} images are so plain that only identical ones are found.')
  unseen.append(
    'Copies that were cropped, given borders, turned by anything but quarter turns or shown in another '
    'window: they are not found.'
  )
  unseen += _strays(ours)
  found = copies.findings(
    duplicates.find(looks), pictures, list(truth.columns), truth.to_numpy(np.float64)
  )
  readable = len(pictures) - len(looks.broken)
  return Seen(pictures, readable, found, _of_files(ours, pictures, looks), warnings, unseen)


def _of_files(ours: Set, pictures: pd.DataFrame, looks: 'Looks') -> dict[str, pd.Series]:
  further = {
    name: pd.Series('', ours.table.index, dtype=object)
    for name in ('size of the file', 'colour mode')
  }
  of_ours = np.flatnonzero(pictures['row'] >= 0)
  rows = pictures['row'].to_numpy()[of_ours]
  written = [
    f'{w} × {h}' if w else '' for w, h in zip(looks.widths[of_ours], looks.heights[of_ours])
  ]
  further['size of the file'].iloc[rows] = written
  further['colour mode'].iloc[rows] = looks.modes[of_ours]
  return further


def _strays(of: Set) -> list[str]:
  from medjax.data import missing_files

  root = pathlib.Path(of.config.data.root)
  _, strays = missing_files.compare(of.named, root)
  if not strays:
    return []
  return [
    f'{len(strays):,} image{"s" * (len(strays) > 1)} under {root} in no row of the table, such as '
    f"'{strays[0]}'."
  ]


def _pictures(
  ours: Set, sides: np.ndarray, theirs: Set | None
) -> tuple[pd.DataFrame, pd.DataFrame]:
  """Returns the images of both sets, as `copies.findings` takes them, with further columns.

  `path` is the file, `intensity` what its own set's config says of deep greys, `row` that of our table.
  The images of the other set have row -1 and are on no side; unused images of ours are left out.
  """
  parts, truths = [], []
  for of, side in ((ours, sides), (theirs, None)):
    if of is None:
      continue
    name = _set_name(of.config)
    if of is theirs and name == _set_name(ours.config):
      name = f'{name} (the second set)'
    kept = np.flatnonzero(side != 'unused') if side is not None else np.arange(len(of.table))
    table = of.table.iloc[kept]
    parts.append(
      pd.DataFrame(
        {
          'path': [os.path.join(of.config.data.root, image) for image in table['image']],
          'intensity': of.config.data.intensity,
          'image': table['image'].to_numpy(object),
          'patient': table['patient'].to_numpy(object),
          'side': side[kept] if side is not None else '',
          'set': table['dataset'].to_numpy(object) if 'dataset' in table else name,
          'row': kept if side is not None else -1,
        }
      )
    )
    values = np.where(of.known, of.truth, np.nan)[kept]
    truths.append(pd.DataFrame(values, columns=list(of.config.data.labels)))
  return pd.concat(parts, ignore_index=True), pd.concat(truths, ignore_index=True)


def _set_name(config: 'Config') -> str:
  return pathlib.Path(config.data.root).resolve().name


def _is_there(path: str) -> bool:
  container = path.partition('#')[0]
  return os.path.isfile(path) or (container != path and os.path.exists(container))


def _warnings(tables: dict, found: dict | None) -> Iterable[str]:
  from medjax.data.leakage import copies, table_audit

  return [*table_audit.sentences(tables), *(copies.sentences(found) if found else ())]


def _drawn(pictures: pd.DataFrame, rows: Iterable[int]) -> dict[int, str]:
  """Returns row → data URI of these images; one that cannot be drawn is left out."""
  drawn = {}
  for row in rows:
    try:
      drawn[row] = _data_uri(pictures['path'][row], pictures['intensity'][row])
    except (InputError, OSError, MemoryError):  # It went away since, or memory did.
      continue
  return drawn


def _data_uri(path: str, intensity: str) -> str:
  """Returns the image as a small PNG that a page can hold."""
  from medjax.data.images import decoding

  picture = decoding.whole(path, intensity)
  picture.thumbnail((PICTURE, PICTURE))
  content = io.BytesIO()
  picture.save(content, 'PNG', optimize=True)
  return f'data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}'


if __name__ == '__main__':
  command_line.run(main)

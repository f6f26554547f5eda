"""A folder of DICOM files, with a table of their labels.

Patients, studies, views and scanners come from the files' headers, of which nothing else is read
(see medjax.data.images.dicom.header): no name, date or private element. The patient's id keeps a
patient on one side of the split and joins predictions with other tables, so split.csv and
predictions hold it as the files do. In de-identified files it is a pseudonym; for others give
`pseudonym_key`.

A file is identified by its path, which split.csv, predictions, reports and messages hold unchanged,
with a `pseudonym_key` too: no folder and no file may be named after a patient.
"""

import concurrent.futures
import hashlib
import hmac
import pathlib
import posixpath
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medjax.data import table
from medjax.data.images import dicom, dicom_words
from medjax.errors import InputError, check_option, count
from medjax.runtime import remote

# What a row of the table may name its images by, and where the header has it.
KEYS = {'image': 'image', 'StudyInstanceUID': 'study', 'AccessionNumber': 'accession'}
_CARRIED = ('site', 'reader', 'date', 'official_split')  # columns of the table that no header has
_DIRECTORY = 'DICOMDIR'  # A table of contents in DICOM's own format.
_ENDINGS = ('.dcm', '.dicom')
_UID = re.compile(r'[\d.]{8,}')


def read(
  root: pathlib.Path,
  labels: Sequence[str],
  broken: str = 'stop',
  table_file: str = 'labels.csv',
  columns: Mapping[str, str] | None = None,
  grouped_by: str = 'patient',
  pseudonym_key: str = '',
  scanners: Sequence[str] = (),
) -> pd.DataFrame:
  """Returns the study table of the DICOM images under `root` that a table has labels for.

  Files that no row names are no part of the study. Hidden files and folders are passed over, and
  with them what macOS leaves in archives (`._IM0.dcm`, `__MACOSX`).

  Args:
    root: searched with its folders; files are recognised by their content, whatever their names.
    labels: columns of the table.
    broken: config.data.broken. With 'set_aside' a row without a file that can be read stays, as an
      image and patient of its own, so that it is counted among those set aside.
    table_file: the table, relative to root: labels as codes 1, 0, -1 and empty, and what its rows
      name: `image`, one row per image by its path relative to root, its SOPInstanceUID or, where
      only one file is called so, the file's name; or `StudyInstanceUID` or `AccessionNumber`, one
      row per study, for all its images. Columns site, reader, date and official_split are taken
      too.
    columns: our name → the table's name, for those of these columns that it names otherwise.
    grouped_by: 'patient', by PatientID; or 'image' for files without one, each then a patient of
      its own. It is never guessed: if it is wrong, so are intervals and splits.
    pseudonym_key: a file outside the data, best made by `head -c 32 /dev/urandom`. Patients
      and studies are then named by an HMAC-SHA-256 of their ids under it: who has the key can
      compute them again, for a join or a later run; nobody else can try out ids.
    scanners: devices, as maker and model, that are named as the files do. Any other is a digest,
      after its maker's name where that is known: what is typed there can be anything.

  Raises:
    InputError: no folder, table or DICOM file; a PatientID empty; a row without an image, or (with
      broken='stop') one of a damaged file; a study or image on two rows; an unknown code.
  """
  check_option('config.data.settings.grouped_by', grouped_by, ('patient', 'image'))
  columns = table.checked_columns(columns, (*KEYS, *_CARRIED))
  if not root.is_dir():
    raise InputError(
      f'{root}: no such folder; set config.data.root, or start from configs/phantom.py, which '
      'needs no data'
    )
  secret = _key(pseudonym_key)
  path = root / table_file
  rows = table.read_csv(path, [*columns.values(), *labels])
  key = _key_of(rows, columns, path)
  files = _headers(root, with_accession=key == 'AccessionNumber', scanners=frozenset(scanners))
  places, absent = _joined(rows[columns.get(key, key)], KEYS[key], files, path)
  if key != 'image':  # Nobody knows which study a damaged file is of.
    places += [(-1, int(place)) for place in np.flatnonzero(files['reason'] != '')]
  if broken == 'stop':
    _stop_at_unread(places, absent, files, key == 'image', root, path)
  missing = pd.DataFrame({'image': list(absent.values()), 'reason': 'missing'}, dtype=object)
  result = pd.concat([files.iloc[[place for _, place in places]], missing], ignore_index=True)
  result = result.fillna('')
  unread = result['reason'] != ''
  for column in ('patient', 'study'):
    result[column] = [_pseudonym(value, secret) for value in result[column]]
    # What cannot be read is nobody's known image.
    result[column] = result[column].mask(unread, result['image'])
  if grouped_by == 'image':
    result['patient'] = result['image']
  elif (result['patient'] == '').any():
    nameless = result.loc[result['patient'] == '', 'image']
    raise InputError(
      f'{root / nameless.iloc[0]}: no PatientID ({len(nameless):,} such files); fill it in, or, if '
      "no patient has two images, set config.data.settings.grouped_by='image'"
    )
  result['grouped_by'] = grouped_by
  order = np.array([*(row for row, _ in places), *absent], np.int64)
  for name in _CARRIED:
    if (column := columns.get(name, name)) in rows:
      result[name] = rows[column].reindex(order).fillna('').to_numpy()
  named_in = pd.Series(table.rows_of(path, rows), dtype=object)
  result['named_in'] = named_in.reindex(order).fillna(str(path)).to_numpy()
  for name in labels:
    # Messages may not quote what could be a person's name.
    values = pd.Series(table.label_values(rows, name, path, quoted=False))
    result[name] = values.reindex(order).to_numpy(np.float32)
  return table.check(
    result.drop(columns=['instance', 'accession', 'reason'], errors='ignore'), str(path)
  )


def _key(file: str) -> bytes:
  if not file:
    return b''
  try:
    key = pathlib.Path(file).expanduser().read_bytes()
  except OSError as error:
    raise InputError(
      f'config.data.settings.pseudonym_key: {file}: {error.strerror}; make it with head -c 32 '
      '/dev/urandom'
    ) from None
  if len(key) < 16:
    raise InputError(
      f'config.data.settings.pseudonym_key: {file} holds {len(key)} bytes, which can be guessed; '
      'use 32'
    )
  return key


def _pseudonym(value: str, key: bytes) -> str:
  return hmac.new(key, value.encode(), hashlib.sha256).hexdigest()[:16] if key and value else value


def _headers(root: pathlib.Path, **options: Any) -> pd.DataFrame:
  """Returns the path, as `image`, and the header of every DICOM image under `root`.

  `reason` says what is wrong with a damaged one, of which nothing else is known.
  """
  files = [
    (path, name)
    for path in sorted(root.rglob('*'))
    if not _is_hidden(name := path.relative_to(root).as_posix())
    and path.name != _DIRECTORY
    and path.is_file()
  ]
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    headers = list(pool.map(lambda file: _header(file[0], **options), files))
  images = [
    {'image': name, 'reason': '', **header}
    for (_, name), header in zip(files, headers)
    if header and header.get('height', 'unread')  # Structured reports have no pixels.
  ]
  if all(image['reason'] for image in images):
    damaged = f'; the {len(images):,} there are damaged: {images[0]["reason"]}' if images else ''
    raise InputError(f'{root}: no DICOM image in this folder{damaged}; set config.data.root')
  return pd.DataFrame(images).fillna('')


def _is_hidden(name: str) -> bool:
  return any(part.startswith('.') or part == '__MACOSX' for part in name.split('/'))


def _header(path: pathlib.Path, **options: Any) -> dict[str, str] | None:
  """Returns the header of a DICOM file, of a damaged one the `reason` alone, None of any other."""
  try:
    with remote.held(path):
      with remote.opened(path) as file:
        head = file.read(dicom.HEAD)
      return dicom.header(path, **options) if dicom.is_dicom(path, head) else None
  except InputError as error:
    return {'reason': str(error)}
  except OSError as error:
    return {'reason': f'{path}: {error.strerror}'}


def _key_of(rows: pd.DataFrame, columns: Mapping[str, str], path: pathlib.Path) -> str:
  """Returns which of `KEYS` the table names its images by."""
  there = [key for key in KEYS if columns.get(key, key) in rows]
  asked = [key for key in there if key in columns]
  if len(asked) > 1:
    raise InputError(
      f'config.data.settings.columns: names {" and ".join(asked)}; images are joined by one of them'
    )
  if not there:
    table.read_csv(path, [columns.get('image', 'image')])  # Says what there is instead.
  return (asked or there)[0]


def _joined(
  names: pd.Series, column: str, files: pd.DataFrame, path: pathlib.Path
) -> tuple[list[tuple[int, int]], dict[int, str]]:
  """Returns the row and the place in `files` of each image of a row, and the rows without one.

  The second maps such a row to what stands for its image: the name that it gives, or its own.
  """
  indices = _places(files) if column == 'image' else [_by(files[column])]
  places: list[tuple[int, int]] = []
  absent: dict[int, str] = {}
  first: dict[str, int] = {}
  for row, name in enumerate(names.str.strip()):
    if not name:
      raise InputError(f"{path}: row {row + 2}, column '{names.name}': is empty; fill it in")
    if column == 'image':
      name = posixpath.normpath(name.replace('\\', '/'))
    elif first.setdefault(name, row) != row:  # Messages may not quote these numbers.
      raise InputError(
        f"{path}: row {row + 2}, column '{names.name}': is that of row {first[name] + 2}; keep one "
        'row per study'
      )
    called = (name, dicom_words.identifier(name))  # As headers give what is no UID.
    here = next((index[word] for index in indices for word in called if word in index), [])
    if len(here) > 1 and column == 'image':
      same = ', '.join(files['image'].iloc[here])
      raise InputError(
        f"{path}: row {row + 2}, column '{names.name}': several files have this SOPInstanceUID or "
        f'name ({same}); give the path of one of them'
      )
    places += [(row, place) for place in here]
    if not here:
      absent[row] = name if column == 'image' else f'{path.name}: row {row + 2}'
  return places, absent


def _places(files: pd.DataFrame) -> list[dict[str, list[int]]]:
  """Returns what a row may call an image, the surest first."""
  names = files['image'].map(posixpath.basename)
  stems = [
    posixpath.splitext(name)[0] if name.lower().endswith(_ENDINGS) else name for name in names
  ]
  return [_by(files['image']), _by(files['instance']), _by(names), _by(stems)]


def _by(values: Iterable[str]) -> dict[str, list[int]]:
  places = defaultdict(list)
  for place, value in enumerate(values):
    if value:
      places[value].append(place)
  return places


def _stop_at_unread(
  places: Sequence[tuple[int, int]],
  absent: Mapping[int, str],
  files: pd.DataFrame,
  by_image: bool,
  root: pathlib.Path,
  path: pathlib.Path,
) -> None:
  """Raises InputError where a row has no image, or one that is damaged."""
  advice = (
    'correct it, leave the row out, or set config.data.broken=set_aside to go on without such '
    'images'
  )
  reasons = {
    row: files['reason'].iloc[place] for row, place in places if files['reason'].iloc[place]
  }
  for row, reason in reasons.items():
    where = f'{path}: row {row + 2}: ' if row >= 0 else ''
    raise InputError(f'{where}{reason} ({count(len(reasons), "such file")}); or {advice}')
  for row, name in absent.items():
    if not by_image:
      problem = f'no image under {root} is of its study'
    else:
      said = 'this' if _UID.fullmatch(name) else f"'{name}'"
      problem = f'{said} is neither a DICOM image under {root} nor the SOPInstanceUID of one'
      if (root / name).is_file():
        problem = f'{said} is a file, but no DICOM image'
    raise InputError(
      f'{path}: row {row + 2}: {problem} ({count(len(absent), "such row")}); {advice}'
    )

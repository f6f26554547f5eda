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
from collections.abc import Sequence

import pandas as pd

from medjax.data import table
from medjax.data.images import dicom
from medjax.errors import InputError, check_option

_DIRECTORY = 'DICOMDIR'  # A table of contents in DICOM's own format.


def read(
  root: pathlib.Path,
  labels: Sequence[str],
  table_file: str = 'labels.csv',
  grouped_by: str = 'patient',
  pseudonym_key: str = '',
) -> pd.DataFrame:
  """Returns the study table of all DICOM images under `root`.

  Args:
    root: searched with its folders; files are recognised by their content, whatever their names.
    labels: columns of the table.
    table_file: a CSV, relative to root, with one row per image: `image`, its path relative to root
      or its SOPInstanceUID, and the labels as codes 1, 0, -1 and empty.
    grouped_by: 'patient', by PatientID; or 'image' for files without one, each then a patient of
      its own. It is never guessed: if it is wrong, so are intervals and splits.
    pseudonym_key: a file outside the data, best made by `head -c 32 /dev/urandom`. Patients
      and studies are then named by an HMAC-SHA-256 of their ids under it: who has the key can
      compute them again, for a join or a later run; nobody else can try out ids.

  Raises:
    InputError: no folder, table or DICOM file; a damaged file; a PatientID empty; an image without
      a row, or a row without an image; an unknown code.
  """
  check_option('config.data.settings.grouped_by', grouped_by, ('patient', 'image'))
  if not root.is_dir():
    raise InputError(
      f'{root}: no such folder; set config.data.root, or start from configs/phantom.py, which '
      'needs no data'
    )
  key = _key(pseudonym_key)
  path = root / table_file
  rows = table.read_csv(path, ['image', *labels])
  result = _headers(root)
  result = result.iloc[_joined(rows, result, root, path)].reset_index(drop=True)
  for column in ('patient', 'study'):
    result[column] = [_pseudonym(value, key) for value in result[column]]
  if grouped_by == 'image':
    result['patient'] = result['image']
  elif (result['patient'] == '').any():
    nameless = result.loc[result['patient'] == '', 'image']
    raise InputError(
      f'{root / nameless.iloc[0]}: no PatientID ({len(nameless):,} such files); fill it in, or, if '
      "no patient has two images, set config.data.settings.grouped_by='image'"
    )
  result['grouped_by'] = grouped_by
  for name in labels:
    result[name] = table.label_values(rows, name, path)
  return table.check(result.drop(columns='instance'), str(path))


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


def _headers(root: pathlib.Path) -> pd.DataFrame:
  """Returns the path, as `image`, and the header of every DICOM image under `root`."""
  files = sorted(path for path in root.rglob('*') if path.is_file() and path.name != _DIRECTORY)
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    headers = list(pool.map(_header, files))
  rows = [
    {'image': path.relative_to(root).as_posix(), **header}
    for path, header in zip(files, headers)
    if header and header['height']  # Structured reports have no pixels.
  ]
  if not rows:
    raise InputError(f'{root}: no DICOM image in this folder; set config.data.root')
  return pd.DataFrame(rows)


def _header(path: pathlib.Path) -> dict[str, str] | None:
  with path.open('rb') as file:
    head = file.read(dicom.HEAD)
  return dicom.header(path) if dicom.is_dicom(path, head) else None


def _joined(
  rows: pd.DataFrame, files: pd.DataFrame, root: pathlib.Path, path: pathlib.Path
) -> list[int]:
  """Returns the position in `files` of each row's image."""
  by_path = {image: position for position, image in enumerate(files['image'])}
  by_id = {instance: position for position, instance in enumerate(files['instance'])}
  duplicates = set(files.loc[files['instance'].duplicated(), 'instance'])
  positions: list[int] = []
  for row, name in enumerate(rows['image'].str.strip()):
    position = by_path.get(posixpath.normpath(name), by_id.get(name))
    if position is None:
      problem = (
        'a file, but no DICOM image, or is cut off'
        if (root / name).is_file()
        else f'neither a DICOM image under {root} nor the SOPInstanceUID of one'
      )
      raise InputError(
        f"{path}: row {row + 2}, column 'image': '{name}' is {problem}; correct it, or leave the "
        'row out'
      )
    if name in duplicates:
      same = ', '.join(files.loc[files['instance'] == name, 'image'])
      raise InputError(
        f"{path}: row {row + 2}, column 'image': several files have this SOPInstanceUID ({same}); "
        'give the path of one of them'
      )
    positions.append(position)
  unlisted = sorted(set(range(len(files))) - set(positions))
  if unlisted:
    raise InputError(
      f'{path}: no row for the image {files["image"].iloc[unlisted[0]]} ({len(unlisted):,} such '
      'images); add one, with empty labels where nothing is known, or move such files elsewhere'
    )
  return positions

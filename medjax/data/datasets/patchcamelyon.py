"""PatchCamelyon (Veeling et al. 2018, arXiv 1806.03962): 327,680 patches from Camelyon16.

A patch has 96 × 96 pixels; its label is tumour in the central 32 × 32. The published meta files
name each patch's slide; without them patches of one slide cannot be kept together.
"""

import pathlib
from typing import Any

import numpy as np
import pandas as pd

from medjax.data import cells, table
from medjax.errors import InputError
from medjax.runtime import remote

LABELS = ('Tumor',)
PARTS = {'train': 'train', 'valid': 'validation', 'test': 'test'}
STEM = 'camelyonpatch_level_2_split_{}'


def read(root: pathlib.Path) -> pd.DataFrame:
  """Returns the study table of the parts that are there; an image is row i of an HDF5 file.

  A part is its three files `camelyonpatch_level_2_split_train_{x.h5, y.h5, meta.csv}`, unpacked.
  With the meta files of all parts, `patient` is the slide; otherwise every patch counts as one.
  That row i of a meta file is patch i is checked by its center_tumor_patch, which is the label.

  Raises:
    InputError: no part there, a file of one missing or damaged, files that differ in length, or a
      meta file that contradicts the labels.
  """
  parts = [part for part in PARTS if (root / f'{STEM.format(part)}_x.h5').is_file()]
  if not parts:
    packed = any(root.glob('camelyonpatch_level_2_split_*.h5.gz'))
    hint = (
      'unpack the .gz files first'
      if packed
      else 'PatchCamelyon is available from github.com/basveeling/pcam; '
      'configs/histopathology.py:phantom runs without it'
    )
    raise InputError(f'{root}: no {STEM.format("train")}_x.h5 there; {hint}')
  with_meta = [part for part in parts if (root / f'{STEM.format(part)}_meta.csv').is_file()]
  frames = [_read_part(root, part, with_meta=with_meta == parts) for part in parts]
  return table.check(pd.concat(frames, ignore_index=True), str(root))


def _read_part(root: pathlib.Path, part: str, *, with_meta: bool) -> pd.DataFrame:
  stem = STEM.format(part)
  images, labels, meta = (root / f'{stem}_{name}' for name in ('x.h5', 'y.h5', 'meta.csv'))
  count, values = _length(images, 'x'), _labels(labels)
  if len(values) != count:
    raise InputError(
      f'{labels}: has {len(values):,} labels for the {count:,} images of {images.name}'
    )
  rows = np.arange(count)
  result = pd.DataFrame(
    {
      'image': [f'{images.name}#x/{row}' for row in rows],
      'official_split': PARTS[part],
      'reference': 'outlines drawn by pathologists',
      'named_in': [f'{labels}: y[{row}]' for row in rows],
      'Tumor': values,
    }
  )
  if not with_meta:
    return result.assign(patient=result['image'], grouped_by='image')
  frame = table.read_csv(meta, ('center_tumor_patch', 'wsi'))
  if len(frame) != count:
    raise InputError(f'{meta}: has {len(frame):,} rows for the {count:,} images of {images.name}')
  contradicted = table.label_values(frame, 'center_tumor_patch', meta, cells.BINARY) != values
  if contradicted.any():
    row = int(np.argmax(contradicted))
    raise InputError(
      f"{meta}: row {row + 2}, column 'center_tumor_patch': is {frame['center_tumor_patch'][row]}, "
      f'but {labels.name} says {values[row]:.0f} ({contradicted.sum():,} such rows); take files of '
      'one release, and keep their order'
    )
  slide = frame['wsi'].str.strip()
  return result.assign(
    patient=slide, grouped_by='slide', slide=slide, named_in=table.rows_of(meta, frame)
  )


def _labels(path: pathlib.Path) -> np.ndarray:
  with _open(path, 'y') as file:
    values = file['y'][()].reshape(len(file['y']), -1)
  wrong = np.flatnonzero((values != 0) & (values != 1))
  if values.shape[1] != 1 or len(wrong):
    problem = f'y[{wrong[0]}] is {values.ravel()[wrong[0]]}' if len(wrong) else 'y is no column'
    raise InputError(f'{path}: {problem}; allowed: one 0 or 1 for each patch')
  return values[:, 0].astype(np.float32)


def _length(path: pathlib.Path, name: str) -> int:
  with _open(path, name) as file:
    return len(file[name])


def _open(path: pathlib.Path, name: str) -> Any:
  if not path.is_file():
    raise InputError(f'{path}: no such file; every part needs it')
  import h5py

  try:
    file = h5py.File(remote.local_copy(path), 'r')
  except OSError as error:
    raise InputError(f'{path}: cannot be read as an HDF5 file ({error}); fetch it again') from None
  if name not in file:
    names = ', '.join(file)
    file.close()
    raise InputError(f"{path}: holds no '{name}'; it holds {names or 'nothing'}")
  return file

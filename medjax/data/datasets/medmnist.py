"""MedMNIST v2 (Yang et al. 2023, arXiv 2110.14795): small two-dimensional sets, one .npz file each.

None of them publishes patients. DermaMNIST is split by image although HAM10000, from which it
comes, has several images of a lesion: its test set leaks (arXiv 2401.14497). Nobody can check the
others.
"""

import pathlib
import zipfile
from collections.abc import Mapping
from typing import IO

import numpy as np
import pandas as pd

from medjax.data import table
from medjax.data.datasets import classes
from medjax.errors import InputError
from medjax.runtime import remote

PARTS = {'train': 'train', 'val': 'validation', 'test': 'test'}
_ORGANS = (
  'bladder', 'femur-left', 'femur-right', 'heart', 'kidney-left', 'kidney-right', 'liver',
  'lung-left', 'lung-right', 'pancreas', 'spleen',
)  # fmt: skip
# The published names of the classes 0, 1, …; of ChestMNIST they are findings, several to an image.
CLASSES = {
  'pathmnist': (
    'adipose', 'background', 'debris', 'lymphocytes', 'mucus', 'smooth muscle',
    'normal colon mucosa', 'cancer-associated stroma', 'colorectal adenocarcinoma epithelium',
  ),
  'chestmnist': (
    'atelectasis', 'cardiomegaly', 'effusion', 'infiltration', 'mass', 'nodule', 'pneumonia',
    'pneumothorax', 'consolidation', 'edema', 'emphysema', 'fibrosis', 'pleural', 'hernia',
  ),
  'dermamnist': (
    'actinic keratoses and intraepithelial carcinoma', 'basal cell carcinoma',
    'benign keratosis-like lesions', 'dermatofibroma', 'melanoma', 'melanocytic nevi',
    'vascular lesions',
  ),
  'octmnist': ('choroidal neovascularization', 'diabetic macular edema', 'drusen', 'normal'),
  'pneumoniamnist': ('normal', 'pneumonia'),
  # RetinaMNIST's are grades of diabetic retinopathy.
  'retinamnist': ('0', '1', '2', '3', '4'),
  # Malignant is class 0 here.
  'breastmnist': ('malignant', 'normal or benign'),
  'bloodmnist': (
    'basophil', 'eosinophil', 'erythroblast', 'immature granulocytes', 'lymphocyte', 'monocyte',
    'neutrophil', 'platelet',
  ),
  'tissuemnist': (
    'Collecting Duct, Connecting Tubule', 'Distal Convoluted Tubule',
    'Glomerular endothelial cells', 'Interstitial endothelial cells', 'Leukocytes', 'Podocytes',
    'Proximal Tubule Segments', 'Thick Ascending Limb',
  ),
  'organamnist': _ORGANS, 'organcmnist': _ORGANS, 'organsmnist': _ORGANS,
}  # fmt: skip


def read(root: pathlib.Path, name: str = '') -> pd.DataFrame:
  """Returns the study table of `root / '<name>.npz'`; an image is row i of an array of the file.

  Args:
    root: the folder of the file.
    name: such as 'dermamnist', or 'dermamnist_64' for the larger images of MedMNIST+. A file of
      another name is read too: its classes are called '0', '1', ….

  Raises:
    InputError: no such file, an array missing, of another length or not of numbers, volumes, or an
      unknown class.
  """
  if not name:
    raise InputError("config.data.settings.name: name the set, such as 'dermamnist'")
  path = root / f'{name}.npz'
  if not path.is_file():
    files = ', '.join(sorted(file.stem for file in root.glob('*.npz')))
    hint = (
      f'the folder has: {files}'
      if files
      else 'MedMNIST is available from zenodo.org (see medmnist.com)'
    )
    raise InputError(f'{path}: no such file; {hint}')
  arrays = {
    part: (_shape(path, f'{part}_images'), _values(path, f'{part}_labels')) for part in PARTS
  }
  names = _class_names(name, arrays)
  frames = []
  for part, (shape, labels) in arrays.items():
    if len(shape) not in (3, 4) or (len(shape) == 4 and shape[3] != 3):
      raise InputError(
        f'{path}: {part}_images has the shape {shape}; only [N, H, W] and [N, H, W, 3] are read'
      )
    if len(labels) != shape[0]:
      raise InputError(f'{path}: {part}_labels has {len(labels):,} rows for {shape[0]:,} images')
    image = pd.Series([f'{path.name}#{part}_images/{row}' for row in range(shape[0])])
    frame = pd.DataFrame(
      {
        'image': image,
        'patient': image,
        'grouped_by': 'image',
        'official_split': PARTS[part],
        'reference': 'as published',
        'named_in': [f'{path}: {part}_labels[{row}]' for row in range(shape[0])],
      }
    )
    frames.append(pd.concat([frame, _label_columns(labels, names, path, part)], axis=1))
  return table.check(pd.concat(frames, ignore_index=True), str(path))


def _class_names(
  name: str, arrays: Mapping[str, tuple[tuple[int, ...], np.ndarray]]
) -> tuple[str, ...]:
  known = CLASSES.get(name.lower().partition('_')[0])
  if known:
    return known
  parts = [labels for _, labels in arrays.values()]
  count = parts[0].shape[1]
  if count == 1:  # One column of classes. What is no class is refused where the labels are read.
    count = 1 + max(int(labels[np.isfinite(labels)].max(initial=0)) for labels in parts)
  return tuple(str(number) for number in range(count))


def _label_columns(
  labels: np.ndarray, names: tuple[str, ...], path: pathlib.Path, part: str
) -> pd.DataFrame:
  # One column holds a class; several hold 1 or 0 each.
  several = labels.shape[1] > 1
  count = 2 if several else len(names)
  if several and labels.shape[1] != len(names):
    raise InputError(
      f'{path}: {part}_labels has {labels.shape[1]} columns for the {len(names)} labels '
      f'{", ".join(names)}'
    )
  unknown = np.argwhere(~np.isin(labels, range(count)))
  if len(unknown):
    row, column = unknown[0]
    raise InputError(
      f'{path}: {part}_labels[{row}] is {labels[row, column]}; allowed: 0 to {count - 1}'
    )
  if several:
    return pd.DataFrame(labels.astype(np.float32), columns=list(names))
  return classes.one_of(labels[:, 0].astype(np.int64), names)


def _shape(path: pathlib.Path, name: str) -> tuple[int, ...]:
  """Returns an array's shape from its header, without reading gigabytes of images."""
  with _member(path, name) as file:
    major, _ = np.lib.format.read_magic(file)
    header = (
      np.lib.format.read_array_header_1_0 if major == 1 else np.lib.format.read_array_header_2_0
    )
    return header(file)[0]


def _values(path: pathlib.Path, name: str) -> np.ndarray:
  with _member(path, name) as file:
    try:
      values = np.lib.format.read_array(file, allow_pickle=False)
    except ValueError as error:
      raise InputError(
        f"{path}: the array '{name}' cannot be read ({error}); fetch it again"
      ) from None
  if values.dtype.kind not in 'biuf':
    raise InputError(f"{path}: the array '{name}' is {values.dtype}; labels must be whole numbers")
  return values.reshape(len(values), -1)


def _member(path: pathlib.Path, name: str) -> IO[bytes]:
  try:
    return zipfile.ZipFile(remote.local_copy(path)).open(f'{name}.npy')
  except KeyError:
    there = zipfile.ZipFile(remote.local_copy(path)).namelist()
    names = ', '.join(file.removesuffix('.npy') for file in there)
    raise InputError(f"{path}: holds no array '{name}'; it holds {names}") from None
  except (OSError, zipfile.BadZipFile) as error:
    raise InputError(f'{path}: cannot be read as an .npz file ({error}); fetch it again') from None

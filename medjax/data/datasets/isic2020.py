"""ISIC 2020 (SIIM-ISIC; Rotemberg et al. 2021): 33,126 dermoscopic images of 2,056 patients.

1.8 % of the images show a melanoma, each confirmed by histopathology.
"""

import pathlib

import numpy as np
import pandas as pd

from medjax.data import cells, table
from medjax.data.datasets import folders
from medjax.errors import InputError, check_option

LABELS = ('melanoma',)
_COLUMNS = (
  'image_name', 'patient_id', 'sex', 'age_approx', 'anatom_site_general_challenge',
  'benign_malignant', 'target',
)  # fmt: skip
# The second release adds lesion_id; Kaggle's copy of the first is called train.csv.
_TABLES = (
  'ISIC_2020_Training_GroundTruth_v2.csv', 'ISIC_2020_Training_GroundTruth.csv', 'train.csv',
)  # fmt: skip
_DUPLICATES = 'ISIC_2020_Training_Duplicates.csv'
_FOLDERS = ('train', 'jpeg/train', 'ISIC_2020_Training_JPEG/train', 'ISIC_2020_Training_JPEG', '')
_ENDINGS = ('.jpg', '.jpeg')


def read(root: pathlib.Path, duplicates: str = 'drop') -> pd.DataFrame:
  """Returns the study table; `view` is the anatomical site, 'melanoma' the one label.

  Of pictures that the published list calls the same, the one listed first is kept: of a pair
  `image_name_1`; of pairs that share a picture, the first of all. No file is deleted.

  Args:
    root: the folder of the tables, and of the images in `train/`.
    duplicates: 'drop', which needs ISIC_2020_Training_Duplicates.csv, or 'keep'.

  Raises:
    InputError: a table or column missing, an unknown code, a target that contradicts
      benign_malignant, or a list of duplicates none of which is in the table.
  """
  check_option('config.data.settings.duplicates', duplicates, ('drop', 'keep'))
  path = next((root / name for name in _TABLES if (root / name).is_file()), None)
  if path is None:
    raise InputError(
      f'{root}: none of {", ".join(_TABLES)} is there; ISIC 2020 is available from '
      'challenge.isic-archive.com/data; configs/skin.py:phantom runs without it'
    )
  frame = table.read_csv(path, _COLUMNS)
  melanoma = table.label_values(frame, 'target', path, cells.BINARY)
  words = table.label_values(frame, 'benign_malignant', path, {'benign': 0.0, 'malignant': 1.0})
  contradicted = melanoma != words
  if contradicted.any():
    row = int(np.argmax(contradicted))
    raise InputError(
      f"{path}: row {row + 2}: 'target' is {frame['target'][row]} where 'benign_malignant' is "
      f"'{frame['benign_malignant'][row]}'"
    )
  result = pd.DataFrame(
    {
      'image': folders.paths(frame['image_name'], root, _FOLDERS, _ENDINGS),
      'patient': frame['patient_id'],
      'sex': frame['sex'],
      'age': frame['age_approx'],
      'view': frame['anatom_site_general_challenge'],
      'reference': np.where(melanoma == 1, 'histopathology', 'as published'),
      'named_in': table.rows_of(path, frame),
      'melanoma': melanoma,
    }
  )
  if 'lesion_id' in frame:
    result['lesion'] = frame['lesion_id']
  if duplicates == 'drop':
    names = _names(frame['image_name'])
    result = result[~names.isin(_second_copies(root, set(names), path))]
  return table.check(result, str(path))


def _names(column: pd.Series) -> pd.Series:
  return column.map(lambda name: folders.stem(name.strip(), _ENDINGS))


def _second_copies(root: pathlib.Path, present: set[str], path: pathlib.Path) -> set[str]:
  """Returns the names in `present` whose picture has an earlier name in `present` too."""
  list_path = root / _DUPLICATES
  if not list_path.is_file():
    raise InputError(
      f'{list_path}: no such file; it lists the pictures that are published twice and lies beside '
      f'{path.name} at challenge.isic-archive.com/data; get it, or set '
      'config.data.settings.duplicates=keep'
    )
  pairs = table.read_csv(list_path, ('image_name_1', 'image_name_2'))
  named = pairs[['image_name_1', 'image_name_2']].apply(_names)
  mention = {name: number for number, name in enumerate(dict.fromkeys(named.to_numpy().ravel()))}
  if present.isdisjoint(mention):
    raise InputError(
      f'{list_path}: none of its {len(pairs):,} pairs is in {path.name}, such as '
      f"'{pairs['image_name_1'][0]}'; take both files from the same release, or set "
      'config.data.settings.duplicates=keep'
    )
  group = {name: {name} for name in mention}
  for first, second in named.itertuples(index=False):
    members = group[first] | group[second]
    group.update(dict.fromkeys(members, members))
  copies: set[str] = set()
  for members in group.values():
    copies.update(sorted(members & present, key=mention.__getitem__)[1:])
  return copies

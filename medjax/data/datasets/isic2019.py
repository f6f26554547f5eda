"""ISIC 2019 (HAM10000, BCN20000 and MSK together): 25,331 dermoscopic images in eight classes.

There are no patient identifiers; `lesion_id` keeps the pictures of a lesion together, and where it
is empty the image stands for itself. HAM10000 is a part of this set: combined with it, the audit
finds the images that are in both.
"""

import pathlib

import numpy as np
import pandas as pd

from medjax.data import cells, identifiers, table
from medjax.data.datasets import folders
from medjax.errors import InputError

CLASSES = ('MEL', 'NV', 'BCC', 'AK', 'BKL', 'DF', 'VASC', 'SCC', 'UNK')
# Cancers. Actinic keratosis (AK) is their precursor and counts as benign here; UNK is unknown.
MALIGNANT = ('MEL', 'BCC', 'SCC')
LABELS = (*CLASSES, 'malignant')
_TRUTH, _METADATA = 'ISIC_2019_Training_GroundTruth.csv', 'ISIC_2019_Training_Metadata.csv'


def read(root: pathlib.Path) -> pd.DataFrame:
  """Returns the study table; `view` is the anatomical site.

  Images lie in `ISIC_2019_Training_Input/` (or in a folder of that name within it), or beside the
  tables.

  Raises:
    InputError: a table or column missing, an image in one table only, a row that is not of exactly
      one class.
  """
  truth, metadata = root / _TRUTH, root / _METADATA
  for path in (truth, metadata):
    if not path.is_file():
      raise InputError(
        f'{path}: no such table; ISIC 2019 is available from challenge.isic-archive.com/data; '
        'configs/skin.py:phantom runs without it'
      )
  frame = table.read_csv(truth, ('image', *CLASSES))
  details = table.read_csv(
    metadata, ('image', 'age_approx', 'anatom_site_general', 'lesion_id', 'sex')
  )
  for column, kind in (('age_approx', 'age'), ('sex', 'sex')):
    details[column] = table.described(details[column], kind, identifiers.in_file(metadata))
  joined = _joined(frame, truth, details, metadata)
  folder = 'ISIC_2019_Training_Input'
  image = pd.Series(
    folders.paths(frame['image'], root, (folder, f'{folder}/{folder}', ''), ('.jpg',))
  )
  lesion = joined['lesion_id'].str.strip().reset_index(drop=True)
  named = lesion != ''
  result = pd.DataFrame(
    {
      'image': image,
      'patient': lesion.where(named, image),
      'grouped_by': np.where(named, 'lesion', 'image'),
      'lesion': lesion,
      'sex': joined['sex'].to_numpy(),
      'age': joined['age_approx'].to_numpy(),
      'view': joined['anatom_site_general'].to_numpy(),
      'named_in': table.rows_of(truth, frame),
    }
  )
  labels = pd.DataFrame(
    {name: table.label_values(frame, name, truth, cells.BINARY) for name in CLASSES}
  )
  not_one = labels.sum(axis=1) != 1
  if not_one.any():
    row = int(np.argmax(not_one))
    raise InputError(
      f'{truth}: row {row + 2}: has {int(labels.iloc[row].sum())} of the classes '
      f'{", ".join(CLASSES)} instead of one'
    )
  malignant = labels[list(MALIGNANT)].sum(axis=1).where(labels['UNK'] == 0)
  labels['malignant'] = malignant
  result['unlabelled'] = table.unlabelled(labels)
  return table.check(pd.concat([result, labels], axis=1), str(truth))


def _joined(
  frame: pd.DataFrame, truth: pathlib.Path, details: pd.DataFrame, metadata: pathlib.Path
) -> pd.DataFrame:
  """Returns the metadata's rows in the order of the truth's; each must have exactly one partner."""
  for one, path, other, other_path in (
    (frame, truth, details, metadata),
    (details, metadata, frame, truth),
  ):
    duplicated = one['image'].duplicated()
    if duplicated.any():
      row = int(np.argmax(duplicated))
      raise InputError(f"{path}: row {row + 2}: image '{one['image'][row]}' is listed twice")
    missing = ~one['image'].isin(other['image'])
    if missing.any():
      row = int(np.argmax(missing))
      raise InputError(
        f"{path}: row {row + 2}: image '{one['image'][row]}' is not in {other_path.name}; complete "
        'that table'
      )
  return details.iloc[pd.Index(details['image']).get_indexer(frame['image'])]

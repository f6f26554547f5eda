"""Whom a network has seen before: the images and patients of the runs it was pre-trained in.

A patient who trained the weights that a run starts from is no new patient to it, so neither
validation nor test may contain one.
"""

import json
import os
import pathlib
from collections.abc import Collection

import numpy as np
import pandas as pd

from medjax.data import table
from medjax.errors import InputError

FILE = 'pretrained_on.csv'
_COLUMNS = ['image', 'patient', 'split', 'root']
_COMPARED = 50  # images of one name in two folders, whose bytes say whether they are the same


def seen_by(run: pathlib.Path) -> pd.DataFrame:
  """Returns image, patient, split and root of all that trained or chose the network of a run.

  The run's own training and validation images, and those of the runs that it started from.
  """
  own = table.read_csv(run / 'split.csv', ['image', 'patient', 'split'])
  own = own[own['split'].isin(('train', 'validation'))]
  root = json.loads((run / 'config.json').read_text())['data']['root']
  parts = [own.assign(root=os.path.realpath(root))]
  if (run / FILE).is_file():
    parts.append(table.read_csv(run / FILE, _COLUMNS))
  return pd.concat(parts, ignore_index=True)[_COLUMNS]


def check_unseen(images: pd.DataFrame, split: np.ndarray, root: str, seen: pd.DataFrame) -> None:
  """Raises InputError naming a patient of validation or test that the pretrained weights have seen.

  Patients of different data sets may bear the same name. Two folders hold the same set if they are
  the same folder, or share an image's name and its bytes; a folder that is gone counts as the same.

  Args:
    images: the study table.
    split: str[N] of its images.
    root: of its images.
    seen: from `seen_by`.
  """
  # A validation patient of the earlier run may validate again, but never test.
  forbidden = {'test': ('train', 'validation'), 'validation': ('train',)}
  for folder, of_folder in seen.groupby('root'):
    if not _same_set(str(folder), of_folder['image'], os.path.realpath(root), images['image']):
      continue
    for part, parts_seen in forbidden.items():
      known = set(of_folder.loc[of_folder['split'].isin(parts_seen), 'patient'])
      patients = set(images.loc[split == part, 'patient'])
      if common := sorted(known & patients):
        raise InputError(
          f'config.model.pretrained: {len(common):,} of the {len(patients):,} {part} patients, such as '
          f"'{common[0]}', trained or chose these weights ({folder}); pre-train and fine-tune with "
          'one split (the same config.split and data.labels), or on other patients'
        )


def _same_set(folder: str, theirs: Collection[str], root: str, ours: Collection[str]) -> bool:
  if folder == root:
    return True
  common = sorted(set(theirs) & set(ours))[:_COMPARED]
  return any(_same_file(os.path.join(folder, name), os.path.join(root, name)) for name in common)


def _same_file(theirs: str, ours: str) -> bool:
  try:
    return pathlib.Path(theirs).read_bytes() == pathlib.Path(ours).read_bytes()
  except OSError:
    return True

"""Whom a network has seen before: the images and patients of the runs it was pre-trained in.

A patient who trained the weights that a run starts from is no new patient to it, so neither
validation nor test may contain one.
"""

import os
import pathlib
from collections.abc import Iterable, Iterator

import numpy as np
import pandas as pd

from medjax import files
from medjax.data import duplicates, table
from medjax.errors import InputError

FILE = 'pretrained_on.csv'
_COLUMNS = ['image', 'patient', 'split', 'root']
_COMPARED = 50  # images of one name in two folders, which say whether the folders hold the same set


def seen_by(run: pathlib.Path) -> pd.DataFrame:
  """Returns image, patient, split and root of all that trained or chose the network of a run.

  The run's own training and validation images, and those of the runs that it started from.
  """
  own = table.read_csv(run / 'split.csv', ['image', 'patient', 'split'])
  own = own[own['split'].isin(('train', 'validation'))]
  root = files.read_json(run / 'config.json')['data']['root']
  parts = [own.assign(root=os.path.realpath(root))]
  if (run / FILE).is_file():
    parts.append(table.read_csv(run / FILE, _COLUMNS))
  return pd.concat(parts, ignore_index=True)[_COLUMNS]


def check_unseen(images: pd.DataFrame, split: np.ndarray, root: str, seen: pd.DataFrame) -> None:
  """Raises InputError naming a patient of validation or test that the pretrained weights have seen.

  Patients of different data sets may bear the same name. Two folders hold the same set if they are
  the same folder, or if images of one name show the same, at whatever size; a folder that is gone
  counts as the same.

  Args:
    images: the study table.
    split: str[N] of its images.
    root: of its images.
    seen: from `seen_by`.
  """
  for folder, of_folder in seen.groupby('root'):
    if not _same_set(str(folder), of_folder['image'], os.path.realpath(root), images['image']):
      continue
    for part, common, patients in _met_again(images, split, of_folder):
      raise InputError(
        f'config.model.pretrained: {len(common):,} of the {patients:,} {part} patients, such as '
        f"'{common[0]}', trained or chose these weights ({folder}); pre-train and fine-tune with one "
        'split (the same config.split and data.labels), or on other patients'
      )


def note(images: pd.DataFrame, split: np.ndarray, workdir: pathlib.Path) -> str | None:
  """Returns a sentence if patients of validation or test have namesakes in what trained the weights.

  `check_unseen` has found their images to differ, or none of one name to compare.
  """
  if not (workdir / FILE).is_file():
    return None
  seen = table.read_csv(workdir / FILE, _COLUMNS)
  for part, common, patients in _met_again(images, split, seen):
    folders = ', '.join(sorted(set(seen['root'])))
    return (
      f'{len(common):,} of the {patients:,} {part} patients have names, such as {common[0]}, of '
      f'patients who trained the weights that this run started from ({folders}), though not the '
      'same images; if they are the same people, the figures are too high.'
    )
  return None


def _met_again(
  images: pd.DataFrame, split: np.ndarray, seen: pd.DataFrame
) -> Iterator[tuple[str, list[str], int]]:
  """Yields a split, its patients among those seen, and how many patients it has."""
  # A validation patient of the earlier run may validate again, but never test.
  forbidden = {'test': ('train', 'validation'), 'validation': ('train',)}
  for part, parts_seen in forbidden.items():
    known = set(seen.loc[seen['split'].isin(parts_seen), 'patient'])
    patients = set(images.loc[split == part, 'patient'])
    if common := sorted(known & patients):
      yield part, common, len(patients)


def _same_set(folder: str, theirs: Iterable[str], root: str, ours: Iterable[str]) -> bool:
  if folder == root:
    return True
  common = sorted(set(theirs) & set(ours))[:_COMPARED]
  return any(
    _show_the_same(os.path.join(folder, name), os.path.join(root, name)) for name in common
  )


def _show_the_same(theirs: str, ours: str) -> bool:
  try:
    return duplicates.same_picture(theirs, ours)
  except InputError:
    return True

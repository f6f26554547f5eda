"""Messidor-2, 1,748 photographs, with the grades of Krause et al. 2018 (arXiv 1710.01711).

Two photographs per examination, one of each eye. Which two belong together stands in Messidor-2's
own `messidor-2.csv` (left;right), not in the table of the grades.
"""

import pathlib

import numpy as np
import pandas as pd

from medjax.data import cells, table, table_files
from medjax.data.datasets import classes, folders
from medjax.errors import InputError

LABELS = (*classes.GRADES, classes.REFERABLE, 'DME')
_FOLDERS = ('IMAGES', 'images', 'messidor-2/preprocess', 'preprocess', '')
_ENDINGS = ('.png', '.jpg', '.jpeg', '.tif')


def read(root: pathlib.Path) -> pd.DataFrame:
  """Returns the study table of messidor_data.csv.

  An image that the graders called ungradable has no grade: its labels are unknown. `DME` is
  referable diabetic macular edema. With messidor-2.csv beside it, `patient` is the pair; without it
  there are no patients and every image counts as one.

  Raises:
    InputError: no messidor_data.csv, a column missing, an unknown code, an image without a pair or
      in two of them.
  """
  path = root / 'messidor_data.csv'
  if not path.is_file():
    raise InputError(
      f'{path}: no such table; the grades are available from Kaggle (kaggle.com/datasets/'
      'google-brain/messidor2-dr-grades), the images from ADCIS (adcis.net); '
      'configs/retina.py:phantom runs without it'
    )
  frame = table.read_csv(path, ('adjudicated_dr_grade', 'adjudicated_dme'))
  name = next((column for column in ('image_id', 'examid') if column in frame), None)
  if name is None:
    raise InputError(
      f"{path}: neither a column 'image_id' nor 'examid'. The columns are: {', '.join(frame)}"
    )
  image = pd.Series(folders.paths(frame[name], root, _FOLDERS, _ENDINGS), index=frame.index)
  result = pd.DataFrame(
    {
      'image': image,
      'patient': image,
      'grouped_by': 'image',
      'reference': 'three readers, adjudicated',
      'named_in': table.rows_of(path, frame),
    }
  )
  pairs = root / 'messidor-2.csv'
  if pairs.is_file():
    result['patient'] = _pair(pairs, frame[name], path)
    result['grouped_by'] = 'patient'
  labels = classes.grades(frame, 'adjudicated_dr_grade', path, blank=True)
  labels['DME'] = table.label_values(frame, 'adjudicated_dme', path, cells.ANSWERS)
  result['unlabelled'] = table.unlabelled(labels)
  return table.check(pd.concat([result, labels], axis=1), str(path))


def _pair(pairs: pathlib.Path, names: pd.Series, path: pathlib.Path) -> pd.Series:
  """Returns 'pair12' for each image: the line of the pairs' file that names it."""
  holder: dict[str, int] = {}
  wanted = {_stem(name) for name in names}
  for line, text in enumerate(table_files.read_text(pairs).splitlines(), start=1):
    for name in map(_stem, text.replace(';', ',').split(',')):
      if name in wanted and holder.setdefault(name, line) != line:
        raise InputError(
          f"{pairs}: image '{name}' is in two pairs, on line {holder[name]} and line {line}; keep "
          'the right one'
        )
  lines = names.map(lambda name: holder.get(_stem(name)))
  unpaired = lines.isna()
  if unpaired.any():
    row = int(np.argmax(unpaired))
    raise InputError(
      f"{path}: row {row + 2}: image '{names[row]}' is in no pair of {pairs.name}; complete "
      'that file, or remove it to count every image as a patient of its own'
    )
  return lines.map('pair{:.0f}'.format)


def _stem(name: str) -> str:
  return pathlib.PurePath(name.strip().strip('"')).stem.casefold()

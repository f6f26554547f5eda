"""EyePACS (Kaggle, Diabetic Retinopathy Detection, 2015): 35,126 images, 17,563 patients.

The counts are of the training part. One clinician's grade per eye. Both eyes of a patient are in
the set, and their grades agree in 87 % of pairs, so a split must be by patient.
"""

import pathlib

import numpy as np
import pandas as pd

from medjax.data import table
from medjax.data.datasets import classes, folders
from medjax.errors import InputError

LABELS = (*classes.GRADES, classes.REFERABLE)
# Kaggle ranked on the private part; teams chose their models on the public one.
_USAGE = {'Public': 'validation', 'Private': 'test'}
_ENDINGS = ('.jpeg', '.jpg', '.png')


def read(root: pathlib.Path) -> pd.DataFrame:
  """Returns the study table of trainLabels.csv and, if it exists, retinopathy_solution.csv.

  Images lie in `train/` and `test/`, or beside the tables. The solution's rows are the official
  test set (Usage Private) and validation set (Public); without it there is no official split.

  Raises:
    InputError: no trainLabels.csv, a column missing, a name of another form, an unknown grade.
  """
  path = root / 'trainLabels.csv'
  if not path.is_file():
    raise InputError(
      f'{path}: no such table; EyePACS is available from Kaggle (kaggle.com/c/diabetic-retinopathy-'
      'detection); configs/retina.py:phantom runs without it'
    )
  solution = root / 'retinopathy_solution.csv'
  frame = table.read_csv(path, ('image', 'level'))
  parts = [_read_table(root, path, frame, 'train').assign(official_split='')]
  if solution.is_file():
    frame = table.read_csv(solution, ('image', 'level', 'Usage'))
    usage = table.mapped(frame, 'Usage', solution, _USAGE)
    parts[0]['official_split'] = 'train'
    parts.append(_read_table(root, solution, frame, 'test').assign(official_split=usage))
  return table.check(pd.concat(parts, ignore_index=True), str(root))


def _read_table(
  root: pathlib.Path, path: pathlib.Path, frame: pd.DataFrame, part: str
) -> pd.DataFrame:
  parsed = frame['image'].str.strip().str.extract(r'^(?P<patient>\d+)_(?P<laterality>left|right)$')
  unparsed = parsed['patient'].isna()
  if unparsed.any():
    row = int(np.argmax(unparsed))
    raise InputError(
      f"{path}: row {row + 2}, column 'image': '{frame['image'][row]}' is not of the form 10_left"
    )
  result = pd.DataFrame(
    {
      'image': folders.paths(frame['image'], root, (part, ''), _ENDINGS),
      'patient': parsed['patient'],
      'laterality': parsed['laterality'],
      'reference': 'one reader, as published',
      'named_in': table.rows_of(path, frame),
    }
  )
  return pd.concat([result, classes.grades(frame, 'level', path)], axis=1)

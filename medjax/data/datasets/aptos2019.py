"""APTOS 2019 (Kaggle, Blindness Detection): 3,662 graded photographs from Aravind Eye Hospital.

No patient identifiers are published: both eyes of a patient, or two visits, may be on two sides of
a split, and every result is as uncertain as that.
"""

import pathlib

import pandas as pd

from medjax.data import table
from medjax.data.datasets import classes, folders
from medjax.errors import InputError

LABELS = (*classes.GRADES, classes.REFERABLE)


def read(root: pathlib.Path) -> pd.DataFrame:
  """Returns the study table of train.csv; Kaggle's test.csv has no grades and takes no part.

  Images lie in `train_images/`, or beside the table.

  Raises:
    InputError: no train.csv, a column missing, or an unknown grade.
  """
  path = root / 'train.csv'
  if not path.is_file():
    raise InputError(
      f'{path}: no such table; APTOS 2019 is available from Kaggle '
      '(kaggle.com/c/aptos2019-blindness-detection); configs/retina.py:phantom runs without it'
    )
  frame = table.read_csv(path, ('id_code', 'diagnosis'))
  image = folders.paths(frame['id_code'], root, ('train_images', ''), ('.png', '.jpg', '.jpeg'))
  result = pd.DataFrame(
    {
      'image': image,
      'patient': image,
      'grouped_by': 'image',
      'reference': 'as published',
      'named_in': table.rows_of(path, frame),
    }
  )
  return table.check(
    pd.concat([result, classes.grades(frame, 'diagnosis', path)], axis=1), str(path)
  )

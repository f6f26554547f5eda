"""What sources of exclusive classes share: a label for each class, and retinopathy's grades."""

import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data import table

# The International Clinical Diabetic Retinopathy scale, by its published codes 0 to 4.
GRADES = ('No DR', 'Mild', 'Moderate', 'Severe', 'Proliferative')
REFERABLE = 'Referable DR'


def one_of(codes: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
  """Returns f32[N, classes]: 1 at a row's code, 0 elsewhere; NaN throughout where it is -1."""
  values = (codes[:, None] == np.arange(len(names))).astype(np.float32)
  values[codes < 0] = np.nan
  return pd.DataFrame(values, columns=list(names))


def coded(
  frame: pd.DataFrame, column: str, path: pathlib.Path, codes: Mapping[str, int]
) -> np.ndarray:
  """Turns a column of published codes into places among the classes, int64; -1 is unknown.

  Raises:
    InputError: an unknown code, named with file, row and column.
  """
  return table.label_values(frame, column, path, codes).astype(np.int64)


def grades(
  frame: pd.DataFrame, column: str, path: pathlib.Path, blank: bool = False
) -> pd.DataFrame:
  """Returns the grades 0 to 4 as classes, and 'Referable DR', which is grade 2 or more.

  With `blank` a grade may be empty: ungradable, and all of these labels unknown.
  """
  codes = {str(grade): grade for grade in range(5)}
  grade = coded(frame, column, path, codes | ({'': -1} if blank else {}))
  referable = np.where(grade < 0, np.nan, grade >= 2).astype(np.float32)
  return one_of(grade, GRADES).assign(**{REFERABLE: referable})

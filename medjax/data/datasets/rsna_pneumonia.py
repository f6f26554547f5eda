"""RSNA Pneumonia Detection Challenge 2018, stage 2: 26,684 frontal images, 6,012 with opacities.

The images are NIH's: the same picture may be in ChestX-ray14, so a study that uses both must be
audited for duplicates. `patientId` names an image; patients are not published.
"""

import pathlib

import numpy as np
import pandas as pd

from medjax.data import cells, table
from medjax.errors import InputError

CLASSES = ('Lung Opacity', 'No Lung Opacity / Not Normal', 'Normal')
_BOX = ('x', 'y', 'width', 'height')
_TABLE, _CLASS_TABLE = 'stage_2_train_labels.csv', 'stage_2_detailed_class_info.csv'


def read(root: pathlib.Path) -> pd.DataFrame:
  """Returns the study table: label Pneumonia, an opacity that suggests it, marked with a box.

  An image has a row for each of its boxes; they become one. Where stage_2_detailed_class_info.csv
  lies beside the table, its three exclusive classes are labels too.

  Raises:
    InputError: the table or a column missing, an unknown code, rows of one image that differ, a
      Target that contradicts the row's box, an image without a class, or with one that contradicts
      its boxes.
  """
  path = root / _TABLE
  if not path.is_file():
    raise InputError(
      f'{root}: no {_TABLE}; the RSNA Pneumonia Detection Challenge is available from Kaggle '
      '(kaggle.com/c/rsna-pneumonia-detection-challenge); configs/phantom.py runs without it'
    )
  boxes = table.read_csv(path, ('patientId', *_BOX, 'Target'))
  boxes['Pneumonia'] = table.label_values(boxes, 'Target', path, cells.BINARY)
  frame = _first_rows(boxes, 'Pneumonia', path)
  _check_boxes(boxes, path)
  result = pd.DataFrame(
    {
      'image': 'stage_2_train_images/' + frame['patientId'] + '.dcm',
      'patient': frame['patientId'],
      'view': 'frontal',
      'grouped_by': 'image',
      'reference': 'radiologists, marking boxes',
      'named_in': table.rows_of(path, frame),
      'Pneumonia': frame['Pneumonia'],
    }
  )
  if (root / _CLASS_TABLE).is_file():
    classes = _classes(root / _CLASS_TABLE, frame, path)
    for name in CLASSES:
      result[name] = (classes == name).to_numpy(np.float32)
  return table.check(result, str(path))


def _check_boxes(boxes: pd.DataFrame, path: pathlib.Path) -> None:
  drawn = (boxes[list(_BOX)].apply(lambda column: column.str.strip()) != '').any(axis=1)
  contradicted = drawn != (boxes['Pneumonia'] == 1)
  if contradicted.any():
    row = int(np.argmax(contradicted))
    raise InputError(
      f'{path}: row {row + 2}: Target is {boxes["Target"][row]}, but the row has '
      f'{"a" if drawn[row] else "no"} box; correct the row'
    )


def _first_rows(frame: pd.DataFrame, column: str, path: pathlib.Path) -> pd.DataFrame:
  """Returns the first row of each patientId, all of whose rows must agree in the column."""
  first = frame.drop_duplicates('patientId')
  earlier = frame['patientId'].map(dict(zip(first['patientId'], first[column])))
  changed = earlier != frame[column]
  if changed.any():
    row = int(np.argmax(changed))
    raise InputError(
      f"{path}: row {row + 2}, column '{column}': '{frame['patientId'][row]}' is "
      f"'{frame[column][row]}' here and '{earlier[row]}' in an earlier row"
    )
  return first


def _classes(path: pathlib.Path, frame: pd.DataFrame, labels: pathlib.Path) -> pd.Series:
  """Returns the class of each image, in the order of the labels' table."""
  rows = table.read_csv(path, ('patientId', 'class'))
  rows['class'] = table.mapped(rows, 'class', path, {name: name for name in CLASSES})
  rows = _first_rows(rows, 'class', path)
  classes = frame['patientId'].map(dict(zip(rows['patientId'], rows['class'])))
  if classes.isna().any():
    row = classes.index[classes.isna()][0]
    raise InputError(
      f"{labels}: row {row + 2}: '{frame['patientId'][row]}' is not in {path.name}; take both "
      'tables from the same stage'
    )
  contradicted = (classes == 'Lung Opacity') != (frame['Pneumonia'] == 1)
  if contradicted.any():
    row = classes.index[contradicted][0]
    raise InputError(
      f'{labels}: row {row + 2}: Target is {frame["Pneumonia"][row]:.0f}, but the class in '
      f"{path.name} is '{classes[row]}'; take both tables from the same stage"
    )
  return classes

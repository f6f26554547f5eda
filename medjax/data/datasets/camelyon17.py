"""Camelyon17-WILDS patches (Bándi et al. 2018; Koh et al. 2021, arXiv 2012.07421): five hospitals.

The label is tumour in the patch's central 32 × 32 pixels. The official split tests on
a hospital never seen: hospitals 0, 3 and 4 train, hospital 1 chooses and hospital 2 is the test.
"""

import pathlib

import pandas as pd

from medjax.data import cells, table
from medjax.errors import InputError

LABELS = ('Tumor',)
_COLUMNS = ('patient', 'node', 'x_coord', 'y_coord', 'tumor', 'slide', 'center', 'split')
_CENTERS = tuple('01234')
_VALIDATION_CENTER, _TEST_CENTER = '1', '2'
# WILDS' codes. Its own loader goes by the hospital where that decides, and so does this one.
_SPLITS = {'0': 'train', '1': '', '2': 'test', '3': 'validation'}


def read(root: pathlib.Path) -> pd.DataFrame:
  """Returns the study table of metadata.csv; `site` is the hospital.

  WILDS' in-distribution validation patches (split 1 of the training hospitals) are of slides that
  also train, so they have no official split here: with split.test='official' they are unused.

  Raises:
    InputError: no metadata.csv, a column missing, an unknown code or a patient empty.
  """
  path = root / 'metadata.csv'
  if not path.is_file():
    raise InputError(
      f'{path}: no such table; Camelyon17-WILDS is available through wilds.stanford.edu/datasets; '
      'configs/histopathology.py:phantom runs without it'
    )
  frame = table.read_csv(path, _COLUMNS).apply(lambda column: column.str.strip())
  site = table.mapped(frame, 'center', path, {center: center for center in _CENTERS})
  official = table.mapped(frame, 'split', path, _SPLITS)
  official = official.mask(site == _VALIDATION_CENTER, 'validation')
  # Patients are written 004 in the files' names, and so in the table.
  node = 'patient_' + frame['patient'] + '_node_' + frame['node']
  place = '_x_' + frame['x_coord'] + '_y_' + frame['y_coord']
  result = pd.DataFrame(
    {
      'image': 'patches/' + node + '/patch_' + node + place + '.png',
      'patient': frame['patient'],
      'site': site,
      'slide': frame['slide'],
      'official_split': official.mask(site == _TEST_CENTER, 'test'),
      'reference': 'outlines drawn by pathologists',
      'named_in': table.rows_of(path, frame),
      'Tumor': table.label_values(frame, 'tumor', path, cells.BINARY),
    }
  )
  return table.check(result, str(path))

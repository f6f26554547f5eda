"""HAM10000 (Tschandl, Rosendahl and Kittler 2018, arXiv 1803.10417): 10,015 images, 7,470 lesions.

There are no patient identifiers: `lesion_id` keeps the pictures of one lesion together, and is what
stands for the patient.
"""

import pathlib

import numpy as np
import pandas as pd

from medjax.data import table
from medjax.data.datasets import classes, folders
from medjax.errors import InputError

CLASSES = ('akiec', 'bcc', 'bkl', 'df', 'mel', 'nv', 'vasc')
# akiec is actinic keratoses together with Bowen's disease, which is carcinoma in situ. The set does
# not separate them, and missing a cancer is worse than calling a precursor one, so akiec is
# malignant.
MALIGNANT = ('akiec', 'bcc', 'mel')
LABELS = (*CLASSES, 'malignant')
_COLUMNS = ('lesion_id', 'image_id', 'dx', 'dx_type', 'age', 'sex', 'localization')
_TABLES = ('HAM10000_metadata.csv', 'HAM10000_metadata')
_PARTS = tuple(f'{name}_images_part_{part}' for part in (1, 2) for name in ('HAM10000', 'ham10000'))
# What the diagnosis rests on, the most definitive first.
REFERENCES = {
  'histo': 'histopathology',
  'confocal': 'confocal microscopy',
  'follow_up': 'follow-up',
  'consensus': 'consensus of readers, as published',
}


def read(root: pathlib.Path) -> pd.DataFrame:
  """Returns the study table; `view` is the body site, `reference` what the diagnosis rests on.

  Images lie in `HAM10000_images_part_1/` and `…_2/`, in `images/` or beside the table.

  Raises:
    InputError: no metadata, a column missing, a lesion empty, or an unknown code.
  """
  path = next((root / name for name in _TABLES if (root / name).is_file()), None)
  if path is None:
    raise InputError(
      f'{root}: neither {" nor ".join(_TABLES)} is there; HAM10000 is available from the Harvard '
      'Dataverse (doi.org/10.7910/DVN/DBW86T); configs/skin.py:phantom runs without it'
    )
  frame = table.read_csv(path, _COLUMNS)
  dx = classes.coded(frame, 'dx', path, {name: place for place, name in enumerate(CLASSES)})
  result = pd.DataFrame(
    {
      'image': folders.paths(frame['image_id'], root, (*_PARTS, 'images', ''), ('.jpg',)),
      'patient': frame['lesion_id'],
      'grouped_by': 'lesion',
      'lesion': frame['lesion_id'],
      'sex': frame['sex'],
      'age': frame['age'],
      'view': frame['localization'],
      'reference': table.mapped(frame, 'dx_type', path, REFERENCES),
      'named_in': table.rows_of(path, frame),
    }
  )
  if 'dataset' in frame:  # newer copies: the collection that an image comes from
    result['site'] = frame['dataset']
  labels = classes.one_of(dx, CLASSES)
  labels['malignant'] = np.isin(dx, [CLASSES.index(name) for name in MALIGNANT]).astype(np.float32)
  return table.check(pd.concat([result, labels], axis=1), str(path))

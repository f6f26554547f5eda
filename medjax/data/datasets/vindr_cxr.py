"""VinDr-CXR (Nguyen et al. 2022, arXiv 2012.15029): 18,000 PA images read by radiologists.

Each training image was read by three of 17 radiologists. The PhysioNet release gives their answers
to 28 questions, and the consensus of five for its 3,000 test images; the Kaggle release gives boxes
of 14 findings, and of the training images only. Neither names patients.
"""

import pathlib

import numpy as np
import pandas as pd

from medjax.data import cells, table
from medjax.data.reference import consensus as reader_consensus
from medjax.errors import InputError

KAGGLE_LABELS = (
  'Aortic enlargement',
  'Atelectasis',
  'Calcification',
  'Cardiomegaly',
  'Consolidation',
  'ILD',
  'Infiltration',
  'Lung Opacity',
  'Nodule/Mass',
  'Other lesion',
  'Pleural effusion',
  'Pleural thickening',
  'Pneumothorax',
  'Pulmonary fibrosis',
  'No finding',
)
LABELS = (
  *KAGGLE_LABELS[:-1],
  'Clavicle fracture',
  'Edema',
  'Emphysema',
  'Enlarged PA',
  'Lung cavity',
  'Lung cyst',
  'Mediastinal shift',
  'Rib fracture',
  'COPD',
  'Lung tumor',
  'Pneumonia',
  'Tuberculosis',
  'Other diseases',
  'No finding',
)
_KEYS = ['image', 'reader']


def read(root: pathlib.Path, consensus: str = 'majority', ties: str = 'uncertain') -> pd.DataFrame:
  """Returns the study table of either release, one row per image.

  `reader` names the readers of an image, 'R8|R9|R10'; `readings` returns their separate answers. A
  question that nobody answered is unknown, and named in `unlabelled`.

  Args:
    root: the folder with `annotations/` (PhysioNet) or `train.csv` (Kaggle).
    consensus: how the readers' answers become one label, a method of
      medjax.data.reference.consensus.consensus: 'majority'; 'share', the share of readers who say
        yes, a soft
      label; 'dawid_skene' or 'staple'. The test images come with a consensus of their own.
    ties: the label where as many say yes as no: 'uncertain', 'positive' or 'negative'.

  Raises:
    InputError: no table of either release, a column missing, an unknown code or class, a reader
      without a name or twice on an image, an unknown method.
  """
  answers = readings(root)
  labels = [name for name in LABELS if name in answers]
  agreed = reader_consensus.consensus(answers[[*_KEYS, *labels]], method=consensus, ties=ties)
  by_image = answers.groupby('image', sort=False)
  frame = agreed.set_index('image').assign(
    reader=by_image['reader'].agg('|'.join), named_in=by_image['named_in'].first()
  )
  frame = frame.reset_index().assign(official_split='train')
  test = root / 'annotations' / 'image_labels_test.csv'
  if test.is_file():
    frame = pd.concat([frame, _test(test)], ignore_index=True)
  frame = frame.assign(patient=frame['image'], view='PA', grouped_by='image')
  frame['reader'] = frame['reader'].fillna('')
  frame['unlabelled'] = table.unlabelled(frame[labels])
  order = ['image', 'patient', 'view', 'grouped_by', 'official_split', 'reader', 'reference']
  return table.check(frame[[*order, 'named_in', 'unlabelled', *labels]], str(root))


def readings(root: pathlib.Path) -> pd.DataFrame:
  """Returns each reader's answers on each training image, as data.reference.reader_table describes.

  Columns image (relative to `root`), reader, named_in and the labels, f32; errors as `read`.
  """
  physionet = root / 'annotations' / 'image_labels_train.csv'
  if physionet.is_file():
    return _answers(physionet)
  if (root / 'train.csv').is_file():
    return _from_boxes(root / 'train.csv')
  raise InputError(
    f'{root}: neither annotations/image_labels_train.csv nor train.csv is there; VinDr-CXR is '
    'available from PhysioNet (physionet.org/content/vindr-cxr) or Kaggle (kaggle.com/c/'
    'vinbigdata-chest-xray-abnormalities-detection); configs/phantom.py runs without it'
  )


def _with_readers(frame: pd.DataFrame, path: pathlib.Path) -> pd.DataFrame:
  """Returns the frame; a row without a reader is an error: it would count as one more."""
  nameless = frame['rad_id'].str.strip() == ''
  if nameless.any():
    row = int(np.argmax(nameless))
    raise InputError(
      f'{path}: row {row + 2}: the rad_id is empty; fill it in, or leave the row out'
    )
  return frame


def _answers(path: pathlib.Path) -> pd.DataFrame:
  frame = _with_readers(table.read_csv(path, ('image_id', 'rad_id', *LABELS)), path)
  duplicated = frame.duplicated(['image_id', 'rad_id'])
  if duplicated.any():
    row = int(np.argmax(duplicated))
    raise InputError(
      f"{path}: row {row + 2}: reader '{frame['rad_id'][row]}' reads image "
      f"'{frame['image_id'][row]}' twice; keep one row per image and reader"
    )
  columns = {
    'image': 'train/' + frame['image_id'] + '.dicom',
    'reader': frame['rad_id'],
    'named_in': table.rows_of(path, frame),
  }
  values = {name: table.label_values(frame, name, path, cells.ANSWERS) for name in LABELS}
  return pd.DataFrame(columns | values)


def _test(path: pathlib.Path) -> pd.DataFrame:
  # The test table spells the last of the diseases differently.
  published = {name: name for name in LABELS} | {'Other diseases': 'Other disease'}
  frame = table.read_csv(path, ('image_id', *published.values()))
  columns = {
    'image': 'test/' + frame['image_id'] + '.dicom',
    'official_split': 'test',
    'reference': 'consensus of 5 readers, as published',
    'named_in': table.rows_of(path, frame),
  }
  values = {
    label: table.label_values(frame, name, path, cells.ANSWERS) for label, name in published.items()
  }
  return pd.DataFrame(columns | values)


def _from_boxes(path: pathlib.Path) -> pd.DataFrame:
  """Returns readings from Kaggle's boxes: yes to the findings that a reader drew, else no."""
  frame = table.read_csv(path, ('image_id', 'class_name', 'class_id', 'rad_id'))
  frame = _with_readers(frame, path)
  classes = {str(number): name for number, name in enumerate(KAGGLE_LABELS)}
  named = table.mapped(frame, 'class_id', path, classes)
  contradicted = named != frame['class_name'].str.strip()
  if contradicted.any():
    row = int(np.argmax(contradicted))
    raise InputError(
      f"{path}: row {row + 2}: class_id {frame['class_id'][row]} is '{named[row]}', but class_name "
      f"says '{frame['class_name'][row]}'"
    )
  frame = frame.assign(
    image='train/' + frame['image_id'] + '.dicom',
    reader=frame['rad_id'],
    named_in=table.rows_of(path, frame),
  )
  for name in KAGGLE_LABELS:
    frame[name] = (named == name).to_numpy(np.float32)
  by_reading = frame.groupby(_KEYS, sort=False)
  answers = by_reading[list(KAGGLE_LABELS)].max()
  return answers.assign(named_in=by_reading['named_in'].first()).reset_index()

"""MIMIC-CXR-JPG 2.x (Johnson et al. 2019, arXiv 1901.07042): 377,110 images, 227,827 reports.

Labels belong to a study and were read from its report by one of two programs; the images of a study
share them. They are CheXpert's 14 labels with CheXpert's codes.
"""

import pathlib
from collections.abc import Mapping

import numpy as np
import pandas as pd

from medjax.data import joined_names, table
from medjax.data.datasets.chexpert import LABELS
from medjax.errors import InputError, check_option

LABELERS = {'chexpert': 'CheXpert', 'negbio': 'NegBio'}
_STUDY = ['subject_id', 'study_id']
_VIEWS = {'LATERAL': 'lateral', 'LL': 'lateral'}
_SPLITS = {'train': 'train', 'validate': 'validation', 'test': 'test'}


def read(root: pathlib.Path, labeler: str = 'chexpert') -> pd.DataFrame:
  """Returns the study table of the release under `root`, one row for each image of the metadata.

  The views AP, PA and lateral (LATERAL and LL) are named as elsewhere; the few others (AP AXIAL,
  LAO, SWIMMERS …) keep their names, and some images have none. A study whose report was not
  labelled has no known label.

  Args:
    root: the folder with the tables and `files/`.
    labeler: whose reading of the reports, 'chexpert' or 'negbio'.

  Raises:
    InputError: a table or column missing, an unknown code, an image without a split, or two rows of
      one image or study.
  """
  check_option('config.data.settings.labeler', labeler, LABELERS)
  paths = {name: _find(root, name) for name in ('metadata', 'split', labeler)}
  columns = ('dicom_id', *_STUDY, 'ViewPosition', 'Rows', 'Columns')
  frame = table.read_csv(paths['metadata'], columns)
  nameless = frame['dicom_id'].str.strip() == ''
  if nameless.any():
    row = int(np.argmax(nameless))
    raise InputError(
      f'{paths["metadata"]}: row {row + 2}: the dicom_id is empty; fill it in, or leave the row out'
    )
  patient, study = frame['subject_id'], frame['study_id']
  view = frame['ViewPosition'].str.strip()
  folders = 'files/p' + patient.str[:2] + '/p' + patient + '/s' + study
  result = pd.DataFrame(
    {
      'image': folders + '/' + frame['dicom_id'] + '.jpg',
      'patient': patient,
      'study': study,
      'view': view.replace(_VIEWS),
      'width': table.numbers(frame, 'Columns', paths['metadata']),
      'height': table.numbers(frame, 'Rows', paths['metadata']),
      'official_split': _official_split(frame, paths),
      'reference': f'report, read by {LABELERS[labeler]}',
      'named_in': table.rows_of(paths['metadata'], frame),
    }
  )
  values = _study_labels(frame, paths[labeler])
  labelled = pd.Series(pd.MultiIndex.from_frame(frame[_STUDY]).isin(values.index))
  result['unlabelled'] = np.where(labelled, '', joined_names.join(LABELS))
  values = values.reindex(pd.MultiIndex.from_frame(frame[_STUDY])).reset_index(drop=True)
  return table.check(pd.concat([result, values], axis=1), str(paths['metadata']))


def _find(root: pathlib.Path, name: str) -> pathlib.Path:
  for ending in ('.csv.gz', '.csv'):
    for path in sorted(root.glob(f'mimic-cxr-2.*-{name}{ending}')):
      return path
  raise InputError(
    f'{root}: no mimic-cxr-2.0.0-{name}.csv.gz; MIMIC-CXR-JPG is available from PhysioNet '
    '(physionet.org/content/mimic-cxr-jpg), after its training; configs/phantom.py runs without it'
  )


def _official_split(frame: pd.DataFrame, paths: Mapping[str, pathlib.Path]) -> pd.Series:
  path = paths['split']
  splits = table.read_csv(path, ('dicom_id', *_STUDY, 'split'))
  parts = table.mapped(splits, 'split', path, _SPLITS)
  _check_once(splits, ['dicom_id'], path)
  official = frame['dicom_id'].map(dict(zip(splits['dicom_id'], parts)))
  missing = official.isna()
  if missing.any():
    row = int(np.argmax(missing))
    raise InputError(
      f"{paths['metadata']}: row {row + 2}: image '{frame['dicom_id'][row]}' is not in {path.name} "
      f'({int(missing.sum())} such rows); take both tables from the same release'
    )
  return official


def _study_labels(frame: pd.DataFrame, path: pathlib.Path) -> pd.DataFrame:
  """Returns the labels indexed by subject and study."""
  studies = table.read_csv(path, (*_STUDY, *LABELS))
  _check_once(studies, _STUDY, path)
  columns = {name: table.label_values(studies, name, path) for name in LABELS}
  values = pd.DataFrame(columns).set_index(pd.MultiIndex.from_frame(studies[_STUDY]))
  # The labels may hold studies without an image, but no study of another subject.
  subjects = dict(zip(studies['study_id'], studies['subject_id']))
  owners = frame['study_id'].map(subjects).fillna(frame['subject_id'])
  contradicted = (owners != frame['subject_id']) & (frame['subject_id'] != '')
  if contradicted.any():
    row = int(np.argmax(contradicted))
    raise InputError(
      f"{path}: study '{frame['study_id'][row]}' is of subject "
      f"'{subjects[frame['study_id'][row]]}', in the metadata (row {row + 2}) of "
      f"'{frame['subject_id'][row]}'; take both tables from the "
      'same release'
    )
  return values


def _check_once(frame: pd.DataFrame, keys: list[str], path: pathlib.Path) -> None:
  duplicated = frame.duplicated(keys)
  if duplicated.any():
    row = int(np.argmax(duplicated))
    named = ', '.join(f"{key} '{frame[key][row]}'" for key in keys)
    raise InputError(f'{path}: row {row + 2}: {named} is listed twice; keep one row')

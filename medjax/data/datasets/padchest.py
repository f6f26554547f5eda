"""PadChest (Bustos et al. 2019, arXiv 1901.07441): 160,861 images, labelled from Spanish reports.

A report is a list of terms of a vocabulary of 174 findings and 19 diagnoses; the 27 % marked
Physician were read by physicians, the rest by a network.
"""

import ast
import pathlib
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data import table
from medjax.errors import InputError, check_option

# Labels that stand for several terms of the vocabulary; any term is a label by itself too.
LABELS = {
  'Atelectasis': (
    'atelectasis',
    'atelectasis basal',
    'laminar atelectasis',
    'lobar atelectasis',
    'round atelectasis',
    'segmental atelectasis',
    'total atelectasis',
  ),
  'Cardiomegaly': ('cardiomegaly',),
  'Consolidation': ('consolidation',),
  'Edema': ('pulmonary edema',),
  # Pus, blood, and fluid beside air between the pleurae are effusions too.
  'Effusion': (
    'pleural effusion',
    'loculated pleural effusion',
    'loculated fissural effusion',
    'empyema',
    'hemothorax',
    'hydropneumothorax',
  ),
  'Emphysema': ('emphysema',),
  'Fibrosis': ('pulmonary fibrosis',),
  'Fracture': (
    'fracture',
    'callus rib fracture',
    'clavicle fracture',
    'humeral fracture',
    'rib fracture',
    'vertebral fracture',
  ),
  'Hernia': ('hiatal hernia',),
  'Infiltration': ('infiltrates',),
  'Mass': ('mass', 'pulmonary mass'),
  'Nodule': ('nodule', 'multiple nodules'),
  'Normal': ('normal',),
  'Pleural_Thickening': (
    'pleural thickening',
    'apical pleural thickening',
    'calcified pleural thickening',
  ),
  'Pneumonia': ('pneumonia', 'atypical pneumonia'),
  'Pneumothorax': ('pneumothorax', 'hydropneumothorax'),
}
# Terms of reports that say that nothing has changed, or nothing at all: what they do not name is
# unknown.
SILENT_TERMS = ('unchanged', 'exclude')
# A report of this alone names no finding because little could be seen.
_POOR = frozenset(('suboptimal study',))
_TABLE = 'PADCHEST_chest_x_ray_images_labels_160K_01.02.19.csv'
_COLUMNS = (
  'ImageID',
  'ImageDir',
  'StudyID',
  'PatientID',
  'PatientBirth',
  'PatientSex_DICOM',
  'Projection',
  'MethodLabel',
  'Labels',
)
# AP_horizontal is taken of patients lying on their backs; COSTAL shows the ribs, not the lungs.
_VIEWS = {
  'PA': 'PA',
  'AP': 'AP',
  'AP_horizontal': 'AP',
  'L': 'lateral',
  'COSTAL': 'costal',
  'EXCLUDE': 'excluded',
  'nan': '',
  '': '',
}
_METHODS = {
  'Physician': 'report, read by a physician',
  'RNN_model': 'report, read by a network',
  'nan': '',
  '': '',
}


def read(root: pathlib.Path, labels: Sequence[str] = tuple(LABELS)) -> pd.DataFrame:
  """Returns the study table of the release under `root`.

  Terms are compared whole: 'pseudonodule' is no nodule. A row without a list, or with 'suboptimal
  study' alone, has no known label; a report that says 'unchanged' (SILENT_TERMS) is known for the
  terms that it names and no others. `unlabelled` holds what is unknown. Images may lie in folders
  by their ImageDir (`0/`, `1/` …), in `images/`, or beside the table.

  Args:
    root: the folder with the table.
    labels: names of LABELS, or terms of the vocabulary; the table has those of LABELS and these.

  Raises:
    InputError: the table or a column missing, a list that cannot be read, an unknown projection, or
      a label that is neither in LABELS nor a term of any report.
  """
  path = _find_table(root)
  frame = table.read_csv(path, _COLUMNS)
  result = pd.DataFrame(
    {
      'image': _folders(root, frame['ImageDir']) + frame['ImageID'],
      'patient': frame['PatientID'],
      'study': frame['StudyID'],
      'view': table.mapped(frame, 'Projection', path, _VIEWS),
      'sex': frame['PatientSex_DICOM'],
      'age': _age(frame, path),
      'reference': table.mapped(frame, 'MethodLabel', path, _METHODS),
      'named_in': table.rows_of(path, frame),
    }
  )
  for column, published in (('width', 'Columns_DICOM'), ('height', 'Rows_DICOM')):
    if published in frame:
      result[column] = table.numbers(frame, published, path)
  lists, codes = _lists(frame['Labels'], path)
  wanted = {**LABELS, **_single_terms(labels, lists)}
  values = _values(lists, codes, wanted)
  result['unlabelled'] = table.unlabelled(values)
  return table.check(pd.concat([result, values], axis=1), str(path))


def _find_table(root: pathlib.Path) -> pathlib.Path:
  for path in (root / _TABLE, root / f'{_TABLE}.gz'):
    if path.is_file():
      return path
  raise InputError(
    f'{root}: {_TABLE} is not there; PadChest is available from BIMCV '
    '(bimcv.cipf.es/bimcv-projects/padchest); configs/phantom.py runs without it'
  )


def _folders(root: pathlib.Path, numbers: pd.Series) -> pd.Series:
  """Returns the folder of each image: '0/', 'images/0/', 'images/' or ''."""
  flat = 'images/' if (root / 'images').is_dir() else ''
  holders = {
    number: next(
      (folder for folder in (f'{number}/', f'images/{number}/') if (root / folder).is_dir()), flat
    )
    for number in set(numbers)
    if number
  }
  return numbers.map(holders).fillna(flat)


def _age(frame: pd.DataFrame, path: pathlib.Path) -> pd.Series | str:
  """Returns whole years, as text, between the year of birth and that of the study."""
  if 'StudyDate_DICOM' not in frame:
    return ''
  birth = table.numbers(frame, 'PatientBirth', path)
  years = table.numbers(frame, 'StudyDate_DICOM', path) // 10_000 - birth
  return pd.Series([f'{year:.0f}' if year >= 0 else '' for year in years], frame.index)


def _lists(text: pd.Series, path: pathlib.Path) -> tuple[list[frozenset[str] | None], np.ndarray]:
  """Returns the distinct lists, None for an empty one, and the number of the list of each row."""
  codes, distinct = pd.factorize(text.str.strip())
  lists: list[frozenset[str] | None] = []
  for number, entry in enumerate(distinct):
    try:
      terms = ast.literal_eval(entry) if entry not in ('', 'nan') else None
      valid = terms is None or (isinstance(terms, list) and all(isinstance(t, str) for t in terms))
    except (ValueError, SyntaxError):
      valid = False
    if not valid:
      row = int(np.flatnonzero(codes == number)[0])
      raise InputError(
        f"{path}: row {row + 2}, column 'Labels': '{entry[:80]}' is no list of terms such as "
        "['cardiomegaly', 'pleural effusion']"
      )
    cleaned = frozenset(term.strip() for term in terms or ()) - {''}
    lists.append(cleaned or None)
  return lists, codes


def _single_terms(
  labels: Sequence[str], lists: Sequence[frozenset[str] | None]
) -> Mapping[str, tuple[str, ...]]:
  terms: frozenset[str] = frozenset().union(*filter(None, lists))
  for label in labels:
    if label not in LABELS:
      check_option('config.data.labels: the label or term', label, (*LABELS, *sorted(terms)))
  return {label: (label,) for label in labels if label not in LABELS}


def _values(
  lists: Sequence[frozenset[str] | None], codes: np.ndarray, wanted: Mapping[str, tuple[str, ...]]
) -> pd.DataFrame:
  values = np.zeros((len(lists), len(wanted)), np.float32)
  for number, terms in enumerate(lists):
    if terms is None or terms <= _POOR or not terms.isdisjoint(SILENT_TERMS):
      values[number] = np.nan
    for column, synonyms in enumerate(wanted.values()):
      if terms and not terms.isdisjoint(synonyms):
        values[number, column] = 1
  return pd.DataFrame(values[codes], columns=list(wanted))

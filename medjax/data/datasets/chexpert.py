"""CheXpert (Irvin et al. 2019, arXiv 1901.07031): 223,414 training images of 64,540 patients.

Reads the small release (`train/…`, `valid/…` beside the tables) and the full one (folders named
'CheXpert-v1.0 batch 1 (validate & csv)', 'CheXpert-v1.0 batch 2 (train 1)', …). `valid.csv`, read
by three radiologists, is what the field reports on. It is the official test set here, unless the
test set's `groundtruth.csv` (or `test.csv`), read by five, lies beside it: then that is the test
set and `valid.csv` the official validation set. As published it has one row per study (column
`Study`, `CheXpert-v1.0/test/patient64741/study1`), whose images are those in `test/`.
"""

import pathlib
import re

import pandas as pd

from medjax.data import table
from medjax.errors import InputError

LABELS = (
  'No Finding',
  'Enlarged Cardiomediastinum',
  'Cardiomegaly',
  'Lung Opacity',
  'Lung Lesion',
  'Edema',
  'Consolidation',
  'Pneumonia',
  'Atelectasis',
  'Pneumothorax',
  'Pleural Effusion',
  'Pleural Other',
  'Fracture',
  'Support Devices',
)
COMPETITION_TASKS = ('Cardiomegaly', 'Edema', 'Consolidation', 'Atelectasis', 'Pleural Effusion')
_COLUMNS = ('Path', 'Sex', 'Age', 'Frontal/Lateral', 'AP/PA', *LABELS)
_TESTS = ('groundtruth.csv', 'test.csv')
_BATCH = 'CheXpert-v1.0 batch '
# Releases differ in what stands before 'train/': the name of the release or of one of its batches.
_PATH = re.compile(
  r'(?:^|/)(?P<image>(?P<part>train|valid|test)/(?P<patient>patient\d+)/(?P<study>study\d+)/[^/]+)$'
)
_STUDY = re.compile(r'(?:^|/)(?P<folder>test/patient\d+/study\d+)/?$')
_VIEW_FILE = re.compile(r'view\d+_(frontal|lateral)\.[A-Za-z]+')
_REFERENCE = {
  'train': 'report, read by CheXpert',
  'valid': 'consensus of 3 readers, as published',
  'test': 'consensus of 5 readers, as published',
}


def read(root: pathlib.Path, broken: str = 'stop') -> pd.DataFrame:
  """Returns the study table of the release under `root`.

  Args:
    root: the folder with train.csv.
    broken: config.data.broken; with 'set_aside' a study of the test set without images stays, with
      the image that every study has.

  Raises:
    InputError: no train.csv, a column missing, a path of another form, an unknown code, two tables
      of the test set, a study of the test set without images, or a root that is one of several
      batch folders.
  """
  folder = _table_folder(root)
  tests = [name for name in _TESTS if (folder / name).is_file()]
  if len(tests) > 1:
    raise InputError(
      f'{folder}: holds {" and ".join(tests)}, both of the test set; keep one of them'
    )
  names = [name for name in ('train.csv', 'valid.csv') if (folder / name).is_file()]
  frames = [_study_table(table.read_csv(folder / name, _COLUMNS), folder / name) for name in names]
  frames += [_study_table(_read_test(folder / name, broken), folder / name) for name in tests]
  frame = pd.concat(frames, ignore_index=True)
  official = {'train': 'train', 'valid': 'validation' if tests else 'test', 'test': 'test'}
  frame['official_split'] = frame['part'].map(official)
  frame['reference'] = frame['part'].map(_REFERENCE)
  frame['image'] = _relative_to(root, folder, frame)
  return frame.drop(columns='part')


def _table_folder(root: pathlib.Path) -> pathlib.Path:
  for folder in (root, *sorted(root.glob('CheXpert-v1.0*'))):
    if (folder / 'train.csv').is_file():
      return folder
  raise InputError(
    f'{root}: no train.csv there or in a CheXpert-v1.0* folder below; CheXpert is available from '
    'the Stanford AIMI Center (stanfordmlgroup.github.io/competitions/chexpert); '
    'configs/phantom.py runs without it'
  )


def _read_test(path: pathlib.Path, broken: str) -> pd.DataFrame:
  """Returns the test set's labels, which have no other columns, with a row for each image."""
  frame = table.read_csv(path, LABELS)
  if 'Study' not in frame or 'Path' in frame:
    return table.read_csv(path, ('Path', *LABELS))
  studies = frame['Study'].str.strip().str.extract(_STUDY)['folder']
  paths: list[list[str]] = []
  for row, study in enumerate(studies):
    if not isinstance(study, str):
      raise InputError(
        f"{path}: row {row + 2}, column 'Study': '{frame['Study'][row]}' is not of the form "
        'CheXpert-v1.0/test/patient64741/study1'
      )
    files = sorted(file.name for file in (path.parent / study).glob('view*'))
    paths.append([f'{study}/{name}' for name in files if _VIEW_FILE.fullmatch(name)])
    if not paths[-1] and broken == 'set_aside':
      paths[-1] = [f'{study}/view1_frontal.jpg']
    elif not paths[-1]:
      raise InputError(
        f'{path}: row {row + 2}: no image of this study is in {path.parent / study}; put the test '
        "set's folder test/ beside this table, or set config.data.broken=set_aside"
      )
  # The index stays that of the file's rows.
  return frame.assign(Path=paths).explode('Path')


def _study_table(frame: pd.DataFrame, path: pathlib.Path) -> pd.DataFrame:
  matches = [_PATH.search(text) for text in frame['Path'].tolist()]
  if None in matches:
    row = matches.index(None)
    raise InputError(
      f"{path}: row {row + 2}, column 'Path': '{frame['Path'].iloc[row]}' is not of the form "
      'train/patient00001/study1/view1_frontal.jpg'
    )
  image, part, patient, study = zip(*(match.groups() for match in matches if match))
  columns = {
    'image': image,
    'patient': patient,
    'study': study,
    'view': _views(frame, path),
    'sex': frame.get('Sex', ''),
    'age': frame.get('Age', ''),
    'part': part,
    'named_in': table.rows_of(path, frame),
  }
  return pd.DataFrame(columns | {name: table.label_values(frame, name, path) for name in LABELS})


def _views(frame: pd.DataFrame, path: pathlib.Path) -> pd.Series:
  if 'Frontal/Lateral' in frame:
    sides = {'Frontal': 'frontal', 'Lateral': 'lateral'}
    view = table.mapped(frame, 'Frontal/Lateral', path, sides)
  else:  # The names of the files hold it: view1_frontal.jpg.
    view = frame['Path'].str.extract(r'_(frontal|lateral)\.[^/]+$')[0].fillna('')
  if 'AP/PA' not in frame:
    return view
  return frame['AP/PA'].where(frame['AP/PA'].isin(('AP', 'PA')) & (view == 'frontal'), view)


def _relative_to(root: pathlib.Path, folder: pathlib.Path, frame: pd.DataFrame) -> pd.Series:
  """Returns paths relative to root; the full release keeps a patient in one of several folders."""
  inner = folder.relative_to(root).as_posix()
  prefix = '' if inner == '.' else f'{inner}/'
  batches = _batch_folders(root, folder)
  if not batches:
    return prefix + frame['image']
  # train/patient00001/… lies in 'batch 2 (train 1)/patient00001/…', but valid/… in batch 1's
  # valid/.
  where = (frame['part'] + '/' + frame['patient']).map(batches)
  rest = frame['image'].str.partition('/')[2]
  inside = (
    where.map(lambda path: path.relative_to(root).as_posix() + '/', na_action='ignore') + rest
  )
  return inside.where(where.notna(), prefix + frame['image'])


def _batch_folders(root: pathlib.Path, folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns 'train/patient00001' → its batch folder; {} for the small release."""
  siblings = [*folder.parent.glob(f'{_BATCH}*')] if folder != root else []
  if folder == root and root.resolve().name.startswith(_BATCH):
    above = root.resolve().parent
    if len([*above.glob(f'{_BATCH}*')]) > 1:
      raise InputError(
        f'{root}: one of several batch folders of the full release; set config.data.root to the '
        f'folder that holds them all: {above}'
      )
  holders: dict[str, pathlib.Path] = {}
  for batch in sorted({*folder.glob(f'{_BATCH}*'), *siblings}):
    if not batch.is_dir():
      continue
    for part, inside in (('train', batch), ('train', batch / 'train'), ('valid', batch / 'valid')):
      for patient in inside.glob('patient*') if inside.is_dir() else ():
        holders[f'{part}/{patient.name}'] = inside
  return holders

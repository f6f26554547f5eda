"""NIH ChestX-ray14 (Wang et al. 2017, arXiv 1705.02315): 112,120 images of 30,805 patients."""

import pathlib

import numpy as np
import pandas as pd

from medjax.data import table, table_files
from medjax.errors import InputError

LABELS = (
  'Atelectasis',
  'Cardiomegaly',
  'Effusion',
  'Infiltration',
  'Mass',
  'Nodule',
  'Pneumonia',
  'Pneumothorax',
  'Consolidation',
  'Edema',
  'Emphysema',
  'Fibrosis',
  'Pleural_Thickening',
  'Hernia',
)
_COLUMNS = (
  'Image Index',
  'Finding Labels',
  'Patient ID',
  'Patient Age',
  'Patient Gender',
  'View Position',
)
_TABLES = ('Data_Entry_2017_v2020.csv', 'Data_Entry_2017.csv')
_OFFICIAL_LISTS = {'train': 'train_val_list.txt', 'test': 'test_list.txt'}


def read(root: pathlib.Path) -> pd.DataFrame:
  """Returns the study table; every label, `No Finding` too, is known, 1 or 0, for every image.

  The header's last two names hold unquoted commas, so it reads as 11 names over 11 fields; joining
  the columns by name is therefore safe. Images may lie in `images/`, in `images_001/images/` …
  `images_012/images/`, or beside the table. The official lists must both be there, or neither; an
  image on neither has no official split. Ages are completed years: 013M is 1.

  Raises:
    InputError: no table, a column missing, a patient empty, an unknown finding, one official list
      without the other, or an image on both.
  """
  path = _find_table(root)
  frame = table.read_csv(path, _COLUMNS)
  result = pd.DataFrame(
    {
      'image': frame['Image Index'].map(_folders(root)).fillna('') + frame['Image Index'],
      'patient': frame['Patient ID'].str.strip(),
      'view': frame['View Position'],
      'sex': frame['Patient Gender'],
      'age': frame['Patient Age'],  # Older copies write 058Y, and 013M of the youngest.
      'reference': 'report, mined by a program',
      'named_in': table.rows_of(path, frame),
    }
  )
  for column, published in (('width', 'OriginalImage[Width'), ('height', 'Height]')):
    if published in frame:
      result[column] = table.numbers(frame, published, path)
  result['official_split'] = _official_split(root, frame['Image Index'])
  result = pd.concat([result, _findings(frame['Finding Labels'], path)], axis=1)
  return table.check(result, str(path))


def _find_table(root: pathlib.Path) -> pathlib.Path:
  for name in _TABLES:
    for path in (root / name, root / f'{name}.gz'):
      if path.is_file():
        return path
  raise InputError(
    f'{root}: neither {" nor ".join(_TABLES)} is there; ChestX-ray14 is available from the NIH '
    'Clinical Center (nihcc.app.box.com/v/ChestXray-NIHCC); configs/phantom.py runs without it'
  )


def _folders(root: pathlib.Path) -> dict[str, str]:
  """Returns image name → its folder, 'images_001/images/', '' for those beside the table."""
  holders: dict[str, str] = {}
  folders = (
    sorted(root.glob('images_*/images')) + sorted(root.glob('images_*')) + [root / 'images', root]
  )
  for folder in folders:
    if folder.is_dir():
      prefix = '' if folder == root else f'{folder.relative_to(root).as_posix()}/'
      for image in folder.glob('*.png'):
        holders.setdefault(image.name, prefix)
  return holders


def _official_split(root: pathlib.Path, images: pd.Series) -> pd.Series | str:
  present = [name for name in _OFFICIAL_LISTS.values() if (root / name).is_file()]
  if not present:
    return ''
  if len(present) < len(_OFFICIAL_LISTS):
    (missing,) = {*_OFFICIAL_LISTS.values()} - {*present}
    raise InputError(
      f'{root / present[0]}: half of the official split, of which {missing} is missing; get that, '
      'or remove this'
    )
  split = pd.Series('', index=images.index)
  for part, name in _OFFICIAL_LISTS.items():
    listed = images.isin(table_files.read_text(root / name).split())
    twice = images[listed & (split != '')]
    if len(twice):
      raise InputError(
        f"{root / name}: '{twice.iloc[0]}' is in {present[0]} too; keep it in one of the lists"
      )
    split[listed] = part
  return split


def _findings(text: pd.Series, path: pathlib.Path) -> pd.DataFrame:
  # Each distinct combination is parsed once: 836 instead of 112,120 rows.
  codes, combinations = pd.factorize(text)
  values = np.zeros((len(combinations), len(LABELS)), np.float32)
  for number, combination in enumerate(combinations):
    for finding in combination.split('|'):
      if finding in LABELS:
        values[number, LABELS.index(finding)] = 1
      elif finding != 'No Finding' or combination != finding:
        row = int(np.flatnonzero(codes == number)[0])
        raise InputError(
          f"{path}: row {row + 2}, column 'Finding Labels': unknown code '{combination}'; allowed: "
          f"No Finding, or any of {', '.join(LABELS)}, joined by '|'"
        )
  findings = pd.DataFrame(values[codes], columns=list(LABELS), index=text.index)
  return findings.assign(**{'No Finding': (text == 'No Finding').to_numpy(np.float32)})

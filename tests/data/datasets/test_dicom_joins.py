"""How the rows of a table find their DICOM files, and what becomes of files that are damaged."""

import numpy as np
import pandas as pd
import pytest
from dicom_files import write

from medjax.config import Data
from medjax.data import datasets, missing_files
from medjax.data.images import decoding
from medjax.errors import InputError

FILMS = 2


def fill(root, patients=4):
  """Two films of each of some patients, one study each; returns name → what was written."""
  films = {}
  for patient in range(patients):
    for film in range(FILMS):
      name = f'd{patient}/IM{patient}{film}.dcm'
      films[name] = write(
        root / name, np.full((8, 8), 40 * patient + film, np.uint8), PatientID=f'H{patient}',
        StudyInstanceUID=f'1.2.840.99999.{patient}', AccessionNumber=f'ACC{patient:04d}',
      )  # fmt: skip
  return films


def read(root, broken='stop', **settings):
  return datasets.read(Data('dicom', str(root), ('x',), broken=broken, settings=settings))


def labelled(root, column, names, name='labels.csv'):
  frame = pd.DataFrame({column: list(names)})
  frame['x'] = [number % 2 for number in range(len(frame))]
  frame.to_csv(root / name, index=False)
  return frame


@pytest.mark.parametrize(
  'written',
  [
    lambda name: name,
    lambda name: name.replace('/', '\\'),
    lambda name: name.rpartition('/')[2],
    lambda name: name.rpartition('/')[2].removesuffix('.dcm'),
  ],
)
def test_an_image_by_its_path_or_its_name_alone(tmp_path, written):
  films = fill(tmp_path)
  frame = labelled(tmp_path, 'image', map(written, films))
  table = read(tmp_path)
  assert table['image'].tolist() == list(films)
  np.testing.assert_array_equal(table['x'], frame['x'])


@pytest.mark.parametrize('keyword', ['StudyInstanceUID', 'AccessionNumber'])
@pytest.mark.parametrize('column', ['', 'Exam'])
def test_a_study_s_row_is_for_all_its_images(tmp_path, keyword, column):
  films = fill(tmp_path)
  numbers = dict.fromkeys(str(getattr(film, keyword)) for film in films.values())
  frame = labelled(tmp_path, column or keyword, numbers).assign(site='North')
  frame.to_csv(tmp_path / 'labels.csv', index=False)
  table = read(tmp_path, columns={keyword: column} if column else {})
  label = dict(zip(numbers, frame['x']))
  assert sorted(table['image']) == sorted(films)
  for _, row in table.iterrows():
    film = films[row['image']]
    assert row['x'] == label[getattr(film, keyword)] and row['patient'] == film.PatientID
    assert row['study'] == film.StudyInstanceUID and row['site'] == 'North'
    assert row['named_in'].endswith(f'row {list(numbers).index(getattr(film, keyword)) + 2}')
  assert not table.astype(str).apply(lambda values: values.str.contains('ACC')).any(axis=None)


def test_messages_on_studies_hold_no_number_of_theirs(tmp_path):
  fill(tmp_path)
  for keyword, known in (('StudyInstanceUID', '1.2.840.99999.1'), ('AccessionNumber', 'ACC0001')):
    for names, words in (
      ([known, known], r"row 3, column '\w+': is that of row 2; keep one row per study"),
      ([known, f'{known}77'], r'row 3: no image under .* is of its study \(1 such row\)'),
      ([known, ''], r"row 3, column '\w+': is empty"),
    ):
      labelled(tmp_path, keyword, names)
      with pytest.raises(InputError, match=words) as error:
        read(tmp_path)
      assert known not in str(error.value)
  labelled(tmp_path, 'image', ['1.2.840.99999.1.77'])
  with pytest.raises(InputError, match='row 2: this is neither a DICOM image') as error:
    read(tmp_path)
  assert '99999' not in str(error.value)


def test_a_name_that_several_files_have_is_refused(tmp_path):
  films = fill(tmp_path)
  write(tmp_path / 'other/IM00.dcm', np.zeros((8, 8), np.uint8), PatientID='H9')
  labelled(tmp_path, 'image', ['IM00.dcm'])
  with pytest.raises(InputError, match=r'several files have.*\(d0/IM00\.dcm, other/IM00\.dcm\)'):
    read(tmp_path)
  labelled(tmp_path, 'image', films)
  assert len(read(tmp_path)) == len(films)
  columns = {'image': 'image', 'AccessionNumber': 'image'}
  with pytest.raises(InputError, match='names image and AccessionNumber; images are joined by one'):
    read(tmp_path, columns=columns)


def test_a_file_without_a_row_is_no_part_of_the_study_and_is_noted(tmp_path):
  films = fill(tmp_path)
  (tmp_path / 'd0/damaged.dcm').write_bytes(b'')
  labelled(tmp_path, 'image', list(films)[:-1])
  table = read(tmp_path)
  assert table['image'].tolist() == list(films)[:-1]
  (note,) = missing_files.check(table, tmp_path, 'stop')
  assert note.startswith('2 images') and "'d0/damaged.dcm'" in note


WHOLE = 'd1/IM10.dcm'
DAMAGES = {
  'no bytes': lambda data: b'',
  'zeros': lambda data: bytes(500),
  'cut off in the preamble': lambda data: data[:100],
  'cut off before the patient': lambda data: data[:400],
  'cut off in the pixels': lambda data: data[:-20],
  'text': lambda data: b'<html>404 not found</html>' * 9,
  'missing': None,
}


@pytest.mark.parametrize('damage', DAMAGES)
@pytest.mark.parametrize('key', ['path', 'name', 'StudyInstanceUID'])
def test_every_damage_is_set_aside_with_its_row(tmp_path, damage, key):
  films = fill(tmp_path)
  for folder in ('__MACOSX/d1', 'd1'):
    (tmp_path / folder).mkdir(parents=True, exist_ok=True)
    (tmp_path / folder / '._IM10.dcm').write_bytes(b'\0\5\x16\7' + bytes(200))
  names = {'path': list(films), 'name': [name.rpartition('/')[2] for name in films]}.get(key)
  if names:
    labelled(tmp_path, 'image', names)
  else:
    labelled(tmp_path, key, dict.fromkeys(film.StudyInstanceUID for film in films.values()))
  before = read(tmp_path)
  assert sorted(before['image']) == sorted(films)
  if damage == 'missing':
    (tmp_path / WHOLE).unlink()
    (tmp_path / 'd1/IM11.dcm').unlink()
  else:
    (tmp_path / WHOLE).write_bytes(DAMAGES[damage]((tmp_path / WHOLE).read_bytes()))
  table = read(tmp_path, broken='set_aside')
  assert missing_files.check(table, tmp_path, 'set_aside') == []
  broken = decoding.find_broken([str(tmp_path / image) for image in table['image']])
  lost = {WHOLE, 'd1/IM11.dcm'} if damage == 'missing' else {WHOLE}
  assert len(broken) == (1 if names is None and damage == 'missing' else len(lost))
  kept = table.drop(index=list(broken))
  expected = before[~before['image'].isin(lost)]
  columns = ['image', 'patient', 'study', 'x']
  pd.testing.assert_frame_equal(
    kept[columns].sort_values('image', ignore_index=True),
    expected[columns].sort_values('image', ignore_index=True),
  )
  sets = {'ours': {'source': 'dicom', 'root': '.', 'labels': {'x': 'x'}}}
  joined = Data('several', str(tmp_path), ('x',), broken='set_aside', settings={'sets': sets})
  assert len(datasets.read(joined)) == len(table)
  # What cannot be read joins no patient.
  if damage != 'cut off in the pixels':
    assert not set(table['patient'].iloc[list(broken)]) & set(kept['patient'])
    with pytest.raises(InputError, match='set_aside'):
      read(tmp_path)


def test_studies_are_joined_by_what_stands_in_place_of_a_uid(tmp_path):
  """De-identified files may hold a digest or a word there, which does not come out of them."""
  for number in range(2):
    write(
      tmp_path / f'IM{number}.dcm', np.full((8, 8), number, np.uint8), PatientID=f'H{number}',
      StudyInstanceUID=f'STUDY_{number:04}',
    )  # fmt: skip
  labelled(tmp_path, 'StudyInstanceUID', ['STUDY_0000', 'STUDY_0001'])
  table = read(tmp_path)
  assert table['x'].tolist() == [0, 1] and table['image'].tolist() == ['IM0.dcm', 'IM1.dcm']
  assert not table.astype(str).apply(lambda column: column.str.contains('STUDY_')).any(axis=None)

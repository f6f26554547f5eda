"""EyePACS, APTOS 2019 and Messidor-2 on small copies of their published layouts."""

import pathlib

import numpy as np
import pytest
from layouts_other import aptos, edit, eyepacs, messidor, picture, read, there

from medjax.data import labels, missing_files
from medjax.data.datasets.classes import GRADES
from medjax.data.table import stand_ins_for_patients
from medjax.errors import InputError


def grades(table):
  return table[list(GRADES)].to_numpy()


def test_eyepacs_cell_by_cell(tmp_path):
  table = read('eyepacs', eyepacs(tmp_path))
  assert table['image'].tolist() == [
    'train/10_left.jpeg', 'train/10_right.jpeg', 'train/13_left.jpeg', 'train/13_right.jpeg',
    'test/1_left.jpeg', 'test/1_right.jpeg', 'test/2_left.jpeg',
  ]  # fmt: skip
  assert there(table, tmp_path)
  assert table['patient'].tolist() == ['10', '10', '13', '13', '1', '1', '2']
  assert table['laterality'].tolist() == ['left', 'right', 'left', 'right', 'left', 'right', 'left']
  assert table['official_split'].tolist() == ['train'] * 4 + ['test', 'test', 'validation']
  np.testing.assert_array_equal(grades(table), np.eye(5)[[0, 1, 2, 4, 0, 3, 0]])
  assert table['Referable DR'].tolist() == [0, 0, 1, 1, 0, 1, 0]
  assert stand_ins_for_patients(table) == {}
  assert table['named_in'][5].endswith('retinopathy_solution.csv: row 3')


def test_eyepacs_without_the_solution_has_no_official_split(tmp_path):
  table = read('eyepacs', eyepacs(tmp_path, solution=False))
  assert len(table) == 4 and (table['official_split'] == '').all()


def test_eyepacs_beside_the_table(tmp_path):
  root = eyepacs(tmp_path, solution=False)
  for image in (root / 'train').iterdir():
    image.rename(root / image.name)
  (root / 'train').rmdir()
  assert there(read('eyepacs', root), root)


def test_aptos_cell_by_cell(tmp_path):
  table = read('aptos2019', aptos(tmp_path))
  assert table['image'].tolist() == [
    f'train_images/{name}.png' for name in ('000c1434d8d7', '001639a390f0', '0024cdab0c1e')
  ]
  np.testing.assert_array_equal(grades(table), np.eye(5)[[2, 4, 0]])
  assert table['Referable DR'].tolist() == [1, 1, 0]
  assert stand_ins_for_patients(table) == {'image': 3}


def test_messidor_cell_by_cell(tmp_path):
  table = read('messidor2', messidor(tmp_path))
  # The fourth is published as .jpg and lies there as .JPG.
  assert there(table, tmp_path) and table['image'][3] == 'IMAGES/IM000099.JPG'
  np.testing.assert_array_equal(grades(table)[[0, 1, 3]], np.eye(5)[[0, 1, 3]])
  # Ungradable: nothing is known.
  assert np.isnan(grades(table)[2]).all() and np.isnan(table['Referable DR'][2])
  np.testing.assert_array_equal(table['Referable DR'][[0, 1, 3]], [0, 0, 1])
  np.testing.assert_array_equal(table['DME'], [0, 0, np.nan, 1])
  _, known = labels.reference(table, ('No DR', 'Referable DR', 'DME'), 'zeros')
  assert known.all(axis=1).tolist() == known.any(axis=1).tolist() == [True, True, False, True]
  assert stand_ins_for_patients(table) == {'image': 4}


def test_messidor_of_older_copies_names_exams(tmp_path):
  before = read('messidor2', messidor(tmp_path))
  edit(tmp_path / 'messidor_data.csv', 'image_id', 'examid')
  assert read('messidor2', tmp_path).equals(before)
  edit(tmp_path / 'messidor_data.csv', 'examid', 'exam')
  with pytest.raises(
    InputError, match=r"messidor_data\.csv: neither a column 'image_id' nor 'examid'"
  ):
    read('messidor2', tmp_path)


def test_messidor_pairs_are_patients_where_their_file_is_there(tmp_path):
  messidor(tmp_path)
  pairs = tmp_path / 'messidor-2.csv'
  pairs.write_text(
    'left;right\n20051020_43808_0100_PP.png;20051020_43832_0100_PP.png\n'
    '20051020_44261_0100_PP.png;IM000099.JPG\n'
  )
  table = read('messidor2', tmp_path)
  assert table['patient'].tolist() == ['pair2', 'pair2', 'pair3', 'pair3']
  assert stand_ins_for_patients(table) == {}
  pairs.write_text('left;right\n20051020_43808_0100_PP.png;20051020_43832_0100_PP.png\n')
  with pytest.raises(InputError, match=r'messidor_data\.csv: row 4: .*44261.* is in no pair'):
    read('messidor2', tmp_path)
  pairs.write_text(
    'left;right\n20051020_43808_0100_PP.png;20051020_43832_0100_PP.png\n'
    ';20051020_44261_0100_PP.png\n;IM000099.JPG\n20051020_43808_0100_PP.png;IM000099.JPG\n'
  )
  with pytest.raises(
    InputError, match=r"messidor-2\.csv: image '20051020_43808.*line 2 and line 5"
  ):
    read('messidor2', tmp_path)
  pairs.write_bytes('linké;right\n'.encode('latin-1'))
  with pytest.raises(InputError, match=r'messidor-2\.csv: cannot be read as text in UTF-8'):
    read('messidor2', tmp_path)


def test_a_name_that_may_be_two_files_is_refused_unless_one_bears_it(tmp_path):
  eyepacs(tmp_path, solution=False)
  picture(tmp_path / 'train' / '13_left.png')
  with pytest.raises(
    InputError, match=r"'13_left' may be train/13_left\.jpeg or train/13_left\.png"
  ):
    read('eyepacs', tmp_path)
  messidor(tmp_path)
  picture(tmp_path / 'IMAGES' / '20051020_43808_0100_PP.jpg')
  assert read('messidor2', tmp_path)['image'][0] == 'IMAGES/20051020_43808_0100_PP.png'


@pytest.mark.parametrize(
  ('source', 'make', 'file', 'old', 'new', 'words'),
  [
    ('eyepacs', eyepacs, 'trainLabels.csv', 'level', 'levl', ["no column 'level'", "'levl'"]),
    ('eyepacs', eyepacs, 'trainLabels.csv', '13_left,2', '13_left,5', ['row 4', "'level'", "'5'"]),
    ('eyepacs', eyepacs, 'trainLabels.csv', '13_left,2', '13_left,', ['row 4', "'level'"]),
    ('eyepacs', eyepacs, 'trainLabels.csv', '13_left', '13-left', ['row 4', '13-left', '10_left']),
    ('eyepacs', eyepacs, 'trainLabels.csv', '13_left', '10_left', ['row 4', 'listed twice']),
    (
      'eyepacs',
      eyepacs,
      'retinopathy_solution.csv',
      '3,Private',
      '3,Privat',
      ['row 3', "'Usage'", "'Privat'"],
    ),
    (
      'aptos2019',
      aptos,
      'train.csv',
      'diagnosis',
      'diagnose',
      ["no column 'diagnosis'", "'diagnose'"],
    ),
    ('aptos2019', aptos, 'train.csv', '390f0,4', '390f0,-1', ['row 3', "'diagnosis'", "'-1'"]),
    ('messidor2', messidor, 'messidor_data.csv', 'dme', 'DMEs', ["no column 'adjudicated_dme'"]),
    (
      'messidor2',
      messidor,
      'messidor_data.csv',
      '3,1,1',
      '7,1,1',
      ['row 5', "'adjudicated_dr_grade'", "'7'"],
    ),
    (
      'messidor2',
      messidor,
      'messidor_data.csv',
      '3,1,1',
      '3,2,1',
      ['row 5', "'adjudicated_dme'", "'2'"],
    ),
  ],
)
def test_bad_cells_are_named_with_file_and_row(tmp_path, source, make, file, old, new, words):
  make(tmp_path)
  edit(tmp_path / file, old, new)
  with pytest.raises(InputError) as error:
    read(source, tmp_path)
  for word in [file, *words]:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


@pytest.mark.parametrize('source', ['eyepacs', 'aptos2019', 'messidor2'])
def test_missing_tables_say_where_they_are_to_be_had(tmp_path, source):
  with pytest.raises(InputError, match=r'available from .*configs/retina\.py:phantom'):
    read(source, tmp_path)


@pytest.mark.parametrize(
  ('source', 'make', 'gone', 'row', 'extra'),
  [
    (
      'eyepacs',
      eyepacs,
      'test/1_right.jpeg',
      r'retinopathy_solution\.csv: row 3',
      'test/9_left.jpeg',
    ),
    (
      'aptos2019',
      aptos,
      'train_images/001639a390f0.png',
      r'train\.csv: row 3',
      'train_images/x.png',
    ),
    ('messidor2', messidor, 'IMAGES/IM000099.JPG', r'messidor_data\.csv: row 5', 'IMAGES/x.png'),
  ],
)
def test_rows_without_images_and_images_without_rows(tmp_path, source, make, gone, row, extra):
  make(tmp_path)
  picture(tmp_path / extra)
  (note,) = missing_files.check(read(source, tmp_path), pathlib.Path(tmp_path), broken='stop')
  assert extra in note
  (tmp_path / gone).unlink()
  with pytest.raises(InputError, match=row):
    missing_files.check(read(source, tmp_path), tmp_path, broken='stop')

"""ISIC 2019, ISIC 2020 and HAM10000 on small copies of their published layouts."""

import numpy as np
import pytest
from layouts_other import edit, ham10000, isic2019, isic2020, picture, read, there, write

from medjax.data import labels, missing_files
from medjax.data.table import stand_ins_for_patients
from medjax.errors import InputError


def test_isic2019_cell_by_cell(tmp_path):
  table = read('isic2019', isic2019(tmp_path))
  folder = 'ISIC_2019_Training_Input/ISIC_'
  assert table['image'].tolist() == [
    f'{folder}{name}.jpg'
    for name in ('0000000', '0000002', '0053462_downsampled', '0053463', '0053464')
  ]
  assert there(table, tmp_path)
  # A lesion where it is known, else the image itself.
  assert table['patient'].tolist() == [
    f'{folder}0000000.jpg', f'{folder}0000002.jpg', 'BCN_0', 'BCN_1', 'BCN_1',
  ]  # fmt: skip
  assert table['grouped_by'].tolist() == ['image', 'image', 'lesion', 'lesion', 'lesion']
  assert stand_ins_for_patients(table) == {'lesion': 3, 'image': 2}
  assert table['age'].tolist() == ['55', '30', '70', '80', '']
  assert table['sex'].tolist() == ['F', 'F', 'F', 'M', '']
  assert table['view'].tolist() == ['anterior torso'] * 3 + ['head/neck', '']
  classes = ['NV', 'MEL', 'AK', 'SCC', 'UNK']
  for row, name in enumerate(classes):
    others = ['MEL', 'NV', 'BCC', 'AK', 'BKL', 'DF', 'VASC', 'SCC', 'UNK']
    np.testing.assert_array_equal(table.loc[row, others], [other == name for other in others])
  np.testing.assert_array_equal(table['malignant'], [0, 1, 0, 1, np.nan])
  _, known = labels.reference(table, ('MEL', 'malignant'), 'zeros')
  assert known.all(axis=0).tolist() == [True, False] and known[:4].all()


def test_isic2019_unpacked_twice(tmp_path):
  isic2019(tmp_path)
  folder = tmp_path / 'ISIC_2019_Training_Input'
  folder.rename(tmp_path / 'inner')
  folder.mkdir()
  (tmp_path / 'inner').rename(folder / 'ISIC_2019_Training_Input')
  assert there(read('isic2019', tmp_path), tmp_path)


@pytest.mark.parametrize(('release', 'name'), [(2, ''), (1, ''), (1, 'train.csv')])
def test_isic2020_cell_by_cell(tmp_path, release, name):
  isic2020(tmp_path, release)
  if name:
    (tmp_path / 'ISIC_2020_Training_GroundTruth.csv').rename(tmp_path / name)
  table = read('isic2020', tmp_path)
  # 0068279 is published a second time as 0074268, which the list names first.
  assert table['image'].tolist() == [
    f'train/ISIC_{number}.jpg' for number in ('0015719', '0052212', '0074268', '0074311')
  ]
  assert there(table, tmp_path)
  assert table['patient'].tolist() == ['IP_3075186', 'IP_2842074', 'IP_6890425', 'IP_8723313']
  assert table['melanoma'].tolist() == [0, 0, 1, 0]
  assert table['sex'].tolist() == ['F', 'F', 'M', '']
  assert table['age'].tolist() == ['45', '50', '45', '']
  assert table['view'].tolist() == ['upper extremity', 'lower extremity', 'head/neck', '']
  assert table['reference'].tolist() == ['as published'] * 2 + ['histopathology', 'as published']
  # Rows keep the numbers of their file's lines.
  assert [text.rpartition(' ')[2] for text in table['named_in']] == ['2', '3', '5', '6']
  assert ('lesion' in table) == (release == 2)
  if release == 2:
    assert table['lesion'][2] == 'IL_9127189'
  assert stand_ins_for_patients(table) == {}


@pytest.mark.parametrize(
  ('pairs', 'kept'),
  [
    ('a,b', 'acde'),
    ('b,a', 'bcde'),
    ('a,b\nb,c', 'ade'),
    ('a,b\nb,a', 'acde'),
    ('a,c\nb,c', 'ade'),
    ('a,b\nc,d\nd,b', 'ae'),
    # The first of these is not in this table.
    ('x,b\nb,c', 'abde'),
    ('x,y\na,a', 'abcde'),
    ('a,a', 'abcde'),
  ],
)
def test_of_the_same_pictures_the_first_named_stays(tmp_path, pairs, kept):
  rows = [f'{name},p{name},male,50,torso,unknown,benign,0' for name in 'abcde']
  header = (
    'image_name,patient_id,sex,age_approx,anatom_site_general_challenge,diagnosis,'
    'benign_malignant,target'
  )
  write(tmp_path / 'ISIC_2020_Training_GroundTruth.csv', '\n'.join([header, *rows]))
  write(tmp_path / 'ISIC_2020_Training_Duplicates.csv', 'image_name_1,image_name_2\n' + pairs)
  table = read('isic2020', tmp_path)
  assert ''.join(patient[1] for patient in table['patient']) == kept
  assert len(read('isic2020', tmp_path, duplicates='keep')) == 5


def test_isic2020_the_list_of_duplicates_may_name_files_and_must_name_some(tmp_path):
  path = isic2020(tmp_path) / 'ISIC_2020_Training_Duplicates.csv'
  before = read('isic2020', tmp_path)
  path.write_text(path.read_text().replace('268', '268.jpg').replace('279', '279.JPG'))
  assert read('isic2020', tmp_path).equals(before)
  path.write_text('image_name_1,image_name_2\nisic-1,isic-2\n')
  with pytest.raises(InputError, match=r"Duplicates\.csv: none of its 1 pairs .*'isic-1'.*=keep"):
    read('isic2020', tmp_path)


def test_isic2020_without_the_list_of_duplicates_stops(tmp_path):
  isic2020(tmp_path)
  (tmp_path / 'ISIC_2020_Training_Duplicates.csv').unlink()
  with pytest.raises(InputError, match=r'ISIC_2020_Training_Duplicates\.csv: no such file.*=keep'):
    read('isic2020', tmp_path)
  assert len(read('isic2020', tmp_path, duplicates='keep')) == 5
  with pytest.raises(
    InputError, match="duplicates is 'kep'; allowed: drop, keep; did you mean 'keep'"
  ):
    read('isic2020', tmp_path, duplicates='kep')


@pytest.mark.parametrize('newer', [False, True])
def test_ham10000_cell_by_cell(tmp_path, newer):
  table = read('ham10000', ham10000(tmp_path, newer))
  assert there(table, tmp_path)
  assert table['image'][1] == 'HAM10000_images_part_2/ISIC_0025030.jpg'
  assert table['patient'].tolist() == [
    'HAM_0000118', 'HAM_0000118', 'HAM_0002730', 'HAM_0001466', 'HAM_0002761', 'HAM_0005132',
  ]  # fmt: skip
  assert stand_ins_for_patients(table) == {'lesion': 6}
  classes = ['akiec', 'bcc', 'bkl', 'df', 'mel', 'nv', 'vasc']
  np.testing.assert_array_equal(table[classes].to_numpy().argmax(axis=1), [2, 2, 5, 4, 0, 1])
  assert (table[classes].sum(axis=1) == 1).all()
  assert table['malignant'].tolist() == [0, 0, 0, 1, 1, 1]
  assert table['reference'].tolist() == [
    'histopathology', 'histopathology', 'follow-up', 'histopathology',
    'consensus of readers, as published', 'confocal microscopy',
  ]  # fmt: skip
  assert table['sex'].tolist() == ['M', 'M', 'F', '', 'F', 'F']
  assert table['age'].tolist() == ['80', '80', '45', '', '60', '70']
  assert ('site' in table) == newer


GROUND_TRUTH = 'ISIC_2019_Training_GroundTruth.csv'
METADATA = 'ISIC_2019_Training_Metadata.csv'
ISIC2020 = 'ISIC_2020_Training_GroundTruth_v2.csv'
HAM = 'HAM10000_metadata.csv'


@pytest.mark.parametrize(
  ('source', 'make', 'file', 'old', 'new', 'words'),
  [
    ('isic2019', isic2019, GROUND_TRUTH, 'BKL', 'BLK', ["no column 'BKL'", "'BLK'"]),
    ('isic2019', isic2019, GROUND_TRUTH, '0000002,1.0', '0000002,2.0', ['row 3', "'MEL'", "'2.0'"]),
    (
      'isic2019',
      isic2019,
      GROUND_TRUTH,
      '0000002,1.0',
      '0000002,0.0',
      ['row 3', '0 of the classes'],
    ),
    (
      'isic2019',
      isic2019,
      GROUND_TRUTH,
      '0000002,1.0,0.0',
      '0000002,1.0,1.0',
      ['row 3', '2 of the classes'],
    ),
    ('isic2019', isic2019, METADATA, 'lesion_id', 'lesion', ["no column 'lesion_id'", "'lesion'"]),
    (
      'isic2019',
      isic2019,
      METADATA,
      '80,head/neck,BCN_1,male',
      '80,head/neck,BCN_1,mael',
      ['row 3', "'sex'", "'mael'"],
    ),
    (
      'isic2019',
      isic2019,
      METADATA,
      'ISIC_0000000',
      'ISIC_9',
      ['GroundTruth.csv: row 2', 'ISIC_0000000'],
    ),
    ('isic2019', isic2019, GROUND_TRUTH, 'ISIC_0000000', 'ISIC_0000002', ['row 3', 'listed twice']),
    (
      'isic2020',
      isic2020,
      ISIC2020,
      'patient_id',
      'patent_id',
      ["no column 'patient_id'", "'patent_id'"],
    ),
    ('isic2020', isic2020, ISIC2020, 'malignant,1', 'malignant,0', ['row 4', "'target' is 0"]),
    (
      'isic2020',
      isic2020,
      ISIC2020,
      'malignant,1',
      'malign,1',
      ['row 4', "'benign_malignant'", "'malign'"],
    ),
    ('isic2020', isic2020, ISIC2020, 'IP_2842074', '', ['row 3', 'the patient is empty']),
    ('ham10000', ham10000, HAM, 'dx_type', 'dxtype', ["no column 'dx_type'", "'dxtype'"]),
    ('ham10000', ham10000, HAM, 'nv,follow_up', 'naevus,follow_up', ['row 4', "'dx'", "'naevus'"]),
    ('ham10000', ham10000, HAM, 'nv,follow_up', 'nv,guess', ['row 4', "'dx_type'", "'guess'"]),
    ('ham10000', ham10000, HAM, 'HAM_0002730', '', ['row 4', 'the patient is empty']),
  ],
)
def test_bad_cells_are_named_with_file_and_row(tmp_path, source, make, file, old, new, words):
  make(tmp_path)
  edit(tmp_path / file, old, new)
  with pytest.raises(InputError) as error:
    read(source, tmp_path)
  for word in words if 'GroundTruth.csv: row' in words[0] else [file, *words]:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_an_image_in_the_metadata_alone_is_named(tmp_path):
  isic2019(tmp_path)
  with open(tmp_path / METADATA, 'a') as file:
    file.write('ISIC_7,5,palms,,male\n')
  with pytest.raises(
    InputError, match=r"Metadata\.csv: row 7: image 'ISIC_7' is not in ISIC_2019_T"
  ):
    read('isic2019', tmp_path)


@pytest.mark.parametrize('source', ['isic2019', 'isic2020', 'ham10000'])
def test_missing_tables_say_where_they_are_to_be_had(tmp_path, source):
  with pytest.raises(InputError, match=r'available from .*configs/skin\.py:phantom'):
    read(source, tmp_path)


@pytest.mark.parametrize(
  ('source', 'make', 'gone', 'row', 'extra'),
  [
    (
      'isic2019',
      isic2019,
      'ISIC_2019_Training_Input/ISIC_0000002.jpg',
      r'GroundTruth\.csv: row 3',
      'ISIC_2019_Training_Input/x.jpg',
    ),
    (
      'ham10000',
      ham10000,
      'HAM10000_images_part_1/ISIC_0026769.jpg',
      r'metadata\.csv: row 4',
      'HAM10000_images_part_2/x.jpg',
    ),
  ],
)
def test_rows_without_images_and_images_without_rows(tmp_path, source, make, gone, row, extra):
  make(tmp_path)
  picture(tmp_path / extra)
  (note,) = missing_files.check(read(source, tmp_path), tmp_path, broken='stop')
  assert extra in note
  (tmp_path / gone).unlink()
  with pytest.raises(InputError, match=row):
    missing_files.check(read(source, tmp_path), tmp_path, broken='stop')


def test_isic2020_a_row_without_its_image(tmp_path):
  isic2020(tmp_path)
  # What the list of duplicates drops is there, and in no row.
  (note,) = missing_files.check(read('isic2020', tmp_path), tmp_path, broken='stop')
  assert 'ISIC_0068279.jpg' in note
  (tmp_path / 'train/ISIC_0074311.jpg').unlink()
  with pytest.raises(InputError, match=r'GroundTruth_v2\.csv: row 6: .*ISIC_0074311\.jpg'):
    missing_files.check(read('isic2020', tmp_path), tmp_path, broken='stop')

"""PatchCamelyon and Camelyon17-WILDS on small copies of their published layouts."""

import h5py
import numpy as np
import pytest
from layouts_other import camelyon17, edit, patchcamelyon, picture, read, there

from medjax.data import missing_files
from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.table import stand_ins_for_patients
from medjax.errors import InputError

STEM = 'camelyonpatch_level_2_split_'


def test_patchcamelyon_cell_by_cell(tmp_path):
  table = read('patchcamelyon', patchcamelyon(tmp_path))
  assert table['image'].tolist() == [
    *(f'{STEM}train_x.h5#x/{row}' for row in range(4)),
    *(f'{STEM}valid_x.h5#x/{row}' for row in range(2)),
    *(f'{STEM}test_x.h5#x/{row}' for row in range(2)),
  ]
  assert table['Tumor'].tolist() == [0, 1, 1, 0, 1, 0, 0, 1]
  assert table['official_split'].tolist() == ['train'] * 4 + ['validation'] * 2 + ['test'] * 2
  slides = [f'camelyon16_train_tumor_00{number}' for number in (0, 0, 1, 1)]
  slides += ['camelyon16_valid_tumor_000'] * 2 + ['camelyon16_test_tumor_000'] * 2
  assert table['patient'].tolist() == table['slide'].tolist() == slides
  assert stand_ins_for_patients(table) == {'slide': 8}
  assert table['named_in'][1].endswith('train_meta.csv: row 3')


def test_patchcamelyon_images_are_the_files_rows(tmp_path):
  table = read('patchcamelyon', patchcamelyon(tmp_path))
  with h5py.File(tmp_path / f'{STEM}valid_x.h5') as file:
    stored = file['x'][1]
  np.testing.assert_array_equal(
    decoding.decode(tmp_path / table['image'][5], ImageFormat(96, 3)), stored
  )


def test_patchcamelyon_without_meta_groups_by_image(tmp_path):
  table = read('patchcamelyon', patchcamelyon(tmp_path, meta=False))
  assert stand_ins_for_patients(table) == {'image': 8} and 'slide' not in table
  assert table['named_in'][1].endswith('train_y.h5: y[1]')
  # One meta file alone would have slides in one part and patches in another.
  (tmp_path / f'{STEM}test_meta.csv').write_text('wsi\na\nb\n')
  assert stand_ins_for_patients(read('patchcamelyon', tmp_path)) == {'image': 8}


def test_patchcamelyon_with_one_part_only(tmp_path):
  patchcamelyon(tmp_path)
  for part in ('train', 'test'):
    (tmp_path / f'{STEM}{part}_x.h5').unlink()
  assert set(read('patchcamelyon', tmp_path)['official_split']) == {'validation'}


def rewrite(path, name, values):
  with h5py.File(path, 'w') as file:
    file[name] = values


@pytest.mark.parametrize(
  ('break_it', 'words'),
  [
    (lambda root: (root / f'{STEM}valid_y.h5').unlink(), ['valid_y.h5: no such file']),
    (
      lambda root: (root / f'{STEM}valid_y.h5').write_bytes(b'x' * 99),
      ['valid_y.h5: cannot be read as an HDF5'],
    ),
    (
      lambda root: rewrite(root / f'{STEM}test_y.h5', 'labels', [0, 1]),
      ["test_y.h5: holds no 'y'", 'labels'],
    ),
    (
      lambda root: rewrite(root / f'{STEM}test_y.h5', 'y', np.zeros((3, 1, 1, 1))),
      ['test_y.h5: has 3 labels for the 2 images'],
    ),
    (
      lambda root: rewrite(root / f'{STEM}test_y.h5', 'y', np.full((2, 1, 1, 1), 2)),
      ['test_y.h5: y[0] is 2', '0 or 1'],
    ),
    (
      lambda root: rewrite(root / f'{STEM}test_y.h5', 'y', np.zeros((2, 2))),
      ['test_y.h5: y is no column'],
    ),
    (
      lambda root: rewrite(root / f'{STEM}test_x.h5', 'X', np.zeros((2, 2))),
      ["test_x.h5: holds no 'x'"],
    ),
    (
      lambda root: edit(
        root / f'{STEM}test_meta.csv', '0,100,200,False,False', '0,100,200,False,True'
      ),
      ['test_meta.csv: row 2', "'center_tumor_patch': is True", 'test_y.h5 says 0 (1 such rows)'],
    ),
    (
      lambda root: rewrite(root / f'{STEM}test_y.h5', 'y', np.uint8([1, 0])),
      ['test_meta.csv: row 2', 'says 1 (2 such rows)'],
    ),
    (
      lambda root: edit(root / f'{STEM}test_meta.csv', ',True,True', ',True,maybe'),
      ['row 3', "'center_tumor_patch': unknown code 'maybe'"],
    ),
    (
      lambda root: edit(root / f'{STEM}test_meta.csv', 'wsi', 'slide'),
      ["test_meta.csv: no column 'wsi'"],
    ),
    (
      lambda root: edit(root / f'{STEM}test_meta.csv', '\n1,', '\n1,100,200,True,True,x\n2,'),
      ['test_meta.csv: has 3 rows for the 2'],
    ),
    (
      lambda root: edit(root / f'{STEM}train_meta.csv', 'camelyon16_train_tumor_001', ''),
      ['train_meta.csv: row 4', 'the patient is empty'],
    ),
  ],
)
def test_patchcamelyon_bad_files_are_named(tmp_path, break_it, words):
  break_it(patchcamelyon(tmp_path))
  with pytest.raises(InputError) as error:
    read('patchcamelyon', tmp_path)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_patchcamelyon_packed_or_missing(tmp_path):
  with pytest.raises(InputError, match=r'available from .*histopathology\.py:phantom'):
    read('patchcamelyon', tmp_path)
  (tmp_path / f'{STEM}train_x.h5.gz').touch()
  with pytest.raises(InputError, match=r'unpack the \.gz files first'):
    read('patchcamelyon', tmp_path)


def test_camelyon17_cell_by_cell(tmp_path):
  table = read('camelyon17', camelyon17(tmp_path))
  assert there(table, tmp_path)
  assert table['image'][0] == (
    'patches/patient_004_node_4/patch_patient_004_node_4_x_3328_y_21792.png'
  )
  assert table['patient'].tolist() == ['004', '004', '022', '042', '060']
  assert table['site'].tolist() == ['0', '0', '1', '2', '3']
  assert table['slide'].tolist() == ['0', '0', '10', '23', '30']
  assert table['Tumor'].tolist() == [1, 0, 1, 0, 0]
  # WILDS' own code: hospital 1 validates and hospital 2 tests, whatever the column says; split 1 of
  # the others is of slides that train.
  assert table['official_split'].tolist() == ['train', '', 'validation', 'test', 'train']
  assert stand_ins_for_patients(table) == {}


@pytest.mark.parametrize(
  ('old', 'new', 'words'),
  [
    ('center', 'centre', ["no column 'center'", "'centre'"]),
    ('21792,1,', '21792,2,', ['row 2', "'tumor'", "'2'"]),
    ('30,3,0', '30,5,0', ['row 6', "'center'", "'5'"]),
    ('30,3,0', '30,3,9', ['row 6', "'split'", "'9'"]),
    ('022', '', ['row 4', 'the patient is empty']),
    ('3200,22272', '3328,21792', ['row 3', 'listed twice']),
  ],
)
def test_camelyon17_bad_cells_are_named(tmp_path, old, new, words):
  edit(camelyon17(tmp_path) / 'metadata.csv', old, new)
  with pytest.raises(InputError) as error:
    read('camelyon17', tmp_path)
  for word in ['metadata.csv', *words]:
    assert word in str(error.value)


def test_camelyon17_rows_without_images_and_images_without_rows(tmp_path):
  camelyon17(tmp_path)
  extra = 'patches/patient_004_node_4/patch_patient_004_node_4_x_1_y_1.png'
  picture(tmp_path / extra)
  (note,) = missing_files.check(read('camelyon17', tmp_path), tmp_path, broken='stop')
  assert extra in note
  (tmp_path / read('camelyon17', tmp_path)['image'][3]).unlink()
  with pytest.raises(InputError, match=r'metadata\.csv: row 5: .*patient_042'):
    missing_files.check(read('camelyon17', tmp_path), tmp_path, broken='stop')


def test_camelyon17_missing(tmp_path):
  with pytest.raises(InputError, match=r'available through .*histopathology\.py:phantom'):
    read('camelyon17', tmp_path)

"""MedMNIST's .npz files on small generated copies."""

import numpy as np
import pytest
from layouts_other import medmnist, read

from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.table import label_columns, stand_ins_for_patients
from medjax.errors import InputError


def test_dermamnist_cell_by_cell(tmp_path):
  arrays = medmnist(tmp_path, 'dermamnist', [4, 0, 6])
  table = read('medmnist', tmp_path, name='dermamnist')
  assert table['image'].tolist() == [
    *(f'dermamnist.npz#train_images/{row}' for row in range(3)),
    *(f'dermamnist.npz#{part}_images/{row}' for part in ('val', 'test') for row in range(2)),
  ]
  assert table['official_split'].tolist() == ['train'] * 3 + ['validation'] * 2 + ['test'] * 2
  assert stand_ins_for_patients(table) == {'image': 7}
  labels = label_columns(table)
  assert labels[4] == 'melanoma' and len(labels) == 7
  np.testing.assert_array_equal(table[labels], np.eye(7)[[4, 0, 6, 4, 0, 4, 0]])
  np.testing.assert_array_equal(
    decoding.decode(tmp_path / table['image'][4], ImageFormat(28, 3)), arrays['val_images'][1]
  )


def test_breastmnist_calls_malignant_zero(tmp_path):
  medmnist(tmp_path, 'breastmnist', [0, 1, 1], shape=(28, 28))
  table = read('medmnist', tmp_path, name='breastmnist')
  assert table['malignant'].tolist() == [1, 0, 0, 1, 0, 1, 0]
  assert table['normal or benign'].tolist() == [0, 1, 1, 0, 1, 0, 1]


def test_chestmnist_has_several_findings_to_an_image(tmp_path):
  findings = np.zeros((3, 14), np.uint8)
  findings[0, [0, 13]], findings[2, 4] = 1, 1
  medmnist(tmp_path, 'chestmnist_64', findings, shape=(64, 64))
  table = read('medmnist', tmp_path, name='chestmnist_64')
  assert table['hernia'].tolist() == [1, 0, 0, 1, 0, 1, 0]
  assert table['mass'].tolist() == [0, 0, 1, 0, 0, 0, 0]
  assert table['image'][0] == 'chestmnist_64.npz#train_images/0'


def test_a_file_of_another_name_has_numbers_for_names(tmp_path):
  medmnist(tmp_path, 'mine', [2, 0, 1])
  assert label_columns(read('medmnist', tmp_path, name='mine')) == ['0', '1', '2']
  medmnist(tmp_path, 'several', [[0, 1], [1, 1]])
  assert read('medmnist', tmp_path, name='several')['1'].tolist() == [1, 1, 1, 1, 1, 1]


def repack(root, **arrays):
  path = root / 'dermamnist.npz'
  np.savez(path, **{k: v for k, v in (dict(np.load(path)) | arrays).items() if v is not None})


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    ({'val_labels': None}, ["holds no array 'val_labels'", 'train_images']),
    ({'val_labels': np.zeros((3, 1), np.uint8)}, ['val_labels has 3 rows for 2 images']),
    ({'val_labels': np.full((2, 1), 7, np.uint8)}, ['val_labels[0] is 7', 'allowed: 0 to 6']),
    ({'val_labels': np.array([[1], [np.nan]])}, ['val_labels[1] is nan', 'allowed: 0 to 6']),
    ({'val_labels': np.array([[0.5], [1]])}, ['val_labels[0] is 0.5', 'allowed: 0 to 6']),
    (
      {'val_labels': np.array([[None], [1]], object)},
      ["'val_labels' cannot be read", 'Object arrays'],
    ),
    ({'val_labels': np.array([['1'], ['2']])}, ["'val_labels' is <U1", 'whole numbers']),
    ({'val_labels': np.zeros((2, 9), np.uint8)}, ['val_labels has 9 columns for the 7 labels']),
    ({'val_images': np.zeros((2, 8, 8, 8), np.uint8)}, ['val_images has the shape (2, 8, 8, 8)']),
  ],
)
def test_bad_arrays_are_named(tmp_path, change, words):
  medmnist(tmp_path, 'dermamnist', [4, 0, 6])
  repack(tmp_path, **change)
  with pytest.raises(InputError) as error:
    read('medmnist', tmp_path, name='dermamnist')
  for word in ['dermamnist.npz', *words]:
    assert word in str(error.value)


def test_classes_of_an_unknown_set_that_are_no_numbers_are_named(tmp_path):
  medmnist(tmp_path, 'dermamnist', [4, 0, 6])
  repack(tmp_path, val_labels=np.array([[1], [np.nan]]), test_labels=np.array([[1], [np.inf]]))
  (tmp_path / 'dermamnist.npz').rename(tmp_path / 'mine.npz')
  with pytest.raises(InputError, match=r'val_labels\[1\] is nan; allowed: 0 to 6'):
    read('medmnist', tmp_path, name='mine')


def test_missing_or_damaged_files_are_named(tmp_path):
  with pytest.raises(InputError, match=r'dermamnist\.npz: no such file; MedMNIST is available'):
    read('medmnist', tmp_path, name='dermamnist')
  with pytest.raises(InputError, match=r'settings\.name'):
    read('medmnist', tmp_path)
  (tmp_path / 'dermamnist.npz').write_bytes(b'no zip')
  with pytest.raises(InputError, match=r'dermamnist\.npz: cannot be read as an \.npz file'):
    read('medmnist', tmp_path, name='dermamnist')
  with pytest.raises(InputError, match=r'pathmnist\.npz: no such file; the folder has: dermamnist'):
    read('medmnist', tmp_path, name='pathmnist')

"""Sets prepared by TensorFlow Datasets, read where TensorFlow is not installed."""

import importlib.util
import json
import sys

import numpy as np
import pytest
import tensorflow_datasets
from layouts_other import encoded, read, tfds
from tensorflow_datasets import features

from medjax.data import labels as policies
from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.table import label_columns, stand_ins_for_patients
from medjax.errors import InputError

PIXELS = np.random.default_rng(0).integers(0, 256, (6, 12, 12, 3), dtype=np.uint8)


def examples(count, **more):
  """Each keyword is a list with a value for each example."""
  return [
    {'image': encoded(PIXELS[row]), **{name: values[row] for name, values in more.items()}}
    for row in range(count)
  ]


IMAGE = {'image': features.Image(shape=(12, 12, 3), encoding_format='png')}


def patch_camelyon(root):
  """As TFDS declares it: id, image, label."""
  kinds = {'id': features.Text(), **IMAGE, 'label': features.ClassLabel(num_classes=2)}
  return tfds(
    root,
    'patch_camelyon',
    '2.0.0',
    kinds,
    {
      'train': examples(4, id=[f'train_{row}' for row in range(4)], label=[0, 1, 1, 0]),
      'validation': examples(2, id=['valid_0', 'valid_1'], label=[1, 0]),
      'test': examples(1, id=['test_0'], label=[1]),
    },
  )


@pytest.fixture(scope='module')
def pcam(tmp_path_factory):
  return patch_camelyon(tmp_path_factory.mktemp('tfds'))


def test_tensorflow_is_not_here():
  assert importlib.util.find_spec('tensorflow') is None


def test_patch_camelyon_has_images_and_labels_of_the_same_record(pcam):
  table = read('tfds', pcam, builder='patch_camelyon')
  assert len(table) == 7 and table['official_split'].value_counts().to_dict() == {
    'train': 4, 'validation': 2, 'test': 1,
  }  # fmt: skip
  assert stand_ins_for_patients(table) == {'image': 7}
  assert set(table['image'][table['official_split'] == 'train']) == {
    f'patch_camelyon/2.0.0#train/{row}' for row in range(4)
  }
  # TFDS shuffles when it prepares. Pictures tell which example a record is.
  labels = [0, 1, 1, 0]
  for image, tumour in table.loc[table['official_split'] == 'train', ['image', 'Tumor']].to_numpy():
    pixels = decoding.decode(pcam / image, ImageFormat(12, 3))
    (which,) = [row for row in range(4) if (PIXELS[row] == pixels).all()]
    assert tumour == labels[which]


def test_diabetic_retinopathy_has_both_eyes_of_a_patient(tmp_path):
  kinds = {'name': features.Text(), **IMAGE, 'label': features.ClassLabel(num_classes=5)}
  tfds(
    tmp_path,
    'diabetic_retinopathy_detection',
    '3.0.0',
    kinds,
    {
      'sample': examples(1, name=['10_left'], label=[-1]),
      'train': examples(3, name=['10_left', '10_right', '13_left'], label=[0, 2, 4]),
    },
  )
  table = read('tfds', tmp_path, builder='diabetic_retinopathy_detection').set_index('named_in')
  table = table.sort_values(['patient', 'laterality'])
  assert table['patient'].tolist() == ['10', '10', '13']
  assert table['laterality'].tolist() == ['left', 'right', 'left']
  assert table['No DR'].tolist() == [1, 0, 0] and table['Proliferative'].tolist() == [0, 0, 1]
  assert table['Referable DR'].tolist() == [0, 1, 1]
  assert stand_ins_for_patients(table) == {}


def test_an_ungraded_eye_is_unknown_whatever_the_policy_for_blanks(tmp_path):
  kinds = {'name': features.Text(), **IMAGE, 'label': features.ClassLabel(num_classes=5)}
  rows = examples(2, name=['10_left', '10_right'], label=[-1, 2])
  tfds(tmp_path, 'diabetic_retinopathy_detection', '3.0.0', kinds, {'train': rows})
  table = read('tfds', tmp_path, builder='diabetic_retinopathy_detection')
  _, known = policies.reference(table, ('Moderate', 'Referable DR'), 'zeros')
  assert sorted(known.all(axis=1)) == sorted(known.any(axis=1)) == [False, True]


def test_chexpert_codes_and_patients(tmp_path):
  # TFDS' own order of the codes.
  code = features.ClassLabel(names=['uncertain', 'positive', 'negative', 'unmentioned'])
  kinds = {
    'name': features.Text(),
    **IMAGE,
    'label': features.Sequence(code),
    'image_view': features.ClassLabel(names=['frontal', 'lateral']),
  }
  name = 'CheXpert-v1.0-small/train/patient00001/study2/view1_lateral.jpg'
  valid = 'CheXpert-v1.0-small/valid/patient64541/study1/view1_frontal.jpg'
  codes = ['positive', 'negative', 'uncertain', 'unmentioned', *['negative'] * 10]
  tfds(
    tmp_path,
    'chexpert',
    '3.1.0',
    kinds,
    {
      'train': examples(1, name=[name], label=[codes], image_view=['lateral']),
      'validation': examples(1, name=[valid], label=[['negative'] * 14], image_view=['frontal']),
    },
  )
  table = read('tfds', tmp_path, builder='chexpert')
  assert table['patient'].tolist() == ['patient00001', 'patient64541']
  assert table['study'].tolist() == ['study2', 'study1']
  assert table['view'].tolist() == ['lateral', 'frontal']
  assert table['official_split'].tolist() == ['train', 'test']
  names = label_columns(table)
  assert names[:4] == ['No Finding', 'Enlarged Cardiomediastinum', 'Cardiomegaly', 'Lung Opacity']
  np.testing.assert_array_equal(table.loc[0, names[:5]].astype(float), [1, 0, -1, np.nan, 0])


def colorectal(root, **more):
  names = ['tumor', 'stroma', 'complex']
  kinds = {
    **IMAGE,
    'label': features.ClassLabel(names=names),
    'filename': features.Text(),
    'grade': features.Scalar(np.int64),
  }
  rows = examples(3, label=['complex', 'tumor', 'tumor'], filename=['a', 'b', 'b'], grade=[1, 2, 3])
  return tfds(root, 'colorectal_histology', '2.0.0', kinds, {'train': rows}, **more)


def test_any_other_builder_by_name(tmp_path):
  colorectal(tmp_path)
  table = read('tfds', tmp_path, builder='colorectal_histology')
  assert label_columns(table) == ['tumor', 'stroma', 'complex']
  assert table[['tumor', 'stroma', 'complex']].sum().tolist() == [2, 0, 1]
  assert stand_ins_for_patients(table) == {'image': 3}
  by_file = read('tfds', tmp_path, builder='colorectal_histology/2.0.0', patient_feature='filename')
  assert sorted(by_file['patient']) == ['a', 'b', 'b'] and stand_ins_for_patients(by_file) == {}


def test_the_newest_version_is_read(tmp_path):
  colorectal(tmp_path)
  folder = tmp_path / 'colorectal_histology'
  newer = folder / '10.0.0'
  newer.mkdir()
  for file in (folder / '2.0.0').iterdir():
    text = file.read_bytes()
    newer.joinpath(file.name).write_bytes(text.replace(b'"2.0.0"', b'"10.0.0"'))
  table = read('tfds', tmp_path, builder='colorectal_histology')
  assert table['image'].str.startswith('colorectal_histology/10.0.0#').all()


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    (
      {'builder': 'colorectal_histolgy'},
      ["did you mean 'colorectal_histology'?", '--file_format=array_record'],
    ),
    ({}, ['settings.builder']),
    (
      {'builder': 'colorectal_histology', 'label_feature': 'lable'},
      ["no feature 'lable'", "did you mean 'label'", 'label_feature'],
    ),
    (
      {'builder': 'colorectal_histology', 'label_feature': 'grade'},
      ["'grade' is a Scalar, not a ClassLabel"],
    ),
    (
      {'builder': 'colorectal_histology', 'patient_feature': 'case'},
      ["no feature 'case'", 'patient_feature'],
    ),
  ],
)
def test_bad_settings_are_named(tmp_path, settings, words):
  colorectal(tmp_path)
  with pytest.raises(InputError) as error:
    read('tfds', tmp_path, **settings)
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_a_name_of_another_form_is_named(tmp_path):
  kinds = {'name': features.Text(), **IMAGE, 'label': features.ClassLabel(num_classes=5)}
  rows = examples(1, name=['ten_left'], label=[0])
  tfds(tmp_path, 'diabetic_retinopathy_detection', '3.0.0', kinds, {'train': rows})
  with pytest.raises(InputError, match=r"train\[0\]: the feature 'name' is 'ten_left'"):
    read('tfds', tmp_path, builder='diabetic_retinopathy_detection')


def test_two_configs_must_be_told_apart(tmp_path):
  colorectal(tmp_path)
  folder = tmp_path / 'colorectal_histology'
  for config in ('original', 'small'):
    (folder / config).mkdir()
    (folder / '2.0.0').rename(folder / config / '2.0.0') if config == 'small' else None
  (folder / 'original/2.0.0').mkdir()
  info = folder / 'small/2.0.0/dataset_info.json'
  (folder / 'original/2.0.0/dataset_info.json').write_bytes(info.read_bytes())
  with pytest.raises(InputError, match='colorectal_histology/original, colorectal_histology/small'):
    read('tfds', tmp_path, builder='colorectal_histology')


def test_another_file_format_and_damage_are_named(tmp_path):
  colorectal(tmp_path)
  folder = tmp_path / 'colorectal_histology/2.0.0'
  info = folder / 'dataset_info.json'
  whole = json.loads(info.read_text())
  info.write_text(json.dumps(whole | {'fileFormat': 'tfrecord'}))
  with pytest.raises(InputError, match=r'prepared as tfrecord, .*--file_format=array_record'):
    read('tfds', tmp_path, builder='colorectal_histology')
  info.write_text(json.dumps(whole))
  (shard,) = folder.glob('*.array_record-*')
  shard.unlink()
  with pytest.raises(InputError, match=r"2\.0\.0: split 'train' cannot be read"):
    read('tfds', tmp_path, builder='colorectal_histology')
  info.write_text('{')
  with pytest.raises(InputError, match=r'2\.0\.0: cannot be read as a set prepared by TFDS'):
    read('tfds', tmp_path, builder='colorectal_histology')


def test_without_tfds_the_extra_is_named(pcam, monkeypatch):
  assert tensorflow_datasets.__version__
  monkeypatch.setitem(sys.modules, 'tensorflow_datasets', None)
  with pytest.raises(InputError, match=r"pip install 'medjax\[tfds\]'"):
    read('tfds', pcam, builder='patch_camelyon')

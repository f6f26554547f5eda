"""MIMIC-CXR-JPG, PadChest, VinDr-CXR and RSNA Pneumonia on small copies of their layouts."""

import gzip

import layouts
import numpy as np
import pytest

from medjax.config import Data
from medjax.data import datasets, labels, missing_files
from medjax.data.datasets import chexpert, padchest, vindr_cxr
from medjax.data.table import stand_ins_for_patients
from medjax.errors import InputError

NAN = np.nan


def read(source, root, wanted=(), views=(), **settings):
  return datasets.read(Data(source, str(root), wanted, views=views, settings=settings))


def column(table, name):
  """A label by the image's own name, without folders and ending."""
  names = table['image'].str.rpartition('/')[2].str.partition('.')[0]
  return dict(zip(names, table[name]))


def refused(source, root, *words, wanted=(), **settings):
  with pytest.raises(InputError) as error:
    read(source, root, wanted, **settings)
  assert '\n' not in str(error.value)
  for word in words:
    assert word in str(error.value)


def edit(path, old, new):
  opened = gzip.open if path.suffix == '.gz' else open
  with opened(path, 'rt') as file:
    text = file.read()
  assert old in text
  with opened(path, 'wt') as file:
    file.write(text.replace(old, new, 1))


@pytest.mark.parametrize(
  ('source', 'make'),
  [
    ('chexpert', layouts.chexpert),
    ('chestxray14', layouts.nih),
    ('mimic_cxr', layouts.mimic),
    ('padchest', layouts.padchest),
    ('vindr_cxr', layouts.vindr_physionet),
    ('vindr_cxr', layouts.vindr_kaggle),
    ('rsna_pneumonia', layouts.rsna),
  ],
)
def test_rows_and_images_of_each_layout_agree_until_one_is_gone(tmp_path, source, make):
  table = read(source, make(tmp_path))
  assert missing_files.check(table, tmp_path, broken='stop') == []
  gone = table['image'][1]
  (tmp_path / gone).unlink()
  stray = (tmp_path / gone).with_stem('stray')
  stray.touch()
  with pytest.raises(InputError) as error:
    missing_files.check(table, tmp_path, broken='stop')
  assert str(error.value).startswith(f"{table['named_in'][1]}: image '{gone}'")
  assert gone.rpartition('/')[2].partition('.')[0] in _line_named(table['named_in'][1])
  (note,) = missing_files.check(table, tmp_path, broken='set_aside')
  assert stray.name in note


def _line_named(named_in):
  """The line of the file that `named_in` names."""
  path, _, row = named_in.partition(': row ')
  with gzip.open(path, 'rt') if path.endswith('.gz') else open(path) as file:
    return file.read().splitlines()[int(row) - 1]


@pytest.mark.parametrize(
  'source', ['mimic_cxr', 'padchest', 'vindr_cxr', 'rsna_pneumonia', 'chexpert', 'chestxray14']
)
def test_missing_data_says_where_it_is_to_be_had(source, tmp_path):
  refused(source, tmp_path / 'nowhere', 'available from', 'configs/phantom.py')


# MIMIC-CXR-JPG.


def test_mimic(tmp_path):
  table = read('mimic_cxr', layouts.mimic(tmp_path), chexpert.LABELS)
  assert table['image'].tolist() == list(layouts.MIMIC_IMAGES)
  assert table['patient'].tolist() == ['10000032', '10000032', '11000011', '19999987']
  assert table['study'].tolist() == ['50414267', '50414267', '53189527', '58971208']
  assert table['view'].tolist() == ['PA', 'lateral', 'AP', '']
  assert table['width'].tolist() == [2544, 2544, 3056, 2022]
  assert table['height'].tolist() == [3056, 3056, 2544, 2022]
  assert table['official_split'].tolist() == ['train', 'train', 'validation', 'test']
  np.testing.assert_array_equal(table['No Finding'], [1, 1, NAN, NAN])
  np.testing.assert_array_equal(table['Edema'], [NAN, NAN, -1, NAN])
  np.testing.assert_array_equal(table['Pneumonia'], [NAN, NAN, 0, NAN])
  np.testing.assert_array_equal(table['Support Devices'], [NAN, NAN, 1, NAN])
  assert table['reference'].unique().tolist() == ['report, read by CheXpert']
  assert table['unlabelled'].tolist() == ['', '', '', '|'.join(chexpert.LABELS)]
  frontal = read('mimic_cxr', tmp_path, ('Edema',), views=('frontal',))
  assert frontal['view'].tolist() == ['PA', 'AP']


def test_mimic_by_the_other_labeler_and_with_columns_in_another_order(tmp_path):
  layouts.mimic(tmp_path, 'negbio')
  path = tmp_path / 'mimic-cxr-2.0.0-negbio.csv.gz'
  layouts.write(path, *layouts.mimic_labels(chexpert.LABELS[::-1]))
  table = read('mimic_cxr', tmp_path, labeler='negbio')
  np.testing.assert_array_equal(table['Edema'], [NAN, NAN, -1, NAN])
  assert table['reference'].unique().tolist() == ['report, read by NegBio']
  refused('mimic_cxr', tmp_path, 'no mimic-cxr-2.0.0-chexpert.csv.gz')
  refused('mimic_cxr', tmp_path, "did you mean 'chexpert'", labeler='chexprt')


@pytest.mark.parametrize(
  ('file', 'old', 'new', 'words'),
  [
    ('metadata', 'ViewPosition', 'View', ["no column 'ViewPosition'"]),
    ('metadata', '3056,2544', 'tall,2544', ['row 2', "column 'Rows'", "'tall' is no number"]),
    ('metadata', '2a2277a9,11000011', '2a2277a9,', ['row 4', 'the patient is empty']),
    ('metadata', '174413ec', '02aa804e', ['row 3', 'is listed twice']),
    ('metadata', '2a2277a9,', ',', ['metadata.csv.gz: row 4', 'the dicom_id is empty']),
    ('split', 'validate', 'validation', ['row 5', "column 'split'", "did you mean 'validate'"]),
    ('split', '2a2277a9', '2a2277a8', ['metadata.csv.gz: row 4', "'2a2277a9' is not in", 'split']),
    ('split', '174413ec', '02aa804e', ['split.csv.gz: row 4', 'listed twice']),
    ('chexpert', 'Pneumonia', 'Pneumonias', ["no column 'Pneumonia'", "'Pneumonias'"]),
    ('chexpert', '-1.0', '-2.0', ['chexpert.csv.gz: row 2', "column 'Edema'", "'-2.0'"]),
    ('chexpert', '10000032', '11000011', ["study '50414267'", "of subject '11000011'", 'row 2']),
    ('chexpert', '10000032,50414267', '11000011,53189527', ['row 3', 'listed twice']),
  ],
)
def test_mimic_bad_input_is_named(tmp_path, file, old, new, words):
  edit(layouts.mimic(tmp_path) / f'mimic-cxr-2.0.0-{file}.csv.gz', old, new)
  refused('mimic_cxr', tmp_path, *words)


@pytest.mark.parametrize('keep', [10, 60, -9, -1])
def test_a_table_cut_off_is_named(tmp_path, keep):
  path = layouts.mimic(tmp_path) / 'mimic-cxr-2.0.0-metadata.csv.gz'
  path.write_bytes(path.read_bytes()[:keep])
  refused('mimic_cxr', tmp_path, 'metadata.csv.gz', 'cut off', 'fetch it again')
  path.write_bytes(gzip.compress(b'x')[:10] + b'\xff' * 20)
  refused('mimic_cxr', tmp_path, 'metadata.csv.gz', 'damaged', 'fetch it again')


# PadChest.


def test_padchest(tmp_path):
  table = read('padchest', layouts.padchest(tmp_path), tuple(padchest.LABELS))
  assert table['image'].tolist() == list(layouts.PADCHEST_IMAGES)
  assert table['patient'].tolist() == ['839860488694'] * 2 + ['32', '33', '33', '33']
  assert table['study'].tolist() == ['s1', 's1', 's2', 's3', 's4', 's5']
  assert table['view'].tolist() == ['PA', 'lateral', 'AP', 'costal', 'AP', 'PA']
  assert table['sex'].tolist() == ['F', 'F', 'M', 'M', '', 'M']
  assert table['age'].tolist() == ['84', '84', '65', '66', '', '67']
  assert table['width'].tolist() == [3520, 3520, 1500, 1500, 1500, 1500]
  assert table['reference'][0] == 'report, read by a physician'
  # 'pseudonodule' is no nodule; a missing list is unknown; 'unchanged' is silent about the rest.
  np.testing.assert_array_equal(table['Nodule'], [0, 0, 0, 1, NAN, NAN])
  np.testing.assert_array_equal(table['Effusion'], [0, 0, 1, 1, NAN, NAN])
  np.testing.assert_array_equal(table['Cardiomegaly'], [0, 0, 1, 0, NAN, 1])
  np.testing.assert_array_equal(table['Normal'], [1, 1, 0, 0, NAN, NAN])
  np.testing.assert_array_equal(table['Pneumothorax'], [0, 0, 0, 0, NAN, NAN])
  frontal = read('padchest', tmp_path, ('Nodule',), views=('frontal',))
  assert column(frontal, 'view') == {'a': 'PA', 'c': 'AP', 'e': 'AP', 'f': 'PA'}


def test_padchest_terms_are_labels_by_themselves(tmp_path):
  table = read('padchest', layouts.padchest(tmp_path), ('pseudonodule', 'Nodule'))
  np.testing.assert_array_equal(table['pseudonodule'], [0, 0, 1, 0, NAN, NAN])
  refused('padchest', tmp_path, "did you mean 'pseudonodule'", wanted=('pseudonodul',))


def test_padchest_kinds_of_effusion(tmp_path):
  kinds = ('empyema', 'hemothorax', 'hydropneumothorax', 'pneumothorax', 'pleural thickening')
  rows = [
    f'{n},{n}.png,0,20140915,s{n},{n},1930.0,F,2000,1500,PA,RNN_model,"[\'{kind}\']"'
    for n, kind in enumerate(kinds)
  ]
  table = read('padchest', layouts.padchest(tmp_path, rows), ('Effusion', 'Pneumothorax'))
  assert table['Effusion'].tolist() == [1, 1, 1, 0, 0]
  assert table['Pneumothorax'].tolist() == [0, 0, 1, 1, 0]


@pytest.mark.parametrize(
  'images', [('a.png', 'c.png'), ('images/a.png', 'images/c.png'), ('images/0/a.png', '11/c.png')]
)
def test_padchest_folders(tmp_path, images):
  rows = [row for row in layouts.PADCHEST_ROWS if row.split(',')[1] in ('a.png', 'c.png')]
  root = layouts.padchest(tmp_path, rows, images=images)
  assert read('padchest', root)['image'].tolist() == list(images)


@pytest.mark.parametrize(
  ('old', 'new', 'words'),
  [
    ('Projection', 'projection', ["no column 'Projection'", "'projection'"]),
    (',COSTAL,', ',RIBS,', ['row 5', "column 'Projection'", "'RIBS'"]),
    ('"[\'normal\']"', "['normal'", ['row 2', "column 'Labels'", 'is no list of terms']),
    ('"[\'normal\']"', '"{\'a\': 1}"', ['row 2', 'is no list of terms']),
    (',32,', ',,', ['row 4', 'the patient is empty']),
    ('1930.0', 'long ago', ['row 2', "column 'PatientBirth'", "'long ago' is no number"]),
    ('RNN_model', 'guess', ['row 4', "column 'MethodLabel'", "'guess'"]),
    ('b.png', 'a.png', ['row 3', "'0/a.png' is listed twice"]),
  ],
)
def test_padchest_bad_input_is_named(tmp_path, old, new, words):
  edit(layouts.padchest(tmp_path) / layouts.PADCHEST_TABLE, old, new)
  refused('padchest', tmp_path, layouts.PADCHEST_TABLE, *words)


# VinDr-CXR.


def test_vindr_physionet(tmp_path):
  table = read('vindr_cxr', layouts.vindr_physionet(tmp_path), vindr_cxr.LABELS)
  assert table['image'].tolist() == ['train/a.dicom', 'train/b.dicom', 'test/c.dicom']
  assert table['official_split'].tolist() == ['train', 'train', 'test']
  assert stand_ins_for_patients(table) == {'image': 3}
  assert table['reader'].tolist() == ['R8|R9|R10', 'R1|R2', '']
  assert column(table, 'Cardiomegaly') == {'a': 1, 'b': 0, 'c': 0}
  assert column(table, 'Pneumonia') == {'a': 0, 'b': -1, 'c': 0}
  # The two tables spell it differently, and have their columns in another order.
  assert column(table, 'Other diseases') == {'a': 0, 'b': 0, 'c': 1}
  assert column(table, 'Edema') == {'a': 0, 'b': 0, 'c': 1}
  assert table['reference'][0] == 'majority of 3 readers'
  assert 'consensus of 5' in table['reference'][2]


def test_vindr_consensus_is_a_setting(tmp_path):
  layouts.vindr_physionet(tmp_path)
  shares = read('vindr_cxr', tmp_path, consensus='share')
  np.testing.assert_allclose(shares['Cardiomegaly'], [2 / 3, 0, 0])
  np.testing.assert_allclose(shares['Pneumonia'], [0, 1 / 2, 0])
  assert column(read('vindr_cxr', tmp_path, ties='positive'), 'Pneumonia')['b'] == 1
  refused('vindr_cxr', tmp_path, "did you mean 'majority'", consensus='majorty')


def test_vindr_a_question_that_nobody_answered_is_unknown(tmp_path):
  path = layouts.vindr_physionet(tmp_path) / 'annotations' / 'image_labels_train.csv'
  lines = path.read_text().splitlines()
  path.write_text(
    '\n'.join([*lines[:4], *(line[: line.rindex(',')] + ',' for line in lines[4:])]) + '\n'
  )
  table = read('vindr_cxr', tmp_path)
  assert column(table, 'unlabelled') == {'a': '', 'b': 'No finding', 'c': ''}
  _, known = labels.reference(table, ('No finding', 'Edema'), 'zeros')
  assert known.tolist() == [[True, True], [False, True], [True, True]]


def test_vindr_readers_are_kept(tmp_path):
  readings = vindr_cxr.readings(layouts.vindr_physionet(tmp_path))
  assert readings['reader'].tolist() == ['R8', 'R9', 'R10', 'R1', 'R2']
  assert readings['image'].tolist() == ['train/a.dicom'] * 3 + ['train/b.dicom'] * 2
  assert readings['Cardiomegaly'].tolist() == [1, 1, 0, 0, 0]


def test_vindr_kaggle(tmp_path):
  readings = vindr_cxr.readings(layouts.vindr_kaggle(tmp_path))
  assert len(readings) == 6  # Boxes are not readings: reader R9 drew three on image a.
  of_r9 = readings[readings['reader'] == 'R9'].iloc[0]
  assert of_r9['Nodule/Mass'] == of_r9['Cardiomegaly'] == 1 and of_r9['No finding'] == 0
  table = read('vindr_cxr', tmp_path, vindr_cxr.KAGGLE_LABELS)
  assert table['image'].tolist() == ['train/a.dicom', 'train/b.dicom']
  assert column(table, 'Cardiomegaly') == {'a': 1, 'b': 0}
  assert column(table, 'Nodule/Mass') == {'a': 0, 'b': 0}
  assert column(table, 'No finding') == {'a': 0, 'b': 1}
  refused('vindr_cxr', tmp_path, "no label 'Edema'", wanted=('Edema',))


@pytest.mark.parametrize(
  ('make', 'file', 'old', 'new', 'words'),
  [
    (
      layouts.vindr_physionet,
      'annotations/image_labels_train.csv',
      'Edema',
      'Oedema',
      ["no column 'Edema'", "did you mean 'Oedema'"],
    ),
    (
      layouts.vindr_physionet,
      'annotations/image_labels_train.csv',
      'R8,0',
      'R8,2',
      ['row 2', "column 'Aortic enlargement'", "'2'"],
    ),
    (
      layouts.vindr_physionet,
      'annotations/image_labels_train.csv',
      'a,R9',
      'a,R8',
      ['row 3', "reader 'R8' reads image 'a' twice"],
    ),
    (
      layouts.vindr_physionet,
      'annotations/image_labels_test.csv',
      'Other disease',
      'Other',
      ['image_labels_test.csv', "no column 'Other disease'"],
    ),
    (
      layouts.vindr_physionet,
      'annotations/image_labels_train.csv',
      'a,R9',
      'a,',
      ['image_labels_train.csv: row 3', 'rad_id is empty'],
    ),
    (layouts.vindr_kaggle, 'train.csv', '14,R10,', '14,,', ['train.csv: row 7', 'rad_id is empty']),
    (layouts.vindr_kaggle, 'train.csv', 'class_id', 'klass', ["no column 'class_id'"]),
    (layouts.vindr_kaggle, 'train.csv', ',3,R8', ',15,R8', ['row 2', "column 'class_id'", "'15'"]),
    (
      layouts.vindr_kaggle,
      'train.csv',
      ',3,R8',
      ',4,R8',
      ['row 2', 'Consolidation', 'Cardiomegaly'],
    ),
  ],
)
def test_vindr_bad_input_is_named(tmp_path, make, file, old, new, words):
  edit(make(tmp_path) / file, old, new)
  refused('vindr_cxr', tmp_path, *words)


# RSNA Pneumonia.


def test_rsna_boxes_of_an_image_become_one_row(tmp_path):
  table = read('rsna_pneumonia', layouts.rsna(tmp_path), ('Pneumonia', 'Normal'))
  assert table['image'].tolist() == [f'stage_2_train_images/u{n}.dcm' for n in (1, 2, 3)]
  assert table['patient'].tolist() == ['u1', 'u2', 'u3']
  assert stand_ins_for_patients(table) == {'image': 3}
  assert table['Pneumonia'].tolist() == [0, 1, 0]
  assert table['Lung Opacity'].tolist() == [0, 1, 0]
  assert table['No Lung Opacity / Not Normal'].tolist() == [1, 0, 0]
  assert table['Normal'].tolist() == [0, 0, 1]
  assert set(table['view']) == {'frontal'}
  assert table['named_in'][2].endswith('stage_2_train_labels.csv: row 5')


def test_rsna_without_classes(tmp_path):
  table = read('rsna_pneumonia', layouts.rsna(tmp_path, classes=()), ('Pneumonia',))
  assert table['Pneumonia'].tolist() == [0, 1, 0] and 'Normal' not in table


@pytest.mark.parametrize(
  ('file', 'old', 'new', 'words'),
  [
    ('train_labels', 'Target', 'target', ["no column 'Target'", "'target'"]),
    ('train_labels', 'u3,,,,,0', 'u3,,,,,2', ['row 5', "column 'Target'", "'2'"]),
    ('train_labels', '453.0,1', '453.0,0', ['row 4', "'u2'", 'in an earlier row']),
    ('train_labels', 'u3,,,,,0', 'u3,1,,,,0', ['row 5', 'Target is 0', 'has a box']),
    ('train_labels', 'u3,,,,,0', 'u3,,,,,1', ['row 5', 'Target is 1', 'has no box']),
    ('train_labels', 'u3,,,,,0', 'u4,,,,,0', ['train_labels.csv: row 5', "'u4' is not in"]),
    ('detailed_class_info', 'Normal', 'Norml', ['row 2', "column 'class'", "mean 'Normal'"]),
    ('detailed_class_info', 'u3,Normal', 'u3,Lung Opacity', ['row 5', 'Target is 0', 'Opacity']),
  ],
)
def test_rsna_bad_input_is_named(tmp_path, file, old, new, words):
  edit(layouts.rsna(tmp_path) / f'stage_2_{file}.csv', old, new)
  refused('rsna_pneumonia', tmp_path, *words)

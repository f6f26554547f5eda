"""Sources on small copies of the published layouts."""

import pathlib
import shutil

import layouts
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.config import Data
from medjax.data import datasets, labels
from medjax.data.datasets import chestxray14, chexpert
from medjax.data.table import stand_ins_for_patients
from medjax.errors import InputError


def data(source, root, labels, **settings):
  views = settings.pop('views', ())
  return Data(source, str(root), labels, image_size=32, views=views, settings=settings)


# CheXpert.


def test_the_phantom_reads_as_chexpert_does(phantom_root):
  table = datasets.read(data('chexpert', phantom_root, ('Edema',)))
  assert len(table) == 120
  assert set(table['official_split']) == {'train', 'test'}
  assert table['patient'].str.fullmatch(r'patient\d{5}').all()
  assert (table['image'].map(lambda image: (phantom_root / image).is_file())).all()
  published = pd.read_csv(phantom_root / 'train.csv')
  joined = table.set_index('image')['Edema']
  for path, value in zip(published['Path'], published['Edema']):
    read = joined[path.removeprefix('CheXpert-v1.0-small/')]
    assert read == value or (np.isnan(read) and np.isnan(value))


def test_frontal_views_only(phantom_root):
  everything = datasets.read(data('chexpert', phantom_root, ('Edema',)))
  frontal = datasets.read(data('chexpert', phantom_root, ('Edema',), views=('frontal',)))
  lateral = datasets.read(data('chexpert', phantom_root, ('Edema',), views=('lateral',)))
  assert len(frontal) + len(lateral) == len(everything) and len(lateral) > 0
  assert frontal['image'].str.contains('_frontal').all()
  with pytest.raises(InputError, match=r"no image has the view 'oblique'; the views are .*lateral"):
    datasets.read(data('chexpert', phantom_root, ('Edema',), views=('oblique',)))


def test_the_full_release_lies_in_batch_folders(phantom_root, tmp_path):
  small = datasets.read(data('chexpert', phantom_root, ('Edema',)))
  first = tmp_path / 'CheXpert-v1.0 batch 1 (validate & csv)'
  shutil.copytree(phantom_root / 'valid', first / 'valid')
  for number, patient in enumerate(sorted((phantom_root / 'train').iterdir())):
    batch = f'CheXpert-v1.0 batch {2 + number % 3} (train {1 + number % 3})'
    shutil.copytree(patient, tmp_path / batch / patient.name)
  for name in ('train.csv', 'valid.csv'):
    text = (phantom_root / name).read_text()
    (first / name).write_text(text.replace('CheXpert-v1.0-small/', 'CheXpert-v1.0/'))
  full = datasets.read(data('chexpert', tmp_path, ('Edema',)))
  assert (full['image'].map(lambda image: (tmp_path / image).is_file())).all()
  same = ['patient', 'study', 'view', 'official_split', 'Edema']
  pd.testing.assert_frame_equal(full[same], small[same])
  with pytest.raises(
    InputError, match=rf': one of several batch folders.*holds them all: {tmp_path}$'
  ):
    datasets.read(data('chexpert', first, ('Edema',)))


def test_labels_are_joined_by_name_not_by_position(phantom_root, tmp_path):
  root = layouts.chexpert_tables(phantom_root, tmp_path)
  frame = pd.read_csv(root / 'train.csv', dtype=str, keep_default_na=False)
  frame[frame.columns[::-1]].to_csv(root / 'train.csv', index=False)
  labels = ['Edema', 'Pneumonia', 'Lung Lesion']
  before = datasets.read(data('chexpert', phantom_root, labels))
  after = datasets.read(data('chexpert', root, labels))
  pd.testing.assert_frame_equal(after.drop(columns='named_in'), before.drop(columns='named_in'))


def edit(root, old, new, count=1):
  text = (root / 'train.csv').read_text()
  assert old in text
  (root / 'train.csv').write_text(text.replace(old, new, count))


def test_a_renamed_column_is_named_with_the_nearest(phantom_root, tmp_path):
  root = layouts.chexpert_tables(phantom_root, tmp_path)
  edit(root, 'Pneumonia', 'Pneumonias')
  with pytest.raises(
    InputError, match=r"train\.csv: no column 'Pneumonia'; did you mean 'Pneumonias'\?"
  ):
    datasets.read(data('chexpert', root, ('Edema',)))


def test_an_unknown_code_is_named_with_file_row_and_column(phantom_root, tmp_path):
  root = layouts.chexpert_tables(phantom_root, tmp_path)
  frame = pd.read_csv(root / 'train.csv', dtype=str, keep_default_na=False)
  frame.loc[4, 'Edema'] = '2.0'
  frame.to_csv(root / 'train.csv', index=False)
  with pytest.raises(InputError, match=r"train\.csv: row 6, column 'Edema': unknown code '2.0'"):
    datasets.read(data('chexpert', root, ('Edema',)))


def test_a_path_of_another_form_is_named(phantom_root, tmp_path):
  root = layouts.chexpert_tables(phantom_root, tmp_path)
  edit(root, 'patient00001/', 'person1/')
  with pytest.raises(InputError, match=r"train\.csv: row 2, column 'Path'"):
    datasets.read(data('chexpert', root, ('Edema',)))


@pytest.mark.parametrize(
  ('column', 'code', 'meant'),
  [
    ('Frontal/Lateral', 'Frontl', 'Frontal'),
    ('Frontal/Lateral', '', ''),
    ('Sex', 'mael', 'write M, F or O'),
  ],
)
def test_an_unknown_view_or_sex_is_named(phantom_root, tmp_path, column, code, meant):
  root = layouts.chexpert_tables(phantom_root, tmp_path)
  frame = pd.read_csv(root / 'train.csv', dtype=str, keep_default_na=False)
  frame.loc[4, column] = code
  frame.to_csv(root / 'train.csv', index=False)
  with pytest.raises(InputError, match=rf"train\.csv: row 6, column '(?i:{column})': .*{meant}"):
    datasets.read(data('chexpert', root, ('Edema',)))
  frame.loc[4, column] = frame.loc[5, column]
  frame.loc[4, 'Sex'] = 'Unknown'
  frame.to_csv(root / 'train.csv', index=False)
  assert datasets.read(data('chexpert', root, ('Edema',)))['sex'][4] == ''


def test_a_misspelt_label_gets_the_nearest(phantom_root):
  with pytest.raises(InputError, match=r"no label 'Pneumona'; did you mean 'Pneumonia'"):
    datasets.read(data('chexpert', phantom_root, ('Pneumona',)))


@pytest.mark.parametrize('source', ['chexpert', 'chestxray14'])
def test_missing_data_says_where_it_is_to_be_had(source, tmp_path):
  with pytest.raises(InputError, match=r'available from .*configs/phantom\.py'):
    datasets.read(data(source, tmp_path / 'nowhere', ('Edema',)))


def test_an_unknown_source_or_setting_gets_the_nearest(tmp_path):
  with pytest.raises(InputError, match="did you mean 'chexpert'"):
    datasets.read(data('chexprt', tmp_path, ('Edema',)))
  with pytest.raises(InputError, match="did you mean 'images'"):
    datasets.read(data('phantom', tmp_path, ('Edema',), imags=3))


# ChestX-ray14.

HEADER = (
  'Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,'
  'OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y]'
)
ROWS = [
  '00000001_000.png,Cardiomegaly,0,1,57,M,PA,2682,2749,0.143,0.143',
  '00000001_001.png,Cardiomegaly|Emphysema,1,1,058Y,M,AP,2894,2729,0.143,0.143',
  '00000002_000.png,No Finding,0,2,80,F,PA,2500,2048,0.171,0.171',
  '00000003_000.png,Hernia,0,3,81,F,PA,2582,2991,0.143,0.143',
]


def nih(tmp_path, rows=ROWS, header=HEADER, images='images', name='Data_Entry_2017_v2020.csv'):
  (tmp_path / name).write_text('\n'.join([header, *rows]) + '\n')
  for number, row in enumerate(rows):
    folder = tmp_path / images.format(number % 2 + 1)
    folder.mkdir(parents=True, exist_ok=True)
    Image.new('L', (8, 8)).save(folder / row.split(',')[0])
  return tmp_path


@pytest.mark.parametrize('images', ['images', 'images_{:03}/images', 'images_{:03}', '.'])
@pytest.mark.parametrize(
  ('header', 'end'), [(HEADER, ''), (HEADER + ',', ',')], ids=['as 2020', 'trailing comma']
)
def test_chestxray14_whatever_the_folders(tmp_path, images, header, end):
  root = nih(tmp_path, [row + end for row in ROWS], header, images, 'Data_Entry_2017.csv')
  table = datasets.read(data('chestxray14', root, chestxray14.LABELS))
  assert table['patient'].tolist() == ['1', '1', '2', '3']
  assert table['age'].tolist() == ['57', '58', '80', '81']
  assert table['view'].tolist() == ['PA', 'AP', 'PA', 'PA']
  assert table['Cardiomegaly'].tolist() == [1, 1, 0, 0] and table['Hernia'].tolist() == [0, 0, 0, 1]
  assert table[list(chestxray14.LABELS)].sum(axis=1).tolist() == [1, 2, 0, 1]
  assert all((root / image).is_file() for image in table['image'])
  assert (table['official_split'] == '').all()


def test_chestxray14_official_lists(tmp_path):
  root = nih(tmp_path)
  (root / 'train_val_list.txt').write_text('00000001_000.png\n00000001_001.png\n')
  (root / 'test_list.txt').write_text('00000002_000.png')
  table = datasets.read(data('chestxray14', root, ('Hernia',)))
  assert table['official_split'].tolist() == ['train', 'train', 'test', '']


def test_chestxray14_official_lists_that_do_not_make_a_split(tmp_path):
  root = nih(tmp_path)
  train, test = root / 'train_val_list.txt', root / 'test_list.txt'
  train.write_text('00000001_000.png\n00000002_000.png\n')
  with pytest.raises(
    InputError,
    match=r'train_val_list\.txt: half of the official split, of which test_list\.txt is missing',
  ):
    datasets.read(data('chestxray14', root, ('Hernia',)))
  test.write_text('00000003_000.png\n00000002_000.png\n')
  with pytest.raises(InputError, match=r"test_list\.txt: '00000002_000\.png' is in train_val_list"):
    datasets.read(data('chestxray14', root, ('Hernia',)))
  train.unlink()
  with pytest.raises(
    InputError,
    match=r'test_list\.txt: half of the official split, of which train_val_list\.txt is missing',
  ):
    datasets.read(data('chestxray14', root, ('Hernia',)))


def test_chestxray14_ages_of_children_are_completed_years(tmp_path):
  ages = ('023M', '006D', '000Y', '12')
  rows = [f'{n}.png,Hernia,0,{n},{age},M,PA,1,1,1,1' for n, age in enumerate(ages)]
  assert datasets.read(data('chestxray14', nih(tmp_path, rows), ('Hernia',)))['age'].tolist() == [
    '1', '0', '0', '12',
  ]  # fmt: skip


@pytest.mark.parametrize(
  ('row', 'words'),
  [
    ('00000004_000.png,Hernya,0,4,5,F,PA,1,1,1,1', ['row 6', "'Finding Labels'", 'Hernya']),
    ('00000004_000.png,No Finding|Hernia,0,4,5,F,PA,1,1,1,1', ['row 6', 'No Finding|Hernia']),
    ('00000004_000.png,Hernia,0,,5,F,PA,1,1,1,1', ['row 6', 'the patient is empty']),
    ('00000003_000.png,Hernia,0,3,5,F,PA,1,1,1,1', ['row 6', 'listed twice']),
  ],
)
def test_chestxray14_bad_rows_are_named(tmp_path, row, words):
  root = nih(tmp_path, [*ROWS, row])
  with pytest.raises(InputError) as error:
    datasets.read(data('chestxray14', root, ('Hernia',)))
  for word in ['Data_Entry_2017_v2020.csv', *words]:
    assert word in str(error.value)


# Anybody's table, and anybody's source.


def test_csv_with_columns_of_its_own(tmp_path):
  (tmp_path / 'mine.csv').write_text(
    'file,pid,finding,quality,when\na.png,7,1,0,monday\nb.png,7,0,,tuesday\nc.png,8,-1,1,\n'
  )
  settings = {'table_file': 'mine.csv', 'columns': {'image': 'file', 'patient': 'pid'}}
  table = datasets.read(data('csv', tmp_path, ('finding', 'quality'), **settings))
  assert table['patient'].tolist() == ['7', '7', '8']
  np.testing.assert_array_equal(table['finding'], [1, 0, -1])
  np.testing.assert_array_equal(table['quality'], [0, np.nan, 1])
  assert 'when' not in table


@pytest.mark.parametrize(
  ('text', 'settings', 'words'),
  [
    ('image,x\na,1\n', {}, ["no column 'patient'"]),
    ('image,patient,x\na,1,1\nb,,0\n', {}, ['labels.csv: row 3', 'the patient is empty']),
    ('image,patient,x\na,1,1\nb,NaN,0\n', {}, ["row 3: the patient is 'NaN'", 'nobody']),
    ('image,patient,x\na,1,1\n,2,0\n', {}, ['labels.csv: row 3', 'the image is empty']),
    ('image,patient,x\na,1,1\na,2,0\n', {}, ['row 3', "'a' is listed twice"]),
    ('image,patient,x\na,1,maybe\n', {}, ['row 2', "'x'", "'maybe'"]),
    ('image,patient,x\na,1,1\nb,2\n', {}, ['row 3 has 2 fields', '3 names']),
    ('image,patient,x\na,1,1,\n', {}, ['row 2 has 4 fields']),
    ('image,patient,x\n\na,1,1\n', {}, ['row 2 has 0 fields']),
    ('image,patient,x,x \na,1,1,1\n', {}, ["the column 'x' twice"]),
    ('image,patient,x\na,1,1\n./a,2,0\n', {}, ['row 3', "'a' is listed twice"]),
    ('image,patient,x\n', {}, ['no rows']),
    ('image,patient,x\na,1,1\n', {'labels': ('lesion',)}, ["called 'lesion'", 'rename it']),
    ('image,patient,x\na,1,1\n', {'columns': {'patent': 'patient'}}, ["did you mean 'patient'"]),
  ],
)
def test_csv_bad_input_is_named(tmp_path, text, settings, words):
  (tmp_path / 'labels.csv').write_text(text)
  with pytest.raises(InputError) as error:
    datasets.read(data('csv', tmp_path, settings.pop('labels', ('x',)), **settings))
  for word in words:
    assert word in str(error.value)
  assert '\n' not in str(error.value)


def test_a_column_of_classes_becomes_a_label_for_each(tmp_path):
  (tmp_path / 'labels.csv').write_text('image,patient,dx\na,1,nv\nb,2,mel\nc,3,\nd,4, nv\n')
  settings = {'columns': {'class': 'dx'}}
  table = datasets.read(data('csv', tmp_path, ('nv', 'mel'), **settings))
  np.testing.assert_array_equal(table['nv'], [1, 0, np.nan, 1])
  np.testing.assert_array_equal(table['mel'], [0, 1, np.nan, 0])
  # An empty class is unknown, never none of them.
  _, known = labels.reference(table, ('nv', 'mel'), 'zeros')
  assert known.all(axis=1).tolist() == [True, True, False, True]
  words = r"row 3, column 'dx': the class is 'mel'; allowed: nv, bcc; name every class in data"
  with pytest.raises(InputError, match=words):
    datasets.read(data('csv', tmp_path, ('nv', 'bcc'), **settings))


def test_a_patient_with_a_space_behind_is_the_same_patient(tmp_path):
  (tmp_path / 'labels.csv').write_text('image,patient,x\na,P1,1\nb,P1 ,0\n')
  assert datasets.read(data('csv', tmp_path, ('x',)))['patient'].tolist() == ['P1', 'P1']


def test_patients_written_in_two_ways_are_refused(tmp_path):
  (tmp_path / 'labels.csv').write_text('image,patient,x\na,5,1\nb,5.0,0\n')
  with pytest.raises(
    InputError, match=r"labels\.csv: row 2 and row 3: the patients '5' and '5\.0' look like one"
  ):
    datasets.read(data('csv', tmp_path, ('x',)))


def test_a_table_that_is_not_utf8_is_named(tmp_path):
  (tmp_path / 'labels.csv').write_bytes('image,patient,x\né,1,1\n'.encode('latin-1'))
  with pytest.raises(InputError, match=r'labels\.csv: cannot be read as a CSV table in UTF-8'):
    datasets.read(data('csv', tmp_path, ('x',)))


def test_unknown_patients_must_be_said_and_are_remembered(tmp_path):
  (tmp_path / 'labels.csv').write_text('image,lesion_id,x\na,l1,1\nb,l1,0\n')
  with pytest.raises(InputError, match="no column 'patient'"):
    datasets.read(data('csv', tmp_path, ('x',)))
  images = datasets.read(data('csv', tmp_path, ('x',), grouped_by='image'))
  assert stand_ins_for_patients(images) == {'image': 2}
  columns = {'patient': 'lesion_id'}
  lesions = datasets.read(data('csv', tmp_path, ('x',), columns=columns, grouped_by='lesion'))
  assert list(lesions['patient']) == ['l1', 'l1'] and stand_ins_for_patients(lesions) == {
    'lesion': 2
  }
  assert stand_ins_for_patients(datasets.read(data('csv', tmp_path, ('x',), columns=columns))) == {}
  with pytest.raises(
    InputError, match="grouped_by is 'wsi'; allowed: patient, lesion, slide, image"
  ):
    datasets.read(data('csv', tmp_path, ('x',), grouped_by='wsi'))


def test_shares_of_readers_are_labels(tmp_path):
  (tmp_path / 'labels.csv').write_text('image,patient,x\na,1,0.25\nb,2,1\nc,3,\nd,4,-1\n')
  values = datasets.read(data('csv', tmp_path, ('x',)))['x']
  np.testing.assert_array_equal(values, np.array([0.25, 1, np.nan, -1], np.float32))
  (tmp_path / 'labels.csv').write_text('image,patient,x\na,1,0.25\nb,2,1.5\n')
  with pytest.raises(InputError, match=r"row 3, column 'x': unknown code '1\.5'; allowed: 1, "):
    datasets.read(data('csv', tmp_path, ('x',)))


def test_a_source_of_your_own_by_import_path(tmp_path, monkeypatch):
  (tmp_path / 'my_lab_data.py').write_text(
    'import pandas as pd\n'
    'def read(root, number=2):\n'
    '  names = [f"{i}.png" for i in range(number)]\n'
    '  return pd.DataFrame({"image": names, "patient": "p", "x": 1})\n'
  )
  monkeypatch.syspath_prepend(tmp_path)
  assert len(datasets.read(data('my_lab_data:read', tmp_path, ('x',), number=3))) == 3
  with pytest.raises(InputError, match="my_lab_data has no function or class 'raed'"):
    datasets.read(data('my_lab_data:raed', tmp_path, ('x',)))
  with pytest.raises(InputError, match='cannot import my_lab'):
    datasets.read(data('my_lab:read', tmp_path, ('x',)))


def test_competition_tasks_are_labels():
  assert set(chexpert.COMPETITION_TASKS) < set(chexpert.LABELS) and len(chexpert.LABELS) == 14
  assert pathlib.Path(datasets.__file__).parent.name == 'datasets'

"""A table of anybody's own: where its images lie, and whose they are."""

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from medjax.config import Config, Data, Evaluation, Model, Split
from medjax.data import datasets, study
from medjax.errors import InputError
from medjax.evaluation import predictions
from medjax.final_test import evaluate_once


def data(root, **settings):
  return Data('csv', str(root), labels=('x',), settings=settings)


def made_of(root, **settings):
  model = Model('resnet_tiny')
  return study.make(Config(data=data(root, **settings), split=Split(0.2, 0.2), model=model))


def films(root, names, folder, suffix):
  (root / folder).mkdir(parents=True, exist_ok=True)
  for name in names:
    Image.new('L', (8, 8), 99).save(root / folder / f'{name}{suffix}')


@pytest.fixture
def names():
  return [f'{number:02}' for number in range(20)]


def write_table(root, names):
  rows = pd.DataFrame({'image': names, 'patient': names, 'x': np.arange(len(names)) % 2})
  rows.to_csv(root / 'labels.csv', index=False)


@pytest.mark.parametrize(('folder', 'suffix'), [('a/b', '.png'), ('', '.png'), ('a', '')])
def test_folder_and_suffix_say_where_the_images_lie(tmp_path, names, folder, suffix):
  films(tmp_path, names, folder, suffix or '.png')
  write_table(tmp_path, [name + ('' if suffix else '.png') for name in names])
  with pytest.raises(InputError, match=r'is there: set data\.settings\.') as error:
    made_of(tmp_path)
  # What the message says is what mends it.
  said = str(error.value).rpartition('data.settings.')[2]
  settings = {part.split('=')[0]: part.split("'")[1] for part in said.split(', ')}
  assert settings == {
    key: value for key, value in (('folder', folder), ('suffix', suffix)) if value
  }
  made, _ = made_of(tmp_path, **settings)
  paths = [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob('*.png')]
  assert sorted(made.table['image']) == sorted(paths)


def test_a_name_that_has_its_ending_keeps_it(tmp_path):
  write_table(tmp_path, ['1', '2.png', '/abs/3', './4'])
  read = datasets.read(data(tmp_path, folder='a', suffix='.png'))
  assert list(read['image']) == ['a/1.png', 'a/2.png', '/abs/3.png', 'a/4.png']
  write_table(tmp_path, ['1', '1.png'])
  with pytest.raises(InputError, match=r"image 'a/1\.png' is listed twice"):
    datasets.read(data(tmp_path, folder='a', suffix='.png'))
  write_table(tmp_path, ['1', ' '])
  with pytest.raises(InputError, match='row 3: the image is empty'):
    datasets.read(data(tmp_path, folder='a', suffix='.png'))


def test_tables_of_readers_name_images_as_the_table_does(tmp_path):
  write_table(tmp_path, ['1', '2'])
  (tmp_path / 'reads.csv').write_text('image,reader,x\n1,a,1\n1,b,1\n2,a,0\n2,b,0\n')
  settings = {'folder': 'a', 'suffix': '.png', 'readers_file': 'reads.csv'}
  read = datasets.read(data(tmp_path, **settings))
  assert list(read['image']) == ['a/1.png', 'a/2.png'] and list(read['x']) == [1, 0]


def test_images_as_patients_are_called_as_their_files(tmp_path):
  write_table(tmp_path, ['1', '2'])
  read = datasets.read(data(tmp_path, suffix='.png', grouped_by='image'))
  assert list(read['patient']) == list(read['image']) == ['1.png', '2.png']


def test_a_missing_patient_column_names_what_can_be_said_instead(tmp_path):
  (tmp_path / 'labels.csv').write_text('image,patients,x\n1,p,1\n')
  with pytest.raises(InputError) as error:
    datasets.read(data(tmp_path))
  message = str(error.value)
  assert "no column 'patient'" in message and "did you mean 'patients'?" in message
  assert "config.data.settings.grouped_by='image'" in message and 'settings.columns' in message
  with pytest.raises(InputError, match="no column 'case_id' that says whose image"):
    datasets.read(data(tmp_path, columns={'patient': 'case_id'}))


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    ({'sufix': '.png'}, "the setting is 'sufix'.*did you mean 'suffix'?"),
    ({'reader_file': 'a.csv'}, "did you mean 'readers_file'?"),
    ({'suffix': 3}, r'settings\.suffix=3: must be str'),
    ({'readers_file': 3}, r'settings\.readers_file=3: must be str'),
    ({'definitive_file': 'ct.csv'}, 'definitive_file is set without a readers_file'),
  ],
)
def test_settings_that_are_none_are_named(tmp_path, settings, words):
  write_table(tmp_path, ['1'])
  with pytest.raises(InputError, match=words):
    datasets.read(data(tmp_path, **settings))


def hospitals(root, names):
  table = pd.DataFrame({'image': names, 'patient': names, 'x': np.arange(len(names)) % 2})
  table['hospital'] = np.where(np.arange(len(names)) % 3, 'north', 'south')
  table.assign(site='a', bmi='23', prob_x='0.3').to_csv(root / 'labels.csv', index=False)


def test_columns_that_the_config_names_are_carried_to_subgroups(tmp_path, names):
  films(tmp_path, names, '', '.png')
  hospitals(tmp_path, [f'{name}.png' for name in names])

  def asked(subgroups, **settings):
    config = Config(
      data=data(tmp_path, **settings),
      split=Split(0.2, 0.2),
      model=Model('resnet_tiny'),
      evaluation=Evaluation(subgroups=subgroups),
    )
    made, _ = study.make(config)
    logits = np.zeros((len(names), 1))
    rows = np.arange(len(names))
    predicted = evaluate_once.predictions_of(config, made, rows, logits, 'test')
    predictions.write(tmp_path / 'p.csv', predicted)
    return list(predictions.read(tmp_path / 'p.csv').about)

  assert asked(('hospital',), about=['hospital', 'site']) == ['site', 'hospital']
  assert asked(('hospital', 'site'), about='all') == ['site', 'hospital', 'bmi']
  with pytest.raises(
    InputError, match=r"'hospitl'; allowed: site, hospital, x; did you mean 'hosp"
  ):
    asked(('hospitl',), about='hospital')
  # One that another study has is not passed over in silence either.
  with pytest.raises(InputError, match=r"column of .*subgroups is 'sex'; allowed: .*site"):
    asked(('site', 'sex'))
  with pytest.raises(InputError, match=r"about: a column of .*csv is 'clinic'; allowed: image"):
    asked(('site',), about=['clinic'])
  assert asked(Evaluation().subgroups) == ['site']

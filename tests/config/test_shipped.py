"""The configs that come with medjax are found by name and by path, wherever one stands."""

import pathlib

import pytest

import medjax
from medjax import config
from medjax.config import shipped
from medjax.errors import InputError
from medjax.experiment.tuning import space

PROJECT = pathlib.Path(__file__).parents[2]


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
  """A folder that holds no config of medjax."""
  monkeypatch.chdir(tmp_path)
  return tmp_path


@pytest.mark.parametrize('given', ['chexpert', 'configs/chexpert.py'])
def test_a_name_and_a_path_are_the_same_config(elsewhere, given):
  expected = config.load(str(PROJECT / 'configs/chexpert.py'))
  assert config.load(given) == expected
  assert config.load(f'{given}:resnet50').model.name == 'resnet50'


def test_a_config_is_loaded_by_name_from_python(elsewhere):
  assert medjax.load_config('phantom', 'steps=70').steps == 70


def test_a_file_of_the_user_s_comes_first(elsewhere):
  (elsewhere / 'configs').mkdir()
  text = (PROJECT / 'configs/phantom.py').read_text('utf-8').replace('steps=2_000', 'steps=70')
  (elsewhere / 'configs/phantom.py').write_text(text, 'utf-8')
  assert config.load('configs/phantom.py').steps == 70
  assert config.load('phantom').steps == 2_000


def test_searches_are_found_by_name_too(elsewhere):
  assert space.load(pathlib.Path('chest')).trials == 30
  assert space.load(pathlib.Path('configs/search/chest.py')).trials == 30


@pytest.mark.parametrize(
  ('given', 'words'),
  [
    ('chexprt', ["'chexprt' is no config of medjax", "did you mean 'chexpert'?", 'retina, rsna']),
    ('configs/chexprt.py', ['no file', "did you mean 'configs/chexpert.py'?", 'retina, rsna']),
    ('nothing_like_it', ['medjax has aptos2019', 'named by its path, such as ./mine.py']),
    ('', ["'' is no config of medjax"]),
  ],
)
def test_a_config_that_is_not_there_is_one_line_with_those_that_are(elsewhere, given, words):
  with pytest.raises(InputError) as raised:
    config.load(given)
  assert '\n' not in str(raised.value)
  for word in words:
    assert word in str(raised.value)


def test_an_installed_package_brings_them_inside(tmp_path, monkeypatch):
  (tmp_path / 'configs').mkdir()
  (tmp_path / 'configs/mine.py').write_text('')
  monkeypatch.setattr(shipped, '_PACKAGE', tmp_path)
  assert shipped.names() == ['mine']

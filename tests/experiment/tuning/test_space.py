"""What a search may set, and what is said of one that sets something else."""

import pytest
from conftest import PROJECT

from medjax import config as configs
from medjax.errors import InputError
from medjax.experiment.tuning import space, trial_log

BASE = configs.load(str(PROJECT / 'configs/phantom.py'))


def searching(function):
  return space.Search(function, 'mine.py', '')


def applied(**values):
  return searching(None).applied(BASE, {name.replace('__', '.'): v for name, v in values.items()})


def test_values_are_set_in_a_copy_and_checked_as_those_of_the_command_line():
  changed = applied(
    optimizer__learning_rate=1, model__settings__width=4, data__uncertain={'Edema': 'ones'}
  )
  assert changed.optimizer.learning_rate == 1.0 and changed.model.settings == {'width': 4}
  assert changed.data.uncertain == {'Edema': 'ones'}
  assert BASE.optimizer.learning_rate == 3e-3 and BASE.model.settings == {}
  for values, words in (
    ({'optimizer__learning_rte': 1e-3}, "did you mean 'learning_rate'"),
    ({'lr': 1e-3}, "did you mean 'optimizer.learning_rate'"),
    ({'optimizer': 1e-3}, 'is a group of settings'),
    ({'optimizer__learning_rate': -1.0}, 'learning_rate=-1.0: must be more than 0'),
    ({'batch_size': 'many'}, "config.batch_size='many': must be int"),
    ({'optimizer__warmup_steps': 9_999}, 'must be below steps=2000'),
  ):
    with pytest.raises(InputError) as error:
      applied(**values)
    assert str(error.value).startswith('mine.py: ') and words in str(error.value)


@pytest.mark.parametrize(
  ('field', 'why'),
  [
    ('split.seed', 'the same patients'),
    ('data.labels', 'the same images and labels'),
    ('data.blank', 'the same images and labels'),
    ('data.views', 'the same images and labels'),
    ('evaluation.level', 'by one protocol'),
    ('evaluation.members', 'by one protocol'),
    ('model.head', 'by one protocol'),
    ('seed', 'the luckiest'),
    ('evaluate_every', 'more chances'),
    ('replicates', 'changes no training'),
    ('save_every', 'changes nothing'),
    ('force_augment', 'turned images'),
  ],
)
def test_what_makes_trials_incomparable_is_refused_by_name(field, why):
  with pytest.raises(InputError, match=rf'mine.py: config\.{field} is not searched: .*{why}'):
    searching(None).applied(BASE, {field: 3})


def test_every_field_is_searched_or_refused_as_it_is_meant():
  # A field that is added to the config is not searched before somebody has thought of it.
  searched = set()
  for name in configs.fields.paths(configs.Config):
    try:
      space._check_searched(name)
      searched.add(name.partition('.')[0] if not name.startswith('data.') else name)
    except InputError:
      pass
  assert searched == {
    'augment', 'batch_size', 'patience', 'precision', 'steps', 'data.fit', 'data.image_size',
    'data.intensity', 'data.uncertain', 'loss', 'model', 'optimizer', 'sampling',
  }  # fmt: skip


@pytest.mark.parametrize(
  ('function', 'words'),
  [
    (lambda trial: {}, 'names no field; return a dict such as'),
    (lambda trial: None, 'returned NoneType; it must return a dict'),
    (lambda trial: {1: 2}, 'it must return a dict'),
    (lambda trial: {'augment': 1 / 0}, r'search\(trial\): ZeroDivisionError'),
    (lambda trial: {'augment': trial.suggest_flot('x', 0, 1)}, 'search.trial.: AttributeError'),
    (lambda trial: {'augment': {1, 2}}, 'must be plain numbers'),
  ],
)
def test_a_function_that_proposes_nothing_is_one_line(function, words):
  with pytest.raises(InputError, match=words) as error:
    trial_log.drawn(searching(function).propose)
  assert str(error.value).startswith('mine.py: ') and '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('field', 'choices', 'words'),
  [
    ('augment', ['none', 'chst'], "config.augment is 'chst'.*did you mean 'chest'"),
    ('model.name', ['resnet_tiny', 'resnet17'], "config.model.name is 'resnet17'"),
    ('loss.name', ['focal', 'focl'], "did you mean 'focal'"),
    ('sampling.name', ['none', 'balancd'], "did you mean 'balanced'"),
    ('optimizer.name', ['adamw', 'adam'], "did you mean 'adamw'"),
    ('loss.settings', [0.5, 1.0], 'must be dict'),
  ],
)
def test_a_name_that_some_trial_would_draw_is_found_before_any(field, choices, words):
  search = searching(lambda trial: {field: trial.suggest_categorical('x', choices)})
  parameters, proposed = trial_log.drawn(search.propose)
  assert parameters['x'].choices == tuple(choices)
  with pytest.raises(InputError, match=words):
    search.check(BASE, proposed)


def test_the_shipped_searches_fit_their_configs():
  for search, names in (
    ('phantom', ('phantom',)),
    ('chest', ('chexpert', 'chestxray14', 'mimic_cxr', 'padchest', 'vindr_cxr')),
  ):
    loaded = space.load(PROJECT / f'configs/search/{search}.py')
    parameters, proposed = trial_log.drawn(loaded.propose)
    assert loaded.trials >= 20 and len(parameters) >= 4
    for name in names:
      loaded.check(configs.load(str(PROJECT / f'configs/{name}.py')), proposed)


def test_a_file_that_is_no_search_is_one_line(tmp_path):
  def load(text, name='mine.py'):
    path = tmp_path / name
    path.write_text(text)
    return space.load(path)

  assert load('def search(trial): return {}').trials == 20
  assert load('TRIALS = 7\ndef search(trial): return {}').trials == 7
  for text, words in (
    ('x = 1', r'defines no search\(trial\)'),
    ('def search(trial) return {}', 'line 1'),
    ('1 / 0', 'ZeroDivisionError'),
    ('TRIALS = 0\ndef search(trial): return {}', 'TRIALS=0: must be a whole number, 1 or more'),
  ):
    with pytest.raises(InputError, match=words):
      load(text)
  with pytest.raises(InputError, match=r"--search: no file .*mie.py; did you mean '.*mine.py'"):
    space.load(tmp_path / 'mie.py')
  with pytest.raises(
    InputError, match=r'is no Python file; configs/search/phantom\.py is an example'
  ):
    load('', 'mine.txt')

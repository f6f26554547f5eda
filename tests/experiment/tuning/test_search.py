"""A search from start to end: which trial wins, what is tested and what stops it."""

import functools
import gc
import json
import shutil
import types
import weakref

import filelock
import numpy as np
import optuna
import pytest
import synthetic_summary
from conftest import PROJECT

import medjax
from medjax import config as configs
from medjax.errors import InputError
from medjax.evaluation import results_file, search_result
from medjax.evaluation.search_result import COMPLETE, FAILED, PRUNED, SearchResult
from medjax.experiment import decoded_images, run
from medjax.experiment.tuning import request, space, trial_log
from medjax.experiment.tuning import search as searching
from medjax.runs import readings
from medjax.runs.layout import Layout


def propose(trial):
  rate = trial.suggest_float('rate', 1e-5, 1e-1, log=True)
  return {'optimizer.learning_rate': rate}


SEARCH = space.Search(propose, 'mine.py', 'the source')
SHORT = ['replicates=50', 'steps=30', 'evaluate_every=10', 'optimizer.warmup_steps=1']
CONFIG = configs.load(str(PROJECT / 'configs/phantom.py'), SHORT)


@pytest.fixture
def trained(monkeypatch, finished):
  """Trainings and tests that compute nothing; what is asked of them is recorded."""
  asked = types.SimpleNamespace(trained=[], tested=[], fails=set(), dies=set(), split='0' * 64)

  def train_only(config, folder, watch, is_known, decoded):
    number = int(folder.name)
    asked.trained.append(number)
    if number in asked.fails:
      raise InputError(f'step 3: the loss of trial {number} is nan')
    folder.mkdir(parents=True, exist_ok=True)
    Layout(folder).split_proof.write_text(json.dumps({'split_sha256': asked.split}))
    Layout(folder).set_aside.write_text('image,split,reason\n')
    Layout(folder).config.write_text(json.dumps(configs.to_dict(config)))
    Layout(folder).images.write_text('image,sha256\n')
    Layout(folder).split.write_text('image,patient,split\n')
    predicted = synthetic_summary.predicted(number, ['Edema', 'Mass'])
    for step in (10, 20, 30):
      watch(step, 0.6 + 0.01 * (number * 7 % 5) + 0.001 * step)
      if (number, step) in asked.dies:
        asked.dies.remove((number, step))
        raise KeyboardInterrupt
    return predicted

  def test(config, folder):
    asked.tested.append((config.optimizer.learning_rate, folder))
    assert Layout(folder).search.is_file()  # What says how it was chosen is there before.
    shutil.copytree(finished[0], folder, dirs_exist_ok=True)

  monkeypatch.setattr(decoded_images, 'keep_for_several', lambda *arguments: None)
  monkeypatch.setattr(run, 'train_only', train_only)
  monkeypatch.setattr(run, 'run', test)
  return asked


def search(folder, trials=6, given=SEARCH, config=CONFIG):
  return searching.search_settings(config, given, folder, trials)


def test_the_best_on_validation_is_tested_once_and_the_file_says_all(trained, tmp_path):
  result = search(tmp_path)
  assert trained.trained == list(range(6)) and len(trained.tested) == 1
  by_value = {trial.number: trial.auroc.value for trial in result.trials if trial.state == COMPLETE}
  assert result.best == max(by_value, key=by_value.get) == 2  # 7 * 2 % 5 is the highest.
  winner = result.winner()
  assert trained.tested == [(winner.settings['optimizer.learning_rate'], tmp_path / 'best')]
  assert winner.auroc.interval[0] < winner.auroc.interval[1] and winner.steps == winner.step == 30
  assert result.test == medjax.open_run(tmp_path / 'best').result.mean.auroc
  assert results_file.load(tmp_path / 'tune.json', SearchResult, '') == result
  # The run that was tested says how it was chosen.
  chosen = results_file.load(Layout(tmp_path / 'best').search, SearchResult, '')
  assert chosen.trials == result.trials and chosen.test is None
  assert f'among {result.counts()}' in chosen.notes[0]
  # The same call again does nothing, and returns the same.
  assert search(tmp_path) == result and len(trained.trained) == 6
  table = result.to_frame()
  assert list(table.index) == list(range(6)) and table['rate'].between(1e-5, 1e-1).all()


def test_what_a_trial_has_left_in_memory_is_gone_before_the_next(trained, tmp_path, monkeypatch):
  train, left = run.train_only, []

  def leaving(config, folder, watch, is_known, decoded):
    assert all(reference() is None for reference in left)
    cycle = Cycle()
    left.append(weakref.ref(cycle))
    return train(config, folder, watch, is_known, decoded)

  class Cycle:
    def __init__(self):
      self.itself = self

  monkeypatch.setattr(run, 'train_only', leaving)
  gc.disable()
  try:
    search(tmp_path, 3)
  finally:
    gc.enable()
  assert len(left) == 3


def test_a_call_that_is_cut_off_goes_on_with_the_trial_and_ends_the_same(trained, tmp_path):
  whole = search(tmp_path / 'whole', 8)
  trained.trained.clear()
  trained.dies |= {(0, 10), (4, 20), (7, 30)}
  for number in (0, 4, 7):
    with pytest.raises(KeyboardInterrupt):
      search(tmp_path / 'cut', 8)
    assert trained.trained[-1] == number
  result = search(tmp_path / 'cut', 8)
  assert result == whole and trained.trained.count(4) == 2 and trained.trained.count(5) == 1
  assert (tmp_path / 'cut/tune.json').read_bytes() == (tmp_path / 'whole/tune.json').read_bytes()


def test_a_trial_that_fails_is_recorded_and_the_search_goes_on(trained, tmp_path):
  trained.fails = {0, 2}
  result = search(tmp_path)
  states = {trial.number: trial.state for trial in result.trials}
  assert states[0] == states[2] == FAILED and result.best == 4
  assert result.trials[0].reason == 'step 3: the loss of trial 0 is nan'
  assert result.trials[0].auroc.value is None and '2 failed' in result.counts()


def raising(trial):
  """Raises in a search, where the draws that look at its space do not."""
  values = propose(trial)
  if trial.study.study_name == 'medjax' and trial.number == 3:
    raise ValueError('no such width')
  if trial.study.study_name == 'medjax' and trial.number == 4:
    raise optuna.TrialPruned('too wide\nfor the batch')
  return values


@pytest.mark.parametrize('begun', [None, 4, 5])
def test_a_draw_for_which_search_raises_is_a_trial_that_ends(trained, tmp_path, begun):
  given = space.Search(raising, 'mine.py', '')
  if begun:  # Another process is gone right after it has begun trial 3, or 4.
    trained.dies = {(2, 10)}
    with pytest.raises(KeyboardInterrupt):
      search(tmp_path, given=given)
    log, held = trial_log.TrialLog(tmp_path, CONFIG.seed), []
    while log.begun() < begun:
      held.append(log.take(begun, given.propose))
    for taken in held:
      taken.lock.release()
  result = search(tmp_path, given=given)
  assert trained.trained[-1] == 5 and not {3, 4} & set(trained.trained)
  failed, pruned = result.trials[3:5]
  assert failed.state == FAILED and pruned.state == PRUNED and len(result.trials) == 6
  assert failed.reason.startswith('mine.py: search(trial): ValueError: no such width (')
  assert search_result.in_words(pruned) == 'pruned by search(trial): too wide for the batch'
  assert pruned.auroc.value is None and pruned.step is None and failed.parameters['rate'] >= 1e-5
  assert 'too wide for the batch' in (tmp_path / 'index.html').read_text()
  assert search(tmp_path, given=given) == result  # From its files.
  storage = optuna.storages.journal.JournalFileBackend(str(tmp_path / 'trials.log'))
  theirs = optuna.load_study(
    study_name='medjax', storage=optuna.storages.JournalStorage(storage)
  ).trials
  assert [trial.state.name for trial in theirs[3:5]] == ['FAIL', 'PRUNED']


def test_a_search_that_prunes_whatever_it_draws_is_one_line(trained, tmp_path):
  def infeasible(trial):
    trial.suggest_float('rate', 1e-5, 1e-1)
    raise optuna.TrialPruned

  with pytest.raises(InputError, match=r'mine\.py: search\(trial\) prunes whatever it draws'):
    search(tmp_path / 'new', given=space.Search(infeasible, 'mine.py', ''))
  assert not (tmp_path / 'new').exists()


def test_three_that_fail_at_the_start_stop_it(trained, tmp_path):
  trained.fails = set(range(9))
  with pytest.raises(InputError, match='the first 3 trials failed; the last: step 3: the loss of'):
    search(tmp_path / 'one')
  assert trained.trained == [0, 1, 2]
  with pytest.raises(InputError, match='the first 3 trials failed'):  # Started again it says so.
    search(tmp_path / 'one')
  with pytest.raises(InputError, match='the first 1 trial failed'):
    search(tmp_path / 'two', 1)
  assert trained.tested == []


def test_trials_that_lag_behind_end_early(trained, tmp_path):
  result = search(tmp_path, 12)
  pruned = [trial for trial in result.trials if trial.state == PRUNED]
  assert pruned and all(trial.steps < 30 and trial.auroc.interval is None for trial in pruned)
  assert all(trial.number >= 5 for trial in pruned)  # Optuna's median wants five before it.

  never = space.Search(propose, 'mine.py', '', pruner=optuna.pruners.NopPruner)
  result = search(tmp_path / 'never', 12, never)
  assert {trial.state for trial in result.trials} == {COMPLETE}


def test_another_search_in_the_folder_is_refused(trained, tmp_path, finished):
  search(tmp_path, 4)
  other = configs.load(str(PROJECT / 'configs/phantom.py'), [*SHORT, 'batch_size=16'])
  other_search = space.Search(propose, 'mine.py', 'x')
  for words, arguments in (
    ('holds a search with another config: .*config.batch_size: was 32', {'config': other}),
    ('another search.trial. than that of mine.py', {'given': other_search}),
    ('--trials=3: 4 trials have begun', {'trials': 3}),
    ('--trials=5: the test of the best of 4 trials has begun', {'trials': 5}),
    ('--trials=0: must be 1 or more', {'trials': 0}),
  ):
    with pytest.raises(InputError, match=words):
      search(tmp_path, **{'trials': 4, **arguments})
  assert search(tmp_path, None).asked == 4  # As before.
  with pytest.raises(InputError, match='holds a run, not a search'):
    search(finished[0])
  with pytest.raises(InputError, match='draws nothing'):
    search(tmp_path / 'new', given=space.Search(lambda trial: {'augment': 'none'}, 'mine.py', ''))
  several = configs.load(str(PROJECT / 'configs/phantom.py'), [*SHORT, 'seeds=3'])
  with pytest.raises(InputError, match=r'^config\.seeds=3: here is one run'):
    search(tmp_path / 'new', config=several)
  assert not (tmp_path / 'new').exists()


def test_more_trials_may_be_asked_for_before_the_test(trained, tmp_path):
  trained.dies = {(3, 20)}
  with pytest.raises(KeyboardInterrupt):
    search(tmp_path, 4)
  assert len(search(tmp_path, 6).trials) == 6 and len(trained.tested) == 1
  trained.dies = {(3, 20)}
  with pytest.raises(KeyboardInterrupt):
    search(tmp_path / 'fewer', 6)
  assert len(search(tmp_path / 'fewer', 4).trials) == 4  # Those that have begun.


def test_more_trials_asked_for_as_the_last_one_ends_are_tried_before_the_test(
  trained, tmp_path, monkeypatch
):
  test_best, asked = searching._AtWork.test_best, []

  def late(self):
    if not asked:
      asked.append(self.begin(6))  # As another process does.
    return test_best(self)

  monkeypatch.setattr(searching._AtWork, 'test_best', late)
  result = search(tmp_path, 2)
  assert len(result.trials) == result.asked == 6 and result.best == 2
  assert [rate for rate, _ in trained.tested] == [result.trials[2].parameters['rate']]
  chosen = results_file.load(Layout(tmp_path / 'best').search, SearchResult, '')
  assert len(chosen.trials) == 6


def test_more_trials_are_refused_from_the_beginning_of_the_test(trained, tmp_path, monkeypatch):
  test = run.run

  def killed(config, folder):
    raise KeyboardInterrupt

  monkeypatch.setattr(run, 'run', killed)
  with pytest.raises(KeyboardInterrupt):
    search(tmp_path, 2)
  assert Layout(tmp_path / 'best').is_run()
  refused = '--trials=4: the test of the best of 2 trials has begun'
  another_process = filelock.FileLock(tmp_path / '.best.lock')  # That is about to test it.
  with another_process, pytest.raises(InputError, match=refused):
    search(tmp_path, 4)

  def killed_at_the_test(config, folder):
    readings.add(Layout(folder), readings.make(config, 30))
    raise KeyboardInterrupt

  tested = shutil.copytree(tmp_path, tmp_path / 'tested')
  monkeypatch.setattr(run, 'run', killed_at_the_test)
  with pytest.raises(KeyboardInterrupt):
    search(tested, 2)
  with pytest.raises(InputError, match=refused):
    search(tested, 4)

  # The copy that was not tested goes, and the best of all is tested.
  monkeypatch.setattr(run, 'run', test)
  result = search(tmp_path, 4)
  assert [trial.number for trial in result.trials] == [0, 1, 2, 3] and result.best == 2
  assert [rate for rate, _ in trained.tested] == [result.trials[2].parameters['rate']]
  chosen = results_file.load(Layout(tmp_path / 'best').search, SearchResult, '')
  assert chosen.best == 2


def test_trials_on_another_split_stop_the_search(trained, tmp_path):
  trained.dies = {(1, 30)}
  with pytest.raises(KeyboardInterrupt):
    search(tmp_path, 4)
  trained.split = '1' * 64  # The table has changed since.
  with pytest.raises(InputError, match=r'trials/0002: its split \(SHA-256 111111111111\) are not'):
    search(tmp_path, 4)
  assert trained.tested == []


def test_a_trial_whose_test_set_somebody_has_read_is_told(trained, tmp_path):
  trained.dies = {(3, 10)}
  with pytest.raises(KeyboardInterrupt):
    search(tmp_path, 4)
  predictions = Layout(tmp_path / 'trials/0001').predictions('test')
  predictions.parent.mkdir()
  predictions.write_text('')
  assert search(tmp_path, 4).notes[0].startswith('The test set was read by trial 1 before')


def test_from_python(trained, tmp_path):
  found = medjax.search_settings(CONFIG, propose, tmp_path / 'a', trials=3)
  assert len(found.result.trials) == 3 and found.report.is_file()
  assert found.best.result.mean.auroc == found.result.test
  with pytest.raises(InputError, match=r'^trials=0: must be 1 or more'):
    medjax.search_settings(CONFIG, propose, tmp_path / 'b', trials=0)
  with pytest.raises(InputError, match=r'^no file .*nosuch\.py'):
    medjax.search_settings(CONFIG, tmp_path / 'nosuch.py', tmp_path / 'b')
  with pytest.raises(InputError, match=r'give a medjax\.Config'):
    medjax.search_settings({}, propose, tmp_path / 'b')
  with pytest.raises(InputError, match=r"search=propose_lr: .*'learning_rate'"):

    def propose_lr(trial):
      return {'optimizer.lr': trial.suggest_float('rate', 1e-5, 1e-1)}

    medjax.search_settings(CONFIG, propose_lr, tmp_path / 'b')


class Around:
  """A search that is an object."""

  def __init__(self, low):
    self.low = low

  def __call__(self, trial):
    return between(self.low, trial)


def between(low, trial):
  return {'optimizer.learning_rate': trial.suggest_float('rate', low, 1e-1, log=True)}


@pytest.mark.parametrize(
  'made',
  [functools.partial(functools.partial, between), Around, lambda low: lambda t: between(low, t)],
  ids=['partial', 'object', 'closure'],
)
def test_searches_without_a_source_or_with_the_same_are_told_apart(trained, tmp_path, made):
  assert len(medjax.search_settings(CONFIG, made(1e-5), tmp_path, trials=1).result.trials) == 1
  with pytest.raises(InputError, match=r'another search\(trial\) than .*for the same draws'):
    medjax.search_settings(CONFIG, made(1e-3), tmp_path)
  assert len(medjax.search_settings(CONFIG, made(1e-5), tmp_path).result.trials) == 1
  # One that was started before proposals were compared goes on.
  asked = json.loads((tmp_path / 'asked.json').read_text())
  assert len(asked.pop('proposals_sha256')) == 64
  (tmp_path / 'asked.json').write_text(json.dumps(asked))
  assert len(medjax.search_settings(CONFIG, made(1e-5), tmp_path).result.trials) == 1


def test_what_is_proposed_may_differ_in_the_last_digits_alone():
  drawn, proposed = trial_log.drawn(propose)
  whole = request.digest(drawn, proposed)
  near = [{name: float(np.nextafter(x, 1)) for name, x in values.items()} for values in proposed]
  assert near != proposed and request.digest(drawn, near) == whole
  assert request.digest(drawn, proposed[::-1]) != whole != request.digest({}, proposed)

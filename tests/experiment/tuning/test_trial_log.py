"""The trials of a search in their file: drawn alike whatever is killed, shared by processes."""

import importlib
import math
import sys

import optuna
import pytest

from medjax.errors import InputError
from medjax.evaluation.figure import Figure
from medjax.evaluation.search_result import COMPLETE, PRUNED, SearchTrial
from medjax.experiment.tuning import trial_log
from medjax.experiment.tuning.trial_log import Pruned, TrialLog

STEPS = (1, 2, 3)


def propose(trial):
  values = {'rate': trial.suggest_float('rate', 1e-5, 1e-1, log=True)}
  values['kind'] = trial.suggest_categorical('kind', ['a', 'b'])
  if values['kind'] == 'b':
    values['width'] = trial.suggest_int('width', 1, 8)
  return values


def figures(values):
  """What a trial says at each of `STEPS`: best at a rate of 1e-3 and a width of 5."""
  loss = abs(math.log10(values['rate']) + 3) + 0.1 * abs(values.get('width', 2) - 5)
  return [0.9 - 0.1 * loss + 0.01 * step for step in STEPS]


def finish(taken, last=None):
  """Tells the validations, up to `last`, and ends the trial."""
  state = COMPLETE
  try:
    for step, value in zip(STEPS, figures(taken.settings)):
      if last is not None and step > last:
        return
      taken.tell(step, value, is_last=step == STEPS[-1])
  except Pruned:
    state = PRUNED
  value = max(taken.validations.values())
  taken.end(
    SearchTrial(
      taken.number, state, dict(taken.trial.params), taken.settings, Figure(value),
      step=None, steps=max(taken.validations),
    )
  )  # fmt: skip


def searched(folder, trials, leave=()):
  """Runs a search; the processes of the trials in `leave` are gone once, half-way."""
  left = list(leave)
  while True:
    log = TrialLog(folder, seed=3)
    taken = log.take(trials, propose)
    if taken is None:
      return log.ended()
    is_killed = taken.number in left
    if is_killed:
      left.remove(taken.number)
    finish(taken, last=1 if is_killed else None)
    taken.lock.release()


def test_a_search_that_is_killed_ends_as_one_that_is_not(tmp_path):
  whole = searched(tmp_path / 'whole', 16)
  assert [trial.number for trial in whole] == list(range(16))
  assert {trial.state for trial in whole} == {COMPLETE, PRUNED}
  assert len({trial.parameters['rate'] for trial in whole}) == 16
  killed = searched(tmp_path / 'killed', 16, leave=[0, 4, 4, 9, 12, 13, 15])
  assert killed == whole


def test_a_trial_killed_while_it_is_drawn_is_drawn_the_same(tmp_path):
  whole = searched(tmp_path / 'whole', 13)

  class Killed(Exception):
    pass

  def cut_off(trial):
    trial.suggest_float('rate', 1e-5, 1e-1, log=True)
    raise Killed

  searched(tmp_path / 'killed', 12)
  log = TrialLog(tmp_path / 'killed', seed=3)
  with pytest.raises(Killed):
    log.take(13, cut_off)
  assert searched(tmp_path / 'killed', 13) == whole


def test_draws_anew_for_each_trial_are_as_good_as_those_of_optuna_s_own_sampler():
  def found(sampler):
    study = optuna.create_study(direction='maximize', sampler=sampler)
    study.optimize(lambda trial: figures(propose(trial))[-1], n_trials=30)
    return sum(trial.value for trial in study.trials[20:]) / 10

  ours, theirs, random = (
    sum(found(make(seed=seed)) for seed in range(4)) / 4
    for make in (trial_log._Sampler, optuna.samplers.TPESampler, optuna.samplers.RandomSampler)
  )
  assert ours > random + 0.5 * (theirs - random) and theirs > random


def test_other_seeds_draw_others(tmp_path):
  drawn = []
  for seed in (0, 1):
    taken = TrialLog(tmp_path / str(seed), seed).take(1, propose)
    drawn.append(taken.settings['rate'])
  assert drawn[0] != drawn[1]


def test_trials_end_early_where_optuna_ends_them(tmp_path):
  ours = searched(tmp_path, 12)
  study = optuna.create_study(direction='maximize', pruner=optuna.pruners.MedianPruner())
  for trial in ours:
    study.enqueue_trial(trial.parameters)

  def objective(trial):
    values = figures(propose(trial))
    for step, value in zip(STEPS[:-1], values):  # After the last there is nothing to save.
      trial.report(value, step)
      if trial.should_prune():
        raise optuna.TrialPruned
    return values[-1]

  study.optimize(objective, n_trials=len(ours))
  theirs = [trial.state == optuna.trial.TrialState.PRUNED for trial in study.trials]
  assert [trial.state == PRUNED for trial in ours] == theirs and 0 < sum(theirs) < len(theirs)


def test_processes_share_trials_and_take_up_those_of_one_that_is_gone(tmp_path):
  one, other = TrialLog(tmp_path, 0), TrialLog(tmp_path, 0)
  first, second = one.take(3, propose), other.take(3, propose)
  assert (first.number, second.number) == (0, 1)
  finish(first, last=1)
  first.lock.release()  # As the end of its process does.
  again = other.take(3, propose)
  assert again.number == 0 and again.settings == first.settings and list(again.validations) == [1]
  third = one.take(3, propose)
  assert third.number == 2 and one.take(3, propose) is None
  assert one.running() == [0, 1, 2] and one.ended() == ()
  for taken in (second, again, third):
    finish(taken)
    taken.lock.release()
  assert one.running() == [] and [trial.number for trial in other.ended()] == [0, 1, 2]
  assert one.take(3, propose) is None and one.take(4, propose).number == 3


def test_a_last_line_that_was_cut_off_is_dropped(tmp_path):
  before = searched(tmp_path, 2)
  with (tmp_path / trial_log.LOG).open('ab') as file:
    file.write(b'{"op_code":5,"worker_')
  assert TrialLog(tmp_path, 3).ended() == before
  assert len(searched(tmp_path, 3)) == 3


def test_without_optuna_it_is_said_what_to_install(monkeypatch):
  monkeypatch.setitem(sys.modules, 'optuna', None)
  monkeypatch.delitem(sys.modules, 'medjax.experiment.tuning.trial_log')
  with pytest.raises(InputError, match=r"pip install 'medjax\[tune\]'"):
    importlib.import_module('medjax.experiment.tuning.trial_log')

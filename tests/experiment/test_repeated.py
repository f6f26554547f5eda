"""Folds and seeds: which runs are done, with which configs, and all of them put together."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from conftest import PROJECT, TINY

import medjax
from medjax import config as configs
from medjax.data import prepared
from medjax.errors import InputError
from medjax.evaluation import results_file
from medjax.evaluation.repeated_result import FoldsResult, SeedsResult
from medjax.evaluation.statistics import strata
from medjax.experiment import decoded_images, loop, repeated, run
from medjax.experiment.repeated import Only
from medjax.final_test import repeated as figures
from medjax.runs import finished as finished_runs
from medjax.runs.repeats import Repeats


def tiny(root, *overrides):
  settings = [flag.removeprefix('--config.') for flag in TINY]
  return configs.load(
    str(PROJECT / 'configs/phantom.py'), [*settings, f'data.root={root}', *overrides]
  )


# Labels of which every fold of few patients has positives.
FREQUENT = ('data.labels=Pneumonia,Edema', 'split.validation=0.3')


@pytest.fixture
def done(monkeypatch):
  """The (config, folder) of each run that would be done; nothing is trained or decoded."""
  runs = []
  monkeypatch.setattr(run, 'run', lambda *arguments: runs.append(arguments))
  monkeypatch.setattr(decoded_images, 'keep_for_several', lambda *arguments: None)
  return runs


def test_every_fold_is_a_run_of_its_own(phantom_root, tmp_path, done, capsys):
  config = tiny(phantom_root, *FREQUENT, 'split.folds=2', 'split.test_floor={"Edema": 0.2}')
  repeated.start(config, tmp_path / 'folds')
  assert [folder for _, folder, _ in done] == [tmp_path / f'folds/fold{at}' for at in range(2)]
  for at, (of_fold, _, decoded) in enumerate(done):
    split = dataclasses.replace(config.split, fold=at)
    assert of_fold == dataclasses.replace(config, split=split)
    assert decoded == tmp_path / 'folds/prepared'
    configs.check(of_fold)
  said = capsys.readouterr().out
  assert 'test_floor is not asked of folds' in said
  assert 'not yet finished: fold 0, 1; the last to finish puts all together' in said


def test_a_finished_seed_is_passed_over_and_one_can_be_asked_for(
  finished, phantom_root, tmp_path, done, capsys
):
  shutil.copytree(finished[0], tmp_path / 'seeds/seed0')
  config = tiny(phantom_root, 'seeds=3', 'data.prepared=/elsewhere')
  repeated.start(config, tmp_path / 'seeds', Only(seed_index=2))
  repeated.start(config, tmp_path / 'seeds')
  assert [(of_seed.seed, of_seed.seeds) for of_seed, _, _ in done] == [(2, 1), (1, 1), (2, 1)]
  assert [folder.name for _, folder, _ in done] == ['seed2', 'seed1', 'seed2']
  assert all(of_seed.data.prepared == '/elsewhere' for of_seed, _, _ in done)
  assert all(decoded is None for _, _, decoded in done)
  assert 'finished  seed 0' in capsys.readouterr().out


def test_seeds_are_not_left_out_after_their_tests_may_have_been_seen(
  finished, phantom_root, tmp_path, done
):
  shutil.copytree(finished[0], tmp_path / 'seed0')
  shutil.copytree(finished[0], tmp_path / 'seed4')
  for only in (Only(), Only(seed_index=0)):
    with pytest.raises(InputError) as error:
      repeated.start(tiny(phantom_root, 'seeds=3'), tmp_path, only)
    assert 'holds 5 seeds, and config.seeds=3 would leave out' in str(error.value)
    assert '\n' not in str(error.value)
  # Without their folders the result still tells.
  shutil.rmtree(tmp_path / 'seed4')
  (tmp_path / 'seeds.json').write_text('{"seeds": [0, 1, 2, 3], "facts": {}}')
  with pytest.raises(InputError, match='holds 4 seeds'):
    repeated.start(tiny(phantom_root, 'seeds=3'), tmp_path)
  assert not done
  repeated.start(tiny(phantom_root, 'seeds=4'), tmp_path)
  assert len(done) == 3


def test_seeds_that_were_added_after_a_result_are_said(finished, tmp_path):
  for number in range(3):
    shutil.copytree(finished[0], tmp_path / f'seed{number}')
  repeats, config = Repeats(tmp_path, 'seed'), finished_runs.open_run(finished[0]).config
  said = 'a result of fewer seeds (2) reported, before the others of these 3 were added'
  first = figures.write_seeds(config, repeats, 2)
  assert not any('of fewer seeds' in note for note in first.notes)
  for _ in range(2):  # Written again it still says so.
    more = figures.write_seeds(config, repeats, 3)
    assert any(said in note for note in more.notes[:2])
    assert more.facts['seeds reported before'] == '2'
    assert figures.read(repeats) == more and said in repeats.report.read_text()


def test_a_fold_by_its_number_is_an_ordinary_run(phantom_root, tmp_path, done):
  config = tiny(phantom_root, 'split.folds=3', 'split.fold=1')
  repeated.start(config, tmp_path / 'run')
  assert done == [(config, tmp_path / 'run')]


@pytest.mark.parametrize(
  ('overrides', 'only', 'words'),
  [
    ((), Only(fold=2), '--fold=2: there is one run, without folds; set config.split.folds=5'),
    (('seeds=2',), Only(fold=0), '--fold=0: there is one run, without folds'),
    (('seeds=2',), Only(seed_index=2), '--seed_index=2: must be from 0 to 1'),
    (('split.folds=2',), Only(fold=-1), '--fold=-1: must be 0 or more'),
    ((*FREQUENT, 'split.folds=2'), Only(fold=2), '--fold=2: must be from 0 to 1'),
    (('split.folds=site',), Only(), "the table has no column 'site'"),
    (('split.folds=1000',), Only(), 'config.split.folds=1000: there are'),
    ((*FREQUENT, 'split.folds=9'), Only(), 'folds would do'),
  ],
)
def test_mistakes_are_one_line_before_anything_is_done(
  phantom_root, tmp_path, done, overrides, only, words
):
  with pytest.raises(InputError) as error:
    repeated.start(tiny(phantom_root, *overrides), tmp_path / 'all', only)
  assert words in str(error.value) and '\n' not in str(error.value)
  assert not done and not (tmp_path / 'all').exists()


@pytest.mark.parametrize(
  ('overrides', 'words'),
  [
    (('split.folds=1',), "config.split.folds=1: must be 2 or more, 'site', or 0"),
    (('split.folds=-3',), 'config.split.folds=-3: must be 2 or more'),
    (('split.folds=sites',), "must be a number of folds, such as 5, or 'site'"),
    (('split.fold=2',), 'config.split.fold=2: there are no folds'),
    (('split.folds=3', 'split.fold=3'), 'config.split.fold=3: must be from 0 to 2'),
    (('split.folds=3', 'split.test=official'), "config.split.test='official' the publisher"),
    (('split.folds=3', 'split.file=x.csv'), 'config.split.file says who is tested'),
    (('seeds=0',), 'config.seeds=0: must be 1 or more'),
    (('seeds=2', 'split.folds=3'), 'config.seeds=2: not together with config.split.folds=3'),
    (('seeds=2', 'evaluation.members=a'), 'config.seeds=2: config.evaluation.members'),
    (('seeds=2', 'seed=4294967295'), 'the last seed would be 2**32 or more'),
  ],
)
def test_settings_that_no_run_could_use(phantom_root, overrides, words):
  with pytest.raises(InputError) as error:
    tiny(phantom_root, *overrides)
  assert words in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize('override', ['seeds=2', 'split.folds=2'])
def test_where_one_run_is_wanted_several_are_refused(phantom_root, tmp_path, override):
  with pytest.raises(InputError, match=f'config.{override}: here is one run'):
    run.train_only(tiny(phantom_root, override), tmp_path / 'run', loop.unwatched)


def test_a_folder_of_another_kind_is_refused(finished, phantom_root, tmp_path, done):
  shutil.copytree(finished[0], tmp_path / 'seed0')
  for overrides, words in (
    (('split.folds=2',), 'holds seeds; take another'),
    ((), 'holds seeds; take another'),
  ):
    with pytest.raises(InputError, match=words):
      repeated.start(tiny(phantom_root, *overrides), tmp_path)
  with pytest.raises(InputError, match='holds a single run'):
    repeated.start(tiny(phantom_root, 'seeds=2'), tmp_path / 'seed0')
  assert not done


def without_files(path):
  """What folds.json or seeds.json says, less the hashes of files that name their folder."""
  content = json.loads(path.read_text())
  return {name: value for name, value in content.items() if name != 'files'}


@pytest.mark.slow
@pytest.mark.parametrize('kind', ['fold', pytest.param('seed', marks=pytest.mark.deep)])
def test_killed_and_resumed_they_end_with_the_same_results(tmp_path, kind, monkeypatch):
  root = tmp_path / 'data'
  setting = 'split.folds=2' if kind == 'fold' else 'seeds=2'
  settings = (*FREQUENT, setting, 'data.settings.images=240', 'steps=12', 'save_every=2')
  config = tiny(root, *settings)
  decoded = []
  monkeypatch.setattr(
    prepared, 'make', lambda *given, make=prepared.make: decoded.append(1) or make(*given)
  )
  opened = medjax.train(config, tmp_path / 'whole')
  assert decoded == [1] and len(opened.runs) == 2 and opened.report.is_file()
  assert isinstance(opened.result, FoldsResult if kind == 'fold' else SeedsResult)
  assert medjax.open_run(tmp_path / 'whole').result == opened.result
  # Killed in the second of them, once as a cluster does and once without warning.
  command = [
    sys.executable, '-m', 'medjax.main', '--config=configs/phantom.py', *TINY,
    f'--workdir={tmp_path / "killed"}', f'--config.data.root={root}',
    *(f'--config.{setting}' for setting in settings),
  ]  # fmt: skip
  environment = {**os.environ, 'JAX_PLATFORMS': 'cpu', 'PYTHONUNBUFFERED': '1'}
  for stop, code in ((signal.SIGTERM, 143), (signal.SIGKILL, -9)):
    process = subprocess.Popen(
      command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
    )
    is_second = False
    for line in process.stdout:
      is_second = is_second or f'--- {kind} 1 of 2' in line
      if is_second and line.startswith('step '):
        process.send_signal(stop)
        break
    process.stdout.read()
    assert process.wait() == code
    assert not (tmp_path / f'killed/{kind}s.json').exists()
  subprocess.run(command, cwd=PROJECT, env=environment, check=True, stdout=subprocess.PIPE)
  name = f'{kind}s.json'
  assert without_files(tmp_path / 'killed' / name) == without_files(tmp_path / 'whole' / name)
  if kind == 'fold':
    _check_folds(opened)
  else:
    _check_seeds(opened, config)


def _check_folds(opened):
  tested = [fold.predictions('test') for fold in opened.runs]
  names = [set(table['patient']) for table in tested]
  assert not names[0] & names[1]
  # A fold is an ordinary run: its decisions are those that were pooled.
  decided = np.concatenate([table['decision_Edema'].to_numpy(float) for table in tested])
  truth = np.concatenate([table['true_Edema'] for table in tested])
  point = opened.result.pooled.labels['Edema'].decision
  assert point.confusion.true_positives == ((decided == 1) & (truth == 1)).sum()
  assert opened.result.pooled.test.patients == sum(map(len, names))
  assert opened.runs[1].config.split.fold == 1
  # Validation patients trained nothing.
  splits = [pd.read_csv(fold.layout.split) for fold in opened.runs]
  sizes = {
    part: [split['patient'][split['split'] == part].nunique() for split in splits]
    for part in ('train', 'test')
  }
  over = opened.result.mean
  bounds, _ = strata.over_training_sets(
    over.spread.auroc.values, sizes['test'], sizes['train'], 0.95
  )
  assert over.auroc_mean.interval == pytest.approx(bounds)
  result = results_file.load(opened.workdir / 'folds.json', FoldsResult, '')
  assert result == opened.result
  # Another result of a fold is not what was pooled.
  path = opened.runs[0].layout.result
  path.write_text(path.read_text() + '\n')
  with pytest.raises(InputError, match='not the file that'):
    medjax.open_run(opened.workdir)


def _check_seeds(opened, config):
  """The ensemble is what a run with the others as members says."""
  again = shutil.copytree(opened.runs[0].workdir, opened.workdir.parent / 'ensemble')
  evaluation = dataclasses.replace(config.evaluation, members=(str(opened.runs[1].workdir),))
  averaged = dataclasses.replace(config, seeds=1, evaluation=evaluation)
  run.run(averaged, again)
  result = finished_runs.open_run(again).result
  for label, tested in opened.result.ensemble.labels.items():
    assert result.labels[label].auroc == tested.auroc
    assert result.labels[label].operating_points == tested.operating_points
  assert opened.result.facts['test set read'] == 'once by each seed'
  spread = opened.result.labels['Edema'].spread.auroc
  assert spread.values == tuple(of.result.labels['Edema'].auroc.value for of in opened.runs)
  probabilities = [pd.read_csv(of.layout.predictions('test'))['raw_Edema'] for of in opened.runs]
  assert (probabilities[0] != probabilities[1]).any()

"""The command that searches: killed, shared by two processes, and asked for what cannot be."""

import json
import random
import signal
import subprocess
import sys

import numpy as np
import pytest
from conftest import PROJECT, TINY

import medjax
from medjax.evaluation import results_file
from medjax.evaluation.search_result import SearchResult
from medjax.runs.layout import Layout

SEARCH_FILE = """
TRIALS = 4

def search(trial):
  return {
    'optimizer.learning_rate': trial.suggest_float('rate', 1e-4, 1e-2, log=True),
    'augment': trial.suggest_categorical('augment', ['none', 'chest']),
  }

def get_pruner():
  import optuna
  return optuna.pruners.MedianPruner(n_startup_trials=1)
"""


def start(workdir, root, file, *arguments):
  return subprocess.Popen(
    [
      sys.executable, '-m', 'medjax.tune', '--config=configs/phantom.py', f'--search={file}',
      f'--workdir={workdir}', *TINY, '--config.steps=8', '--config.evaluate_every=2',
      '--config.split.validation=0.3', f'--config.data.root={root}', *arguments,
    ],
    cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
  )  # fmt: skip


def ended(process):
  output, _ = process.communicate(timeout=300)
  assert process.returncode == 0, output[-3000:]
  return output


@pytest.fixture(scope='module')
def searched(phantom_root, tmp_path_factory):
  """A search that nothing stopped, and its file."""
  folder = tmp_path_factory.mktemp('searched')
  (folder / 'mine.py').write_text(SEARCH_FILE)
  ended(start(folder / 'whole', phantom_root, folder / 'mine.py'))
  return folder / 'whole', folder / 'mine.py'


@pytest.mark.slow
@pytest.mark.deep
def test_killed_twice_it_ends_in_the_same_bytes(searched, phantom_root, tmp_path):
  (whole, file), killed = searched, tmp_path / 'killed'
  kills, rng = 0, random.Random()
  while kills < 2:
    process = start(killed, phantom_root, file)
    try:
      process.communicate(timeout=rng.uniform(4, 14))
      break
    except subprocess.TimeoutExpired:
      process.send_signal(rng.choice([signal.SIGKILL, signal.SIGTERM]))
      process.communicate()
      kills += 1
  ended(start(killed, phantom_root, file))
  for name in ('tune.json', 'best/evaluation/test.json', 'best/predictions/test.csv'):
    assert (whole / name).read_bytes() == (killed / name).read_bytes(), f'after {kills} kills'


@pytest.mark.slow
def test_the_winner_alone_is_tested(searched):
  # No trial has predicted the test set, and all are of one split.
  whole = searched[0]
  result = results_file.load(whole / 'tune.json', SearchResult, '')
  for trial in result.trials:
    layout = Layout(whole / 'trials' / f'{trial.number:04}')
    assert not layout.has_traces_of_a_test() and not layout.evaluation.exists()
    assert json.loads(layout.split_proof.read_text())['split_sha256'] == result.split_sha256
  best = medjax.open_run(whole / 'best')
  assert len(json.loads(best.layout.readings.read_text())['readings']) == 1
  assert best.result.facts['settings chosen by'].startswith('validation, as trial')
  assert result.notes[0] in best.result.study_notes and result.notes[0] in best.report.read_text()
  validation = best.raw_predictions('validation')
  assert np.isfinite(validation.probabilities).all() and result.test == best.result.mean.auroc


@pytest.mark.slow
def test_two_processes_share_the_trials_and_one_of_them_tests(searched, phantom_root, tmp_path):
  shared = tmp_path / 'shared'
  processes = [start(shared, phantom_root, searched[1]) for _ in range(2)]
  outputs = [ended(process) for process in processes]
  tried = [{line.split()[1] for line in text.splitlines() if line.startswith('trial ')}
           for text in outputs]  # fmt: skip
  assert tried[0] | tried[1] == set('0123') and not tried[0] & tried[1] and all(tried)
  assert sum('test mean AUROC' in text for text in outputs) == 1
  assert len(json.loads((shared / 'best/evaluation/readings.json').read_text())['readings']) == 1


def test_a_mistake_is_one_line(command, tmp_path):
  file = tmp_path / 'mine.py'
  file.write_text('def search(trial): return {}')
  for arguments, words in (
    ((), '--search is missing; try --search=configs/search/phantom.py'),
    ((f'--search={file}',), '--workdir is missing'),
    ((f'--search={file}', f'--workdir={tmp_path / "a"}'), 'search(trial) names no field; return'),
    ((f'--search={tmp_path / "x.py"}', f'--workdir={tmp_path / "a"}'), '--search: no file'),
  ):
    failed = command('tune', '--config=configs/phantom.py', *arguments)
    assert failed.returncode == 1 and failed.stderr.count('\n') == 1
    assert failed.stderr.startswith('error: ') and words in failed.stderr
  assert not (tmp_path / 'a').exists()

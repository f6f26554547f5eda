"""Stopped at any instant and started again, a run ends in the same bits."""

import json
import random
import signal
import subprocess
import sys
import time

import filelock
import jax
import numpy as np
import pytest
from conftest import PROJECT, TINY
from orbax.checkpoint import v1 as ocp

STEPS = 40
LONGER = (
  f'--config.steps={STEPS}',
  '--config.evaluate_every=10',
  '--config.save_every=3',
  '--config.optimizer.ema=0.9',
)


def start(workdir, root, *arguments):
  return subprocess.Popen(
    [
      sys.executable, '-m', 'medjax.main', '--config=configs/phantom.py', f'--workdir={workdir}',
      *TINY, *LONGER, f'--config.data.root={root}', *arguments,
    ],
    cwd=PROJECT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
  )  # fmt: skip


def finish(workdir, root, *arguments):
  process = start(workdir, root, *arguments)
  output, _ = process.communicate(timeout=300)
  assert process.returncode == 0, output[-3000:]
  return output


def latest(workdir):
  steps = [int(path.name) for path in (workdir / 'checkpoints').glob('*') if path.name.isdigit()]
  return max(steps, default=0)


def final_state(workdir):
  with ocp.training.Checkpointer(workdir / 'checkpoints') as checkpointer:
    assert checkpointer.latest.step == STEPS
    return checkpointer.load_checkpointables(STEPS)['state']


def assert_same_end(one, other):
  states = [jax.tree.leaves(final_state(path)) for path in (one, other)]
  assert len(states[0]) == len(states[1]) > 20
  for left, right in zip(*states):
    np.testing.assert_array_equal(left, right)
  for name in ('evaluation/test.json', 'predictions/test.csv', 'predictions/validation.csv'):
    assert (one / name).read_bytes() == (other / name).read_bytes()
  rows = [[json.loads(line) for line in (path / 'metrics.jsonl').open()] for path in (one, other)]
  for row in (*rows[0], *rows[1]):
    row.pop('images_per_second', None)  # The only thing that a clock says.
  assert rows[0] == rows[1] and len(rows[0]) == STEPS + 4


@pytest.fixture(scope='session')
def whole(phantom_root, shared_folder):
  """A run that nothing stopped, which no test changes."""
  workdir = shared_folder / 'never_stopped' / 'run'
  with filelock.FileLock(f'{shared_folder / "never_stopped"}.lock'):
    if not (workdir / 'evaluation/test.json').exists():
      finish(workdir, phantom_root)
  return workdir


def has_gpu():
  code = "import jax; print(jax.devices('gpu'))"
  return not subprocess.run([sys.executable, '-c', code], capture_output=True).returncode


@pytest.mark.slow
def test_on_a_gpu_two_runs_and_one_that_was_killed_end_in_the_same_bits(phantom_root, tmp_path):
  if not has_gpu():
    pytest.skip('no GPU here')
  flags = ['--config.deterministic=True', '--config.precision=bfloat16']
  for name in ('one', 'other'):
    finish(tmp_path / name, phantom_root, *flags)
  assert_same_end(tmp_path / 'one', tmp_path / 'other')
  process = start(tmp_path / 'killed', phantom_root, *flags)
  while not latest(tmp_path / 'killed') and process.poll() is None:
    time.sleep(0.002)
  process.send_signal(signal.SIGKILL)
  process.communicate()
  finish(tmp_path / 'killed', phantom_root, *flags)
  assert_same_end(tmp_path / 'one', tmp_path / 'killed')


@pytest.mark.slow
@pytest.mark.parametrize(
  'how',
  [
    'workers',
    'placed',
    pytest.param('threads', marks=pytest.mark.deep),
    pytest.param('unfreezing', marks=pytest.mark.deep),
  ],
)
def test_killed_three_times_it_ends_in_the_same_bits(
  request, phantom_root, other_root, finished, tmp_path, how
):
  root = other_root if how == 'unfreezing' else phantom_root
  flags = {
    'threads': [],
    'workers': ['--config.data.workers=2'],
    'placed': ['--config.data.placement=device', '--config.steps_per_call=3'],
    'unfreezing': [
      *('--config.data.settings.seed=1', f'--config.model.pretrained={finished[0]}'),
      *('--config.model.finetune=head', '--config.model.unfreeze_at=5,11,20'),
    ],
  }[how]
  if how == 'threads':
    whole = request.getfixturevalue('whole')
  else:
    whole = tmp_path / 'whole'
    finish(whole, root, *flags)
  rng = random.Random()
  instants = []
  for _ in range(3):
    process = start(tmp_path / 'killed', root, *flags)
    known = latest(tmp_path / 'killed')
    while latest(tmp_path / 'killed') <= known and process.poll() is None:
      time.sleep(0.002)
    time.sleep(rng.uniform(0, 0.6))
    process.send_signal(signal.SIGKILL)
    process.communicate()  # Returns once the workers have noticed and left, too.
    instants.append(latest(tmp_path / 'killed'))
  output = finish(tmp_path / 'killed', root, *flags)
  assert 'going on from the checkpoint' in output or 'this run is complete' in output
  print('checkpoints at the kills:', instants)
  assert_same_end(whole, tmp_path / 'killed')


@pytest.mark.slow
def test_ctrl_c_saves_too_and_ends_the_workers(phantom_root, tmp_path):
  process = start(tmp_path / 'run', phantom_root, '--config.data.workers=1', '--config.steps=4000')
  while latest(tmp_path / 'run') < 3 and process.poll() is None:
    time.sleep(0.002)
  process.send_signal(signal.SIGINT)
  output, _ = process.communicate(timeout=120)
  assert process.returncode == 130, output[-3000:]
  assert 'stopped by SIGINT, saved at step' in output and 'Traceback' not in output


@pytest.mark.slow
def test_sigterm_saves_and_the_same_command_goes_on(whole, phantom_root, tmp_path):
  stopped = tmp_path / 'stopped'
  process = start(stopped, phantom_root, '--config.steps=40')
  while latest(stopped) < 6 and process.poll() is None:
    time.sleep(0.002)
  process.send_signal(signal.SIGTERM)
  output, _ = process.communicate(timeout=120)
  assert process.returncode == 128 + signal.SIGTERM, output[-3000:]
  assert 'stopped by SIGTERM, saved at step' in output and 'Traceback' not in output
  output = finish(stopped, phantom_root)
  assert 'going on from the checkpoint of step' in output
  assert_same_end(whole, stopped)

  # The finished run is left alone: the test set is read once.
  before = (stopped / 'evaluation' / 'test.json').stat().st_mtime_ns
  assert 'this run is complete' in finish(stopped, phantom_root)
  assert (stopped / 'evaluation' / 'test.json').stat().st_mtime_ns == before

  # Another config in the same folder is refused by the name of the field.
  process = start(stopped, phantom_root, '--config.optimizer.learning_rate=0.5')
  output, _ = process.communicate(timeout=120)
  assert process.returncode == 1
  assert 'config.optimizer.learning_rate: was 0.003, is now 0.5' in output

  # So is another split.
  csv = stopped / 'split.csv'
  csv.write_text(csv.read_text().replace(',train', ',test', 1))
  process = start(stopped, phantom_root)
  output, _ = process.communicate(timeout=120)
  assert process.returncode == 1 and 'split.csv' in output and 'Traceback' not in output

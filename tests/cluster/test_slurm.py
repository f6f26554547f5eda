"""On a Slurm of two nodes: a training over both, one that its limit sends back, and an array."""

import functools
import json
import subprocess
import sys

import numpy as np
import pytest
import slurm_cluster
from conftest import PROJECT, TINY
from PIL import Image

from medjax.runs import metrics_file
from medjax.runs.layout import Layout

pytestmark = [
  pytest.mark.slow,
  pytest.mark.skipif(not slurm_cluster.is_here(), reason='needs Slurm, munge and root'),
]


@pytest.fixture(scope='module')
def cluster(tmp_path_factory):
  with slurm_cluster.running(tmp_path_factory.mktemp('slurm')) as environment:
    yield {**environment, 'JAX_PLATFORMS': 'cpu', 'MEDJAX_PYTHON': sys.executable}


def submitted(cluster, log, options, arguments, script='slurm.sbatch'):
  done = subprocess.run(
    ['sbatch', '--parsable', '--cpus-per-task=1', f'--output={log}', *options,
     str(PROJECT / 'launch' / script), *arguments],
    cwd=PROJECT, env={**cluster, 'PYTHONPATH': str(PROJECT)}, capture_output=True, text=True,
  )  # fmt: skip
  assert done.returncode == 0, done.stderr
  return done.stdout.strip()


def test_a_training_on_two_nodes_is_that_of_one_process(cluster, phantom_root, finished, tmp_path):
  log, workdir = tmp_path / 'log', tmp_path / 'run'
  job = submitted(
    cluster, log, ['--nodes=2'],
    ['--config=phantom', f'--workdir={workdir}', *TINY, f'--config.data.root={phantom_root}'],
  )  # fmt: skip
  state = slurm_cluster.finished(job, cluster, 500)
  assert state == 'COMPLETED after 0 restarts', log.read_text()[-3000:]
  assert '2 processes' in log.read_text()
  losses = [
    [row['loss'] for row in metrics_file.read(Layout(run)) if row['split'] == 'train']
    for run in (finished[0], workdir)
  ]
  np.testing.assert_allclose(*losses, rtol=2e-3)


def test_a_job_goes_back_to_the_queue_and_goes_on_to_the_same_bits(
  cluster, command, phantom_root, tmp_path
):
  """The limit's signal, sent when it is training: the clock of a limit counts whole minutes."""
  log, workdir, other = (tmp_path / name for name in ('log', 'run', 'other'))
  arguments = [
    '--config=phantom', *TINY, f'--config.data.root={phantom_root}',
    '--config.steps=6000', '--config.evaluate_every=3000', '--config.evaluation.saliency=none',
  ]  # fmt: skip
  job = submitted(cluster, log, [], [*arguments, f'--workdir={workdir}'])
  slurm_cluster.until(lambda: log.exists() and 'step 300/' in log.read_text(), 'no step', 400)
  signal = ['scancel', '--batch', '--signal=USR1', job]
  assert subprocess.run(signal, env=cluster).returncode == 0
  state = slurm_cluster.finished(job, cluster, 500)
  assert state == 'COMPLETED after 1 restarts', log.read_text()[-3000:]
  assert 'going on from the checkpoint of step' in log.read_text()
  command('main', *arguments, f'--workdir={other}', check=True)
  assert_same(workdir, other)


@pytest.mark.deep
def test_a_job_that_meets_its_time_limit_goes_on_to_the_same_bits(
  cluster, command, phantom_root, tmp_path
):
  log, workdir, other = (tmp_path / name for name in ('log', 'run', 'other'))
  arguments = [
    '--config=phantom', *TINY, f'--config.data.root={phantom_root}',
    '--config.steps=60000', '--config.evaluate_every=30000', '--config.evaluation.saliency=none',
  ]  # fmt: skip
  # Slurm may send the signal up to a minute early.
  options = ['--time=00:03:00', '--signal=B:USR1@60']
  job = submitted(cluster, log, options, [*arguments, f'--workdir={workdir}'])
  state = slurm_cluster.finished(job, cluster, 1800)
  assert state.startswith('COMPLETED after') and '0 restarts' not in state, log.read_text()[-3000:]
  command('main', *arguments, f'--workdir={other}', check=True)
  assert_same(workdir, other)


def test_a_cancelled_job_is_not_queued_again(cluster, phantom_root, tmp_path):
  log = tmp_path / 'log'
  job = submitted(
    cluster, log, [],
    ['--config=phantom', f'--workdir={tmp_path / "run"}', *TINY, '--config.steps=100000',
     '--config.evaluate_every=50000', f'--config.data.root={phantom_root}'],
  )  # fmt: skip
  slurm_cluster.until(lambda: log.exists() and 'work dir' in log.read_text(), 'no start', 200)
  assert subprocess.run(['scancel', job], env=cluster).returncode == 0
  assert slurm_cluster.finished(job, cluster, 200) == 'CANCELLED after 0 restarts'


def test_an_array_with_a_task_killed_and_sent_again_predicts_what_one_process_does(
  cluster, command, finished, tmp_path
):
  films, output, other = (tmp_path / name for name in ('films', 'out.csv', 'other.csv'))
  films.mkdir()
  rng = np.random.default_rng(0)
  for number in range(360):
    path = films / f'{number:03}.png'
    if number < 8:
      Image.fromarray(rng.integers(0, 256, (1000, 1000), np.uint8)).save(path)
    else:
      path.hardlink_to(films / f'{number % 8:03}.png')
  arguments = [f'--workdir={finished[0]}', f'--images={films}']
  task = ['predict', *arguments, f'--output={output}', '--shard=auto/3']
  send = functools.partial(submitted, cluster, f'{tmp_path}/log-%a', script='slurm_array.sbatch')

  def rows(path):
    return path.read_bytes().count(b'\n') if path.is_file() else 0

  job, killed = send(['--array=0-2'], task), tmp_path / 'out.csv.shards/1-of-3.csv'
  slurm_cluster.until(lambda: rows(killed) > 1, 'no row', 200)
  assert subprocess.run(['scancel', f'{job}_1'], env=cluster).returncode == 0
  states = [slurm_cluster.finished(f'{job}_{number}', cluster, 200) for number in range(3)]
  assert states == [f'{end} after 0 restarts' for end in ('COMPLETED', 'CANCELLED', 'COMPLETED')]
  assert 1 < rows(killed) < 121
  missing = command('predict', *arguments, f'--output={output}')
  assert missing.returncode == 1 and 'piece 1 of 3 is not finished; --shard=1/3' in missing.stderr

  again = send(['--array=1'], task)
  assert slurm_cluster.finished(f'{again}_1', cluster, 200) == 'COMPLETED after 0 restarts'
  log = (tmp_path / 'log-1').read_text()
  assert 'going on after' in log and f'{output}: 360 images predicted' in log
  command('predict', *arguments, f'--output={other}', check=True)
  for name in ('{}.csv', '{}.broken.csv', '{}.csv.json'):
    one, whole = (tmp_path / name.format(path.stem) for path in (output, other))
    assert one.read_bytes() == whole.read_bytes()


def assert_same(one, other):
  results = [
    json.loads((run / 'evaluation/test.json').read_text('utf-8'))['mean'] for run in (one, other)
  ]
  assert results[0] == results[1]
  predictions = [(run / 'predictions/test.csv').read_bytes() for run in (one, other)]
  assert predictions[0] == predictions[1]

"""One device, four devices, and two processes of two devices do the same work."""

import os
import subprocess
import sys

import jax
import numpy as np
import pytest
from conftest import PROJECT, TINY

from medjax.evaluation import predictions
from medjax.runs import metrics_file
from medjax.runs.layout import Layout


def arguments(workdir, root, *more):
  return [
    '--config=configs/phantom.py', f'--workdir={workdir}', *TINY, f'--config.data.root={root}',
    *more
  ]  # fmt: skip


def assert_same_run(one, other):
  left, right = (predictions.read(run / 'predictions' / 'test.csv') for run in (one, other))
  assert left.images == right.images and left.patients == right.patients
  np.testing.assert_allclose(left.probabilities, right.probabilities, atol=2e-3)
  rows = [metrics_file.read(Layout(run)) for run in (one, other)]
  assert [(row['step'], row['split']) for row in rows[0]] == [
    (row['step'], row['split']) for row in rows[1]
  ]
  losses = [[row['loss'] for row in run if row['split'] == 'train'] for run in rows]
  assert len(losses[0]) == 6
  np.testing.assert_allclose(*losses, rtol=2e-3)


# XLA ends a process whose devices have waited 40 s for each other; on a busy machine they may.
PATIENT = {
  'XLA_FLAGS': f'{os.environ["XLA_FLAGS"]} --xla_cpu_collective_call_terminate_timeout_seconds=600'
  ' --xla_cpu_collective_timeout_seconds=600'
}


@pytest.mark.slow
def test_four_devices_do_the_work_of_one(command, phantom_root, finished, tmp_path):
  workdir = tmp_path / 'run'
  four = {'JAX_NUM_CPU_DEVICES': '4', **PATIENT}
  printed = command('main', *arguments(workdir, phantom_root), check=True, env=four).stdout
  assert 'devices   4 × cpu' in printed
  assert_same_run(finished[0], workdir)


@pytest.mark.slow
@pytest.mark.parametrize(
  'settings', [(), ('--config.data.placement=device', '--config.steps_per_call=3')]
)
def test_two_processes_of_two_devices_do_the_work_of_one(
  phantom_root, finished, tmp_path, settings
):
  workdir = tmp_path / 'run'
  process = subprocess.run(
    [sys.executable, 'launch/processes.py', '2', *arguments(workdir, phantom_root, *settings)],
    cwd=PROJECT,
    env={**os.environ, **PATIENT, 'JAX_PLATFORMS': 'cpu', 'JAX_NUM_CPU_DEVICES': '2'},
    capture_output=True,
    text=True,
    timeout=400,
  )
  assert process.returncode == 0, process.stderr[-3000:]
  assert '2 processes' in process.stdout and process.stdout.count('test mean AUROC') == 1
  assert_same_run(finished[0], workdir)


@pytest.mark.slow
def test_a_mistake_ends_all_processes_in_words(phantom_root, tmp_path):
  finished = subprocess.run(
    [
      sys.executable, 'launch/processes.py', '2',
      *arguments(tmp_path / 'run', phantom_root, '--config.data.labels=Edma'),
    ],
    cwd=PROJECT,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu'},
    capture_output=True,
    text=True,
    timeout=400,
  )  # fmt: skip
  assert finished.returncode == 1
  assert "did you mean 'Edema'" in finished.stderr and 'Traceback' not in finished.stderr


@pytest.mark.slow
@pytest.mark.parametrize('batch_size', [4, 16])
def test_evaluation_batches_that_do_not_divide_change_no_prediction(phantom_root, batch_size):
  from medjax import config
  from medjax.data import pipeline, study
  from medjax.runs import predict
  from medjax.runtime import devices
  from medjax.training import learner, preprocessing

  overrides = [flag.removeprefix('--config.') for flag in TINY]
  experiment = config.load(
    str(PROJECT / 'configs/phantom.py'), [*overrides, f'data.root={phantom_root}']
  )
  data, _ = study.make(experiment)
  rows = data.rows('train')
  assert len(rows) % batch_size
  learn = learner.build(experiment, *preprocessing.resolve(experiment, None))
  mesh = devices.data_mesh()
  variables = jax.jit(learn.init_state)({}).variables
  records = study.records(experiment, learn.image_format, data, rows)
  batches = pipeline.eval_batches(records, batch_size=batch_size)
  eval_step = jax.jit(learn.eval_step, out_shardings=devices.replicated(mesh))
  pooled = predict.outputs(eval_step, variables, batches, len(rows), mesh)
  whole = records.load(np.arange(len(rows)), len(rows))
  at_once = learn.eval_step(variables, jax.numpy.asarray(whole['image']))
  np.testing.assert_allclose(pooled, at_once, atol=1e-6)


@pytest.mark.slow
def test_a_process_that_waits_says_for_whom_and_where(tmp_path):
  command = [
    sys.executable, '-m', 'medjax.main', '--config=configs/phantom.py',
    f'--workdir={tmp_path / "run"}', '--coordinator=127.0.0.1:1', '--processes=2', '--process=1',
  ]  # fmt: skip
  environment = {**os.environ, 'JAX_PLATFORMS': 'cpu'}
  with subprocess.Popen(
    command, cwd=PROJECT, env=environment, stdout=subprocess.PIPE, text=True
  ) as waiting:
    assert waiting.stdout is not None
    line = waiting.stdout.readline()
    waiting.kill()
  assert 'process 1 of 2 waits at 127.0.0.1:1 for the others; are all started' in line


@pytest.mark.slow
def test_outside_a_cluster_auto_says_what_to_give(command, tmp_path):
  finished = command(
    'main', '--config=configs/phantom.py', f'--workdir={tmp_path / "run"}', '--coordinator=auto'
  )
  assert finished.returncode == 1 and finished.stderr.count('\n') == 1
  assert 'give each process --coordinator=host0:port --processes=N --process=I' in finished.stderr

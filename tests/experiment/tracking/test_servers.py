"""A real MLflow server, a file of MLflow, and Weights & Biases offline hold what a run has told."""

import csv
import getpass
import importlib.util
import json
import os
import pathlib
import signal
import socket
import subprocess
import sys
import time
import urllib.request

import pytest
from tiny_runs import run

from medjax.runs.finished import open_run

needs_trackers = pytest.mark.skipif(
  not all(map(importlib.util.find_spec, ('mlflow', 'wandb'))), reason="needs the extra 'slow'"
)
ALL = "--config.tracking=('tensorboard','mlflow','wandb')"
MLFLOW = "--config.tracking=('mlflow',)"


def free_port():
  with socket.socket() as opened:
    opened.bind(('127.0.0.1', 0))
    return opened.getsockname()[1]


@pytest.fixture(scope='module')
def server(tmp_path_factory):
  """The address of an MLflow server, and its folder."""
  folder, port = tmp_path_factory.mktemp('mlflow'), free_port()
  environment = {
    **os.environ, 'MLFLOW_DISABLE_TELEMETRY': 'true', 'MLFLOW_SERVER_ENABLE_JOB_EXECUTION': 'false'
  }  # fmt: skip
  process = subprocess.Popen(
    [sys.executable, '-m', 'mlflow', 'server', '--host=127.0.0.1', f'--port={port}', '--workers=1',
     f'--backend-store-uri=sqlite:///{folder}/server.db',
     f'--artifacts-destination={folder}/artifacts'],
    cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    start_new_session=True,
  )  # fmt: skip
  address = f'http://127.0.0.1:{port}'
  try:
    for _ in range(240):
      time.sleep(0.5)
      try:
        with urllib.request.urlopen(f'{address}/health', timeout=2) as answer:
          assert answer.read() == b'OK'
        break
      except OSError:
        assert process.poll() is None, 'the server has ended'
    yield address, folder
  finally:
    os.killpg(process.pid, signal.SIGKILL)  # It and its workers; asked to end, they take minutes.
    process.wait(30)


def names_in(run_of):
  rows = list(csv.DictReader(run_of.layout.split.open()))
  return {row[column].encode() for row in rows for column in ('image', 'patient')}


def assert_names_nobody(run_of, *folders):
  """Neither an image nor a patient stands in any file of the folders."""
  names = names_in(run_of)
  files = [path for folder in folders for path in folder.rglob('*') if path.is_file()]
  assert files
  for path in files:
    content = path.read_bytes()
    assert not any(name in content for name in names if len(name) > 4), path


@pytest.mark.slow
@needs_trackers
def test_mlflow_shows_settings_metrics_and_the_report(
  command, server, phantom_root, tmp_path, monkeypatch
):
  from mlflow.tracking import MlflowClient

  address, folder = server
  monkeypatch.setenv('MLFLOW_TRACKING_URI', address)
  workdir = tmp_path / 'run'
  said = run(command, workdir, phantom_root, MLFLOW)
  assert 'warning' not in said.stdout + said.stderr
  client, opened = MlflowClient(address), open_run(workdir)
  experiment = client.get_experiment_by_name('medjax')
  (told,) = client.search_runs([experiment.experiment_id])
  assert (told.info.run_name, told.info.status) == ('run', 'FINISHED')
  assert told.data.params['steps'] == '6' and told.data.params['model.name'] == 'resnet_tiny'
  assert told.data.params['split_sha256'] == opened.split_sha256
  assert told.info.user_id != getpass.getuser()
  rows = [json.loads(line) for line in opened.layout.metrics.read_text().splitlines()]
  for split, name in (('train', 'loss'), ('validation', 'loss')):
    history = client.get_metric_history(told.info.run_id, f'{split}/{name}')
    expected = [(row['step'], row[name]) for row in rows if row['split'] == split]
    assert sorted((point.step, point.value) for point in history) == sorted(expected)
  auroc = opened.result.mean.auroc
  assert told.data.metrics['test/auroc_mean'] == auroc.value
  assert told.data.metrics['test/auroc_mean_low'] == auroc.interval[0]
  kept = {file.path for file in client.list_artifacts(told.info.run_id)}
  assert kept == {'without_patients.html', 'frozen.json'}
  page = client.download_artifacts(told.info.run_id, 'without_patients.html', str(tmp_path))
  assert f'{auroc.value:.3f}' in pathlib.Path(page).read_text('utf-8')
  assert_names_nobody(opened, folder)
  # More steps go on in the same run.
  run(command, workdir, phantom_root, MLFLOW, '--config.steps=9')
  (again,) = client.search_runs([experiment.experiment_id])
  assert again.info.run_id == told.info.run_id and again.info.status == 'FINISHED'
  history = client.get_metric_history(told.info.run_id, 'validation/loss')
  assert sorted(point.step for point in history) == [3, 6, 9]


@pytest.mark.slow
@needs_trackers
def test_a_server_that_is_not_there_is_one_warning(command, phantom_root, tmp_path, monkeypatch):
  monkeypatch.setenv('MLFLOW_TRACKING_URI', f'http://127.0.0.1:{free_port()}')
  said = run(command, tmp_path / 'run', phantom_root, MLFLOW)
  warnings = [line for line in said.stdout.splitlines() if line.startswith('warning')]
  assert len(warnings) == 1 and 'tracker mlflow start: ' in warnings[0]
  assert open_run(tmp_path / 'run').result.mean.auroc.value is not None


@pytest.mark.slow
@needs_trackers
def test_without_servers_files_hold_it(command, phantom_root, tmp_path, monkeypatch):
  from mlflow.tracking import MlflowClient

  for name in ('MLFLOW_TRACKING_URI', 'WANDB_MODE', 'WANDB_API_KEY'):
    monkeypatch.delenv(name, raising=False)
  run(command, tmp_path / 'study/run', phantom_root, ALL)
  opened, folder = open_run(tmp_path / 'study/run'), tmp_path / 'study'
  client = MlflowClient(f'sqlite:///{folder}/mlflow.db')
  (told,) = client.search_runs([client.get_experiment_by_name('medjax').experiment_id])
  assert told.data.metrics['test/auroc_mean'] == opened.result.mean.auroc.value
  assert list((folder / 'mlflow_files').rglob('without_patients.html'))
  (kept,) = (folder / 'run/wandb').glob('offline-run-*/run-*.wandb')
  content = kept.read_bytes()
  for words in (b'validation/auroc_mean', b'test/auroc_mean', b'resnet_tiny', b'optimizer'):
    assert words in content
  assert list((folder / 'run/tensorboard').glob('events*'))
  assert_names_nobody(opened, folder / 'mlflow_files', folder / 'run/wandb')
  assert not any(name in (folder / 'mlflow.db').read_bytes() for name in names_in(opened))

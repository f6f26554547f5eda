"""Runs and outputs in a bucket: machines that die, and others that go on from what was pushed."""

import json
import os
import pathlib
import signal
import subprocess
import sys

import bucket_server
import fsspec
import pytest
from conftest import PROJECT, TINY

import medjax

PHANTOM = '--config=configs/phantom.py'
# A command that is killed, as a machine is switched off, once it has pushed so many times.
KILLED = """
import os, runpy, signal, sys
from medjax.runtime import leases
from medjax.runtime.remote_folder import RemoteFolder

left, name = int(sys.argv.pop(1)), sys.argv.pop(1)
push = RemoteFolder.push
leases.LONGEST = leases._LOOK = 0.1

def dying(self):
  global left
  pushed = push(self)
  if pushed[0]:
    left -= 1
    if left == 0:
      os.kill(os.getpid(), signal.SIGKILL)
  return pushed

RemoteFolder.push = dying
runpy.run_module(f'medjax.{name}', run_name='__main__', alter_sys=True)
"""


@pytest.fixture(scope='module')
def server():
  with bucket_server.running() as environment:
    fsspec.filesystem('s3').mkdir('runs')
    yield environment


@pytest.fixture
def disk(server, tmp_path, compilation_cache):
  """Runs a command on a machine with an empty disk, killed after so many pushes; 0 is never."""
  cache = pathlib.Path(os.environ['XDG_CACHE_HOME'])

  def run(called, name, *arguments, pushes=0):
    own = tmp_path / called
    (own / 'medjax').mkdir(parents=True, exist_ok=True)
    if not (own / 'medjax/jax').exists():  # What is compiled is no part of the run.
      (own / 'medjax/jax').symlink_to(cache / 'medjax/jax')
    return subprocess.run(
      [sys.executable, '-c', KILLED, str(pushes), name, *arguments],
      cwd=PROJECT,
      env={**os.environ, 'JAX_PLATFORMS': 'cpu', 'XDG_CACHE_HOME': str(own)},
      capture_output=True,
      text=True,
      timeout=300,
    )

  return run


def files_of(url):
  fs, root = fsspec.core.url_to_fs(url)
  fs.invalidate_cache()
  return {path.removeprefix(f'{root}/'): fs.cat_file(path) for path in fs.find(root)}


@pytest.mark.slow
def test_a_run_goes_on_from_what_was_pushed_to_the_same_bits(
  disk, finished, phantom_root, tmp_path
):
  url = 's3://runs/phantom'
  flags = (PHANTOM, f'--workdir={url}', *TINY, f'--config.data.root={phantom_root}')
  # The first push is that of the checkpoint of step 3.
  first = disk('a', 'main', *flags, pushes=1)
  assert first.returncode == -signal.SIGKILL and f'{url}: worked on in {tmp_path}' in first.stdout
  left = files_of(url)
  assert 'checkpoints/3/_CHECKPOINT_METADATA' in left and 'evaluation/test.json' not in left
  second = disk('b', 'main', *flags)
  assert second.returncode == 0, second.stderr
  assert 'takes over from' in second.stdout and 'going on from the checkpoint of step 3' in (
    second.stdout
  )
  assert f'report: {url}/report/index.html' in second.stdout
  there = files_of(url)
  assert not [path for path in there if path.startswith('.medjax')]
  for name in ('predictions/test.csv', 'predictions/validation.csv', 'split.csv', 'images.csv'):
    assert there[name] == (finished[0] / name).read_bytes()
  for name, entry in (('frozen.json', 'weights_sha256'), ('evaluation/test.json', 'labels')):
    ours, theirs = json.loads(there[name]), json.loads((finished[0] / name).read_text())
    assert ours[entry] == theirs[entry]
  metrics = [json.loads(line) for line in there['metrics.jsonl'].decode().splitlines()]
  assert [row['step'] for row in metrics] == sorted(row['step'] for row in metrics)
  # The first machine has what it did not push, and sees that another one has ended the run.
  third = disk('a', 'main', *flags)
  assert third.returncode == 0 and 'this run is complete' in third.stdout, third.stderr

  # A reading of the test set is in the bucket before anybody sees its figures.
  again = disk('c', 'evaluate', f'--workdir={url}', '--replicates=20', pushes=1)
  assert again.returncode == -signal.SIGKILL and 'AUROC' not in again.stdout
  assert len(json.loads(files_of(url)['evaluation/readings.json'])['readings']) == 2
  assert 'The test set was read once before' in files_of(url)['evaluation/test.json'].decode()

  # Whoever only reads needs no right to write, and leaves the run as it is.
  before = files_of(url)
  pieces = [
    disk(
      f'e{number}', 'predict', f'--workdir={url}', f'--images={phantom_root}',
      '--allow_training_images', '--output=s3://runs/out/films.csv', f'--shard={number}/2',
    )
    for number in range(2)
  ]  # fmt: skip
  assert [piece.returncode for piece in pieces] == [0, 0], pieces[1].stderr
  assert 'not yet finished: piece 1 of 2' in pieces[0].stdout
  assert 's3://runs/out/films.csv: 120 images predicted' in pieces[1].stdout
  assert files_of(url) == before
  assert sorted(files_of('s3://runs/out')) == ['films.broken.csv', 'films.csv', 'films.csv.json']
  assert len(files_of('s3://runs/out')['films.csv'].splitlines()) == 121

  monkeypatch = pytest.MonkeyPatch()
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'f'))
  run = medjax.open_run(url)
  assert (
    run.result.mean.auroc.value
    == json.loads(before['evaluation/test.json'])['mean']['auroc']['value']
  )
  monkeypatch.undo()


def test_from_python_too(finished, phantom_root, tmp_path, monkeypatch, capsys):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path))
  url, system = 'memory://runs/python', fsspec.filesystem('memory')
  for path in finished[0].rglob('*'):
    if path.is_file():
      system.pipe_file(f'/runs/python/{path.relative_to(finished[0])}', path.read_bytes())
  tiny = [flag.removeprefix('--config.') for flag in TINY]
  config = medjax.load_config('configs/phantom.py', *tiny, f'data.root={phantom_root}')
  trained = medjax.train(config, url)
  assert 'this run is complete' in capsys.readouterr().out
  assert trained.result == medjax.open_run(url).result == medjax.open_run(finished[0]).result
  same = medjax.compare(url, finished[0], replicates=20)
  assert same.mean.auroc.difference.value == 0 and same.between[0] == url
  with pytest.raises(medjax.InputError, match='memory://runs/other: no such file or folder'):
    medjax.open_run('memory://runs/other')
  system.rm('/runs', recursive=True)


@pytest.mark.slow
def test_what_is_wrong_with_a_bucket_is_one_line(command, server, monkeypatch):
  def error(name, *flags):
    run = command(name, *flags)
    assert run.returncode == 1 and run.stderr.count('\n') == 1, run.stderr
    return run.stderr

  assert 'nosuch://x: Protocol not known: nosuch' in error('main', PHANTOM, '--workdir=nosuch://x')
  assert 's3://none/x/.medjax/all.lease.json: there is no such bucket' in error(
    'split', PHANTOM, '--output=s3://none/x'
  )
  assert 's3://runs/nothing: no such file or folder' in error(
    'predict', '--workdir=s3://runs/nothing', '--images=.', '--output=s3://runs/x.csv'
  )
  assert '--workdir=s3://runs/x: the processes of --coordinator share a work directory' in error(
    'main', PHANTOM, '--workdir=s3://runs/x', '--coordinator=auto'
  )

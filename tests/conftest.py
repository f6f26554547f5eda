"""Small data and small runs that several tests share."""

import os
import pathlib
import subprocess
import sys

import pytest

PROJECT = pathlib.Path(__file__).parent.parent
# Enough to go through everything once; a few seconds.
TINY = (
  '--config.data.settings.images=120',
  '--config.data.settings.image_size=32',
  '--config.data.image_size=32',
  '--config.batch_size=8',
  '--config.steps=6',
  '--config.evaluate_every=3',
  '--config.optimizer.warmup_steps=1',
  '--config.model.settings.width=4',
  '--config.replicates=50',
  '--config.split.test_floor={}',
)


@pytest.fixture(scope='session')
def phantom_root(tmp_path_factory):
  """120 generated images of 32 px."""
  from medjax.data import phantom

  root = tmp_path_factory.mktemp('data') / 'phantom'
  phantom.generate(root, images=120, image_size=32, seed=0)
  return root


@pytest.fixture(scope='session')
def command(tmp_path_factory):
  """Runs `python -m medjax.<name> …` in the project's folder and returns the finished process."""
  cache = tmp_path_factory.mktemp('cache')

  def run(name, *arguments, check=False, env=None, **settings):
    environment = {
      **os.environ,
      'JAX_PLATFORMS': 'cpu',
      'XDG_CACHE_HOME': str(cache),
      **(env or {}),
    }
    finished = subprocess.run(
      [sys.executable, '-m', f'medjax.{name}', *map(str, arguments)],
      cwd=PROJECT,
      env=environment,
      capture_output=True,
      text=True,
      timeout=540,
      **settings,
    )
    if check:
      assert finished.returncode == 0, finished.stderr[-3000:]
    return finished

  return run

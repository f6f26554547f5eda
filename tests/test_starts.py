"""Commands that need no network run where there is none, and so never wait for jax."""

import subprocess
import sys

import pandas as pd
import pytest
from conftest import PROJECT

WITHOUT = """
import runpy, sys
for name in ('jax', 'flax', 'optax', 'orbax', 'grain'):
  sys.modules[name] = None  # Importing it raises.
"""
CONFIG = """
from medjax.config import Config, Data, Model

def get_config(arg=''):
  data = Data('csv', '.', ('Edema',), settings={'table_file': 'truth.csv'})
  return Config(data=data, model=Model('resnet_tiny'))
"""


def python(code, *arguments, cwd=PROJECT):
  return subprocess.run(
    [sys.executable, '-c', WITHOUT + code, *arguments], cwd=cwd, capture_output=True, text=True
  )


@pytest.fixture
def tables(tmp_path):
  rows = range(60)
  images = pd.DataFrame({'image': [f'{row}.png' for row in rows]})
  truth = images.assign(patient=[f'p{row // 2}' for row in rows], Edema=[row % 2 for row in rows])
  truth.to_csv(tmp_path / 'truth.csv', index=False)
  images.assign(Edema=[row % 3 / 2 for row in rows]).to_csv(tmp_path / 'scores.csv', index=False)
  reads = [truth.assign(reader=name) for name in ('ann', 'bo')]
  pd.concat(reads).to_csv(tmp_path / 'reads.csv', index=False)
  (tmp_path / 'config.py').write_text(CONFIG)
  return tmp_path


@pytest.mark.parametrize(
  'command',
  [
    'split --config=config.py --output=out',
    'audit --config=config.py --output=out',
    'plan --patients=100 --prevalence=0.2 --auroc=0.8 --output=out/plan.json',
    'readers --readers=reads.csv --output=out',
    'evaluate --predictions=scores.csv --truth=truth.csv --operating_points=threshold=0.5 '
    '--replicates=20 --output=out',
  ],
)
def test_a_command_without_a_network_runs_without_jax(tables, command):
  name, *flags = command.split()
  code = f'runpy.run_module("medjax.{name}", run_name="__main__", alter_sys=True)'
  finished = python(code, *flags, cwd=tables)
  assert finished.returncode == 0, finished.stderr
  assert any((tables / 'out').iterdir())


def test_shipped_configs_are_read_without_jax():
  code = """
import pathlib
from medjax import config
for path in sorted(pathlib.Path('configs').glob('*.py')):
  config.load(str(path), [])
"""
  finished = python(code)
  assert finished.returncode == 0, finished.stderr

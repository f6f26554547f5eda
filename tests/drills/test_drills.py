"""The drills in their quick forms lose nothing, and a drill that loses something says so."""

import os
import subprocess
import sys

import filelock
import pytest
from conftest import PROJECT

sys.path.insert(0, str(PROJECT / 'drills'))

import common
import run


def drills(*arguments):
  return subprocess.run(
    [sys.executable, 'drills/run.py', *map(str, arguments)],
    cwd=PROJECT, capture_output=True, text=True, timeout=540,
  )  # fmt: skip


@pytest.fixture(scope='session')
def folder(tmp_path_factory):
  """One folder for all drills and all workers, with the finished run that they share."""
  path = tmp_path_factory.getbasetemp()
  path = (path.parent if 'PYTEST_XDIST_WORKER' in os.environ else path) / 'all_drills'
  path.mkdir(exist_ok=True)
  with filelock.FileLock(path / 'lock'):
    for seed in (0, 1):
      common.phantom(path / 'any', seed=seed)
    common.finished_run(path / 'any')
  return path


@pytest.mark.slow
@pytest.mark.parametrize('name', run.NAMES)
def test_the_quick_form_loses_nothing(name, folder):
  done = drills(name, '--quick', f'--folder={folder}')
  assert done.returncode == 0, done.stdout + done.stderr[-3000:]
  assert 'nothing lost' in done.stdout and not done.stdout.startswith(f'{name:9} 0 tried')


def test_what_is_lost_is_said_and_is_the_exit_status(monkeypatch, capsys, tmp_path):
  class Drill:
    @staticmethod
    def main(quick, folder):
      assert quick and folder.is_dir()
      return common.Figures(3, ('a file is gone',), 'three kills')

  monkeypatch.setattr(run, 'NAMES', ('broken',))
  monkeypatch.setitem(sys.modules, 'broken', Drill)
  monkeypatch.setattr(sys, 'argv', ['run.py', 'broken', '--quick', f'--folder={tmp_path}'])
  assert run.main() == 1
  said = capsys.readouterr().out
  assert '3 tried, 1 lost' in said and 'lost: a file is gone' in said


def test_a_name_of_no_drill_is_refused_with_those_there_are():
  done = drills('kilsl')
  assert done.returncode == 2 and "no drill is called 'kilsl'" in done.stderr

"""`medjax` alone lists the commands, `medjax NAME` runs one."""

import os
import subprocess
import sys

from conftest import PROJECT


def medjax(*arguments, **settings):
  return subprocess.run(
    [sys.executable, '-m', 'medjax', *arguments],
    cwd=PROJECT, stderr=subprocess.PIPE, text=True, **settings,
  )  # fmt: skip


def test_every_command_has_a_line():
  listed = medjax(stdout=subprocess.PIPE).stdout
  for name in ('main', 'predict', 'evaluate', 'export', 'split', 'audit'):
    assert f'\n  {name} ' in listed


def test_a_wrong_name_is_one_line():
  assert medjax('pridict').stderr == (
    "error: medjax has no command 'pridict'; did you mean 'predict'? `medjax` lists them\n"
  )
  finished = medjax('foo')
  assert finished.stderr == "error: medjax has no command 'foo'. `medjax` lists them\n"
  assert finished.returncode == 1


def test_a_reader_that_is_gone_is_no_traceback():
  reading, writing = os.pipe()
  os.close(reading)
  finished = medjax(stdout=writing)
  os.close(writing)
  assert (finished.returncode, finished.stderr) == (141, '')

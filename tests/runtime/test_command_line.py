"""Ctrl-C that code of others drops or calls another error; streams and folders that are gone."""

import os
import signal
import subprocess
import sys

import pytest
from conftest import PROJECT

COMMAND = """
import os, signal, sys, time
from medjax.runtime import command_line

class Dropping:
  def __del__(self):
    os.kill(os.getpid(), signal.SIGINT)
    for _ in range(1000):
      pass

def dropped():
  thing = Dropping()
  del thing
  print('dropped', flush=True)
  time.sleep(20)

def renamed():
  try:
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(20)
  except KeyboardInterrupt as error:
    raise RuntimeError('the compiler has failed') from error

def other():
  raise RuntimeError('of its own')

signal.signal(signal.SIGINT, signal.default_int_handler)
name = sys.argv.pop()
command_line.run(globals()[name])
"""


def run(name):
  return subprocess.run(
    [sys.executable, '-c', COMMAND, name], cwd=PROJECT, capture_output=True, text=True, timeout=60
  )


@pytest.mark.parametrize('name', ['dropped', 'renamed'])
def test_ctrl_c_ends_a_command_in_one_line(name):
  ended = run(name)
  assert ended.returncode == 128 + signal.SIGINT
  assert ended.stderr.splitlines() == [
    'interrupted; the same command goes on, from its last checkpoint if any'
  ]
  assert ended.stdout == ('dropped\n' if name == 'dropped' else '')


def test_an_error_without_ctrl_c_is_shown_as_it_is():
  ended = run('other')
  assert ended.returncode == 1 and 'RuntimeError: of its own' in ended.stderr


@pytest.mark.parametrize(('closed', 'said'), [('>&-', ''), ('2>&-', '| network ')])
def test_a_closed_stream_is_nobody_who_reads(closed, said):
  line = f'{sys.executable} -m medjax.models {closed}'
  ended = subprocess.run(line, shell=True, cwd=PROJECT, capture_output=True, text=True, timeout=60)
  assert ended.returncode == 0 and ended.stdout.startswith(said) and not ended.stderr


def test_a_folder_that_is_gone_is_one_line(tmp_path):
  line = f'mkdir gone; cd gone; rmdir ../gone; {sys.executable} -m medjax.split'
  environment = {**os.environ, 'PYTHONPATH': str(PROJECT)}
  ended = subprocess.run(
    line, shell=True, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60
  )
  assert ended.returncode == 1
  assert ended.stderr.splitlines()[-1].startswith('error: the folder that the command was started')
  assert 'Traceback' not in ended.stderr


def test_help_is_no_failure():
  asked = [sys.executable, '-m', 'medjax', 'models', '--help']
  ended = subprocess.run(asked, cwd=PROJECT, capture_output=True, text=True, timeout=60)
  assert ended.returncode == 0 and ended.stdout.strip().startswith('Prints every network')

"""What a killed process leaves of a file that it was writing goes with the next file there."""

import subprocess
import sys

import pytest
from conftest import PROJECT

from medjax.runtime import files

WRITING = """
import pathlib, sys, time
from medjax.runtime import files
with files.writing_whole(pathlib.Path(sys.argv[1])) as file:
  file.write(b'half')
  file.flush()
  print('writing', flush=True)
  time.sleep(600)
"""
WRITTEN = """
import pathlib, sys
from medjax.runtime import files
files.write_whole(pathlib.Path(sys.argv[1]), 'whole')
"""


@pytest.fixture
def writer(tmp_path):
  """A process that has written half of page.html."""
  process = subprocess.Popen(
    [sys.executable, '-c', WRITING, str(tmp_path / 'page.html')],
    cwd=PROJECT, stdout=subprocess.PIPE, text=True,
  )  # fmt: skip
  assert process.stdout.readline() == 'writing\n'
  yield process
  process.kill()
  process.wait()
  process.stdout.close()


def left(folder):
  return sorted(path.name for path in folder.iterdir() if path.name.startswith('.'))


def write(path):
  subprocess.run([sys.executable, '-c', WRITTEN, str(path)], cwd=PROJECT, check=True)


@pytest.mark.parametrize('name', ['page.html', 'other.json'])
def test_the_half_of_a_killed_process_is_removed_by_the_next_that_writes_there(
  writer, tmp_path, name
):
  (tmp_path / '.theirs.tmp').touch()  # Of another program.
  writer.kill()
  writer.wait()
  assert len(left(tmp_path)) == 2
  write(tmp_path / name)
  assert left(tmp_path) == ['.theirs.tmp'] and (tmp_path / name).read_text() == 'whole'


def test_the_half_of_a_process_at_work_stays(writer, tmp_path):
  before = left(tmp_path)
  write(tmp_path / 'other.json')
  assert left(tmp_path) == before != []


def test_a_disk_without_locks_is_written_all_the_same(writer, tmp_path, monkeypatch):
  def refused(*_):
    raise OSError(37, 'No locks available')

  writer.kill()
  writer.wait()
  monkeypatch.setattr(files.fcntl, 'flock', refused)
  files.write_whole(tmp_path / 'page.html', 'whole')
  assert (tmp_path / 'page.html').read_text() == 'whole' and len(left(tmp_path)) == 1


def test_the_half_of_another_machine_stays(tmp_path):
  (tmp_path / '.page.html.another-machine-1.tmp').touch()
  write(tmp_path / 'other.json')
  assert left(tmp_path) == ['.page.html.another-machine-1.tmp']

"""A disk that fails, in one line, whoever wrote to it."""

import errno
import logging
import os
import subprocess
import sys

import pytest
import tensorstore
from array_record.python.array_record_module import ArrayRecordWriter
from conftest import PROJECT

from medjax.api import words
from medjax.errors import InputError
from medjax.runtime import files, storage

FULL = '/dev/full'  # Every write to it fails with ENOSPC.
needs_full = pytest.mark.skipif(not os.path.exists(FULL), reason='this system has no /dev/full')


def raised(action):
  """Returns the error that an action raises."""
  with pytest.raises(Exception) as error:
    action()
  return error.value


def write_full():
  with open(FULL, 'w') as file:
    file.write('x')


def write_records():
  writer = ArrayRecordWriter(FULL, 'group_size:1,uncompressed')
  writer.write(b'x')
  writer.close()


def write_tensors_below_a_file():
  store = {'driver': 'file', 'path': '/proc/version/x/'}
  spec = {'driver': 'zarr', 'kvstore': store}
  tensorstore.open(spec, create=True, dtype='float32', shape=[1]).result()


def wrapped(cause, error):
  """Returns what a library raises in place of an error of the system."""

  def action():
    try:
      cause()
    except Exception as first:
      raise error from first

  return action


def in_context(cause):
  def action():
    try:
      cause()
    finally:
      raise KeyError('while closing')

  return action


@needs_full
@pytest.mark.parametrize(
  'action',
  [
    write_full,
    write_records,
    wrapped(write_full, RuntimeError('saving failed')),
    in_context(write_full),
    wrapped(write_full, InputError('heat_maps: cannot be written')),
  ],
)
def test_a_full_disk_is_found_however_it_is_wrapped(action):
  found = storage.failure(raised(action))
  assert found.errno == errno.ENOSPC and found.strerror == 'No space left on device'


def test_a_group_of_errors_is_searched():
  group = ExceptionGroup('two', [ValueError('x'), OSError(errno.EDQUOT, 'quota', '/data/a')])
  found = storage.failure(group)
  assert (found.errno, found.filename) == (errno.EDQUOT, '/data/a')


@pytest.mark.parametrize(
  ('text', 'code', 'path'),
  [
    # Of tensorstore and riegeli, as they were seen.
    (
      'RESOURCE_EXHAUSTED: Failed writing: "/runs/a/checkpoints/10.orbax-checkpoint-tmp/d/70a4": '
      "Failed to write 305291 bytes to file 27: No space left on device [os_error_code='28']",
      errno.ENOSPC,
      '/runs/a/checkpoints/10.orbax-checkpoint-tmp/d/70a4',
    ),
    (
      'PERMISSION_DENIED: Error opening "zarr" driver: Error writing local file "/runs/a/.zarray": '
      "Failed to create directory: Read-only file system [os_error_code='30']",
      errno.EROFS,
      '/runs/a/.zarray',
    ),
    (
      'write() failed: File too large; writing /tmp/a.array_record; at byte 102400',
      errno.EFBIG,
      '/tmp/a.array_record',
    ),
    ('PERMISSION_DENIED: "/runs/a/b": Permission denied', errno.EACCES, '/runs/a/b'),
  ],
)
def test_what_the_system_said_is_read_from_errors_of_other_kinds(text, code, path):
  found = storage.failure(ValueError(text))
  assert (found.errno, found.filename) == (code, path)


def test_other_errors_are_none_of_a_disk():
  for error in (
    ValueError('RESOURCE_EXHAUSTED: out of memory while trying to allocate 1 byte'),
    FileNotFoundError(errno.ENOENT, 'No such file or directory', '/x'),
    PermissionError(errno.EACCES, 'Permission denied', '/x'),
    InputError('/x: cannot be read (Permission denied)'),
    KeyError('x'),
    raised(write_tensors_below_a_file),
  ):
    assert storage.failure(error) is None


@pytest.fixture
def disks(tmp_path, monkeypatch):
  """Three folders on disks with so many bytes left; of the last no file is left."""
  left = {'large': 5 * 10**9, 'small': 3 * 10**5, 'many': 9 * 10**9}
  for name in left:
    (tmp_path / name).mkdir()
  statvfs = os.statvfs

  def of_disk(path):
    name = next((name for name in left if f'{tmp_path}/{name}' in str(path)), None)
    if name is None:
      return statvfs(path)
    free, files_left = left[name], 0 if name == 'many' else 10
    # Units of one byte: blocks in all, free, free to us; files in all, free, free to us.
    return os.statvfs_result((1, 1, 10**10, free, free, 1000, files_left, files_left, 0, 255))

  monkeypatch.setattr(os, 'statvfs', of_disk)
  return tmp_path


def said(code, folders, path=None):
  line = storage.in_words(OSError(code, os.strerror(code), path), folders)
  assert '\n' not in line and line.endswith('the same command goes on')
  return line


def test_the_fullest_folder_is_named_with_its_room_where_no_path_is_known(disks):
  assert said(errno.ENOSPC, [disks / 'large', disks / 'small' / 'run' / 'new']) == (
    f'{disks}/small/run/new: the disk has too little room (300 kB of 10.0 GB are free); make room; '
    'the same command goes on'
  )
  assert said(errno.ENOSPC, [disks / 'small', disks / 'many']).startswith(
    f'{disks}/many: the disk holds as many files as it can (9.0 GB of 10.0 GB are free)'
  )


def test_the_folder_is_named_as_the_user_calls_it(disks, monkeypatch):
  monkeypatch.chdir(disks)
  path = f'{disks}/large/run/checkpoints/10.tmp/x'
  (disks / 'large' / 'run').mkdir()
  assert said(errno.ENOSPC, ['small', 'large/run'], path).startswith('large/run: the disk has')
  assert said(errno.ENOSPC, ['small'], path).startswith(f'{disks}/large/run: the disk has')


@pytest.mark.parametrize(
  ('code', 'says'),
  [
    (errno.EDQUOT, 'quota'),
    (errno.EFBIG, 'ulimit -f'),
    (errno.EROFS, '/x/a.json: Read-only file system'),
    (errno.EIO, '/x/a.json: Input/output error'),
    (errno.ESTALE, '/x/a.json: Stale file handle'),
    (errno.ENOLCK, '/x/a.json: the file system has no file locks'),
  ],
)
def test_each_failure_says_what_to_do(code, says, disks):
  assert says in said(code, [disks / 'large'], '/x/a.json')


def test_a_folder_that_is_gone_is_named_all_the_same(tmp_path, monkeypatch):
  def gone(path):
    raise OSError(errno.ESTALE, 'Stale file handle', str(path))

  monkeypatch.setattr(os, 'statvfs', gone)
  assert said(errno.ENOSPC, [tmp_path]).startswith(f'{tmp_path}: ')


@needs_full
def test_threads_that_log_a_full_disk_are_silent_and_others_are_not(caplog):
  storage.quiet_threads()
  for name in ('absl', 'asyncio'):
    for action in (write_full, lambda: {}['x']):
      try:
        action()
      except Exception:
        logging.getLogger(name).exception('a thread failed')
  assert [record.exc_info[0] for record in caplog.records] == [KeyError, KeyError]


class Late:
  """Raises where nobody can catch it."""

  def __init__(self, error):
    self.error = error

  def __del__(self):
    raise self.error


def test_a_write_that_ends_after_its_checkpoint_was_given_up_is_silent(monkeypatch):
  said = []
  monkeypatch.setattr(sys, 'unraisablehook', lambda told: said.append(type(told.exc_value)))
  for _ in range(2):
    storage.quiet_threads()
    for error in (RuntimeError('Event loop is closed'), RuntimeError('other'), KeyError('x')):
      Late(error)
  assert said == [RuntimeError, KeyError] * 2


@needs_full
def test_a_function_raises_one_line(tmp_path):
  with pytest.raises(InputError) as error, words.renamed(folders=[tmp_path]):
    write_full()
  assert str(error.value).endswith('make room; the same call goes on')


def test_half_a_file_is_not_left_behind(tmp_path, monkeypatch):
  (tmp_path / 'a.json').write_text('old')

  def full(one, other):
    raise OSError(errno.ENOSPC, 'No space left on device')

  monkeypatch.setattr(os, 'replace', full)
  with pytest.raises(OSError, match='No space'):
    files.write_whole(tmp_path / 'a.json', 'new')
  assert [path.name for path in tmp_path.iterdir()] == ['a.json']
  assert (tmp_path / 'a.json').read_text() == 'old'


COMMAND = 'from medjax.runtime import command_line; command_line.run(lambda: print("x" * 10_000))'


@needs_full
@pytest.mark.parametrize('unbuffered', ['', '1'])
def test_standard_output_on_a_full_disk_is_one_line(unbuffered):
  with open(FULL, 'w') as full:
    finished = subprocess.run(
      [sys.executable, '-c', COMMAND],
      cwd=PROJECT, env={**os.environ, 'PYTHONUNBUFFERED': unbuffered}, stdout=full,
      stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
  assert finished.returncode == 1
  assert finished.stderr.startswith('error: standard output cannot be written to')
  assert finished.stderr.count('\n') == 1


KILLED = """
import os, pathlib, signal
from medjax.runtime import files
with files.writing_whole(pathlib.Path('a.json')) as file:
  file.write(b'half')
  os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_kill_leaves_is_known_and_removed_and_nothing_else(tmp_path):
  (tmp_path / 'in').mkdir()
  for name in ('.hidden', 'own.tmp', '.own.txt'):
    (tmp_path / name).touch()
  for folder in (tmp_path, tmp_path / 'in'):
    subprocess.run(
      [sys.executable, '-c', KILLED], cwd=folder, env={**os.environ, 'PYTHONPATH': str(PROJECT)}
    )
  left = {path.name for path in tmp_path.rglob('*.tmp')} - {'own.tmp'}
  assert len(left) == 2 and all(map(files.is_temporary, left))
  files.remove_temporaries(tmp_path, 'b.json')
  assert len(list(tmp_path.rglob('.a.json.*'))) == 2
  files.remove_temporaries(tmp_path, 'a.json')
  assert len(list(tmp_path.rglob('.a.json.*'))) == 1
  files.remove_temporaries(tmp_path)
  assert {path.name for path in tmp_path.rglob('*')} == {'.hidden', 'own.tmp', '.own.txt', 'in'}

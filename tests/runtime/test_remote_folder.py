"""A folder of a bucket, worked on by machines that die at any instant."""

import contextlib
import os
import shutil

import fsspec
import pytest

from medjax.runtime import bucket, leases, remote, remote_work
from medjax.runtime.bucket import Place
from medjax.runtime.remote_folder import RemoteFolder

URL = 'memory://runs/a'
MEMORY = type(fsspec.filesystem('memory'))


@pytest.fixture
def machine(tmp_path, monkeypatch):
  """Makes this process one of several machines, each with a disk of its own, by its name."""
  monkeypatch.setattr(remote, '_PAUSE', 0)
  monkeypatch.setattr(leases, 'LONGEST', 0.05)
  monkeypatch.setattr(leases, '_LOOK', 0.02)
  monkeypatch.setattr(bucket, '_THREADS', 1)
  yield lambda name: monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / name))
  fsspec.filesystem('memory').store.clear()


def write(folder, **texts):
  """Leaves in a folder these files and no others; None is a file that is left as it is."""
  for path in list(folder.rglob('*')):
    if path.is_file() and path.name.replace('.', '_') not in texts:
      path.unlink()
  for name, text in texts.items():
    if text is not None:
      path = folder / name.replace('_', '.')
      path.parent.mkdir(parents=True, exist_ok=True)
      path.write_text(text)


def content(folder):
  return {
    str(path.relative_to(folder)): path.read_text()
    for path in sorted(folder.rglob('*'))
    if path.is_file()
  }


def fetched(machine, name):
  """Returns what a machine that was never there finds."""
  machine(name)
  folder = RemoteFolder(Place(URL))
  folder.open()
  folder.close()
  return content(folder.folder)


def objects(place=Place(URL)):
  return sorted(bucket.look(place).objects)


def test_what_is_done_on_one_machine_is_there_on_the_next(machine):
  machine('a')
  with remote_work.local(URL) as folder:
    assert folder.name == 'a' and not any(folder.iterdir())
    (folder / 'checkpoints/6').mkdir(parents=True)
    (folder / 'checkpoints/6/state').write_text('six')
    (folder / 'config.json').write_text('{}')
    (folder / '.lock').touch()
    (folder / 'decoded').mkdir()
    (folder / 'decoded/pixels.npy').touch()
  assert objects() == ['checkpoints/6/state', 'config.json']
  machine('b')
  with remote_work.local(URL) as other:
    assert content(other) == {'checkpoints/6/state': 'six', 'config.json': '{}'}
    shutil.rmtree(other / 'checkpoints/6')
    (other / 'checkpoints/12').mkdir()
    (other / 'checkpoints/12/state').write_text('twelve')
  machine('a')
  with remote_work.local(URL) as folder:
    # A folder that holds nothing would be a checkpoint.
    assert os.listdir(folder / 'checkpoints') == ['12']


def test_only_what_has_changed_is_sent_and_fetched(machine, monkeypatch):
  machine('a')
  with remote_work.local(URL) as folder:
    write(folder, a_txt='one', b_txt='two')
  sent, got = [], []
  pipe, get = MEMORY.pipe_file, MEMORY.get_file
  monkeypatch.setattr(
    MEMORY, 'pipe_file', lambda self, path, *a, **k: sent.append(path) or pipe(self, path, *a, **k)
  )
  monkeypatch.setattr(
    MEMORY, 'get_file', lambda self, path, *a, **k: got.append(path) or get(self, path, *a, **k)
  )
  with remote_work.local(URL):
    pass
  assert not [path for path in sent if 'lease' not in path] and not got
  with remote_work.local(URL) as folder:
    (folder / 'b.txt').write_text('three')
  assert [path for path in sent if path.endswith('.txt')] == ['/runs/a/.medjax/all.next/b.txt']
  machine('b')
  for _ in range(2):
    with remote_work.local(URL):
      pass
  assert got == ['/runs/a/a.txt', '/runs/a/b.txt']


class Cut(BaseException):
  """The machine dies."""


def dying(monkeypatch, after):
  """Has the machine die before the call that changes the bucket after so many others."""
  calls = []

  def counted(name):
    method = getattr(MEMORY, name)

    def call(self, *arguments, **options):
      calls.append(name)
      if len(calls) > after:
        raise Cut
      return method(self, *arguments, **options)

    monkeypatch.setattr(MEMORY, name, call)

  for name in ('pipe_file', 'cp_file', 'rm_file'):
    counted(name)
  return calls


BEFORE = {'config_json': 'old', 'test_json': 'result', 'split_csv': 'split'}
# As a run that goes on leaves it: the result renamed, the config replaced, a new checkpoint.
AFTER = {'config_json': 'more steps', 'test_1_json': 'result', 'split_csv': None, 'state': 'new'}


@pytest.mark.parametrize('after', range(1, 11))
def test_a_push_cut_off_anywhere_leaves_the_state_before_or_after(machine, monkeypatch, after):
  machine('a')
  with remote_work.local(URL) as folder:
    write(folder, **BEFORE)
  before = content(folder)
  with monkeypatch.context() as patch:
    a = RemoteFolder(Place(URL))
    a.open()
    write(a.folder, **AFTER)
    dying(patch, after - 1)
    with pytest.raises(Cut) if after < 10 else contextlib.nullcontext():
      a.push()
  later = content(a.folder)
  assert later != before
  # Whoever only reads changes nothing, and finds one of the two.
  machine('reader')
  there = objects()
  assert content(remote_work.local_copy(URL)) in (before, later) and objects() == there
  copy = {key: value for key, value in fsspec.filesystem('memory').store.items()}
  found = fetched(machine, 'b')
  assert found in (before, later)
  assert (found == later) == (after > 5), 'the fifth call puts the journal again, as whole'
  assert objects() == sorted(found)
  # The machine itself goes on with all that it had.
  fsspec.filesystem('memory').store.clear()
  fsspec.filesystem('memory').store.update(copy)
  machine('a')
  with remote_work.local(URL) as folder:
    assert content(folder) == later
  assert objects() == sorted(later) and fetched(machine, 'c') == later
  assert not list(folder.parent.glob('a.2*')), 'nothing was put aside'

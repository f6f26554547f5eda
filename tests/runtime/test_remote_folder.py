"""A folder of a bucket, worked on by machines that die at any instant."""

import contextlib
import os
import re
import shutil
import threading

import fsspec
import pytest
from memory_bucket import MEMORY, URL, Cut, content, dying, fetched, objects, until, write

from medjax.errors import InputError
from medjax.runtime import bucket, remote_work
from medjax.runtime.bucket import Place
from medjax.runtime.remote_folder import RemoteFolder


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
  assert not fsspec.filesystem('memory').exists('/runs/a/.medjax')
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
  (staged,) = [path for path in sent if path.endswith('.txt')]
  assert re.fullmatch('/runs/a/.medjax/all.next/[0-9a-f]{32}/b.txt', staged)
  machine('b')
  for _ in range(2):
    with remote_work.local(URL):
      pass
  assert got == ['/runs/a/a.txt', '/runs/a/b.txt']


BEFORE = {'config_json': 'old', 'test_json': 'result', 'split_csv': 'split'}
# As a run that goes on leaves it: the result renamed, the config replaced, a new checkpoint.
AFTER = {'config_json': 'more steps', 'test_1_json': 'result', 'split_csv': None, 'state': 'new'}


@pytest.mark.parametrize(
  ('after', 'threads'), [*((after, 1) for after in range(1, 11)), (2, 4), (3, 4), (7, 4), (8, 4)]
)
def test_a_push_cut_off_anywhere_leaves_the_state_before_or_after(
  machine, monkeypatch, after, threads
):
  monkeypatch.setattr(bucket, '_THREADS', threads)
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


def test_what_was_done_on_two_machines_from_one_state_is_never_mixed(machine):
  machine('a')
  with remote_work.local(URL) as folder:
    write(folder, one_txt='1')
  dead = RemoteFolder(Place(URL))
  dead.open()
  write(dead.folder, one_txt='1 of a', two_txt='2 of a')  # And never pushed.
  machine('b')
  with remote_work.local(URL) as folder:
    write(folder, one_txt='1 of b')
  machine('a')
  with remote_work.local(URL) as folder:
    assert content(folder) == {'one.txt': '1 of b'}
  (aside,) = folder.parent.glob('a.2*')
  assert content(aside) == {'one.txt': '1 of a', 'two.txt': '2 of a'}


def test_a_fetch_cut_off_is_done_again_before_anything_else(machine, monkeypatch):
  machine('a')
  with remote_work.local(URL) as folder:
    write(folder, a_txt='a', b_txt='b', c_txt='c')
  machine('b')
  with remote_work.local(URL):
    pass
  machine('a')
  with remote_work.local(URL) as folder:
    write(folder, a_txt='a2', b_txt='b2')
  machine('b')
  get = MEMORY.get_file
  with monkeypatch.context() as patch:

    def dies(self, path, *arguments, **options):
      if path.endswith('b.txt'):
        raise Cut
      return get(self, path, *arguments, **options)

    patch.setattr(MEMORY, 'get_file', dies)
    with pytest.raises(Cut):
      RemoteFolder(Place(URL)).open()
  with remote_work.local(URL) as folder:
    assert content(folder) == {'a.txt': 'a2', 'b.txt': 'b2'}
  assert not list(folder.parent.glob('a.2*'))


def test_of_a_file_only_what_is_called_after_it_is_touched(machine):
  machine('a')
  system = fsspec.filesystem('memory')
  for name in ('films/1.png', 'outer.csv', 'out.csv.shards/0-of-2.csv'):
    system.pipe_file(f'/runs/{name}', b'there')
  with remote_work.local('memory://runs/out.csv', is_file=True) as path:
    assert path.name == 'out.csv' and path.parent.name == 'runs'
    assert content(path.parent) == {'out.csv.shards/0-of-2.csv': 'there'}
    shutil.rmtree(path.parent / 'out.csv.shards')
    path.write_text('0')
    (path.parent / 'out.broken.csv').write_text('')
  assert objects('memory://runs') == ['films/1.png', 'out.broken.csv', 'out.csv', 'outer.csv']


@pytest.mark.parametrize('name', ['films', 'films.csv'])
def test_of_an_output_its_file_is_pushed_and_no_folder_of_others_is_fetched(machine, name):
  machine('a')
  system = fsspec.filesystem('memory')
  for path in ('films.old/1.png', 'films.broken.csv', 'filmstrip', f'{name}.shards/0-of-2.csv'):
    system.pipe_file(f'/runs/{path}', b'there')
  with remote_work.local(f'memory://runs/{name}', is_file=True) as path:
    assert sorted(content(path.parent)) == ['films.broken.csv', f'{name}.shards/0-of-2.csv']
    path.write_text('0')
  assert name in objects('memory://runs') and 'films.old/1.png' in objects('memory://runs')
  machine('b')
  with remote_work.local(f'memory://runs/{name}', is_file=True) as path:
    assert path.read_text() == '0'


def test_a_folder_that_came_by_other_means_is_not_taken_for_changed(machine, monkeypatch):
  machine('a')
  there = ('.lock', '.a.txt.host-1.tmp', 'decoded/pixels.npy', 'decoded/index.jsonl')
  left = 'checkpoints/6.orbax-checkpoint-tmp/state'
  for path in ('a.txt', 'prepared/a.txt', *there, left):
    fsspec.filesystem('memory').pipe_file(f'/runs/a/{path}', b'1')
  with remote_work.local(URL) as folder:
    assert content(folder) == {'a.txt': '1', 'prepared/a.txt': '1'}
  with monkeypatch.context() as patch, pytest.raises(InputError), remote_work.local(URL) as folder:
    (folder / 'a.txt').write_text('not pushed')
    patch.setattr(bucket, 'send', lambda *arguments: (_ for _ in ()).throw(InputError('cut')))
  with remote_work.local(URL) as folder:
    assert (folder / 'a.txt').read_text() == 'not pushed'
    assert not list(folder.parent.glob('a.2*'))
    assert content(remote_work.local_copy(URL)) == {'a.txt': '1', 'prepared/a.txt': '1'}
  assert {*there, left} <= set(objects()), 'they are not of this command'


def test_what_cannot_be_pushed_is_said_with_where_it_is(machine, monkeypatch, capsys):
  machine('a')
  pipe, failures = MEMORY.pipe_file, []

  def failing(self, path, *arguments, **options):
    if failures and path.endswith('.txt'):
      raise failures[0]
    return pipe(self, path, *arguments, **options)

  monkeypatch.setattr(MEMORY, 'pipe_file', failing)
  with pytest.raises(InputError) as raised, remote_work.local(URL) as folder:
    failures.append(ConnectionError('gone'))
    write(folder, a_txt='a')
    remote_work.push_after(list)
    said = []
    until(lambda: said.append(capsys.readouterr().out) or 'not pushed now' in ''.join(said))
  assert str(raised.value).startswith(
    f'{URL}: what was done is not pushed (memory://runs/a/a.txt: '
  )
  assert f'it is in {folder}, and the same command goes on from there' in str(raised.value)
  with pytest.raises(KeyError), remote_work.local(URL):
    raise KeyError  # Said, and not in the way of the error.
  assert f'it is in {folder}, and the same' in capsys.readouterr().out
  failures[:] = [PermissionError('read only')]
  refusal = r'a\.txt: may not be written .*read only'
  with pytest.raises(InputError, match=refusal), remote_work.local(URL):
    pass
  failures.clear()
  with remote_work.local(URL):
    pass
  assert objects() == ['a.txt']


def test_pushed_meanwhile_is_what_was_there_when_it_was_asked_for(machine, monkeypatch):
  machine('a')
  pushed, commit = [], bucket.commit
  monkeypatch.setattr(
    bucket,
    'commit',
    lambda place, name, journal: commit(place, name, journal) or pushed.extend(journal.new),
  )
  with remote_work.local(URL) as folder:
    (folder / 'log.txt').write_text('1')
    saved = threading.Event()
    remote_work.push_after(saved.wait)
    (folder / 'state.txt').write_text('saved')
    saved.set()
    until(lambda: any(path.endswith('state.txt') for path in pushed))
    with (folder / 'log.txt').open('a') as file:
      file.write('2')
    remote_work.push()
    (copied,) = [remote_work.local_copy(URL)]
    assert content(copied) == {'log.txt': '12', 'state.txt': 'saved'}
    assert remote_work.with_urls(f'{folder}/log.txt: bad') == f'{URL}/log.txt: bad'
    assert remote_work.with_urls(copied) == URL


def test_a_reader_finds_one_state_though_somebody_pushes_meanwhile(machine, monkeypatch, tmp_path):
  machine('a')
  with remote_work.local(URL) as folder:
    write(folder, a_txt='a1', b_txt='b1', c_txt='c')
    remote_work.push()
    got, get = [], MEMORY.get_file

    def while_pushed(self, path, *arguments, **options):
      got.append(path)
      if len(got) == 2:
        machine('a')
        write(folder, a_txt='a2', b_txt='b2', c_txt=None)
        remote_work.push()
        machine('reader')
      return get(self, path, *arguments, **options)

    monkeypatch.setattr(MEMORY, 'get_file', while_pushed)
    machine('reader')
    copy = remote_work.local_copy(URL)
    assert content(copy) == {'a.txt': 'a2', 'b.txt': 'b2', 'c.txt': 'c'}
    assert got.count('/runs/a/c.txt') == 1  # It is as it was.
    assert remote_work.local_copy(URL) == copy and len(got) == 5
    assert len(list((tmp_path / 'reader/medjax/remote').iterdir())) == 1
    machine('a')


def test_of_a_file_that_grows_meanwhile_the_beginning_is_sent(machine, monkeypatch):
  machine('a')
  with remote_work.local(URL) as folder:
    (folder / 'log.txt').write_text('1')
    put = bucket.put

    def while_growing(*arguments):
      with (folder / 'log.txt').open('a') as file:
        file.write('2')
      put(*arguments)

    with monkeypatch.context() as patch:
      patch.setattr(bucket, 'put', while_growing)
      remote_work.push()
    assert content(remote_work.local_copy(URL)) == {'log.txt': '1'}
  assert content(remote_work.local_copy(URL)) == {'log.txt': '12'}


@pytest.mark.parametrize(
  ('url', 'message'),
  [
    ('nosuch://x/y', 'Protocol not known: nosuch'),
    ('memory://', 'names no bucket'),
  ],
)
def test_what_is_no_place_to_write_to(machine, url, message):
  machine('a')
  with pytest.raises(InputError, match=message), remote_work.local(url):
    pass


def test_a_file_needs_a_folder():
  with pytest.raises(InputError, match=r's3://out\.csv: names a bucket and no file in it'):
    bucket.place_of('s3://out.csv', is_file=True)

"""Several machines on one folder of a bucket: they wait, take over, or do a piece each."""

import shutil

import fsspec
import pytest
from memory_bucket import URL, Cut, content, dying, objects, write

from medjax.errors import InputError
from medjax.runtime import bucket, leases, remote, remote_work
from medjax.runtime.bucket import Place
from medjax.runtime.remote_folder import RemoteFolder


def test_one_that_is_at_work_is_not_disturbed(machine, monkeypatch):
  machine('a')
  monkeypatch.setattr(leases, 'RENEWED', 0.02)
  monkeypatch.setattr(leases, 'LONGEST', 2)
  with remote_work.local(URL) as folder:
    refusal = 'another process of this machine is at work there'
    with pytest.raises(InputError, match=refusal), remote_work.local(URL):
      pass
    machine('b')
    refusal = r'runs/a: .*process \d+\) is at work there; wait for it'
    with pytest.raises(InputError, match=refusal), remote_work.local(URL):
      pass
    write(folder, a_txt='a')
    machine('a')
  assert objects() == ['a.txt']
  machine('b')
  with remote_work.local(URL) as other:
    assert content(other) == {'a.txt': 'a'}


def test_one_that_was_taken_over_pushes_nothing_more(machine, capsys):
  machine('a')
  slow = RemoteFolder(Place(URL))
  slow.open()  # And then asleep: it does not renew.
  write(slow.folder, a_txt='of a')
  machine('b')
  with remote_work.local(URL) as other:
    assert 'ended without leaving it; what it had not pushed is on its disk' in (
      capsys.readouterr().out
    )
    write(other, b_txt='of b')
  machine('a')
  with pytest.raises(InputError, match='another process has taken it over'):
    slow.push()
  slow.renew()
  slow.close()
  assert objects() == ['b.txt']


def test_machines_that_share_work_push_their_own_and_see_that_of_the_others(machine):
  machine('a')
  with remote_work.local(URL, piece='0-of-2') as a:
    (a / 'shards').mkdir()
    (a / 'shards/0-of-2.csv').write_text('0')
    machine('b')
    with remote_work.local(URL, piece='1-of-2') as b:
      assert content(b) == {}
      (b / 'shards').mkdir()
      (b / 'shards/1-of-2.csv').write_text('1')
      with pytest.raises(InputError, match='at work there'), pytest.MonkeyPatch.context() as patch:
        patch.setattr(leases, 'is_renewed', lambda place, lease: True)
        machine('c')
        with remote_work.local(URL):  # All of it, while others do pieces.
          pass
      machine('b')
    machine('a')
    assert remote_work.fetch() and not remote_work.fetch()
    assert content(a) == {'shards/0-of-2.csv': '0', 'shards/1-of-2.csv': '1'}
    shutil.rmtree(a / 'shards')
    (a / 'all.csv').write_text('01')
  assert objects() == ['all.csv']
  machine('b')
  with remote_work.local(URL) as folder:
    assert content(folder) == {'all.csv': '01'}


def test_what_another_piece_has_changed_is_seen_after_an_own_push(machine):
  machine('a')
  with remote_work.local(URL, piece='a') as a:
    (a / 'both.txt').write_text('1')
    remote_work.push()
    machine('b')
    with remote_work.local(URL, piece='b') as b:
      machine('a')
      (a / 'both.txt').write_text('2')
      remote_work._open[0].push()
      machine('b')
      (b / 'b.txt').write_text('b')
      remote_work._open[1].push()
      assert content(b)['both.txt'] == '1' and remote_work._open[1].folder.fetch()
      assert content(b) == {'b.txt': 'b', 'both.txt': '2'}
    machine('a')


def test_a_piece_that_was_killed_has_what_it_did_though_others_have_pushed(machine):
  machine('a')
  a = RemoteFolder(Place(URL), '0-of-2')
  a.open()
  write(a.folder, half_csv='0')
  machine('b')
  with remote_work.local(URL, piece='1-of-2') as b:
    write(b, other_csv='1')
  machine('a')
  with remote_work.local(URL, piece='0-of-2') as folder:
    assert content(folder) == {'half.csv': '0', 'other.csv': '1'}
  assert objects() == ['half.csv', 'other.csv']


def test_what_was_left_of_a_push_of_all_takes_nothing_from_pieces(machine, monkeypatch):
  machine('a')
  a = RemoteFolder(Place(URL))
  a.open()
  write(a.folder, one_csv='of all', two_csv='of all')
  with monkeypatch.context() as patch, pytest.raises(Cut):
    dying(patch, 3)  # When both are in their places, and do not count.
    a.push()
  machine('b')
  with remote_work.local(URL, piece='fold-0') as folder:
    assert content(folder) == {}
    write(folder, one_csv='of a piece')
  machine('c')
  with remote_work.local(URL) as folder:
    assert content(folder) == {'one.csv': 'of a piece'}


def test_a_piece_that_dies_while_it_sends_takes_nothing_from_others(machine, monkeypatch):
  machine('a')
  a = RemoteFolder(Place(URL), 'fold-0')
  a.open()
  write(a.folder, both_csv='of a', own_csv='of a')
  with monkeypatch.context() as patch, pytest.raises(Cut):
    dying(patch, 3)
    a.push()
  machine('b')
  with remote_work.local(URL, piece='fold-1') as folder:
    write(folder, both_csv='of b')
  machine('c')
  with remote_work.local(URL) as folder:
    assert content(folder) == {'both.csv': 'of b'}
  assert objects() == ['both.csv']


@pytest.mark.parametrize('step', ['send', 'commit', 'finish'])
def test_one_that_is_taken_over_during_its_push_changes_nothing_more(machine, monkeypatch, step):
  machine('a')
  with remote_work.local(URL) as folder:
    write(folder, one_txt='1', old_txt='old')
  slow = RemoteFolder(Place(URL))
  slow.open()
  write(slow.folder, one_txt='of a', two_txt='of a')
  function = getattr(bucket, step)

  def while_taken_over(*arguments, **options):
    function(*arguments, **options)
    monkeypatch.setattr(bucket, step, function)
    machine('b')
    with remote_work.local(URL) as folder:
      write(folder, one_txt='of b', old_txt='of b', three_txt='of b')
    machine('a')

  monkeypatch.setattr(bucket, step, while_taken_over)
  with pytest.raises(InputError, match='another process has taken it over'):
    slow.push()
  assert content(remote_work.local_copy(URL)) == {
    'old.txt': 'of b', 'one.txt': 'of b', 'three.txt': 'of b',
  }  # fmt: skip
  assert objects() == ['old.txt', 'one.txt', 'three.txt']


class Cluster:
  """A file system whose `rmdir` deletes what is in a folder, as that of HDFS does."""

  def __init__(self, system):
    self._system = system

  def __getattr__(self, name):
    return getattr(self._system, name)

  def rmdir(self, path):
    self._system.rm(path, recursive=True)


def test_folders_are_only_removed_where_those_that_hold_something_stay(machine, monkeypatch):
  machine('a')
  with remote_work.local(URL) as folder:
    write(folder, a_txt='a', b_txt='b')
  system = remote.system

  def of_cluster(url):
    fs, key = system(url)
    return Cluster(fs), key

  monkeypatch.setattr(remote, 'system', of_cluster)
  with remote_work.local('memory://runs') as folder:
    assert content(folder) == {'a/a.txt': 'a', 'a/b.txt': 'b'}
    (folder / 'a/b.txt').unlink()
  assert fsspec.filesystem('memory').cat_file('/runs/a/a.txt') == b'a'

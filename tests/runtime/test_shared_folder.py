"""Several machines on one folder of a bucket: they wait, take over, or do a piece each."""

import shutil

import pytest
from memory_bucket import URL, content, objects, write

from medjax.errors import InputError
from medjax.runtime import leases, remote_work
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
        patch.setattr(leases, '_is_renewed', lambda place, lease: True)
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

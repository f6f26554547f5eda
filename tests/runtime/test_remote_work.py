"""The end of work in a folder of a bucket, by a signal or because another machine took it over."""

import os
import signal
import time

import pytest
from memory_bucket import URL, objects, until, write

from medjax.errors import InputError
from medjax.runtime import bucket, command_line, leases, remote_work
from medjax.runtime.bucket import Place
from medjax.runtime.remote_folder import RemoteFolder

LEASE = '.medjax/all.lease.json'


def test_sigterm_during_the_last_push_waits_for_its_end(machine, monkeypatch, capsys):
  machine('a')
  send = bucket.send

  def while_stopped(*arguments):
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(0.01)
    send(*arguments)

  monkeypatch.setattr(bucket, 'send', while_stopped)
  with (
    pytest.raises(SystemExit) as ended,
    command_line._terminated_in_order(),
    remote_work.local(URL) as folder,
  ):
    write(folder, a_txt='a')
  assert ended.value.code == 128 + signal.SIGTERM and objects() == ['a.txt']
  assert f'{URL}: SIGTERM; what was done is pushed first' in capsys.readouterr().err


def test_a_second_sigterm_does_not_wait_and_leaves_no_lease(machine, monkeypatch):
  machine('a')

  def never(*arguments):
    for _ in range(2):
      os.kill(os.getpid(), signal.SIGTERM)
      time.sleep(0.01)

  monkeypatch.setattr(bucket, 'send', never)
  with (
    pytest.raises(SystemExit),
    command_line._terminated_in_order(),
    remote_work.local(URL) as folder,
  ):
    write(folder, a_txt='a')
  assert objects() == []


def test_the_lease_is_renewed_while_the_folder_is_fetched(machine, monkeypatch):
  machine('a')
  with remote_work.local(URL) as folder:
    write(folder, a_txt='a')
  machine('b')
  monkeypatch.setattr(leases, 'RENEWED', 0.01)
  fetch, seen = bucket.fetch, set()

  def slow(*arguments):
    until(lambda: seen.add(bucket.read_json(Place(URL), LEASE)['renewed']) or len(seen) > 2)
    fetch(*arguments)

  monkeypatch.setattr(bucket, 'fetch', slow)
  with remote_work.local(URL):
    pass
  assert len(seen) == 3 and objects() == ['a.txt']


def test_a_lease_is_given_back_where_the_folder_cannot_be_fetched(machine, monkeypatch):
  machine('a')
  with remote_work.local(URL) as folder:
    write(folder, a_txt='a')
  machine('b')

  def failing(*arguments):
    assert LEASE in objects()
    raise InputError('no room')

  monkeypatch.setattr(bucket, 'fetch', failing)
  with pytest.raises(InputError, match='no room'), remote_work.local(URL):
    pass
  assert objects() == ['a.txt']


def test_one_that_was_taken_over_ends_at_once(machine, monkeypatch, capsys):
  machine('a')
  monkeypatch.setattr(leases, 'RENEWED', 0.05)
  monkeypatch.setattr(leases, 'is_renewed', lambda place, lease: False)  # It was asleep.
  with (
    pytest.raises(SystemExit),
    command_line._terminated_in_order(),
    remote_work.local(URL) as folder,
  ):
    write(folder, a_txt='a')
    machine('b')
    RemoteFolder(Place(URL)).open()
    machine('a')
    time.sleep(20)  # As training would go on for days.
  said = capsys.readouterr()
  assert f'{URL}: another process has taken it over; nothing more is pushed' in said.out
  assert 'what was done is not pushed' in said.out and objects() == [LEASE]

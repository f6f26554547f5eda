"""Folders of a bucket inside each other: one is not worked on or read while another is changed."""

import os

import pytest
from memory_bucket import Cut, content, dying, write

from medjax.errors import InputError
from medjax.runtime import bucket, leases, remote_work
from medjax.runtime.bucket import Place
from medjax.runtime.remote_folder import RemoteFolder

FOLDS, FOLD = 'memory://runs/folds', 'memory://runs/folds/fold0'


def refused(message, url, **options):
  with pytest.raises(InputError, match=message), remote_work.local(url, **options):
    pass


@pytest.fixture
def renewed(monkeypatch):
  """Has each lease be renewed."""
  monkeypatch.setattr(leases, 'is_renewed', lambda place, lease: True)
  # This process stands for several machines, of which none has the lease of another.
  monkeypatch.setattr('socket.gethostname', lambda: os.path.basename(os.environ['XDG_CACHE_HOME']))


@pytest.mark.usefixtures('renewed')
@pytest.mark.parametrize(('held', 'asked'), [(FOLDS, FOLD), (FOLD, FOLDS)])
def test_only_one_of_two_is_worked_on(machine, held, asked):
  machine('a')
  with remote_work.local(held) as folder:
    machine('b')
    refused(f'{asked}: .* is at work on {held}; wait for it', asked)
    refused('is at work on', f'{held}/films.csv', is_file=True)
    with remote_work.local('memory://runs/other'):
      pass
    machine('a')
    write(folder, a_txt='a')
  machine('b')
  with remote_work.local(asked):
    pass


@pytest.mark.usefixtures('renewed')
def test_pieces_of_one_work_may_lie_inside_each_other(machine):
  machine('a')
  with remote_work.local(FOLD, piece='0-of-2'), remote_work.local(FOLDS, piece='0-of-2'):
    machine('b')
    with remote_work.local(FOLD, piece='1-of-2'), remote_work.local(FOLDS, piece='1-of-2'):
      pass
    machine('a')


@pytest.mark.parametrize(('cut_off', 'asked'), [(FOLDS, FOLD), (FOLD, FOLDS)])
def test_none_is_taken_for_what_it_is_in_the_midst_of_a_push(machine, monkeypatch, cut_off, asked):
  monkeypatch.setattr(remote_work, '_PAUSE', 0)
  machine('a')
  with remote_work.local(FOLDS) as folder:
    (folder / 'fold0').mkdir()
    for name in ('a.txt', 'fold0/a.txt', 'fold0/b.txt'):
      (folder / name).write_text('1')
  with monkeypatch.context() as patch, pytest.raises(Cut):
    a = RemoteFolder(Place(cut_off))
    a.open()
    for path in a.folder.rglob('*.txt'):
      path.write_text('22')
    finish = bucket.finish
    patch.setattr(bucket, 'finish', lambda *rest: (dying(patch, 1), finish(*rest)))
    a.push()
  machine('b')
  advice = f'{asked}: a push to {cut_off} has not ended; try again when nobody works there'
  refused(advice, asked)
  with pytest.raises(InputError, match=advice):
    remote_work.local_copy(asked)
  with remote_work.local(cut_off):
    pass
  (changed,) = set(content(remote_work.local_copy(FOLD)).values())
  assert changed == '22'

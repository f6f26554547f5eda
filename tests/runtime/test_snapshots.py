"""What a folder holds at an instant, while others write there."""

import os

import pytest

from medjax.errors import InputError
from medjax.runtime import snapshots


def texts(folder):
  return {path.name: path.read_text() for path in folder.iterdir()}


def test_an_instant_of_a_folder_that_others_write_to(tmp_path, monkeypatch):
  folder, link = tmp_path / 'run', snapshots._link
  folder.mkdir()
  for name in ('a.txt', 'b.txt', 'log.txt'):
    (folder / name).write_text('1')
  calls = []

  def while_written(path, copy):
    calls.append(path.name)
    link(path, copy)
    if calls == ['a.txt']:  # Both are replaced when one of them has been taken.
      for name in ('a.txt', 'b.txt'):
        (folder / f'.{name}.tmp').write_text('22')
        os.replace(folder / f'.{name}.tmp', folder / name)

  monkeypatch.setattr(snapshots, '_link', while_written)
  stamps, links = snapshots.take(folder, {}, tmp_path / 'copies')
  assert {path: copy.read_text() for path, copy in links.items()} == texts(folder)
  assert texts(folder) == {'a.txt': '22', 'b.txt': '22', 'log.txt': '1'}
  # A file that grows holds nobody up, and counts as it was.
  calls.clear()

  def while_growing(path, copy):
    link(path, copy)
    with (folder / 'log.txt').open('a') as file:
      file.write('more')

  monkeypatch.setattr(snapshots, '_link', while_growing)
  before = (folder / 'log.txt').stat().st_size
  stamps, _ = snapshots.take(folder, {'a.txt': stamps['a.txt']}, tmp_path / 'copies')
  assert stamps['log.txt'].size == before < (folder / 'log.txt').stat().st_size

  (folder / 'a.txt').write_text('000000')

  def always(path, copy):
    link(path, copy)
    calls.append('')
    (folder / 'a.txt').write_text(f'{len(calls):06}')

  monkeypatch.setattr(snapshots, '_link', always)
  monkeypatch.setattr(snapshots, '_PAUSE', 0)
  with pytest.raises(InputError, match='is being written to all the time'):
    snapshots.take(folder, {}, tmp_path / 'copies')

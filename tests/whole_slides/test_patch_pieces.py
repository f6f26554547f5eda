"""Slides cut by three jobs are those of one, to the byte, whatever becomes of the jobs."""

import drawn_slides
import pytest

from medjax.errors import InputError
from medjax.runtime.shards import Shard
from medjax.whole_slides import patch_pieces, patch_sets, patches, slide_tables
from medjax.whole_slides.patches import Cutting

CUTTING = Cutting(mpp=0.5, patch_size=32, centre=12, tissue=0.5)


@pytest.fixture(scope='module')
def table(tmp_path_factory):
  """Four slides, one of which cannot be read."""
  root = tmp_path_factory.mktemp('drawn')
  for seed, name in enumerate(('n1', 'n2', 't1')):
    drawn_slides.node(root / 'slides', name, seed, name == 't1', outlines=root / 'outlines')
  (root / 'slides/n3.tif').write_bytes(b'no slide')
  return slide_tables.find(root / 'slides', outlines=root / 'outlines')


@pytest.fixture(scope='module')
def whole(table, tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole')
  patch_sets.make(table, folder, CUTTING)
  return content(folder)


def content(folder):
  return {
    path.relative_to(folder).as_posix(): path.read_bytes()
    for path in folder.rglob('*')
    if path.is_file() and path.name != '.lock'
  }


def piece(table, folder, number, count=3):
  return patch_pieces.make(table, folder, CUTTING, Shard(number, count))


def test_three_pieces_are_one_call_to_the_byte(table, whole, tmp_path, capsys, monkeypatch):
  assert piece(table, tmp_path, 1) is None and piece(table, tmp_path, 2) is None
  assert 'not yet finished: piece 0 of 3' in capsys.readouterr().out
  assert not (tmp_path / 'patches.csv').exists()
  made = piece(table, tmp_path, 0)
  assert list(made.slides['slide']) == ['n1', 'n2', 't1']
  assert list(made.set_aside['slide']) == ['n3']
  assert content(tmp_path) == whole
  # What is done is not done again.
  records = [patches.record_path(tmp_path, slide) for slide in made.slides['slide']]
  before = [record.stat().st_mtime_ns for record in records]
  assert patch_sets.in_words(piece(table, tmp_path, 1), tmp_path) == patch_sets.in_words(
    made, tmp_path
  )
  assert [record.stat().st_mtime_ns for record in records] == before
  assert content(tmp_path) == whole
  # What the table says now stands in the tables then.
  other = table.assign(patient='P9')
  assert set(piece(other, tmp_path, 0).slides['patient']) == {'P9'}


def test_a_killed_piece_goes_on_and_a_missing_one_is_named(table, whole, tmp_path, monkeypatch):
  with monkeypatch.context() as patch:
    # The second slide of the piece is being cut when it is killed.
    cut = patch_sets._in_a_process

    def die(job, *rest):
      if job.slide == 't1':
        raise KeyboardInterrupt
      return cut(job, *rest)

    patch.setattr(patch_sets, '_in_a_process', die)
    with pytest.raises(KeyboardInterrupt):
      piece(table, tmp_path, 0)
  assert patches.record_path(tmp_path, 'n1').is_file()
  piece(table, tmp_path, 2)
  with pytest.raises(InputError, match='pieces 0 and 1 of 3 are not finished; --shard=0/3 does'):
    patch_pieces.make(table, tmp_path, CUTTING, None)
  with pytest.raises(InputError, match='holds pieces of 3, --shard=0/2 is another number'):
    piece(table, tmp_path, 0, 2)
  piece(table, tmp_path, 1)
  before = patches.record_path(tmp_path, 'n1').stat().st_mtime_ns
  piece(table, tmp_path, 0)
  assert patches.record_path(tmp_path, 'n1').stat().st_mtime_ns == before
  assert content(tmp_path) == whole


def test_without_pieces_all_is_cut(table, whole, tmp_path):
  patch_pieces.make(table, tmp_path, CUTTING, None)
  assert content(tmp_path) == whole

"""Images prepared by three jobs are those of one, to the byte, whatever becomes of the jobs."""

import concurrent.futures

import numpy as np
import pytest
from PIL import Image

from medjax.data import prepared, prepared_pieces
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.runtime import files
from medjax.runtime.shards import Shard

FORMAT = ImageFormat(size=12, channels=1)
NAMES = [f'{number}.png' for number in range(200)]


@pytest.fixture(scope='module')
def root(tmp_path_factory):
  folder, rng = tmp_path_factory.mktemp('images'), np.random.default_rng(0)
  for name in NAMES:
    Image.fromarray(rng.integers(0, 256, (20, 31), np.uint8)).save(folder / name)
  (folder / '7.png').write_bytes(b'no picture')
  return folder


@pytest.fixture(scope='module')
def whole(root, tmp_path_factory):
  folder = tmp_path_factory.mktemp('whole')
  prepared.make(folder, root, NAMES, FORMAT)
  return content(folder)


def content(folder):
  return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != '.lock'}


def piece(folder, root, number, count=3, names=NAMES):
  return prepared_pieces.make(folder, root, names, FORMAT, shard=Shard(number, count))


def test_three_pieces_are_one_call_to_the_byte(root, whole, tmp_path, capsys, monkeypatch):
  folder = tmp_path / 'p'
  assert piece(folder, root, 2) is None and piece(folder, root, 0) is None
  assert 'not yet finished: piece 1 of 3' in capsys.readouterr().out
  made = piece(folder, root, 1)
  assert len(made.index) == len(NAMES)
  assert content(folder) == whole
  # What is done is not done again, in pieces or not.
  monkeypatch.setattr(prepared, '_decode', None)
  assert len(piece(folder, root, 2).index) == len(NAMES)
  prepared_pieces.make(folder, root, NAMES, FORMAT)
  assert content(folder) == whole


def test_a_killed_piece_goes_on_and_a_missing_one_is_named(root, whole, tmp_path, monkeypatch):
  folder = tmp_path / 'p'
  append, appended = prepared._append, []

  def die(file, data):
    appended.append(data)
    append(file, data if len(appended) < 3 else data[: len(data) // 2])
    if len(appended) == 3:
      raise KeyboardInterrupt

  monkeypatch.setattr(prepared, '_append', die)
  with pytest.raises(KeyboardInterrupt):
    piece(folder, root, 0)
  monkeypatch.undo()
  piece(folder, root, 2)
  with pytest.raises(InputError, match='pieces 0 and 1 of 3 are not finished; --shard=0/3 does'):
    prepared_pieces.make(folder, root, NAMES, FORMAT)
  with pytest.raises(InputError, match='holds pieces of 3, --shard=0/2 is another number'):
    piece(folder, root, 0, 2)
  with pytest.raises(InputError, match='-of-3: holds the images of another table'):
    prepared_pieces.make(folder, root, NAMES[::-1], FORMAT)
  piece(folder, root, 1)
  # One that is being made is not finished either.
  with files.locked(folder / 'shards/1-of-3' / prepared.LOCK, ''):
    assert piece(folder, root, 0) is None
  # Stopped before the pieces were deleted.
  monkeypatch.setattr(prepared_pieces.shards, 'remove', lambda folder: None)
  prepared_pieces.make(folder, root, NAMES, FORMAT)
  assert (folder / 'shards').is_dir()
  monkeypatch.undo()
  prepared_pieces.make(folder, root, NAMES, FORMAT)
  assert content(folder) == whole


def test_stopped_while_pieces_are_put_together_it_is_done_anew(root, whole, tmp_path, monkeypatch):
  folder = tmp_path / 'p'
  piece(folder, root, 0, 2)
  prepared.make(folder / 'shards/1-of-2', root, NAMES[100:], FORMAT)

  def die(path, content):
    raise KeyboardInterrupt  # The pixels and the index are there.

  with monkeypatch.context() as patch:
    patch.setattr(files, 'write_whole', die)
    with pytest.raises(KeyboardInterrupt):
      piece(folder, root, 1, 2)
  assert (folder / prepared.PIXELS).is_file()
  piece(folder, root, 1, 2)
  assert content(folder) == whole


def test_more_pieces_than_images_are_well(root, tmp_path):
  prepared.make(tmp_path / 'whole', root, NAMES[:2], FORMAT)
  for number in range(5):
    piece(tmp_path / 'p', root, number, 5, NAMES[:2])
  assert content(tmp_path / 'p') == content(tmp_path / 'whole')


def test_a_folder_of_something_else_is_refused(root, tmp_path):
  (tmp_path / 'notes.txt').touch()
  with pytest.raises(InputError, match='holds other files'):
    piece(tmp_path, root, 0)
  begun = tmp_path / 'begun'
  prepared.make(begun, root, NAMES, FORMAT)
  index = begun / prepared.INDEX
  index.write_bytes(index.read_bytes()[:-10])
  with pytest.raises(InputError, match='was begun without --shard'):
    piece(begun, root, 0)


def test_two_that_finish_together_both_have_the_whole(root, whole, tmp_path):
  """As at the end of an array; whoever is slower waits for the other."""
  folder = tmp_path / 'p'
  for number in range(2):
    prepared.make(
      folder / f'shards/{number}-of-2', root, NAMES[100 * number : 100 * number + 100], FORMAT
    )
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    made = list(pool.map(lambda number: piece(folder, root, number, 2), range(2)))
  assert all(one is None or len(one.index) == len(NAMES) for one in made) and any(made)
  assert content(folder) == whole

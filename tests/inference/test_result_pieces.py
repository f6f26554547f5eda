"""Predictions by three jobs are those of one, to the byte, whatever becomes of the jobs."""

import concurrent.futures
import shutil

import deciding_run
import numpy as np
import pytest
from PIL import Image

from medjax.errors import InputError
from medjax.inference import new_images, reading, result_file, result_pieces
from medjax.runs import finished as finished_runs
from medjax.runtime.shards import Shard


@pytest.fixture(scope='module')
def run(finished, tmp_path_factory):
  return finished_runs.open_run(
    deciding_run.copy(finished[0], tmp_path_factory.mktemp('pieces') / 'run')
  )


@pytest.fixture(scope='module')
def films(tmp_path_factory):
  """Five batches of eight, the last of three; two films cannot be read."""
  root, rng = tmp_path_factory.mktemp('films'), np.random.default_rng(0)
  for number in range(35):
    Image.fromarray(rng.integers(0, 256, (40, 50), np.uint8)).save(root / f'{number:02}.png')
  for name in ('03.png', '20.png'):
    (root / name).write_bytes(b'no picture')
  return root


@pytest.fixture(scope='module')
def whole(run, films, tmp_path_factory):
  output = tmp_path_factory.mktemp('whole') / 'out.csv'
  new_images.predict_to_csv(run, films, output, raw=True)
  return content(output)


def content(output):
  paths = (output, result_file.broken_path(output), result_file.settings_path(output))
  return [path.read_bytes() for path in paths]


def test_three_pieces_are_one_call_to_the_byte(run, films, whole, tmp_path, capsys, monkeypatch):
  output = tmp_path / 'out.csv'
  for number in (1, 0, 2):
    assert not output.exists()
    new_images.predict_to_csv(run, films, output, raw=True, shard=Shard(number, 3))
  said = capsys.readouterr().out
  assert f'piece 1/3 of {output}: 15 images of 16 predicted' in said
  assert 'not yet finished: piece 2 of 3; the last to finish puts them together' in said
  assert f'{output}: 33 images predicted; 2 could not be read' in said
  assert content(output) == whole
  assert not result_pieces.folder(output).exists()
  # What is done is not done again, in pieces or not.
  monkeypatch.setattr(reading, 'predict', None)
  for shard in (Shard(1, 3), None):
    new_images.predict_to_csv(run, films, output, raw=True, shard=shard)
  assert content(output) == whole


def test_a_killed_piece_goes_on_and_a_missing_one_is_named(run, films, whole, tmp_path):
  output = tmp_path / 'out.csv'
  for number in (0, 2):
    new_images.predict_to_csv(run, films, output, raw=True, shard=Shard(number, 3))
  with pytest.raises(InputError, match='piece 1 of 3 is not finished; --shard=1/3 does it'):
    new_images.predict_to_csv(run, films, output, raw=True)
  with pytest.raises(InputError, match='raw: was True, is now False'):
    new_images.predict_to_csv(run, films, output)
  with pytest.raises(InputError, match='holds pieces of 3, --shard=0/2'):
    new_images.predict_to_csv(run, films, output, raw=True, shard=Shard(0, 2))
  # As a kill leaves it: half a row, and what could not be read not yet there.
  cut = result_pieces.piece(output, Shard(0, 3))
  cut.write_bytes(cut.read_bytes()[:-20])
  with pytest.raises(InputError, match='pieces 0 and 1 of 3 are not finished'):
    new_images.predict_to_csv(run, films, output, raw=True)
  for number in (0, 1):
    new_images.predict_to_csv(run, films, output, raw=True, shard=Shard(number, 3))
  assert content(output) == whole


@pytest.mark.parametrize('stop', [1, 2])
def test_stopped_while_pieces_are_put_together_it_is_done_anew(
  run, films, whole, tmp_path, monkeypatch, stop
):
  output, kept = tmp_path / 'out.csv', tmp_path / 'kept'
  for number in (0, 1):
    new_images.predict_to_csv(run, films, output, raw=True, shard=Shard(number, 3))
  join, joined = result_pieces._join, []

  def die(parts, path):
    joined.append(path)
    if len(joined) == stop:
      shutil.copytree(result_pieces.folder(output), kept, dirs_exist_ok=True)
      raise KeyboardInterrupt
    join(parts, path)

  monkeypatch.setattr(result_pieces, '_join', die)
  with pytest.raises(KeyboardInterrupt):
    new_images.predict_to_csv(run, films, output, raw=True, shard=Shard(2, 3))
  monkeypatch.undo()
  new_images.predict_to_csv(run, films, output, raw=True)
  assert content(output) == whole
  # Stopped before the pieces were deleted.
  shutil.copytree(kept, result_pieces.folder(output))
  new_images.predict_to_csv(run, films, output, raw=True)
  assert content(output) == whole and not result_pieces.folder(output).exists()


def test_more_pieces_than_batches_are_well(run, films, whole, tmp_path):
  for number in range(7):
    new_images.predict_to_csv(run, films, tmp_path / 'out.csv', raw=True, shard=Shard(number, 7))
  assert content(tmp_path / 'out.csv') == whole


def test_what_was_begun_without_pieces_is_not_shared(run, films, whole, tmp_path):
  output = tmp_path / 'out.csv'
  new_images.predict_to_csv(run, films, output, raw=True)
  output.write_bytes(output.read_bytes()[:-300])
  with pytest.raises(InputError, match='was begun without --shard'):
    new_images.predict_to_csv(run, films, output, raw=True, shard=Shard(0, 3))
  new_images.predict_to_csv(run, films, output, raw=True)
  assert content(output) == whole


def test_two_that_finish_together_both_have_the_whole(run, films, whole, tmp_path, monkeypatch):
  """As at the end of an array; whoever is slower waits for the other."""
  output = tmp_path / 'out.csv'
  for number in range(2):
    with monkeypatch.context() as patch:
      patch.setattr(result_pieces, 'put_together', lambda whole, pieces: pieces)
      new_images.predict_to_csv(run, films, output, raw=True, shard=Shard(number, 2))
  with concurrent.futures.ThreadPoolExecutor(2) as pool:
    both = [
      pool.submit(new_images.predict_to_csv, run, films, output, raw=True, shard=Shard(number, 2))
      for number in range(2)
    ]
  assert [one.exception() for one in both] == [None, None]
  assert content(output) == whole

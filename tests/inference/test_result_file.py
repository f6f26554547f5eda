"""A result cut off at any byte, and gone on with, ends in the same bytes."""

import json
import os

import pytest

from medjax.errors import InputError
from medjax.inference import result_file

NAMES = ['a.png', 'b, "quoted".png', 'ü.png', 'new\nline.png', 'e.png', 'f.png', 'g.png', 'h.png']
BROKEN = {1, 4, 5, 7}
SETTINGS = {'step': 3, 'raw': False}


def write(path, settings=SETTINGS, stop=8):
  """Writes what is still to be written, two images at a time, up to image `stop`."""
  names = [result_file.printable(name) for name in NAMES]
  with result_file.opened(path, settings, ('image', 'prob_x'), names) as results:
    for start in range(results.done // 2 * 2, stop, 2):
      block = [row for row in range(start, start + 2) if row >= results.done]
      broken = [(names[row], 'it, is\\broken') for row in block if row in BROKEN]
      result_file.append(results.broken, broken)
      result_file.append(
        results.good, [(names[row], row / 8) for row in block if row not in BROKEN]
      )
    return results


def content(path):
  return path.read_bytes(), result_file.broken_path(path).read_bytes()


def test_cut_off_at_any_byte_it_ends_in_the_same_bytes(tmp_path):
  path = tmp_path / 'out.csv'
  assert write(path).done == 0
  good, broken = content(path)
  assert good.count(b'\n') == 5 and broken.count(b'\n') == 5
  assert b'new\\nline.png' in good
  for of_good in range(len(good) + 1):
    for of_broken in {0, 10, of_good, len(broken) // 2, len(broken)}:
      path.write_bytes(good[:of_good])
      result_file.broken_path(path).write_bytes(broken[:of_broken])
      write(path)
      assert content(path) == (good, broken)
  done = write(path)
  assert (done.done, done.rows) == (8, 4)


def test_rows_are_there_once_their_block_is_written(tmp_path):
  write(tmp_path / 'out.csv', stop=4)
  again = write(tmp_path / 'out.csv')
  assert (again.done, again.rows) == (4, 3)


def test_what_was_begun_otherwise_is_refused(tmp_path):
  path = tmp_path / 'out.csv'
  write(path)
  before = content(path)
  with pytest.raises(InputError, match=r'raw: was False, is now True') as raised:
    write(path, {**SETTINGS, 'raw': True})
  assert '\n' not in str(raised.value)
  with result_file.opened(path, SETTINGS, ('image', 'prob_x'), []) as _:
    pass
  path.write_bytes(before[0])
  result_file.settings_path(path).unlink()
  with pytest.raises(InputError, match=r'no out\.csv\.json says that it was begun here'):
    write(path)
  result_file.settings_path(path).write_text(json.dumps(SETTINGS))
  path.write_text('something,else\n1,2\n')
  with pytest.raises(InputError, match='does not begin as it was written'):
    write(path)
  assert path.read_text() == 'something,else\n1,2\n'


def test_two_at_once_are_refused(tmp_path):
  path = tmp_path / 'out.csv'
  names = ['a']
  with (
    result_file.opened(path, SETTINGS, ('image',), names),
    pytest.raises(InputError, match='another process is writing it'),
    result_file.opened(path, SETTINGS, ('image',), names),
  ):
    pass


def test_a_place_that_cannot_be_written_is_refused_first(tmp_path):
  for path, words in (
    (tmp_path, 'is a folder'),
    (tmp_path / 'no' / 'out.csv', 'there is no folder'),
  ):
    with pytest.raises(InputError, match=words):
      result_file.check_writable(path)
  result_file.check_writable(tmp_path / 'out.csv')


def test_what_is_left_of_other_results_is_neither_taken_for_these_nor_lost(tmp_path):
  path = tmp_path / 'out.csv'
  broken, settings = result_file.broken_path(path), result_file.settings_path(path)
  for leftover in (broken, settings):
    leftover.write_text('image,reason\na.png,of last week\n')
    with pytest.raises(InputError, match='is there already'):
      write(path)
    assert not path.exists() and 'last week' in leftover.read_text()
    leftover.unlink()
  path.touch()
  broken.write_text('image,reason\na.png,of last week\n')
  write(path)
  assert path.read_text().splitlines()[1] == 'a.png,0.0' and 'last week' not in broken.read_text()


def test_rows_go_to_a_file(tmp_path):
  fifo = tmp_path / 'pipe'
  os.mkfifo(fifo)
  with pytest.raises(InputError, match='is no file'):
    write(fifo)

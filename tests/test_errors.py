"""An InputError is one printable line, whatever it quotes."""

import pickle

import pytest

from medjax.errors import InputError
from medjax.runtime import files


@pytest.mark.parametrize(
  ('quoted', 'shown'),
  [
    ('a\nb', r'a\nb'),
    ('a\x1b[2Jb', r'a\x1b[2Jb'),
    ('a\u202eb', r'a\u202eb'),
    ('a\u2028b', r'a\u2028b'),
    ('äöü 肺炎 ±', 'äöü 肺炎 ±'),
  ],
)
def test_what_breaks_the_line_is_an_escape(quoted, shown):
  error = InputError(f"labels.csv: row 2: '{quoted}'")
  assert str(error) == f"labels.csv: row 2: '{shown}'"
  assert str(pickle.loads(pickle.dumps(error))) == str(error)


def test_brackets_within_brackets_are_one_line_too(tmp_path):
  (tmp_path / 'x.json').write_text('{"a":' * 100_000)
  with pytest.raises(InputError, match=r'x\.json'):
    files.read_json(tmp_path / 'x.json')

"""An InputError is one printable line, whatever it quotes."""

import pickle

import pytest

from medjax.errors import InputError


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

"""Plain tables read by column, as Python's csv reads them row by row."""

import csv
import io

import numpy as np
import pandas as pd
import pytest

from medjax.data import plain_tables, table, words
from medjax.data.split import split_files

# Of cells: none, one word's bytes, one more, and characters of two, three and four bytes.
CELLS = [
  '',
  '0',
  '1.0',
  '-1.0',
  'Lateral',
  '12345678',
  '123456789',
  'é',
  'päticht',
  '日本語',
  '𝛼𝛽𝛾',
  ' x ',
]


@pytest.mark.parametrize('end', ['\n', '\r\n'])
@pytest.mark.parametrize('closed', [True, False])
def test_cells_are_those_that_csv_reads(tmp_path, end, closed):
  rng = np.random.default_rng(0)
  for rows, columns in ((1, 2), (2, 3), (50, 5), (300, 2)):
    cells = [[*map(str, rng.choice(CELLS, columns - 1)), 'last'] for _ in range(rows)]
    header = [f'column {place}' for place in range(columns)]
    text = end.join(map(','.join, [header, *cells])) + end * closed
    read = plain_tables.columns(text)
    expected = list(csv.reader(io.StringIO(text, newline='')))[1:]
    assert [list(row) for row in zip(*read)] == expected == cells
    path = tmp_path / 'table.csv'
    path.write_text(text, 'utf-8', newline='')
    pd.testing.assert_frame_equal(
      table.read_csv(path), pd.DataFrame(cells, columns=header, dtype=str)
    )


@pytest.mark.parametrize(
  'text',
  [
    'a,b\n1,"2"\n',  # a quote
    'a,b\n1,2,3\n',  # a row that is longer
    'a,b\n1\n3,4,5\n',  # one shorter, and as much longer the next
    'a,b\n1,2\n\n3,4\n',  # an empty row
    'a,b\n1,2\n,\n',  # rows of nothing at the end, which do not count
    'a,b\n1,2\r3,4\n',  # an old Macintosh's end of a row
    'a\n1\n',  # one column, in which an empty row is a cell
    'a,b\n',  # no row
  ],
)
def test_what_is_not_plain_is_left_to_the_other_reader(text):
  assert plain_tables.columns(text) is None


def test_a_split_is_written_as_csv_writes_it():
  images = ['a.png', 'a "b".png', 'a,b.png', 'a\nb.png', 'a\rb.png']
  for count in range(1, len(images) + 1):
    frame = pd.DataFrame({'image': images[:count], 'patient': ['p1'] * count})
    split = np.array(['test'] * count)
    rows = sorted(zip(images[:count], ['p1'] * count, split.tolist()))
    expected = io.StringIO()
    csv.writer(expected, lineterminator='\n').writerows([('image', 'patient', 'split'), *rows])
    assert split_files.to_csv(frame, split) == expected.getvalue()


def test_text_of_anything_is_what_pandas_makes_of_each_value():
  values = pd.Series([1, 1.0, True, ' a ', 'a', None, np.nan, '1', 2.5], dtype=object, name='x')
  expected = values.where(values.notna(), '').map(str).str.strip()
  assert words.cleaned(values).tolist() == expected.tolist()
  assert words.cleaned(values[2:], str.upper).index.tolist() == [2, 3, 4, 5, 6, 7, 8]

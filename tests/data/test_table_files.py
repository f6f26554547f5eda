"""Tables in files of any separator, encoding and kind, as pandas, csv and openpyxl write them."""

import csv
import datetime
import gzip

import numpy as np
import openpyxl
import pandas as pd
import pytest

from medjax.config import Data
from medjax.data import datasets, table
from medjax.data.images import lists
from medjax.errors import InputError
from medjax.evaluation import joining

FRAME = pd.DataFrame(
  {
    'image': ['a;1.png', 'b,2.png', 'c\t3.png', 'd|4 "é".png'],
    'patient': ['007', '08', 'P|1', 'P;2'],
    'prob_x': [0.53, 0.125, 1.0, 0.0],
    'true_x': ['1', '0', '', '1'],
  }
)


def same(read):
  numbers = read['prob_x'].astype(float)
  pd.testing.assert_series_equal(numbers, FRAME['prob_x'], check_dtype=False)
  pd.testing.assert_frame_equal(
    read.drop(columns='prob_x'), FRAME.drop(columns='prob_x'), check_dtype=False
  )


@pytest.mark.parametrize('separator', [',', ';', '\t', '|'])
@pytest.mark.parametrize('encoding', ['utf-8', 'utf-8-sig', 'utf-16', 'utf-32'])
@pytest.mark.parametrize('packed', [False, True])
def test_any_separator_and_encoding(tmp_path, separator, encoding, packed):
  path = tmp_path / 'table.csv'
  FRAME.to_csv(path, sep=separator, encoding=encoding, index=False, lineterminator='\r\n')
  if packed:
    path.write_bytes(gzip.compress(path.read_bytes()))
  same(table.read_csv(path, ('image', 'patient')))
  same(table.read_csv(path))


@pytest.mark.parametrize('separator', [';', '\t'])
def test_decimal_commas(tmp_path, separator):
  path = tmp_path / 'table.csv'
  frame = FRAME.assign(image=['1,5', '2,5', '3,5', 'x'])
  frame.to_csv(path, sep=separator, decimal=',', index=False)
  read = table.read_csv(path)
  assert read['prob_x'].astype(float).tolist() == FRAME['prob_x'].tolist()
  assert read['image'].tolist() == frame['image'].tolist()
  joined = joining.read(path, None)
  np.testing.assert_array_equal(joined.probabilities[:, 0], FRAME['prob_x'])
  # Points and commas in one column: either may be thousands.
  path.write_text(f'image{separator}x\na{separator}1.234\nb{separator}0,5\n')
  assert table.read_csv(path)['x'].tolist() == ['1.234', '0,5']


def test_excel_s_own_tabs_through_a_source_and_a_list(tmp_path):
  with open(tmp_path / 'labels.tsv', 'w', newline='', encoding='utf-16') as file:
    csv.writer(file, 'excel-tab').writerows(
      [['image', 'patient', 'x'], ['a.png', '01', '0,25'], ['b.png', '02', '1']]
    )
  read = datasets.read(Data('csv', str(tmp_path), ('x',), settings={'table_file': 'labels.tsv'}))
  assert read['x'].tolist() == [0.25, 1] and read['patient'].tolist() == ['01', '02']
  listed = lists.of_csv(tmp_path / 'labels.tsv', None)
  assert [item.image for item in lists.items(listed)] == ['a.png', 'b.png']


@pytest.mark.parametrize(
  ('data', 'words'),
  [
    (b'a;b,c\n1;2,3\n', "its header may be separated by ',' or ';'"),
    (b'image;"x,y";z\n1;2\n', 'row 2 has 2 fields where the header has 3 names'),
    (b'sep=;\nimage;x\na;1\n', "row 1 is 'sep=;', which only Excel understands"),
    ('image,x\na,1\n'.encode('utf-16-le'), 'it holds zero bytes'),
    ('image,x\né,1\n'.encode('cp1252'), 'cannot be read as a CSV table in UTF-8'),
    (b'image,x\na,"1\nb,0\n', 'a quote (") is never closed'),
    (b'\x1f\x8b\x08damaged', 'cannot be unpacked'),
    (b'\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1', 'before 2007 or with a password'),
    (b'PK\x03\x04 and no more', 'cannot be read as an Excel file'),
  ],
)
def test_what_cannot_be_read_is_refused_by_name(tmp_path, data, words):
  path = tmp_path / 'table.csv'
  path.write_bytes(data)
  with pytest.raises(InputError) as error:
    table.read_csv(path)
  assert str(error.value).startswith(f'{path}: ') and words in str(error.value)
  assert '\n' not in str(error.value)


def test_columns_and_even_rows_decide_between_separators(tmp_path):
  path = tmp_path / 'table.csv'
  path.write_text('image,patient,Edema; mild\na,1,0\nb,2,1\n')
  assert list(table.read_csv(path, ('image',))) == ['image', 'patient', 'Edema; mild']
  assert list(table.read_csv(path)) == ['image', 'patient', 'Edema; mild']
  path.write_text('image;size, mm;x\na;0,5;0\nb;2;1\n')
  assert table.read_csv(path)['size, mm'].tolist() == ['0.5', '2']


def saved(path, rows, **formats):
  book = openpyxl.Workbook()
  for row in rows:
    book.active.append(row)
  for place, number_format in formats.items():
    book.active[place].number_format = number_format
  book.save(path)
  return book


def test_excel(tmp_path):
  path = tmp_path / 'labels.xlsx'
  FRAME.to_excel(path, index=False)
  same(table.read_csv(path, ('image', 'patient')))
  day, minute = datetime.date(2024, 5, 31), datetime.datetime(2024, 5, 31, 13, 45)
  saved(
    path,
    [
      ['image', 'patient', 'x', 'when', 'age'],
      ['a', 7.0, 1, day, 45.5],
      ['b', 8, True, minute, None],
      ['c', '009', 0.0, None, '045Y'],
      [None, None],
    ],
    B3='0000',
  )
  read = table.read_csv(path, ('image',))
  assert read['patient'].tolist() == ['7', '0008', '009']
  assert read['x'].tolist() == ['1', 'True', '0']
  assert read['when'].tolist() == ['2024-05-31', '2024-05-31 13:45:00', '']
  study = datasets.read(Data('csv', str(tmp_path), ('x',), settings={'table_file': 'labels.xlsx'}))
  assert study['x'].tolist() == [1, 1, 0] and study['age'].tolist() == ['45.5', '', '45']
  assert study['named_in'].tolist() == [f'{path}: row {row}' for row in (2, 3, 4)]


def test_excel_that_would_lose_something_is_refused(tmp_path):
  path = tmp_path / 'labels.xlsx'
  rows = [['image', 'x'], ['a', 1], ['b', 0]]

  def refused(*words):
    with pytest.raises(InputError) as error:
      table.read_csv(path, ('image',))
    assert all(word in str(error.value) for word in (str(path), *words))

  book = saved(path, rows)
  assert len(table.read_csv(path)) == 2
  book.create_sheet('Empty')
  book.save(path)
  assert len(table.read_csv(path)) == 2
  book.create_sheet('More')['B2'] = 3
  book.save(path)
  refused("2 sheets with data ('Sheet', 'More')")
  saved(path, [*rows, ['c', '=B2+1']])
  refused('cell B4 holds a formula of which no value was saved')
  saved(path, [*rows, [1234567890123456789, 1]])
  refused('cell A4 is a number of more than 15 digits')
  book = saved(path, [*rows, ['c', None]])
  book.active.merge_cells('B3:B4')
  book.save(path)
  refused('B3:B4 are merged')

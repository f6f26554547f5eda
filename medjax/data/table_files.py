"""The cells of a table in a file, as text: CSV however it is separated and encoded, or Excel."""

import csv
import datetime
import io
import pathlib
import re
import zlib
from collections.abc import Sequence
from typing import Any

import pandas as pd

from medjax.data import cells, packed, plain_tables
from medjax.errors import InputError

SEPARATORS = (',', ';', '\t', '|')
# The first bytes of a file say what it is; its name counts for nothing.
_GZIP, _ZIP, _OLD_EXCEL = b'\x1f\x8b', b'PK\x03\x04', b'\xd0\xcf\x11\xe0'
_BYTE_ORDER_MARKS = {
  b'\xff\xfe\0\0': 'utf-32',
  b'\0\0\xfe\xff': 'utf-32',
  b'\xff\xfe': 'utf-16',
  b'\xfe\xff': 'utf-16',
}
_DECIMAL_COMMA = re.compile(r'[+-]?\d*,\d+(e[+-]?\d+)?', re.ASCII | re.IGNORECASE)
_MOST_DIGITS = 15  # that Excel keeps of a number
_EXCEL_ROW = re.compile(r'sep=.[\r\n]', re.IGNORECASE)
_HEADER_SIZE = 2**20  # characters, within which a header ends


def read_text(path: pathlib.Path) -> str:
  """Returns the text of a file in UTF-8, or in UTF-16 or UTF-32 that begins with its mark.

  Raises:
    InputError: there is no such file, or it is in another encoding.
  """
  return _decoded(_bytes(path), path, 'text')


def rows(path: pathlib.Path, columns: Sequence[str] = ()) -> list[list[str]]:
  """Returns the cells of a table, row by row, the header first; empty rows at the end are left out.

  A CSV may be separated by commas, semicolons, tabs or bars, which its header tells; where it is
  not by commas, numbers may have decimal commas, which become points. It may be packed by gzip. Of
  an Excel file (.xlsx) the one sheet with data is read, whole numbers without a decimal point, days
  as 2024-05-31.

  Args:
    path: of the file.
    columns: that the header should name, by which a header that could be separated in two ways is
      read.

  Raises:
    InputError: no such file, another encoding, a damaged file, a header that may be separated in
      two ways, a quote that is never closed; several sheets with data, merged cells, or a number or
      formula of which Excel has not kept the value.
  """
  data = _bytes(path)
  if data.startswith(_ZIP):
    table = _workbook(data, path)
  elif data.startswith(_OLD_EXCEL):
    raise InputError(
      f'{path}: is an Excel file of before 2007 or with a password; save it as .xlsx or as a CSV'
    )
  else:
    table = _separated(_decoded(data, path, 'a CSV table'), path, columns)
  while table and not any(table[-1]):
    table.pop()
  return table


def frame(path: pathlib.Path, columns: Sequence[str] = ()) -> tuple[list[str], pd.DataFrame]:
  """Returns the names in the header, without spaces around them, and the other rows as text.

  Args:
    path, columns: as of `rows`.

  Raises:
    InputError: as `rows`; no row, or one with more or fewer fields than the header has names.
  """
  if plain := _plain(path, columns):
    return plain
  header, *others = rows(path, columns) or [[]]
  if not others:
    raise InputError(f'{path}: the table has no rows')
  for number, row in enumerate(others, start=2):
    if len(row) != len(header):
      raise InputError(
        f'{path}: row {number} has {len(row)} fields where the header has {len(header)} names; '
        'quote fields that hold a separator, and complete rows that were cut off'
      )
  return [name.strip() for name in header], pd.DataFrame(others, dtype=str)


def _plain(path: pathlib.Path, columns: Sequence[str]) -> tuple[list[str], pd.DataFrame] | None:
  """Returns what `frame` does of a plain CSV, as most tables of millions of rows are, else None."""
  data = _bytes(path)
  if data.startswith((_ZIP, _OLD_EXCEL)):
    return None
  text = _decoded(data, path, 'a CSV table')
  headers = _headers(text, columns)
  if _EXCEL_ROW.match(text) or [*headers] != [',']:
    return None
  read = plain_tables.columns(text)
  return None if read is None else (headers[','], pd.DataFrame(dict(enumerate(read))))


def _bytes(path: pathlib.Path) -> bytes:
  try:
    data = path.read_bytes()
  except FileNotFoundError:
    raise InputError(f'{path}: no such file') from None
  except OSError as error:
    raise InputError(f'{path}: cannot be read ({error.strerror})') from None
  if not data.startswith(_GZIP):
    return data
  try:
    return packed.gunzip(data)
  except packed.TooLarge as error:
    raise InputError(f'{path}: holds {error}') from None
  except (EOFError, zlib.error) as error:
    raise InputError(
      f'{path}: is damaged or cut off and cannot be unpacked ({error}); fetch it again'
    ) from None


def _decoded(data: bytes, path: pathlib.Path, what: str) -> str:
  encoding = next((name for mark, name in _BYTE_ORDER_MARKS.items() if data.startswith(mark)), '')
  try:
    text = data.decode(encoding or 'utf-8-sig')
  except UnicodeDecodeError as error:
    raise InputError(
      f'{path}: cannot be read as {what} in UTF-8 ({error}); save it as one'
    ) from None
  if '\0' in text:
    raise InputError(
      f'{path}: cannot be read as {what} in UTF-8 (it holds zero bytes, as UTF-16 without its mark '
      'does); save it as one'
    )
  return text


def _separated(text: str, path: pathlib.Path, columns: Sequence[str]) -> list[list[str]]:
  if _EXCEL_ROW.match(text):
    raise InputError(
      f"{path}: row 1 is '{text[:5]}', which only Excel understands; remove that row"
    )
  tables = {sign: _parsed(text, sign, path) for sign in _headers(text, columns)}
  if len(tables) > 1:
    even = {sign: table for sign, table in tables.items() if len({*map(len, table)}) == 1}
    if len(even) != 1:
      raise InputError(
        f'{path}: its header may be separated by {" or ".join(map(repr, tables))}; quote the names '
        'that hold one of them'
      )
    tables = even
  ((separator, table),) = tables.items()
  if separator != ',' and len({*map(len, table)}) == 1:
    _point_decimals(table)
  return table


def _headers(text: str, columns: Sequence[str]) -> dict[str, list[str]]:
  """Returns the separators that a table may have → the names of its header, by the header alone.

  So a table of millions of rows is not read once for each separator.
  """
  headers = {
    sign: names
    for sign in SEPARATORS
    if len(names := [name.strip() for name in _first_row(text, sign)]) > 1
  }
  # Quotes are left in names only by a separator that is none.
  whole = [sign for sign in headers if '"' not in ''.join(headers[sign])] or list(headers)
  named = [sign for sign in whole if set(columns) <= set(headers[sign])]
  return {sign: headers.get(sign, []) for sign in named or whole or [',']}


def _first_row(text: str, separator: str) -> list[str]:
  return next(csv.reader(io.StringIO(text[:_HEADER_SIZE], newline=''), delimiter=separator), [])


def _parsed(text: str, separator: str, path: pathlib.Path) -> list[list[str]]:
  try:
    try:
      return list(csv.reader(io.StringIO(text, newline=''), delimiter=separator, strict=True))
    except csv.Error as error:
      if 'end of data' in str(error):
        raise InputError(
          f'{path}: a quote (") is never closed, and what follows it would be one cell; close it'
        ) from None
      return list(csv.reader(io.StringIO(text, newline=''), delimiter=separator))
  except csv.Error as error:
    raise InputError(f'{path}: cannot be read as a CSV table ({error}); save it as one') from None


def _point_decimals(table: list[list[str]]) -> None:
  """Writes 0,53 as 0.53 in the columns that hold nothing but numbers, none with a point."""
  for column in range(len(table[0])):
    values = {row[column].strip() for row in table[1:]}
    with_comma = {value for value in values if _DECIMAL_COMMA.fullmatch(value)}
    others = (value.lstrip('+-') for value in values - with_comma)
    if with_comma and all(value.isdecimal() or cells.is_empty(value) for value in others):
      for row in table[1:]:
        row[column] = row[column].replace(',', '.')


def _workbook(data: bytes, path: pathlib.Path) -> list[list[str]]:
  """Returns the cells of the one sheet that has any."""
  sheet = _sheet(data, path, with_formulas=True)
  if sheet is None:
    return []
  formulas = {cell.coordinate for row in sheet.iter_rows() for cell in row if cell.data_type == 'f'}
  if formulas:
    sheet = _sheet(data, path, with_formulas=False)
    for place in sorted(formulas):
      if sheet[place].value is None:
        raise InputError(
          f'{path}: cell {place} holds a formula of which no value was saved; open the file in '
          'Excel and save it, or save it as a CSV'
        )
  if sheet.merged_cells.ranges:
    place = min(map(str, sheet.merged_cells.ranges))
    raise InputError(
      f'{path}: the cells {place} are merged, so that most of them are empty; split them, and fill '
      'in each'
    )
  table = [[_cell(cell, path) for cell in row] for row in sheet.iter_rows(min_row=1, min_col=1)]
  width = max((place for row in table for place, cell in enumerate(row, 1) if cell), default=0)
  return [row[:width] for row in table]


def _sheet(data: bytes, path: pathlib.Path, with_formulas: bool) -> Any:
  try:
    import openpyxl
  except ImportError:
    raise InputError(
      f"{path}: Excel files need openpyxl: pip install 'medjax[excel]', or save it as a CSV"
    ) from None
  try:
    packed.check_zip(io.BytesIO(data))
    workbook = openpyxl.load_workbook(io.BytesIO(data), data_only=not with_formulas)
  except packed.TooLarge as error:
    raise InputError(f'{path}: holds {error}') from None
  except Exception as error:  # openpyxl's kinds are many.
    raise InputError(
      f'{path}: cannot be read as an Excel file ({type(error).__name__}); save it as '
      '.xlsx anew, or as a CSV'
    ) from None
  sheets = [
    sheet
    for sheet in workbook.worksheets
    if any(value is not None for row in sheet.iter_rows(values_only=True) for value in row)
  ]
  if len(sheets) > 1:
    names = ', '.join(f"'{sheet.title}'" for sheet in sheets)
    raise InputError(
      f'{path}: has {len(sheets)} sheets with data ({names}); save the one that is meant as a file '
      'of its own'
    )
  return sheets[0] if sheets else None


def _cell(cell: Any, path: pathlib.Path) -> str:
  value = cell.value
  if value is None:
    return ''
  if isinstance(value, datetime.datetime):
    midnight = value.time() == datetime.time()
    return value.date().isoformat() if midnight else value.isoformat(' ')
  if isinstance(value, int | float) and not isinstance(value, bool) and value == int(value):
    if abs(value) >= 10**_MOST_DIGITS:
      raise InputError(
        f'{path}: cell {cell.coordinate} is a number of more than {_MOST_DIGITS} digits, which '
        'Excel has rounded; write such identifiers as text'
      )
    # 7 in the format 0000 is shown as 0007.
    zeros = cell.number_format if set(cell.number_format) == {'0'} else ''
    return str(int(value)).zfill(len(zeros))
  return str(value)

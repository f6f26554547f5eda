"""Images in the column of a parquet file, as the Hugging Face hub keeps them.

A cell is the bytes of an image file, or `{'bytes': …, 'path': …}`. Rows are read a group at a time,
as the file holds them: in their order that is fast, in any other order it is not.
"""

import bisect
import threading
from typing import Any

from medjax.errors import InputError

# Of groups of rows in memory. Threads that read ahead are at work on many groups at once.
_KEPT = 2**30  # bytes


def library() -> Any:
  """Returns pyarrow.parquet.

  Raises:
    InputError: it is not installed.
  """
  try:
    import pyarrow.parquet
  except ImportError:
    raise InputError(
      "parquet files are read by pyarrow: pip install 'medjax[huggingface]'"
    ) from None
  return pyarrow.parquet


class ParquetImages:
  """A column of images; item `number` is that of the row, from 0."""

  def __init__(self, path: str, column: str):
    """Opens a file.

    Raises:
      InputError: it is no parquet file, or has no such column, or one of something else.
    """
    self._path, self._column, self._lock = path, column, threading.Lock()
    self._file = opened(path, path)
    check_image_column(path, self._file.schema_arrow, column)
    counts = [
      self._file.metadata.row_group(group).num_rows for group in range(self._file.num_row_groups)
    ]
    self._starts = [sum(counts[:group]) for group in range(len(counts) + 1)]
    self._groups: dict[int, Any] = {}

  def __len__(self) -> int:
    return self._starts[-1]

  def __getitem__(self, number: int) -> bytes:
    with self._lock:
      group = bisect.bisect_right(self._starts, number) - 1
      rows = self._groups.pop(group, None)
      if rows is None:
        rows = self._file.read_row_group(group, columns=[self._column])
        self._make_room(rows.nbytes)
      self._groups[group] = rows  # Last in their order, of which the first is dropped.
      cell = rows.column(0)[number - self._starts[group]].as_py()
    content = cell.get('bytes') if isinstance(cell, dict) else cell
    if not content:
      elsewhere = f' ({cell["path"]})' if isinstance(cell, dict) and cell.get('path') else ''
      raise InputError(
        f'{self._path}#{self._column}/{number}: holds no image, or only where it lies{elsewhere}; '
        'save the set with its images embedded'
      )
    return content

  def _make_room(self, size: int) -> None:
    while self._groups and size + sum(one.nbytes for one in self._groups.values()) > _KEPT:
      del self._groups[next(iter(self._groups))]


def opened(source: Any, path: Any) -> Any:
  """Opens a parquet file, by its path or as a file; `path` is what messages call it.

  Raises:
    InputError: it is none.
  """
  parquet = library()
  try:
    return parquet.ParquetFile(source)
  except Exception as error:  # Of pyarrow's kinds.
    reason = ' '.join(str(error).split())[:200]
    raise InputError(f'{path}: cannot be read as a parquet file ({reason})') from None


def check_image_column(path: Any, schema: Any, column: str) -> None:
  """Raises InputError where a file has no column of this name that may hold images."""
  if column not in schema.names:
    raise InputError(
      f"{path}: no column '{column}' of images; name it in config.data.settings.columns, such as "
      f"{{'image': 'picture'}}. The columns are: {', '.join(schema.names)}"
    )
  if not is_of_bytes(schema, column):
    raise InputError(
      f"{path}: the column '{column}' is {schema.field(column).type}, which holds no image files"
    )


def is_of_bytes(schema: Any, column: str) -> bool:
  """Whether a column holds bytes, or structs with a field `bytes`."""
  import pyarrow as pa

  kind = schema.field(column).type
  if pa.types.is_struct(kind) and kind.get_field_index('bytes') >= 0:
    kind = kind.field(kind.get_field_index('bytes')).type
  return pa.types.is_binary(kind) or pa.types.is_large_binary(kind)

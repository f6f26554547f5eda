"""Parquet files with a column of images, as sets lie on the Hugging Face hub and `datasets` writes.

    data/train-00000-of-00002.parquet   image, patient, label, …
    data/test-00000-of-00001.parquet

`datasets` itself is not needed, nor the hub: `data.root` is a folder of a disk, or
hf://datasets/OWNER/NAME. A file whose name begins with train, validation or test gives its rows
that `official_split`. Numbers of a ClassLabel are read as the names that the file has for them.
"""

import json
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from medjax.data import table
from medjax.data.datasets import samples
from medjax.data.images import parquet_images
from medjax.errors import InputError
from medjax.runtime import remote


def read(
  root: pathlib.Path,
  labels: Sequence[str],
  files: str = '*.parquet',
  columns: Mapping[str, str] | None = None,
  grouped_by: str = 'patient',
  about: str | Sequence[str] = (),
) -> pd.DataFrame:
  """Returns the study table of all parquet files under a folder; an image is a row of one of them.

  Args:
    root: the folder.
    labels: columns that are labels: codes 1, 0, -1 and null, true and false, or shares between 0
      and 1; or, where `columns` names a 'class', the values of that column, one of which an image
      has, or a list of them.
    files: which files, by a pattern of their names.
    columns: our name → the file's, as of the source `csv`; 'image' is the column of images.
    grouped_by: what the patient column holds where there are no patients, as of the source `csv`.
    about: further columns, by whose values evaluation.subgroups may ask; 'all' for all.

  Raises:
    InputError: no such file, one that is damaged, no column of images or patients, an unknown code.
  """
  asked = samples.Asked(labels, columns, grouped_by, about)
  parquet_images.library()
  paths = sorted(root.rglob(files))
  if not paths:
    raise InputError(f'{root}: no {files} in this folder or below; set config.data.root')
  parts = [_of_file(path, path.relative_to(root).as_posix(), asked) for path in paths]
  return table.check(pd.concat(parts, ignore_index=True), str(root))


def _of_file(path: Any, name: str, asked: samples.Asked) -> pd.DataFrame:
  with remote.ranges(path) as source:
    file = parquet_images.opened(source, path)
    schema, column = file.schema_arrow, asked.named('image')
    parquet_images.check_image_column(path, schema, column)
    facts = [one for one in schema.names if not parquet_images.is_of_bytes(schema, one)]
    rows = file.read(columns=facts).to_pylist()
  words = {one: _words(schema, one) for one in facts}
  rows = [
    {**{one: _said(value, words[one]) for one, value in row.items()}, 'image': image}
    for row, image in zip(rows, (f'{name}#{column}/{number}' for number in range(len(rows))))
  ]
  if not rows:
    raise InputError(f'{path}: holds no rows')
  return samples.of_file(rows, [f'row {number}' for number in range(len(rows))], path, asked)


def _words(schema: Any, column: str) -> list[str]:
  """Returns the names of a ClassLabel, of one or a list of them, [] of any other column."""
  about = (schema.metadata or {}).get(b'huggingface', b'{}')
  try:
    feature = json.loads(about)['info']['features'][column]
    feature = feature.get('feature', feature)
    return list(feature.get('names', [])) if feature.get('_type') == 'ClassLabel' else []
  except (ValueError, KeyError, TypeError, AttributeError):
    return []


def _said(value: Any, words: Sequence[str]) -> Any:
  if isinstance(value, list):
    return [_said(one, words) for one in value]
  if words and value == -1:  # Of a ClassLabel it says that there is none.
    return None
  is_number = words and isinstance(value, int) and 0 <= value < len(words)
  return words[value] if is_number else value

"""Sources whose files hold images and what is known of them: their rows → a study table."""

import dataclasses
import numbers
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from medjax.data import table
from medjax.data.datasets import csv
from medjax.errors import InputError, check_option, nearest

_PARTS = {
  'train': 'train',
  'training': 'train',
  'val': 'validation',
  'valid': 'validation',
  'validation': 'validation',
  'dev': 'validation',
  'test': 'test',
}
NUMBER_OF_FIRST_ROW = -2  # as pandas' index, so that messages count rows as images are counted


@dataclasses.dataclass(frozen=True)
class Asked:
  """What a config asks of such a source.

  Attributes:
    labels: config.data.labels.
    columns: our name → the file's, and 'class'; as of the source `csv`.
    grouped_by, about: as of the source `csv`.
    classes: what the numbers of the class mean, in their order; () where the class is in words.
  """

  labels: Sequence[str]
  columns: Mapping[str, str] | None
  grouped_by: str
  about: str | Sequence[str]
  classes: Sequence[str] = ()

  def __post_init__(self):
    table.check_label_names(self.labels, 'config.data.labels')
    check_option('config.data.settings.grouped_by', self.grouped_by, table.GROUPS)
    table.checked_columns(self.columns, (*_allowed(), 'class'))

  def named(self, column: str) -> str:
    """Returns what the files call a column of ours."""
    return dict(self.columns or {}).get(column, column)


def _allowed() -> list[str]:
  return [name for name in table.REQUIRED + table.OPTIONAL if name != 'named_in']


def part_of(path: pathlib.PurePath | Any) -> str:
  """Returns 'train', 'validation' or 'test' of a file called train-0001.tar or so, '' of others."""
  word = re.match(r'[a-z]*', path.name.lower())
  return _PARTS.get(word[0] if word else '', '')


def of_file(
  rows: Sequence[Mapping[str, Any]], names: Iterable[str], path: Any, asked: Asked
) -> pd.DataFrame:
  """Returns the rows of the study table that a file's samples are.

  Args:
    rows: of each sample what the file says, with `image`, its image as `container#key`.
    names: of the samples, for messages.
    path: of the file.
    asked: what is wanted.

  Raises:
    InputError: no patients, no such labels, or a code that is unknown, by file and row.
  """
  frame = pd.DataFrame(list(rows))
  frame.index = pd.RangeIndex(NUMBER_OF_FIRST_ROW, len(frame) + NUMBER_OF_FIRST_ROW)
  patient = asked.named('patient')
  csv.check_patients(frame, patient, asked.grouped_by, path)
  classes = frame[_checked(frame, asked.named('class'), path)] if _has_class(asked) else None
  text = frame.map(_text)
  result = {'image': text['image']}
  for name in _allowed():
    if name != 'image' and asked.named(name) in frame:
      result[name] = text[asked.named(name)]
  used = {*result, *asked.labels, *(asked.columns or {}).values()}
  about = {
    table.ABOUT + name: text[name] for name in csv.about_columns(asked.about, text, used, path)
  }
  if classes is None:
    known = {
      name: table.label_values(text, _checked(frame, name, path), path, soft=True)
      for name in asked.labels
    }
  else:
    known = _of_classes(classes, asked, path)
    result['unlabelled'] = table.unlabelled(pd.DataFrame(known))
  result = pd.DataFrame(result | about).assign(**known)
  if part := part_of(path):
    result['official_split'] = result.get('official_split', part)
  if asked.grouped_by != 'patient':
    result['grouped_by'] = asked.grouped_by
  if asked.grouped_by == 'image':
    result['patient'] = result['image']
  return result.assign(named_in=[f'{path}: {name}' for name in names])


def _has_class(asked: Asked) -> bool:
  return 'class' in (asked.columns or {})


def _checked(frame: pd.DataFrame, column: str, path: Any) -> str:
  if column not in frame:
    raise InputError(
      f"{path}: no column '{column}'{nearest(column, frame.columns) or '.'} The columns are: "
      f'{", ".join(frame.columns)}'
    )
  return column


def _of_classes(classes: pd.Series, asked: Asked, path: Any) -> dict[str, np.ndarray]:
  """Returns f32[N] for each label: of one class, of a list of those that an image has, or NaN."""
  of_rows = [value if isinstance(value, list) else [value] for value in classes]
  values = np.zeros((len(of_rows), len(asked.labels)), np.float32)
  places = {label: place for place, label in enumerate(asked.labels)}
  for row, said in enumerate(of_rows):
    for one in said:
      word = _word(one, asked.classes)
      if word == '':
        values[row] = np.nan
      elif word in places:
        values[row, places[word]] = 1
      elif not isinstance(classes.iloc[row], list):  # Of several findings some are of no interest.
        raise InputError(
          f"{path}: row {row}, column '{classes.name}': the class is '{word}'; allowed: "
          f'{", ".join(asked.labels)}{nearest(word, asked.labels)}; name every class in data.labels'
        )
  return {label: values[:, place] for label, place in places.items()}


def _word(value: Any, classes: Sequence[str]) -> str:
  """Returns a class in words."""
  text = _text(value).strip()
  if classes and text.isdecimal() and int(text) < len(classes):
    return classes[int(text)]
  return text


def _text(value: Any) -> str:
  """Returns a cell as a CSV would hold it."""
  if value is None or (isinstance(value, float) and np.isnan(value)):
    return ''
  if isinstance(value, bool):
    return str(int(value))
  if isinstance(value, numbers.Real) and not isinstance(value, numbers.Integral):
    return f'{float(value):.15g}'
  return str(value)

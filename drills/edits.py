"""Edits of the files of a run or a study."""

import csv
import json
import pathlib
import shutil
from collections.abc import Callable
from typing import Any

_LEFT_OUT = shutil.ignore_patterns('tensorboard', 'augmented.png', 'index_files')


def copied(run: pathlib.Path, folder: pathlib.Path) -> pathlib.Path:
  """Returns a copy of a run, in a folder, that may be changed."""
  return shutil.copytree(run, folder / 'run', ignore=_LEFT_OUT)


def text(path: pathlib.Path, change: Callable[[str], str]) -> None:
  """Changes the text of a file; raises RuntimeError where that changes nothing."""
  text = path.read_text()
  changed = change(text)
  if changed == text:
    raise RuntimeError(f'nothing was planted in {path}')
  path.write_text(changed)


def document(path: pathlib.Path, change: Callable[[dict], Any]) -> None:
  """Changes a JSON document in place."""
  content = json.loads(path.read_text())
  change(content)
  path.write_text(json.dumps(content, indent=2))


def rows(path: pathlib.Path, change: Callable[[list[dict]], Any]) -> None:
  """Changes the rows of a CSV, in place or by returning others."""
  with open(path, newline='') as file:
    reader = csv.DictReader(file)
    rows, names = list(reader), reader.fieldnames or []
  changed = change(rows)
  rows = rows if changed is None else changed
  with open(path, 'w', newline='') as file:
    writer = csv.DictWriter(file, names, lineterminator='\n')
    writer.writeheader()
    writer.writerows(rows)


def put(*keys: str, to: Any) -> Callable[[dict], None]:
  """Returns a change of a JSON document: what lies under the keys becomes `to`, or to(it)."""

  def change(content: dict) -> None:
    *above, last = keys
    for key in above:
      content = content[key]
    content[last] = to(content[last]) if callable(to) else to

  return change


def cell(column: str, to: Any, where: Callable[[dict], bool] = lambda row: True) -> Callable:
  """Returns a change of the first row that is meant: the cell becomes `to`, or to(it)."""

  def change(rows: list[dict]) -> None:
    row = next(row for row in rows if where(row))
    row[column] = to(row[column]) if callable(to) else to

  return change


def each(column: str, to: Callable[[str], str]) -> Callable:
  """Returns a change of every cell of a column, to(it)."""

  def change(rows: list[dict]) -> None:
    for row in rows:
      row[column] = to(row[column])

  return change

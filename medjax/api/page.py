"""A page on disk that a notebook shows."""

import html
import os
import pathlib
from collections.abc import Mapping
from typing import Any

from medjax.api import words
from medjax.errors import InputError
from medjax.report import beside
from medjax.runtime import files

_Path: Any = type(pathlib.Path())  # Before Python 3.12 pathlib.Path itself cannot be derived from.


class Page(_Path):
  """The path of an HTML file; a notebook shows the page."""

  def _repr_html_(self) -> str | None:
    if not self.is_file():
      return None
    text = html.escape(self.read_text('utf-8'))
    return f'<iframe srcdoc="{text}" style="width: 100%; height: 50em; border: 0"></iframe>'


def write(path: str | os.PathLike, text: str, tables: Mapping[str, str]) -> Page:
  """Writes a page, the folders that it lacks, and what lies beside it.

  Args:
    path: of the page.
    text: of the page.
    tables: as for `medjax.report.beside.write`.

  Raises:
    InputError: it cannot be written there.
  """
  page = Page(words.path(path, 'path'))
  with words.renamed(folders=[page]):
    page.parent.mkdir(parents=True, exist_ok=True)
    if page.is_dir():
      raise InputError(f'{page}: is a folder; name a file in it, such as {page / "report.html"}')
    files.write_whole(page, text)
    beside.write(page, text, tables)
  return page

"""A page on disk that a notebook shows."""

import html
import os
import pathlib
from typing import Any

from medjax.api import words
from medjax.errors import InputError
from medjax.runtime import files

_Path: Any = type(pathlib.Path())  # Before Python 3.12 pathlib.Path itself cannot be derived from.


class Page(_Path):
  """The path of an HTML file; a notebook shows the page."""

  def _repr_html_(self) -> str | None:
    if not self.is_file():
      return None
    text = html.escape(self.read_text('utf-8'))
    return f'<iframe srcdoc="{text}" style="width: 100%; height: 50em; border: 0"></iframe>'


def write(path: str | os.PathLike, text: str) -> Page:
  """Writes a page, and the folders that it lacks.

  Raises:
    InputError: it cannot be written there.
  """
  page = Page(words.path(path, 'path'))
  with words.renamed(folders=[page]):
    page.parent.mkdir(parents=True, exist_ok=True)
    if page.is_dir():
      raise InputError(f'{page}: is a folder; name a file in it, such as {page / "report.html"}')
    files.write_whole(page, text)
  return page

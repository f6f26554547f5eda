"""A page on disk that a notebook shows."""

import html
import pathlib
from typing import Any

_Path: Any = type(pathlib.Path())  # Before Python 3.12 pathlib.Path itself cannot be derived from.


class Page(_Path):
  """The path of an HTML file; a notebook shows the page."""

  def _repr_html_(self) -> str | None:
    if not self.is_file():
      return None
    text = html.escape(self.read_text('utf-8'))
    return f'<iframe srcdoc="{text}" style="width: 100%; height: 50em; border: 0"></iframe>'

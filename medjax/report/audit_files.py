"""The files of an audit: index.html for people, audit.json for programs."""

import base64
import dataclasses
import io
import json
import pathlib
from collections.abc import Iterable

import pandas as pd

from medjax.data.images import decoding
from medjax.data.leakage.inspect import Inspection
from medjax.errors import InputError
from medjax.report import audit_page
from medjax.runtime import files

PAGE, RESULT = 'index.html', 'audit.json'
SCHEMA = 1
PICTURE = 240  # pixels of a picture's longer side on the page


def write(directory: pathlib.Path, title: str, inspection: Inspection) -> None:
  """Writes both files into a folder, which is created where it is missing."""
  directory.mkdir(parents=True, exist_ok=True)
  files.write_whole(
    directory / RESULT,
    json.dumps({'schema': SCHEMA, **dataclasses.asdict(inspection.audit)}, indent=2) + '\n',
  )
  rows = audit_page.pairs_drawn(inspection.audit.copies)
  page = audit_page.render(title, inspection.audit, _pictures(inspection.images, rows))
  files.write_whole(directory / PAGE, page)


def _pictures(images: pd.DataFrame, rows: Iterable[int]) -> dict[int, str]:
  """Returns row → data URI of these images; one that cannot be drawn is left out."""
  pictures = {}
  for row in rows:
    try:
      picture = decoding.whole(images['path'][row], images['intensity'][row])
    except (InputError, OSError, MemoryError):  # It has gone since, or memory has.
      continue
    picture.thumbnail((PICTURE, PICTURE))
    pictures[row] = _data_uri(picture)
  return pictures


def _data_uri(picture) -> str:
  content = io.BytesIO()
  picture.save(content, 'PNG', optimize=True)
  return f'data:image/png;base64,{base64.b64encode(content.getvalue()).decode()}'

"""The files of an audit: index.html for people, audit.json for programs."""

import pathlib
from collections.abc import Iterable

import pandas as pd

from medjax.data.images import decoding
from medjax.data.leakage.findings import Audit
from medjax.data.leakage.inspect import Inspection
from medjax.errors import InputError
from medjax.evaluation import results_file
from medjax.report import audit_page, pictures
from medjax.runtime import files

PAGE, RESULT = 'index.html', 'audit.json'
PICTURE = 240  # pixels of a picture's longer side on the page


def write(directory: pathlib.Path, title: str, inspection: Inspection) -> None:
  """Writes both files into a folder, which is created where it is missing."""
  directory.mkdir(parents=True, exist_ok=True)
  results_file.save(directory / RESULT, inspection.audit)
  rows = audit_page.pairs_drawn(inspection.audit.copies)
  pictures_of = _pictures(inspection.images, rows)
  page = audit_page.render(title, inspection.audit, pictures_of, inspection.warning)
  files.write_whole(directory / PAGE, page)


def read(path: pathlib.Path) -> Audit:
  """Returns the audit that `write` wrote to audit.json.

  Raises:
    InputError: a file that does not exist, or that another version wrote.
  """
  return results_file.load(path, Audit, 'audit again')


def _pictures(images: pd.DataFrame, rows: Iterable[int]) -> dict[int, str]:
  """Returns row → data URI of these images; one that cannot be drawn is left out."""
  uris = {}
  for row in rows:
    try:
      picture = decoding.whole(images['path'][row], images['intensity'][row])
    except (InputError, OSError, MemoryError):  # It has gone since, or memory has.
      continue
    picture.thumbnail((PICTURE, PICTURE))
    uris[row] = pictures.data_uri(picture, 'png')
  return uris

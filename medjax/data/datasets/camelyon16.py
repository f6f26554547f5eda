"""Camelyon16: slides of lymph nodes, with metastases of breast cancer or without.

Ehteshami Bejnordi et al. 2017, JAMA 318:2199. This is the table of the slides, one row for each;
`python -m medjax.slides --source=camelyon16` cuts them into patches, with the table that trains.

  training/normal/normal_001.tif …          160 in the first release, 159 without the one renamed
  training/tumor/tumor_001.tif …            111
  training/lesion_annotations/tumor_001.xml …
  testing/images/test_001.tif …             130, or 129 without the duplicate
  testing/lesion_annotations/test_001.xml …
  testing/reference.csv                     slide, Normal or Tumor, and more; no header

Files are recognised by their names, in whatever folder under the root.
"""

import csv
import io
import pathlib
import re

import numpy as np
import pandas as pd

from medjax.data import table_files
from medjax.errors import InputError, check_option

# Slides with more tumour than is outlined, and the one slide that the set holds twice, as its own
# documentation and later users list them.
PARTLY_OUTLINED = (
  *(
    f'tumor_{number:03}'
    for number in (10, 15, 18, 20, 25, 29, 33, 34, 44, 46, 51, 54, 55, 56, 67, 79, 85, 92, 95, 110)
  ),
  'test_114',
)
DUPLICATE = 'test_049'
_NAME = re.compile(r'(normal|tumor|test)_(\d+)', re.IGNORECASE)
_CODES = {'normal': 0.0, 'tumor': 1.0}


def read(root: pathlib.Path) -> pd.DataFrame:
  """Returns the study table of the slides, with the label `tumor`.

  The set names no patients: every slide counts as one.

  Raises:
    InputError: no slides, test slides without reference.csv, or a slide that it does not list,
      lists twice, or gives an unknown code.
  """
  slides = _named(root, '.tif')
  slides.pop(DUPLICATE, None)
  if not slides:
    raise InputError(f'{root}: holds no slides such as training/tumor/tumor_001.tif')
  tests = [slide for slide in slides if slide.startswith('test')]
  reference = _reference(root, slides) if tests else {}
  for slide in tests:
    if slide not in reference:
      raise InputError(f"{slides[slide]}: reference.csv has no row for '{slide}'; add it")
  labels = [
    reference[slide] if slide in reference else _CODES[slide.partition('_')[0]] for slide in slides
  ]
  return pd.DataFrame(
    {
      'image': [path.relative_to(root).as_posix() for path in slides.values()],
      'patient': list(slides),
      'grouped_by': 'slide',
      'slide': list(slides),
      'official_split': ['test' if slide in reference else 'train' for slide in slides],
      'tumor': np.array(labels, np.float32),
    }
  )


def outlines(root: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns slide → the ASAP file with its outlines."""
  return _named(root, '.xml')


def _named(root: pathlib.Path, suffix: str) -> dict[str, pathlib.Path]:
  """Returns slide, such as tumor_001, → its file, sorted; older copies write Tumor_001."""
  files: dict[str, pathlib.Path] = {}
  for path in sorted(root.rglob(f'*{suffix}')):
    if match := _NAME.fullmatch(path.stem):
      slide = f'{match[1].lower()}_{int(match[2]):03}'
      if slide in files:
        raise InputError(f'{path}: the same slide as {files[slide]}; keep one of them')
      files[slide] = path
  return dict(sorted(files.items()))


def _reference(root: pathlib.Path, slides: dict[str, pathlib.Path]) -> dict[str, float]:
  path = next(iter(sorted(root.rglob('reference.csv'))), None)
  if path is None:
    raise InputError(
      f'{root}: holds test slides but no reference.csv, which says what they show; get it from '
      "the set's folder testing/"
    )
  labels: dict[str, float] = {}
  rows: dict[str, int] = {}
  for number, row in enumerate(csv.reader(io.StringIO(table_files.read_text(path))), start=1):
    match = _NAME.fullmatch(row[0].strip().removesuffix('.tif')) if row else None
    if match is None:
      continue  # A header, or an empty line.
    slide = f'{match[1].lower()}_{int(match[2]):03}'
    code = row[1].strip().lower() if len(row) > 1 else ''
    check_option(f'{path}: row {number}, column 2', code, _CODES)
    if rows.setdefault(slide, number) != number:
      raise InputError(
        f"{path}: slide '{slide}' is listed twice, in row {rows[slide]} and row {number}; keep one "
        'of them'
      )
    if slide in slides:
      labels[slide] = _CODES[code]
    elif slide != DUPLICATE:
      raise InputError(
        f"{path}: row {number}: there is no slide '{slide}.tif' under {root}; get it, or leave "
        'the row out'
      )
  return labels

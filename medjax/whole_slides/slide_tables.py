"""The slides to cut, their patients and labels: one row per slide.

Columns: `slide`, its name, once; `path`; `patient` and `grouped_by` as in medjax.data.table;
         `tumor`,
float32, 1, 0 or NaN where unknown; `outlines`, the ASAP file or ''; `wholly`, whether its
outlines leave no tumour out; and `official_split` and `site` where they are known.
"""

import pathlib

import numpy as np
import pandas as pd

from medjax.config import names as naming
from medjax.data import cells, identifiers, table
from medjax.data.datasets import camelyon16
from medjax.errors import InputError, check_option, nearest
from medjax.whole_slides.pyramid import SUFFIXES

_CARRIED = ('official_split', 'site')


def find(
  root: pathlib.Path,
  source: str = 'folder',
  table_file: pathlib.Path | None = None,
  outlines: pathlib.Path | None = None,
) -> pd.DataFrame:
  """Returns the slides under a folder, in the order of their names.

  Args:
    root: the folder, searched with its folders.
    source: 'folder', any slides; or 'camelyon16', which needs nothing more.
    table_file: a CSV with the column slide (a file's name without its ending) and any of patient,
      tumor (1, 0 or empty), official_split and site. Without patients every slide counts as one.
    outlines: a folder of ASAP files named after the slides, searched with its folders.

  Raises:
    InputError: no slides, two of one name, a slide without a row or a row without a slide, or
      outlines without a slide.
  """
  check_option('--source', source, ('folder', 'camelyon16'))
  if not root.is_dir():
    raise InputError(f'{root}: no such folder of slides')
  if source == 'camelyon16':
    if table_file or outlines:
      raise InputError(
        '--table, --outlines: not with --source=camelyon16, which brings its own; leave them out'
      )
    return _camelyon16(root)
  slides = _files(root, SUFFIXES)
  if not slides:
    raise InputError(f'{root}: holds no slides ({", ".join(SUFFIXES)})')
  outline_files = _files(outlines, ('.xml',)) if outlines else {}
  for name, path in outline_files.items():
    if name not in slides:
      raise InputError(f"{path}: there is no slide '{name}' under {root}{nearest(name, slides)}")
  frame = pd.DataFrame(
    {
      'slide': list(slides),
      'path': [str(path) for path in slides.values()],
      'outlines': [str(outline_files.get(name, '')) for name in slides],
      'wholly': True,
    }
  )
  return _with_facts(frame, table_file)


def _files(root: pathlib.Path, suffixes: tuple[str, ...]) -> dict[str, pathlib.Path]:
  """Returns name → file, sorted by name."""
  if not root.is_dir():
    raise InputError(f'{root}: no such folder')
  files: dict[str, pathlib.Path] = {}
  for path in sorted(root.rglob('*')):
    if path.suffix.lower() not in suffixes or path.name.startswith('.') or not path.is_file():
      continue
    if path.stem in files:
      raise InputError(
        f'{path}: has the name of {files[path.stem]}; rename one of them, because patches are '
        'named after their slide'
      )
    files[path.stem] = path
  return dict(sorted(files.items()))


def _camelyon16(root: pathlib.Path) -> pd.DataFrame:
  frame = table.check(camelyon16.read(root), str(root))
  outline_files = camelyon16.outlines(root)
  return pd.DataFrame(
    {
      'slide': frame['slide'],
      'path': [str(root / image) for image in frame['image']],
      'outlines': [str(outline_files.get(slide, '')) for slide in frame['slide']],
      'wholly': ~frame['slide'].isin(camelyon16.PARTLY_OUTLINED),
      **{name: frame[name] for name in ('patient', 'grouped_by', 'tumor', 'official_split')},
    }
  )


def _with_facts(frame: pd.DataFrame, table_file: pathlib.Path | None) -> pd.DataFrame:
  naming.check_cells(frame['slide'].tolist(), 'slide', lambda row: str(frame['path'].iloc[row]))
  frame['patient'], frame['grouped_by'] = frame['slide'], 'slide'
  frame['tumor'] = np.float32(np.nan)
  if table_file is None:
    return frame
  facts = table.read_csv(table_file, ['slide'])
  names = [name.strip() for name in facts['slide']]
  for row, name in enumerate(names):
    if name not in set(frame['slide']):
      raise InputError(
        f"{table_file}: row {row + 2}: there is no slide '{name}'{nearest(name, frame['slide'])}"
      )
    if name in names[:row]:
      raise InputError(f"{table_file}: row {row + 2}: slide '{name}' is listed twice")
  for name, path in zip(frame['slide'], frame['path']):
    if name not in names:
      raise InputError(f"{path}: {table_file} has no row for slide '{name}'; add one")
  order = [names.index(name) for name in frame['slide']]
  if 'patient' in facts:
    patients = facts['patient'].str.strip()
    identifiers.check_known(patients.tolist(), 'patient', identifiers.in_file(table_file))
    identifiers.check_distinct(patients.tolist(), 'patient', identifiers.in_file(table_file))
    naming.check_cells(patients.tolist(), 'patient', identifiers.in_file(table_file))
    frame['patient'] = patients.to_numpy()[order]
    frame['grouped_by'] = 'patient'
  if 'tumor' in facts:
    frame['tumor'] = table.label_values(facts, 'tumor', table_file, cells.ANSWERS)[order]
  for name in _CARRIED:
    if name in facts:
      frame[name] = facts[name].to_numpy()[order]
  return frame

"""Sources: one module per data set, each with `read(root, **settings) -> study table`.

A source with a parameter `labels` is given the config's labels.

A source of your own is such a function in a file of your own, named in the config as
`source='package.module:function'`. It returns a pandas DataFrame as medjax.data.table describes it.
"""

import pathlib

import pandas as pd

from medjax import lookup
from medjax.config import Data
from medjax.data import table
from medjax.data.datasets import chestxray14, chexpert, csv, dicom, phantom
from medjax.errors import InputError, one_line

SOURCES = {
  'chestxray14': chestxray14.read,
  'chexpert': chexpert.read,
  'csv': csv.read,
  'dicom': dicom.read,
  'phantom': phantom.read,
}


def read(data: Data) -> pd.DataFrame:
  """Returns the checked study table that the config asks for, kept to its views.

  Raises:
    InputError: whatever is wrong with the files, the settings, the labels or the views.
  """
  source = lookup.find(data.source, SOURCES, 'config.data.source')
  lookup.check_settings(source, data.settings, 'config.data.settings', ours=('root', 'labels'))
  settings = dict(data.settings)
  if lookup.takes(source, 'labels'):
    settings['labels'] = data.labels
  try:
    frame = source(pathlib.Path(data.root), **settings)
  except (InputError, OSError):
    raise
  except Exception as error:  # Whatever anybody's source may raise.
    raise InputError(f"config.data.source='{data.source}': {one_line(error)}") from error
  frame = table.check(frame, data.root)
  table.check_labels(frame, data.labels, data.root)
  return _keep_views(frame, data)


def _keep_views(frame: pd.DataFrame, data: Data) -> pd.DataFrame:
  if not data.views:
    return frame
  if 'view' not in frame.columns:
    raise InputError(f"config.data.views={data.views}: the source '{data.source}' tells no views")
  # 'frontal' is the field's word for both of its directions.
  wanted = set(data.views) | ({'AP', 'PA'} if 'frontal' in data.views else set())
  known = sorted(set(frame['view']) - {''})
  for view in data.views:
    if view != 'frontal' and view not in known:
      raise InputError(
        f"config.data.views: no image has the view '{view}'; the views are {', '.join(known)}"
      )
  kept = frame[frame['view'].isin(wanted)]
  if kept.empty:
    raise InputError(
      f'config.data.views={data.views}: no image is left; the views are {", ".join(known)}'
    )
  return kept.reset_index(drop=True)

"""Sources: one module per data set, each with `read(root, **settings) -> study table`.

A source with a parameter `labels` or `broken` gets what the config says. Images are not opened,
only named; `table.rows_of` gives the column `named_in`, from which messages about an image take
file and line.

A source of your own is such a function in a file of your own, named in the config as
`source='package.module:function'`. It returns a pandas DataFrame as medjax.data.table describes it.
"""

import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from medjax.config import Data
from medjax.data import table
from medjax.data.datasets import (
  aptos2019,
  camelyon16,
  camelyon17,
  chestxray14,
  chexpert,
  csv,
  dicom,
  eyepacs,
  ham10000,
  huggingface,
  isic2019,
  isic2020,
  medmnist,
  messidor2,
  mimic_cxr,
  padchest,
  patchcamelyon,
  phantom,
  phantom_sets,
  rsna_pneumonia,
  several,
  tfds,
  vindr_cxr,
  vocabulary,
  webdataset,
)
from medjax.errors import InputError, check_option, one_line
from medjax.runtime import garbage, import_by_name, remote, remote_path


def read_several(
  root: pathlib.Path, broken: str = 'stop', sets: Mapping[str, Mapping[str, Any]] | None = None
) -> pd.DataFrame:
  """Returns the study table of several sets, as medjax.data.datasets.several joins them.

  Sets that share images (RSNA Pneumonia and ChestX-ray14) still do so here: the audit finds them.

  Args:
    root: the folder that the sets' roots are relative to.
    broken: config.data.broken, for sources that ask for it.
    sets: a name of yours → {'source': …, 'root': …, 'settings': {…}, 'labels': {our label: its
      label or [its labels, …]}}. Without 'root' the set lies in a folder of its name, without
      'labels' the map is that of medjax.data.datasets.vocabulary for its source.

  Raises:
    InputError: whatever is wrong with a set or its map.
  """
  field = 'config.data.settings.sets'
  if not isinstance(sets, Mapping) or not sets:
    raise InputError(
      f"{field}={sets!r}: must be a dict such as {{'nih': {{'source': 'chestxray14'}}}}"
    )
  frames: dict[str, pd.DataFrame] = {}
  maps: dict[str, several.Map] = {}
  roots: dict[str, str] = {}
  for name, entry in sets.items():
    where = f"{field}['{name}']"
    if not isinstance(entry, Mapping) or 'source' not in entry:
      raise InputError(f"{where}={entry!r}: must be a dict with a 'source'")
    if ':' in name:  # The colon separates the set's name from the patient's.
      raise InputError(f"{where}: the name holds a ':'; choose one without")
    for key in entry:
      check_option(where, key, ('source', 'root', 'settings', 'labels'))
    source, roots[name] = str(entry['source']), str(entry.get('root', name))
    import_by_name.find(source, SOURCES, f'{where}.source')
    label_map = entry.get('labels', vocabulary.CHEST.get(source))
    if not isinstance(label_map, Mapping):
      raise InputError(
        f"{where}: no label map is known for the source '{source}'; give 'labels': "
        f'{{our label: its label, …}}'
      )
    set_labels = tuple(term for terms in label_map.values() for term in several.terms(terms))
    data = Data(
      source,
      str(root / roots[name]),
      set_labels,
      broken=broken,
      settings=dict(entry.get('settings', {})),
    )
    frames[name] = _read(data, where)
    if 'labels' not in entry:  # A release may lack some of what its source's vocabulary lists.
      available = set(table.label_columns(frames[name]))
      label_map = {
        label: terms
        for label, terms in label_map.items()
        if available.issuperset(several.terms(terms))
      }
    maps[name] = label_map
  return several.join(frames, maps, roots)


SOURCES: dict[str, Callable[..., pd.DataFrame]] = {
  'aptos2019': aptos2019.read,
  'camelyon16': camelyon16.read,
  'camelyon17': camelyon17.read,
  'chestxray14': chestxray14.read,
  'chexpert': chexpert.read,
  'csv': csv.read,
  'dicom': dicom.read,
  'eyepacs': eyepacs.read,
  'ham10000': ham10000.read,
  'huggingface': huggingface.read,
  'isic2019': isic2019.read,
  'isic2020': isic2020.read,
  'medmnist': medmnist.read,
  'messidor2': messidor2.read,
  'mimic_cxr': mimic_cxr.read,
  'padchest': padchest.read,
  'patchcamelyon': patchcamelyon.read,
  'phantom': phantom.read,
  'phantom_retina': phantom_sets.read_retina,
  'phantom_skin': phantom_sets.read_skin,
  'phantom_tissue': phantom_sets.read_tissue,
  'rsna_pneumonia': rsna_pneumonia.read,
  'several': read_several,
  'tfds': tfds.read,
  'vindr_cxr': vindr_cxr.read,
  'webdataset': webdataset.read,
}


def read(data: Data) -> pd.DataFrame:
  """Returns the checked study table that the config asks for, kept to its views.

  Raises:
    InputError: whatever is wrong with the files, the settings, the labels or the views.
  """
  return keep_views(read_all(data), data)[0]


@garbage.uncollected()
def read_all(data: Data) -> pd.DataFrame:
  """Returns the checked study table of all views; errors as `read`."""
  frame = table.with_identifiers(_read(data, 'config.data'), data.root, data.ids)
  table.check_labels(frame, data.labels, data.root)
  return frame


def _read(data: Data, where: str) -> pd.DataFrame:
  """Returns the checked study table; `where` is the part of the config that asks for it."""
  source = import_by_name.find(data.source, SOURCES, f'{where}.source')
  import_by_name.check_settings(
    source, data.settings, f'{where}.settings', given=('root', 'labels', 'broken')
  )
  settings = dict(data.settings)
  for name in ('labels', 'broken'):
    if import_by_name.takes(source, name):
      settings[name] = getattr(data, name)
  try:
    frame = source(remote_path.path(data.root), **settings)
  except (InputError, OSError, remote.Unreachable):
    raise
  except Exception as error:  # Whatever anybody's source may raise.
    raise InputError(f"{where}.source='{data.source}': {one_line(error)}") from error
  return table.check(frame, data.root)


def keep_views(frame: pd.DataFrame, data: Data) -> tuple[pd.DataFrame, list[str]]:
  """Keeps the images of the views that the config asks for; returns them, and notes on the others.

  Raises:
    InputError: no image has a view that is asked for, or a set has none of them and would be lost.
  """
  if not data.views:
    return frame, []
  if 'view' not in frame.columns:
    raise InputError(f"config.data.views={data.views}: the source '{data.source}' has no views")
  requested = [table.view_called(view) for view in data.views]
  # 'frontal' is the field's word for both of its directions.
  wanted = set(requested) | ({'AP', 'PA'} if 'frontal' in requested else set())
  known = sorted(set(frame['view'].unique()) - {''})
  for view in requested:
    if view != 'frontal' and view not in known:
      raise InputError(
        f"config.data.views: no image has the view '{view}'; the views are {', '.join(known)}"
      )
  kept = frame['view'].isin(wanted)
  sets = frame['dataset'] if 'dataset' in frame else pd.Series('', frame.index)
  notes = []
  for name in sets.unique():
    owner = f" of the set '{name}'" if name else ''
    others = frame['view'][(sets == name) & ~kept].value_counts()
    views = ', '.join(f'{count:,} {view or "of unknown view"}' for view, count in others.items())
    if not kept[sets == name].any():
      raise InputError(
        f'config.data.views={data.views}: no image{owner} is left; it has: {views}. Ask for its '
        'views, '
        + ('name its views in a column view, or leave the set out' if name else 'or for none')
      )
    if set(others.index) - set(table.VIEWS):  # Known views are left out on purpose.
      notes.append(
        f'config.data.views={",".join(requested)} leaves out {others.sum():,} of '
        f'{(sets == name).sum():,} images{owner}: {views}.'
      )
  return frame[kept].reset_index(drop=True), notes

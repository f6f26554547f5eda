"""Whom the network of a run has seen: the images and patients that trained or chose it."""

import os
from collections.abc import Iterable

import numpy as np
import pandas as pd

from medjax.data import table
from medjax.data.leakage import seen_before
from medjax.runs.layout import Layout
from medjax.runtime import files


def seen_by(layout: Layout) -> pd.DataFrame:
  """Returns image, patient, split, root and sha256 of all that trained or chose a run's network.

  The run's own training and validation images, and those of the runs that it started from. The
  digest is that of medjax.data.images.content, '' where a run of an earlier medjax has none.
  """
  own = table.read_csv(layout.split, ['image', 'patient', 'split'])
  own = own[own['split'].isin(('train', 'validation'))]
  root = files.read_json(layout.config)['data']['root']
  own = own.assign(root=os.path.realpath(root), sha256='')
  if layout.images.is_file():
    digests = table.read_csv(layout.images, ['image', 'sha256']).set_index('image')['sha256']
    own['sha256'] = digests.reindex(own['image']).fillna('').to_numpy()
  parts = [own, *_seen_by_weights(layout)]
  return pd.concat(parts, ignore_index=True)[seen_before.COLUMNS]


def seen_by_any(layouts: Iterable[Layout]) -> pd.DataFrame:
  """As `seen_by`, of the networks of several runs."""
  return pd.concat([seen_by(layout) for layout in layouts], ignore_index=True).drop_duplicates()


def note_on_weights(images: pd.DataFrame, split: np.ndarray, layout: Layout) -> str | None:
  """Returns `seen_before.note` on the weights that a run started from."""
  for seen in _seen_by_weights(layout):
    return seen_before.note(images, split, seen)
  return None


def _seen_by_weights(layout: Layout) -> list[pd.DataFrame]:
  path = layout.pretrained_on
  if not path.is_file():
    return []
  seen = table.read_csv(path, seen_before.COLUMNS[:-1])
  return [seen if 'sha256' in seen else seen.assign(sha256='')]

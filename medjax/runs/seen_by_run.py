"""Whom the network of a run has seen: the images and patients that trained, chose or tested it."""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from medjax.data import table
from medjax.data.leakage import seen_before
from medjax.runs import readings
from medjax.runs.layout import Layout
from medjax.runtime import files, remote


def seen_by(layout: Layout) -> pd.DataFrame:
  """Returns image, patient, split, root and sha256 of all that trained or chose a run's network.

  The run's own training and validation images, and those of the runs that it started from. The
  digest is that of medjax.data.images.content, '' where a run of an earlier medjax has none.
  """
  return _images(layout, ('train', 'validation'), has_own=True)


def tested_by(layout: Layout) -> pd.DataFrame:
  """As `seen_by`, of all that tested it, or a run that it started from, if that was read."""
  return _images(layout, ('test',), has_own=bool(readings.read(layout)))


def _images(layout: Layout, splits: tuple[str, ...], *, has_own: bool) -> pd.DataFrame:
  parts = _seen_by_weights(layout)
  if has_own:
    own = table.read_csv(layout.split, ['image', 'patient', 'split'])
    root = files.read_json(layout.config)['data']['root']
    own = own.assign(root=remote.real(root), sha256='')
    if layout.images.is_file():
      digests = table.read_csv(layout.images, ['image', 'sha256']).set_index('image')['sha256']
      own['sha256'] = digests.reindex(own['image']).fillna('').to_numpy()
    parts = [own, *parts]
  if not parts:
    return pd.DataFrame(columns=seen_before.COLUMNS)
  images = pd.concat(parts, ignore_index=True)[seen_before.COLUMNS]
  return images[images['split'].isin(splits)].reset_index(drop=True)


def seen_by_any(layouts: Iterable[Layout]) -> pd.DataFrame:
  """As `seen_by`, of the networks of several runs."""
  return pd.concat([seen_by(layout) for layout in layouts], ignore_index=True).drop_duplicates()


def note_on_weights(images: pd.DataFrame, split: np.ndarray, layout: Layout) -> str | None:
  """Returns `seen_before.note` on the weights that a run started from."""
  for seen in _seen_by_weights(layout):
    return seen_before.note(images, split, seen)
  return None


def tested_before(
  images: pd.DataFrame, split: np.ndarray, root: str, layout: Layout
) -> tuple[int, int]:
  """Returns `seen_before.tested_before` on the weights that a run started from."""
  for seen in _seen_by_weights(layout):
    return seen_before.tested_before(images, split, root, seen)
  return 0, 0


def _seen_by_weights(layout: Layout) -> list[pd.DataFrame]:
  path = layout.pretrained_on
  if not path.is_file():
    return []
  seen = table.read_csv(path, seen_before.COLUMNS[:-1])
  return [seen if 'sha256' in seen else seen.assign(sha256='')]

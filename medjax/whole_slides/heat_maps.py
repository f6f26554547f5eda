"""Heat maps of slides: what the patches contributed, over the slide's thumbnail."""

import pathlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from PIL import Image

from medjax.data.table import read_csv
from medjax.runtime import files, progress
from medjax.whole_slides import patch_sets, patches, pictures


class Heat(NamedTuple):
  """What a heat map shows.

  Attributes:
    values: image of a patch → a value f[L].
    caption: under the map; {} stands for the label.
    limits: of the scale; None takes each slide's own, from 0.
  """

  values: Mapping[str, np.ndarray]
  caption: str
  limits: tuple[float, float] | None


def draw(
  directory: pathlib.Path,
  root: pathlib.Path,
  names: Sequence[str],
  slides: Sequence[str],
  heat: Heat,
) -> int:
  """Writes SLIDE.NAME.png for every slide and name; returns how many.

  Where that is too long a name for a file it is that of `files.short_name`.

  Nothing is drawn if the patches were not cut by medjax.slides, for then their places are unknown.

  Args:
    directory: to write to, made if need be.
    root: the folder of the patches.
    names: L names of the values' columns.
    slides: to draw.
    heat: the values.
  """
  settings = patch_sets.read_settings(root)
  if settings is None:
    return 0
  sizes = read_csv(root / patch_sets.SLIDES, ['slide', 'width', 'mpp_x', 'mpp_y'])
  sizes = sizes.set_index('slide')
  places = read_csv(root / patch_sets.PATCHES, ['image', 'slide', 'x', 'y'])
  places = places[places['slide'].isin(slides) & places['image'].isin(heat.values)]
  directory.mkdir(parents=True, exist_ok=True)
  count = 0
  groups = places.groupby('slide')
  bar = progress.Progress('slide drawn', 0, len(groups), images=0)
  for slide, slide_places in progress.counted(groups, bar):
    with Image.open(patches.thumbnail_path(root, slide)) as file:
      picture = file.convert('RGB')
    width, *mpp = (float(sizes.at[slide, name]) for name in ('width', 'mpp_x', 'mpp_y'))
    slide_mpp = np.array(mpp)
    # A thumbnail's pixels are square in µm, those of the slide need not be.
    shrink = picture.width / width * slide_mpp / slide_mpp[0]
    corners = slide_places[['x', 'y']].to_numpy(np.float64) * shrink
    size = settings.patch_size * settings.mpp / slide_mpp * shrink
    boxes = np.hstack([corners, corners + size])
    values = np.stack([heat.values[image] for image in slide_places['image']])
    for index, name in enumerate(names):
      column = values[:, index]
      limits = heat.limits or (0.0, float(column.max()))
      page = pictures.heat(picture, boxes, column, limits, heat.caption.format(name))
      file_name = _name(slide, name)
      try:
        page.save(directory / file_name, compress_level=1)
      except OSError as error:
        if not files.name_is_refused(error):
          raise
        page.save(directory / files.short_name(file_name), compress_level=1)
      count += 1
  bar.close()
  return count


def path(directory: pathlib.Path, slide: str, name: str) -> pathlib.Path:
  """Returns where `draw` has written a slide's heat map of this name, if it has."""
  full = directory / _name(slide, name)
  try:
    exists = full.is_file()
  except OSError as error:
    if not files.name_is_refused(error):
      raise
    exists = False
  return full if exists else directory / files.short_name(full.name)


def _name(slide: str, name: str) -> str:
  return f'{slide}.{name.replace("/", "_")}.png'


def in_words(count: int) -> str:
  """Returns '12 heat maps', or why there are none."""
  return f'{count:,} heat maps' if count else 'no heat maps: the places of the patches are unknown'

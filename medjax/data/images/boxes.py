"""Boxes that readers drew around findings: from a file to pixels of what the network is given.

Three kinds of files are distinguished by their header:

- `BBox_List_2017.csv` of ChestX-ray14 (arXiv 1705.02315), in pixels of its images of 1024 × 1024,
  whose 'Infiltrate' is the finding 'Infiltration';
- `truth.csv` of the generated chest X-rays;
- anybody's table, one box a row: image, label, x, y, width, height, in pixels of the image as it is
  shown.

A box's x and y are those of its upper left corner; the first pixel reaches from 0 to 1. An image
may have several boxes of a label.
"""

import collections
import pathlib
import posixpath
from collections.abc import Collection, Sequence

import numpy as np
import pandas as pd

from medjax.data import table, table_files
from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError

SIDES = ('x', 'y', 'width', 'height')
COLUMNS = ('image', 'label', *SIDES)
# The names under which a data root holds its boxes.
FILES = ('BBox_List_2017.csv', 'truth.csv', 'boxes.csv')
# The header says 'Bbox [x,y,w,h]' without quotes, and so four names.
_NIH = {'Image Index': 'image', 'Finding Label': 'label'} | dict(
  zip(('Bbox [x', 'y', 'w', 'h]'), SIDES)
)
_NIH_SIDE = 1024  # pixels
_NIH_LABELS = {'Infiltrate': 'Infiltration'}


def find(root: pathlib.Path) -> pathlib.Path | None:
  """Returns the file of boxes in a data root, or None where none of `FILES` is there.

  A truth.csv of somebody's labels is no file of boxes.
  """
  for path in (root / name for name in FILES):
    if path.is_file() and (path.name != 'truth.csv' or _boxed_labels(_header(path))):
      return path
  return None


def _header(path: pathlib.Path) -> list[str]:
  try:
    return table_files.rows(path)[0]
  except (InputError, IndexError):
    return []


def _boxed_labels(header: Collection[str]) -> list[str]:
  """Returns the labels of which a table of one image a row, like the phantom's, has all sides."""
  if 'Path' not in header:
    return []
  ends = f' {SIDES[0]}'
  labels = [name.removesuffix(ends) for name in header if name.endswith(ends)]
  return [label for label in labels if all(f'{label} {side}' in header for side in SIDES)]


def read(path: pathlib.Path) -> pd.DataFrame:
  """Reads a file of boxes.

  Returns:
    one row per box: image and label as the file names them, x, y, width and height in pixels, f64;
    frame, the sides in pixels of the square image that these are pixels of, NaN where it is the
    image itself; and named_in, the file and row.

  Raises:
    InputError: naming file, row and column: no such file, a column missing, an empty image or
      label, a side that is no number or not positive.
  """
  frame = table.read_csv(path)
  frame_side = np.nan
  if set(_NIH) <= set(frame):
    frame, frame_side = frame.rename(columns=_NIH), _NIH_SIDE
    frame['label'] = frame['label'].replace(_NIH_LABELS)
  elif labels := _boxed_labels(list(frame)):
    frame = _one_box_a_row(frame, labels)
  else:
    frame = table.read_csv(path, COLUMNS)
  result = pd.DataFrame({name: frame[name].str.strip() for name in ('image', 'label')})
  for name in result:
    empty = (result[name] == '').to_numpy()
    if empty.any():
      row = frame.index[int(empty.argmax())] + 2
      raise InputError(f"{path}: row {row}, column '{name}': the {name} is empty")
  for side in SIDES:
    result[side] = table.numbers(frame, side, path)
    least = 0 if side in ('width', 'height') else -np.inf
    wrong = ~(result[side] > least).to_numpy()
    if wrong.any():
      row = int(wrong.argmax())
      raise InputError(
        f"{path}: row {frame.index[row] + 2}, column '{side}': '{frame[side].iloc[row]}' is no "
        f'{side} of a box in pixels'
      )
  return result.assign(frame=frame_side, named_in=table.rows_of(path, frame)).reset_index(drop=True)


def in_input(
  boxes: pd.DataFrame, root: pathlib.Path, images: Sequence[str], image_format: ImageFormat
) -> pd.DataFrame:
  """Brings the boxes of some images into pixels of what `decoding.decode` returns of them.

  A box's image is the one of `images` of that path, or whose path ends in it, or that ends its
  path. Boxes of other images are left out, and so is what `fit` cuts away.

  Args:
    boxes: as `read` returns them.
    root: the folder that `images` are relative to, read for the sizes of images.
    images: as the study table names them.
    image_format: of `decode`.

  Returns:
    one row per box: row, i64, its image's place in `images`; label; x, y, width and height, f64.

  Raises:
    InputError: naming file and row: a path that ends several images', a box whose middle lies
      outside its image, or an image that cannot be read.
  """
  rows = _rows(boxes, images)
  boxes, rows = boxes[rows >= 0], rows[rows >= 0]
  sizes = np.repeat(boxes['frame'].to_numpy(np.float64)[:, None], 2, axis=1)
  unknown = np.isnan(sizes[:, 0])
  way = image_format.intensity
  read = {row: decoding.whole(root / images[row], way).size for row in np.unique(rows[unknown])}
  sizes[unknown] = np.reshape([read[row] for row in rows[unknown]], (-1, 2))
  corners = boxes[list(SIDES)].to_numpy(np.float64)
  middles = corners[:, :2] + corners[:, 2:] / 2
  outside = ((middles < 0) | (middles > sizes)).any(axis=1)
  if outside.any():
    place = int(outside.argmax())
    width, height = sizes[place]
    raise InputError(
      f'{boxes["named_in"].iloc[place]}: the box lies outside its image of {width:g} × {height:g} '
      'pixels; boxes must be in pixels of the image files, as they are shown'
    )
  mapped = to_input(corners, sizes, image_format)
  result = pd.DataFrame({'row': rows, 'label': boxes['label'].to_numpy()})
  result[list(SIDES)] = mapped
  return result[(mapped[:, 2:] > 0).all(axis=1)].reset_index(drop=True)


def to_input(boxes: np.ndarray, sizes: np.ndarray, image_format: ImageFormat) -> np.ndarray:
  """Moves boxes as `decoding.decode` moves the pixels, and cuts them at the frame.

  Args:
    boxes: f64[N, 4], x, y, width and height in pixels of the image.
    sizes: [N, 2], width and height of their images, pixels.
    image_format: of `decode`.

  Returns:
    f64[N, 4] in pixels of the network's input; one that is cut away has a width or height of 0.
  """
  sizes = np.asarray(sizes, np.float64)
  image_size, fit = image_format.size, image_format.fit
  if fit == 'stretch':
    resized, offset = np.full_like(sizes, image_size), np.zeros_like(sizes)
  elif fit == 'crop':
    resized = sizes * image_size / sizes.min(axis=1, keepdims=True)
    offset = (image_size - resized) / 2
  else:  # 'pad'; Pillow rounds the sides, and where they begin.
    resized = np.rint(sizes * image_size / sizes.max(axis=1, keepdims=True)).clip(1)
    offset = np.rint((image_size - resized) / 2)
  boxes = np.asarray(boxes, np.float64)
  scale = resized / sizes
  first = np.clip(boxes[:, :2] * scale + offset, 0, image_size)
  last = np.clip((boxes[:, :2] + boxes[:, 2:]) * scale + offset, 0, image_size)
  return np.concatenate([first, last - first], axis=1)


def _one_box_a_row(frame: pd.DataFrame, labels: Sequence[str]) -> pd.DataFrame:
  """Returns a row per box of a table of one row per image; the index stays that of the file."""
  parts = []
  for label in labels:
    names = {'Path': 'image'} | {f'{label} {side}': side for side in SIDES}
    boxed = frame[frame[f'{label} {SIDES[0]}'] != '']
    parts.append(boxed[list(names)].rename(columns=names).assign(label=label))
  return pd.concat(parts)


def _rows(boxes: pd.DataFrame, images: Sequence[str]) -> np.ndarray:
  """Returns the place of each box's image in `images`, -1 where it is not there."""
  rows_of_name = collections.defaultdict(list)
  for row, image in enumerate(images):
    rows_of_name[posixpath.basename(image)].append(row)
  rows = np.full(len(boxes), -1)
  for place, image in enumerate(boxes['image']):
    image = posixpath.normpath(image)
    candidates = [
      row
      for row in rows_of_name[posixpath.basename(image)]
      if f'/{images[row]}'.endswith(f'/{image}') or f'/{image}'.endswith(f'/{images[row]}')
    ]
    same = [row for row in candidates if images[row] == image]
    if len(candidates) > 1 and not same:
      raise InputError(
        f"{boxes['named_in'].iloc[place]}: '{image}' may be '{images[candidates[0]]}' or "
        f"'{images[candidates[1]]}'; give its folder too"
      )
    if candidates:
      rows[place] = (same or candidates)[0]
  return rows

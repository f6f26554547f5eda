"""One slide → its patches: an array_record of encoded images, a CSV of where they lie, two pictures.

A patch is kept if enough of it is tissue. It is tumour if any pixel in its centre is (by default the
rule of PatchCamelyon: one pixel of the centre 32 × 32 of 96 × 96; Veeling et al. 2018, arXiv
1806.03962).

Patches are stored as JPEG of quality 95 without subsampled colour: on a slide of skin 40 % of PNG's
bytes (7.5 kB against 18.9 kB for 96 × 96 pixels), decoded in half of its time, and one grey level from
the slide's pixels on average, where the usual subsampling is six away. Slides are JPEG themselves.
"""

import dataclasses
import glob
import hashlib
import io
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from medjax.errors import InputError
from medjax.runtime import files
from medjax.whole_slides import outlines, pictures, pyramid, tissue
from medjax.whole_slides.outlines import Outlines
from medjax.whole_slides.pyramid import Slide

JPEG_QUALITY = 95
_READ_AT_ONCE = 1024  # pixels of patches side by side
_THUMBNAIL = 2048  # pixels of its longer side at most
_END = 2**20  # bytes


@dataclasses.dataclass(frozen=True)
class Cutting:
  """How slides are cut.

  Attributes:
    mpp: of the patches, µm per pixel.
    patch_size: their width and height, pixels.
    centre: width and height of the part in the middle that decides the label, pixels.
    tissue: the least share of a patch that must be tissue.
  """

  mpp: float
  patch_size: int
  centre: int
  tissue: float


class Job(NamedTuple):
  """A slide to cut.

  Attributes:
    slide: its name.
    path: of the file.
    tumor: 1, 0, or NaN where nobody says.
    outlines: of tumour, an ASAP file, or ''.
    wholly: whether the outlines leave no tumour out.
  """

  slide: str
  path: str
  tumor: float
  outlines: str
  wholly: bool


def record_path(directory: pathlib.Path, slide: str) -> pathlib.Path:
  """Returns where the images of a slide lie."""
  return directory / 'slides' / f'{slide}.array_record'


def positions_path(directory: pathlib.Path, slide: str) -> pathlib.Path:
  """Returns where the CSV of a slide's patches lies: x, y (pixels of level 0), tissue, tumor."""
  return directory / 'slides' / f'{slide}.csv'


def thumbnail_path(directory: pathlib.Path, slide: str) -> pathlib.Path:
  """Returns where the picture of a slide lies."""
  return directory / 'thumbnails' / f'{slide}.png'


def done(job: Job, directory: pathlib.Path, cutting: Cutting, stated_mpp: float) -> dict | None:
  """Returns what `cut` returned for the same slide, outlines and settings, or None."""
  path = _facts_path(directory, job.slide)
  try:
    facts = files.read_json(path)
    same = facts['given'] == _given(job, cutting)
    return facts if same and facts['stated_mpp'] in (None, stated_mpp) else None
  except (InputError, OSError, KeyError):
    return None


def cut(job: Job, directory: pathlib.Path, cutting: Cutting, stated_mpp: float) -> dict[str, Any]:
  """Cuts a slide into patches under `directory` and returns what is known of it, JSON.

  What a cut that was interrupted has left is replaced. Pure but for the files: the same slide gives the
  same bytes.

  Raises:
    InputError: the slide or its outlines cannot be read, contradict the label, or its resolution is
      unknown or too coarse.
  """
  given = _given(job, cutting)
  drawn = outlines.read(pathlib.Path(job.outlines)) if job.outlines else None
  if drawn is not None and drawn.tumour and job.tumor == 0:
    raise InputError(
      f"{job.outlines}: outlines tumour on slide '{job.slide}', which is said to have none"
    )
  facts_path = _facts_path(directory, job.slide)
  facts_path.unlink(missing_ok=True)  # Until all is there again.
  slide = pyramid.open_slide(pathlib.Path(job.path), stated_mpp)
  try:
    positions, facts = _positions(slide, drawn, job, cutting)
    _write_images(record_path(directory, job.slide), slide, cutting, positions)
    _write_pictures(directory, slide, drawn, job, cutting, positions)
  finally:
    slide.handle.close()
  table = positions[['x', 'y', 'tissue', 'tumor']]
  files.write_whole(
    positions_path(directory, job.slide), table.to_csv(index=False, float_format='%.4g')
  )
  facts = {'slide': job.slide, **facts, 'given': given}
  facts['stated_mpp'] = stated_mpp if slide.stated else None
  # Last, because its presence says that the others are there.
  files.write_whole(facts_path, json.dumps(facts, indent=2) + '\n')
  return facts


def _facts_path(directory: pathlib.Path, slide: str) -> pathlib.Path:
  return directory / 'slides' / f'{slide}.json'


def _given(job: Job, cutting: Cutting) -> dict[str, Any]:
  """Returns what the patches follow from; a slide is told by its size and its two ends."""
  digest = ''
  if job.outlines:
    digest = hashlib.sha256(pathlib.Path(job.outlines).read_bytes()).hexdigest()
  return {
    **dataclasses.asdict(cutting),
    'bytes': os.path.getsize(job.path),
    'sha256_of_ends': _digest_of_ends(pathlib.Path(job.path)),
    'outlines_sha256': digest,
    'wholly_outlined': job.wholly,
    'tumor': None if np.isnan(job.tumor) else job.tumor,
  }


def _digest_of_ends(path: pathlib.Path) -> str:
  # Slides are too large to be read for this. Their time would change with every copy.
  digest = hashlib.sha256()
  with path.open('rb') as file:
    digest.update(file.read(_END))
    file.seek(max(file.tell(), path.stat().st_size - _END))
    digest.update(file.read())
  return digest.hexdigest()


def _positions(
  slide: Slide, drawn: Outlines | None, job: Job, cutting: Cutting
) -> tuple[pd.DataFrame, dict[str, Any]]:
  """Returns row, column, x, y, tissue and tumor of the patches to keep, and facts of the slide."""
  size = cutting.patch_size
  width, height = pyramid.size_at(slide, cutting.mpp)
  columns, rows = width // size, height // size
  if not columns or not rows:
    raise InputError(
      f'{slide.path}: {width} × {height} pixels at {cutting.mpp:g} µm hold no patch of {size}'
    )
  # A few pixels of the mask to a patch, however small that is.
  mask_mpp = max(min(tissue.MPP, size * cutting.mpp / 4), *slide.mpp)
  mask_size = pyramid.size_at(slide, mask_mpp)
  found, threshold = tissue.mask(pyramid.read(slide, mask_mpp, 0, 0, *mask_size))
  step = size * cutting.mpp / mask_mpp
  share = tissue.shares(found, step * np.arange(columns + 1), step * np.arange(rows + 1))
  row, column = np.nonzero(share >= cutting.tissue)
  # Side by side in blocks, in which they are read.
  block = max(1, _READ_AT_ONCE // size)
  order = np.lexsort((column, row, column // block, row // block))
  row, column = row[order], column[order]
  across, down = (cutting.mpp * size / own for own in slide.mpp)
  positions = pd.DataFrame(
    {
      'row': row,
      'column': column,
      'x': np.rint(column * across).astype(np.int64),
      'y': np.rint(row * down).astype(np.int64),
      'tissue': share[row, column],
      'tumor': _labels(slide, drawn, job, cutting, row, column),
    }
  )
  facts = {
    'mpp_x': slide.mpp[0],
    'mpp_y': slide.mpp[1],
    'width': slide.size[0],
    'height': slide.size[1],
    'saturation_threshold': threshold,
    'tissue_mm2': round(float(found.sum()) * mask_mpp**2 / 1e6, 4),
    'patches': len(positions),
    'tumor_patches': int((positions['tumor'] == 1).sum()),
    'unknown_patches': int(positions['tumor'].isna().sum()),
    'outlined_tumor': _outlined(drawn),
    'ungrouped_outlines': len(drawn.ungrouped) if drawn else 0,
  }
  return positions, facts


def _outlined(drawn: Outlines | None) -> bool | None:
  """Returns whether the outlines say that the slide has tumour, None where they leave it open."""
  if drawn is None or (drawn.ungrouped and not drawn.tumour):
    return None
  return bool(drawn.tumour)


def _outside(drawn: Outlines, job: Job) -> float:
  """Returns the label of what lies outside the outlines: 0, or NaN where there may be tumour."""
  if job.tumor == 0:
    return 0
  may_have = job.tumor == 1 or _outlined(drawn) is not False
  return 0 if job.wholly and (outlines.encloses(drawn.tumour) or not may_have) else np.nan


def _labels(
  slide: Slide,
  drawn: Outlines | None,
  job: Job,
  cutting: Cutting,
  rows: np.ndarray,
  columns: np.ndarray,
) -> np.ndarray:
  """Returns f32[N]: 1 tumour in the centre, 0 none, NaN where nobody says."""
  if drawn is None:
    return np.full(len(rows), 0 if job.tumor == 0 else np.nan, np.float32)
  labels = np.full(len(rows), _outside(drawn, job), np.float32)
  margin = (cutting.patch_size - cutting.centre) / 2
  middle = margin + np.arange(cutting.centre) + 0.5
  across, down = (cutting.mpp / own for own in slide.mpp)
  for row in np.unique(rows):
    here = np.flatnonzero(rows == row)
    here = here[np.argsort(columns[here])]
    xs = (columns[here][:, None] * cutting.patch_size + middle).ravel() * across
    ys = (row * cutting.patch_size + middle) * down
    for label, find in ((np.nan, outlines.unknown_inside), (1, outlines.tumour_inside)):
      found = find(drawn, xs, ys).reshape(len(ys), len(here), -1)
      labels[here[found.any(axis=(0, 2))]] = label
  return labels


def _write_images(
  path: pathlib.Path, slide: Slide, cutting: Cutting, positions: pd.DataFrame
) -> None:
  from array_record.python.array_record_module import ArrayRecordWriter

  path.parent.mkdir(parents=True, exist_ok=True)
  for left in path.parent.glob(f'.{glob.escape(path.name)}.*.partial'):
    left.unlink()  # Of a process that was killed.
  partial = path.with_name(f'.{path.name}.{os.getpid()}.partial')
  # One image is read at a time, and JPEG does not compress further.
  writer = ArrayRecordWriter(str(partial), 'group_size:1,uncompressed')
  for pixels in _images(slide, cutting, positions):
    encoded = io.BytesIO()
    Image.fromarray(pixels).save(encoded, 'JPEG', quality=JPEG_QUALITY, subsampling=0)
    writer.write(encoded.getvalue())
  writer.close()
  os.replace(partial, path)


def _images(slide: Slide, cutting: Cutting, positions: pd.DataFrame) -> Iterator[np.ndarray]:
  """Yields uint8[patch_size, patch_size, 3] in the order of `positions`."""
  size = cutting.patch_size
  block = max(1, _READ_AT_ONCE // size)
  for _, near in positions.groupby([positions['row'] // block, positions['column'] // block]):
    top, left = near['row'].min(), near['column'].min()
    high, wide = near['row'].max() - top + 1, near['column'].max() - left + 1
    pixels = pyramid.read(slide, cutting.mpp, left * size, top * size, wide * size, high * size)
    for row, column in zip(near['row'] - top, near['column'] - left):
      yield pixels[row * size : (row + 1) * size, column * size : (column + 1) * size]


def _write_pictures(
  directory: pathlib.Path,
  slide: Slide,
  drawn: Outlines | None,
  job: Job,
  cutting: Cutting,
  positions: pd.DataFrame,
) -> None:
  longest = max(side * own for side, own in zip(slide.size, slide.mpp))
  mpp = max(longest / _THUMBNAIL, *slide.mpp)
  picture = Image.fromarray(pyramid.read(slide, mpp, 0, 0, *pyramid.size_at(slide, mpp)))
  shrink = tuple(own / mpp for own in slide.mpp)
  grid = pictures.grid(
    picture,
    np.stack([positions['column'], positions['row']], axis=1),
    cutting.patch_size * cutting.mpp / mpp,
    positions['tumor'].to_numpy(),
    [polygon * shrink for polygons in drawn or () for polygon in polygons],
  )
  for path, each in (
    (thumbnail_path(directory, job.slide), picture),
    (directory / 'grids' / f'{job.slide}.png', grid),
  ):
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = io.BytesIO()
    each.save(encoded, 'PNG', compress_level=1)  # Best takes ten times as long as all else.
    files.write_whole(path, encoded.getvalue())

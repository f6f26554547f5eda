"""One slide → its patches: an array_record of encoded images, a CSV of their places, two pictures.

A patch is kept if enough of it is tissue. It is tumour if any pixel in its centre is (by default
the rule of PatchCamelyon: one pixel of the centre 32 × 32 of 96 × 96; Veeling et al. 2018, arXiv
1806.03962).

Patches are stored as JPEG of quality 95 without subsampled colour: on a slide of skin 40 % of PNG's
bytes (7.5 kB against 18.9 kB for 96 × 96 pixels), decoded in half of its time, and on average one
grey level from the slide's pixels; with the usual subsampling it is six. Slides are JPEG
themselves.
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
_END = 2**20  # bytes at either end of a file that are hashed


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
    tumor: 1, 0, or NaN where unknown.
    outlines: of tumour, an ASAP file, or ''.
    wholly: whether the outlines leave no tumour out.
  """

  slide: str
  path: str
  tumor: float
  outlines: str
  wholly: bool


@dataclasses.dataclass(frozen=True)
class CutSlide:
  """A slide that was cut, as slides/NAME.json holds it.

  Attributes:
    slide: its name.
    mpp_x, mpp_y: µm per pixel of level 0.
    width, height: pixels of level 0.
    saturation_threshold: above which a pixel is tissue, of 255.
    tissue_mm2: area of tissue.
    patches: how many were kept.
    tumor_patches: how many of them are tumour.
    unknown_patches: how many of them may or may not be.
    outlined_tumor: whether the outlines show tumour; None where they leave it open.
    ungrouped_outlines: outlines without a group.
    given: what the patches follow from: settings, label, and hashes of the files.
    stated_mpp: µm per pixel that the user stated, None where the file has them.
  """

  slide: str
  mpp_x: float
  mpp_y: float
  width: int
  height: int
  saturation_threshold: int
  tissue_mm2: float
  patches: int
  tumor_patches: int
  unknown_patches: int
  outlined_tumor: bool | None
  ungrouped_outlines: int
  given: dict[str, Any]
  stated_mpp: float | None


def record_path(directory: pathlib.Path, slide: str) -> pathlib.Path:
  """Returns where the images of a slide lie."""
  return directory / 'slides' / f'{slide}.array_record'


def positions_path(directory: pathlib.Path, slide: str) -> pathlib.Path:
  """Returns where the CSV of a slide's patches lies: x, y (pixels of level 0), tissue, tumor."""
  return directory / 'slides' / f'{slide}.csv'


def thumbnail_path(directory: pathlib.Path, slide: str) -> pathlib.Path:
  """Returns where the picture of a slide lies."""
  return directory / 'thumbnails' / f'{slide}.png'


def done(job: Job, directory: pathlib.Path, cutting: Cutting, stated_mpp: float) -> CutSlide | None:
  """Returns what `cut` returned for the same slide, outlines and settings, or None."""
  try:
    before = CutSlide(**files.read_json(_facts_path(directory, job.slide)))
    same = before.given == _given(job, cutting)
  except (InputError, OSError, TypeError):
    return None
  return before if same and before.stated_mpp in (None, stated_mpp) else None


def cut(job: Job, directory: pathlib.Path, cutting: Cutting, stated_mpp: float) -> CutSlide:
  """Cuts a slide into patches under `directory`.

  Files of an interrupted cut are replaced. The same slide gives the same bytes.

  Raises:
    InputError: the slide or its outlines cannot be read, contradict the label, or its resolution is
      unknown or too coarse.
  """
  given = _given(job, cutting)
  slide_outlines = outlines.read(pathlib.Path(job.outlines)) if job.outlines else None
  if slide_outlines is not None and slide_outlines.tumour and job.tumor == 0:
    raise InputError(
      f"{job.outlines}: outlines tumour on slide '{job.slide}', whose label says that it has none"
    )
  facts_path = _facts_path(directory, job.slide)
  facts_path.unlink(missing_ok=True)  # It is written again when all else is complete.
  slide = pyramid.open_slide(pathlib.Path(job.path), stated_mpp)
  try:
    positions, area, threshold = _positions(slide, slide_outlines, job, cutting)
    _write_images(record_path(directory, job.slide), slide, cutting, positions)
    _write_pictures(directory, slide, slide_outlines, job, cutting, positions)
  finally:
    slide.handle.close()
  table = positions[['x', 'y', 'tissue', 'tumor']]
  files.write_whole(
    positions_path(directory, job.slide), table.to_csv(index=False, float_format='%.4g')
  )
  result = CutSlide(
    slide=job.slide,
    mpp_x=slide.mpp[0],
    mpp_y=slide.mpp[1],
    width=slide.size[0],
    height=slide.size[1],
    saturation_threshold=threshold,
    tissue_mm2=round(area, 4),
    patches=len(positions),
    tumor_patches=int((positions['tumor'] == 1).sum()),
    unknown_patches=int(positions['tumor'].isna().sum()),
    outlined_tumor=_outlined(slide_outlines),
    ungrouped_outlines=len(slide_outlines.ungrouped) if slide_outlines else 0,
    given=given,
    stated_mpp=stated_mpp if slide.stated else None,
  )
  # Last, because its presence says that the other files are complete.
  files.write_whole(facts_path, json.dumps(dataclasses.asdict(result), indent=2) + '\n')
  return result


def _facts_path(directory: pathlib.Path, slide: str) -> pathlib.Path:
  return directory / 'slides' / f'{slide}.json'


def _given(job: Job, cutting: Cutting) -> dict[str, Any]:
  """Returns what the patches follow from; a slide is identified by its size and its two ends."""
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
  # Slides are too large to be hashed whole, and their time changes with every copy.
  digest = hashlib.sha256()
  with path.open('rb') as file:
    digest.update(file.read(_END))
    file.seek(max(file.tell(), path.stat().st_size - _END))
    digest.update(file.read())
  return digest.hexdigest()


def _positions(
  slide: Slide, slide_outlines: Outlines | None, job: Job, cutting: Cutting
) -> tuple[pd.DataFrame, float, int]:
  """Returns the patches to keep (row, column, x, y, tissue, tumor), mm² of tissue, threshold."""
  size = cutting.patch_size
  width, height = pyramid.size_at(slide, cutting.mpp)
  columns, rows = width // size, height // size
  if not columns or not rows:
    raise InputError(
      f'{slide.path}: {width} × {height} pixels at {cutting.mpp:g} µm hold no patch of {size}'
    )
  # A patch spans a few pixels of the mask, however small it is.
  mask_mpp = max(min(tissue.MPP, size * cutting.mpp / 4), *slide.mpp)
  mask_size = pyramid.size_at(slide, mask_mpp)
  mask, threshold = tissue.mask(pyramid.read(slide, mask_mpp, 0, 0, *mask_size))
  step = size * cutting.mpp / mask_mpp
  share = tissue.shares(mask, step * np.arange(columns + 1), step * np.arange(rows + 1))
  row, column = np.nonzero(share >= cutting.tissue)
  # In the order of the blocks in which they are read.
  block = max(1, _READ_AT_ONCE // size)
  order = np.lexsort((column, row, column // block, row // block))
  row, column = row[order], column[order]
  across, down = (cutting.mpp * size / slide_mpp for slide_mpp in slide.mpp)
  positions = pd.DataFrame(
    {
      'row': row,
      'column': column,
      'x': np.rint(column * across).astype(np.int64),
      'y': np.rint(row * down).astype(np.int64),
      'tissue': share[row, column],
      'tumor': _labels(slide, slide_outlines, job, cutting, row, column),
    }
  )
  return positions, float(mask.sum()) * mask_mpp**2 / 1e6, threshold


def _outlined(slide_outlines: Outlines | None) -> bool | None:
  """Returns whether the outlines show tumour, None where they leave it open."""
  if slide_outlines is None or (slide_outlines.ungrouped and not slide_outlines.tumour):
    return None
  return bool(slide_outlines.tumour)


def _outside(slide_outlines: Outlines, job: Job) -> float:
  """Returns the label of what lies outside the outlines: 0, or NaN where there may be tumour."""
  if job.tumor == 0:
    return 0
  may_have_tumour = job.tumor == 1 or _outlined(slide_outlines) is not False
  complete = job.wholly and (outlines.encloses(slide_outlines.tumour) or not may_have_tumour)
  return 0 if complete else np.nan


def _labels(
  slide: Slide,
  slide_outlines: Outlines | None,
  job: Job,
  cutting: Cutting,
  rows: np.ndarray,
  columns: np.ndarray,
) -> np.ndarray:
  """Returns f32[N]: 1 tumour in the centre, 0 none, NaN unknown."""
  if slide_outlines is None:
    return np.full(len(rows), 0 if job.tumor == 0 else np.nan, np.float32)
  labels = np.full(len(rows), _outside(slide_outlines, job), np.float32)
  margin = (cutting.patch_size - cutting.centre) / 2
  middle = margin + np.arange(cutting.centre) + 0.5
  across, down = (cutting.mpp / slide_mpp for slide_mpp in slide.mpp)
  for row in np.unique(rows):
    in_row = np.flatnonzero(rows == row)
    in_row = in_row[np.argsort(columns[in_row])]
    xs = (columns[in_row][:, None] * cutting.patch_size + middle).ravel() * across
    ys = (row * cutting.patch_size + middle) * down
    for label, points_inside in ((np.nan, outlines.unknown_inside), (1, outlines.tumour_inside)):
      points = points_inside(slide_outlines, xs, ys).reshape(len(ys), len(in_row), -1)
      labels[in_row[points.any(axis=(0, 2))]] = label
  return labels


def _write_images(
  path: pathlib.Path, slide: Slide, cutting: Cutting, positions: pd.DataFrame
) -> None:
  from array_record.python.array_record_module import ArrayRecordWriter

  path.parent.mkdir(parents=True, exist_ok=True)
  for abandoned in path.parent.glob(f'.{glob.escape(path.name)}.*.partial'):
    abandoned.unlink()  # Of a process that was killed.
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
  for _, patches in positions.groupby([positions['row'] // block, positions['column'] // block]):
    top, left = patches['row'].min(), patches['column'].min()
    high, wide = patches['row'].max() - top + 1, patches['column'].max() - left + 1
    pixels = pyramid.read(slide, cutting.mpp, left * size, top * size, wide * size, high * size)
    for row, column in zip(patches['row'] - top, patches['column'] - left):
      yield pixels[row * size : (row + 1) * size, column * size : (column + 1) * size]


def _write_pictures(
  directory: pathlib.Path,
  slide: Slide,
  slide_outlines: Outlines | None,
  job: Job,
  cutting: Cutting,
  positions: pd.DataFrame,
) -> None:
  longest = max(side * slide_mpp for side, slide_mpp in zip(slide.size, slide.mpp))
  mpp = max(longest / _THUMBNAIL, *slide.mpp)
  picture = Image.fromarray(pyramid.read(slide, mpp, 0, 0, *pyramid.size_at(slide, mpp)))
  shrink = tuple(slide_mpp / mpp for slide_mpp in slide.mpp)
  grid = pictures.grid(
    picture,
    np.stack([positions['column'], positions['row']], axis=1),
    cutting.patch_size * cutting.mpp / mpp,
    positions['tumor'].to_numpy(),
    [polygon * shrink for polygons in slide_outlines or () for polygon in polygons],
  )
  for path, image in (
    (thumbnail_path(directory, job.slide), picture),
    (directory / 'grids' / f'{job.slide}.png', grid),
  ):
    path.parent.mkdir(parents=True, exist_ok=True)
    encoded = io.BytesIO()
    image.save(encoded, 'PNG', compress_level=1)  # The best takes ten times as long as all else.
    files.write_whole(path, encoded.getvalue())

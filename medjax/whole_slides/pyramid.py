"""Whole slides, read at any resolution in µm per pixel, through OpenSlide.

A slide at a resolution is one raster: its pixel (0, 0) begins at the slide's upper left corner and
every pixel is `mpp` µm wide and high, whatever levels the file holds. It is computed from the
nearest level that is no coarser, with Pillow's Lanczos filter, antialiased.
"""

import math
import pathlib
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from medjax.errors import InputError

SUFFIXES = ('.bif', '.mrxs', '.ndpi', '.scn', '.svs', '.svslide', '.tif', '.tiff', '.vms', '.vmu')
# What microscopes resolve. Other programs write 72 pixels per inch into a TIFF: 353 µm each.
_PLAUSIBLE_MPP = (0.05, 20.0)
# Scanners of one nominal resolution differ by a few percent.
_MOST_ENLARGED = 1.1
_ROUNDING = 1.001  # of a level's size to whole pixels
_MOST_READ = 2048  # pixels of a level, in width and height, at once
_LANCZOS_SUPPORT = 3


class Slide(NamedTuple):
  """An open slide.

  Attributes:
    path: of the file.
    handle: OpenSlide's.
    size: (width, height) in pixels of level 0.
    mpp: (horizontal, vertical) µm per pixel of level 0.
    stated: whether the user stated `mpp`, because the file has none.
    background: RGB of what was not scanned.
  """

  path: pathlib.Path
  handle: Any
  size: tuple[int, int]
  mpp: tuple[float, float]
  stated: bool
  background: tuple[int, int, int]


def library() -> Any:
  """Returns OpenSlide, or raises InputError that says how to install it."""
  try:
    import openslide
  except ImportError:
    raise InputError("slides are read by OpenSlide: pip install 'medjax[slides]'") from None
  return openslide


def open_slide(path: pathlib.Path, stated_mpp: float = 0.0) -> Slide:
  """Opens a slide; `stated_mpp` is that of a slide without a plausible resolution of its own.

  Raises:
    InputError: OpenSlide is not installed, no such file, not a slide that it reads, or one of
      unknown resolution.
  """
  openslide = library()
  if not path.is_file():
    raise InputError(f'{path}: no such file')
  try:
    handle = openslide.OpenSlide(path)
  except openslide.OpenSlideError as error:
    raise InputError(f'{path}: cannot be opened as a slide ({error})') from None
  mpp = [_number(handle.properties.get(name)) for name in ('openslide.mpp-x', 'openslide.mpp-y')]
  low, high = _PLAUSIBLE_MPP
  known = all(low <= side <= high for side in mpp)
  if not known and not stated_mpp:
    problem = 'has no resolution'
    if all(mpp):
      problem = f'has pixels of {mpp[0]:.4g} × {mpp[1]:.4g} µm, which no microscope makes'
    raise InputError(f'{path}: {problem}; state it, such as --slide_mpp=0.25')
  red, green, blue = bytes.fromhex(handle.properties.get('openslide.background-color', 'ffffff'))
  return Slide(
    path,
    handle,
    handle.dimensions,
    (mpp[0], mpp[1]) if known else (stated_mpp, stated_mpp),
    not known,
    (red, green, blue),
  )


def _number(text: str | None) -> float:
  try:
    value = float(text or 0)
  except ValueError:
    return 0.0
  return value if math.isfinite(value) else 0.0


def size_at(slide: Slide, mpp: float) -> tuple[int, int]:
  """Returns (width, height) of the slide at a resolution, in whole pixels.

  Raises:
    InputError: the slide is too coarse for it.
  """
  if mpp * _MOST_ENLARGED < max(slide.mpp):
    raise InputError(
      f'{slide.path}: its pixels are {max(slide.mpp):.4g} µm and cannot show {mpp:g} µm; take '
      f'--mpp={max(slide.mpp):.2g} or more'
    )
  # A quotient a rounding below a whole number is that number.
  width, height = (
    int(side * slide_mpp / mpp + 1e-6) for side, slide_mpp in zip(slide.size, slide.mpp)
  )
  return width, height


def read(slide: Slide, mpp: float, left: int, top: int, width: int, height: int) -> np.ndarray:
  """Returns uint8[height, width, 3] of the raster at `mpp`, from column `left` and row `top`.

  Any two reads agree where they overlap, up to the rounding of one or two grey levels.

  Raises:
    InputError: the file is damaged there.
  """
  # Pixels of level 0 for one of the raster.
  factors = tuple(mpp / slide_mpp for slide_mpp in slide.mpp)
  downsamples = [_downsample(slide, index) for index in range(slide.handle.level_count)]
  level = max(
    index
    for index, downsample in enumerate(downsamples)
    if index == 0 or downsample <= min(factors) * _ROUNDING
  )
  scale = tuple(factor / downsamples[level] for factor in factors)
  side = max(1, int(_MOST_READ / max(scale)))
  pixels = np.empty((height, width, 3), np.uint8)
  for y in range(0, height, side):
    for x in range(0, width, side):
      w, h = min(side, width - x), min(side, height - y)
      pixels[y : y + h, x : x + w] = _read_part(slide, level, scale, left + x, top + y, w, h)
  return pixels


def _downsample(slide: Slide, level: int) -> float:
  """Returns how many pixels of level 0 one of the level stands for.

  OpenSlide divides sizes, where the last pixels of a level, cut off, make 4 a 4.001: on a small
  slide pixels would drift from their places.
  """
  size = slide.handle.level_dimensions[level]
  whole = round(slide.handle.level_downsamples[level])
  if all(abs(full / whole - side) < 1 for full, side in zip(slide.size, size)):
    return whole
  return slide.handle.level_downsamples[level]


def _read_part(
  slide: Slide, level: int, scale: tuple[float, ...], left: int, top: int, width: int, height: int
) -> np.ndarray:
  """Returns uint8[height, width, 3]; `scale` is pixels of the level for one of the raster."""
  across, down = (
    _span(start, length, factor, limit)
    for start, length, factor, limit in zip(
      (left, top), (width, height), scale, slide.handle.level_dimensions[level]
    )
  )
  downsample = slide.handle.level_downsamples[level]  # As OpenSlide will divide by it.
  location = (round(across.first * downsample), round(down.first * downsample))
  image = _read_level(slide, location, level, (across.length, down.length))
  edges = []
  for span, start in zip((across, down), location):
    # OpenSlide interpolates between pixels of the level: it begins exactly at its location.
    shift = span.first - start / downsample
    edges.append((span.begin + shift, min(span.end + shift, span.length)))
  (x1, x2), (y1, y2) = edges
  return np.asarray(image.resize((width, height), Image.Resampling.LANCZOS, box=(x1, y1, x2, y2)))


class _Span(NamedTuple):
  """Pixels of a level to read: the first, how many, and the part's begin and end among them."""

  first: int
  length: int
  begin: float
  end: float


def _span(start: int, length: int, scale: float, limit: int) -> _Span:
  """Returns a side of the part, and with it the neighbouring pixels that the filter needs."""
  begin, end = start * scale, min((start + length) * scale, limit)
  margin = math.ceil(_LANCZOS_SUPPORT * max(scale, 1)) + 1
  first = max(0, math.floor(begin) - margin)
  last = min(limit, math.ceil(end) + margin)
  return _Span(first, last - first, begin - first, end - first)


def _read_level(
  slide: Slide, location: tuple[int, int], level: int, size: tuple[int, int]
) -> Image.Image:
  try:
    region = slide.handle.read_region(location, level, size)
  except library().OpenSlideError as error:
    raise InputError(f'{slide.path}: cannot be read at {location} ({error})') from None
  image = Image.new('RGB', size, slide.background)
  image.paste(region, mask=region.getchannel('A'))
  return image

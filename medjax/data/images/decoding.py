"""Image files → uint8 arrays of the network's size, and the check that every file can be read.

JPEG, JPEG 2000, PNG, TIFF, BMP and whatever else Pillow reads; DICOM, known by its content; and
images in containers, see medjax.data.images.containers. They are shown as a viewer would show them:

- turned as their EXIF orientation says;
- what is transparent over black, as the padding is; alpha that hides nothing changes nothing;
- CMYK and palettes as RGB, without colour profiles;
- grey of more than 8 bits by `intensity`, see medjax.data.images.intensity; colour of 16 bits by
  its upper eight.
"""

import concurrent.futures
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np
from PIL import Image, ImageOps

from medjax.data.images import containers, dicom
from medjax.data.images import intensity as intensities
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError

_FITS: dict[str, Callable[..., Image.Image]] = {
  'pad': ImageOps.pad,
  'crop': ImageOps.fit,
  'stretch': Image.Image.resize,
}
# Pillow's own limit warns at 90 million pixels, where films of 10,000 × 10,000 have 100. It counts
# those of the file, so that a pyramid with small pages would not even open; ours counts those to
# decode.
Image.MAX_IMAGE_PIXELS = None
_MOST_PIXELS = 2**29
_NEW_SUBFILE_TYPE, _BITS_PER_SAMPLE, _PHOTOMETRIC = 254, 258, 262  # of TIFF
_REDUCED, _MASK = 1, 4
_LEAST_OF_DEEP_COLOUR = 32  # of 255: an eighth, as of deep greys.
_UNKNOWN_SIZE = 1024  # No published network takes larger images.
_WHOLE = 2**30  # pixels a side: nothing is reduced


def decode(path: str | pathlib.Path, image_format: ImageFormat) -> np.ndarray:
  """Returns uint8[size, size, channels] of this format.

  A large JPEG, JPEG 2000 or TIFF pyramid is decoded at a reduced scale at which its sides are still
  twice what is needed.

  Args:
    path: an image file, or `container#key`.
    image_format: size, channels, and how the file becomes so.

  Raises:
    InputError: the file is missing, of zero size, truncated, of many images, or no image that is
      read; the message names it.
  """
  mode = 'L' if image_format.channels == 1 else 'RGB'
  image = _load(path, mode, 2 * image_format.size, image_format.intensity)
  size = (image_format.size, image_format.size)
  if image.size != size:
    resampling = Image.Resampling[image_format.interpolation.upper()]
    image = _FITS[image_format.fit](image, size, resampling)
  return np.asarray(image, np.uint8).reshape(image_format.shape)


def whole(path: str | pathlib.Path, intensity: str = 'file') -> Image.Image:
  """Returns the image at its full size, mode 'L' if it shows no colour, else 'RGB'; see `decode`.

  Raises:
    InputError: as `decode`.
  """
  image = _load(path, 'RGB', _WHOLE, intensity)
  red, green, blue = image.split()
  return red if red.tobytes() == green.tobytes() == blue.tobytes() else image


def find_broken(
  paths: Sequence[str],
  image_size: int = 0,
  intensity: str = 'file',
  threads: int = 8,
  progress: Callable[[int], None] = lambda done: None,
) -> dict[int, str]:
  """Decodes every image and returns {position: reason} of those that cannot be read.

  Of a TIFF pyramid or a JPEG 2000 that is what `decode` reads of it for this size, any other file
  in full. `progress` is called with the number of images done, a thousand at a time.
  """

  def reason(path: str) -> str:
    try:
      # libjpeg goes through a whole file at any scale.
      _load(path, 'L', 2 * (image_size or _UNKNOWN_SIZE), intensity, least_of_jpeg=16)
    except InputError as error:
      return str(error)
    return ''

  broken = {}
  with concurrent.futures.ThreadPoolExecutor(threads) as pool:
    for done in range(0, len(paths), 1000):
      for offset, message in enumerate(pool.map(reason, paths[done : done + 1000])):
        if message:
          broken[done + offset] = message
      progress(min(done + 1000, len(paths)))
  return broken


def _load(
  path: str | pathlib.Path, mode: str, least: int, intensity: str, least_of_jpeg: int = 0
) -> Image.Image:
  """Returns the image in `mode`, no side reduced below `least`; see `decode`."""
  try:
    if containers.is_inside(path):
      return Image.fromarray(containers.read(path)).convert(mode)
    if os.path.exists(path) and not os.path.isfile(path):  # To open a pipe would wait for ever.
      raise InputError(f'{path}: a folder, pipe or device, not an image file')
    with open(path, 'rb') as file:
      if dicom.is_dicom(path, file.read(dicom.HEAD)):
        return Image.fromarray(dicom.read(path, intensity)).convert(mode)
      return _load_file(file, mode, least, intensity, least_of_jpeg or least)
  except (InputError, MemoryError):
    raise
  except FileNotFoundError:
    raise InputError(f'{path}: no such image file') from None
  except Image.UnidentifiedImageError:
    raise InputError(
      f'{path}: cannot be read as an image (it is of no kind that is known)'
    ) from None
  except Exception as error:  # Pillow's kinds are many.
    reason = ' '.join(str(error).replace(str(path), 'the file').split()) or type(error).__name__
    raise InputError(f'{path}: cannot be read as an image ({reason})') from None


def _load_file(
  file: IO[bytes], mode: str, least: int, intensity: str, least_of_jpeg: int
) -> Image.Image:
  image: Any = Image.open(file)
  _seek_reduced_page(image, least)
  image.draft(mode, (least_of_jpeg, least_of_jpeg))
  halvings = 0
  if image.format == 'JPEG2000':
    halvings = max((min(image.size) // least).bit_length() - 1, 0)
  width, height = (side >> halvings for side in image.size)
  if width * height > _MOST_PIXELS:
    raise ValueError(
      f'its {width:,} × {height:,} pixels are more than the {_MOST_PIXELS:,} that are decoded at '
      'once; save it smaller, or cut a slide into patches with medjax.slides'
    )
  deep_colour = image.mode in ('RGB', 'RGBA', 'CMYK') and any(
    ';16' in str(tile.args) for tile in image.tile
  )
  if halvings:
    image = _load_jpeg_2000(image, halvings, file)
  ImageOps.exif_transpose(image, in_place=True)
  if image.mode.startswith('I') or image.mode == 'F':
    return Image.fromarray(_deep_grey(image, intensity)).convert(mode)
  image = _over_black(image)
  if deep_colour and max(high for _, high in image.getextrema()) < _LEAST_OF_DEEP_COLOUR:
    raise ValueError('its 16-bit colours would be almost black; stretch them to 0 … 65535')
  # Not every mode has a way to grey of its own.
  return (image if image.mode in ('1', 'L', 'P') else image.convert('RGB')).convert(mode)


def _seek_reduced_page(image: Any, least: int) -> None:
  """Turns to the smallest page of a TIFF pyramid with no side below `least`."""
  # The second image of an MPO, a camera's JPEG, is a preview or another eye's view of the first.
  pages = 1 if image.format == 'MPO' else getattr(image, 'n_frames', 1)
  sizes = {0: image.size}
  for page in range(1, pages):
    image.seek(page)
    kind = image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) if image.format == 'TIFF' else 0
    if not kind & (_REDUCED | _MASK):
      raise ValueError(
        f'it holds {pages} images; save the one that is meant in a file of its own, or cut a slide '
        'into patches with medjax.slides'
      )
    # The photograph of a slide's label is marked as a reduced page too; its shape differs.
    shape = image.width * sizes[0][1] / (image.height * sizes[0][0])
    if kind & _REDUCED and abs(shape - 1) < 0.02 and min(image.size) >= least:
      sizes[page] = image.size
  if pages > 1:
    image.seek(min(sizes, key=lambda page: sizes[page]))


def _load_jpeg_2000(image: Any, halvings: int, file: IO[bytes]) -> Image.Image:
  image.reduce = halvings
  try:
    image.load()
  except OSError:  # The file has fewer resolutions than that, or is damaged: decode it whole.
    file.seek(0)
    return Image.open(file)
  return image


def _deep_grey(image: Image.Image, intensity: str) -> np.ndarray:
  """Returns uint8[H, W] of grey pixels of more than 8 bits."""
  tags = getattr(image, 'tag_v2', {})
  pixels = np.asarray(image)
  whole = None
  if image.mode.startswith('I;16'):
    bits = tags.get(_BITS_PER_SAMPLE, (16,))[0]
    whole = (0, 2**bits - 1)
    if tags.get(_PHOTOMETRIC) == 0:  # White is zero; Pillow sees to it for 8 bits only.
      pixels = whole[1] - pixels
  elif not np.isfinite(pixels).all():
    raise ValueError('some of its pixels are not finite numbers')
  limits = intensities.span(intensity, float(pixels.min()), float(pixels.max()), whole)
  if whole is None:
    return intensities.to_uint8(pixels, *limits)
  return intensities.to_uint8(np.arange(whole[1] + 1), *limits)[pixels]


def _over_black(image: Image.Image) -> Image.Image:
  if not image.has_transparency_data:
    return image
  image = image.convert('RGBA')
  black = Image.new('RGB', image.size)
  black.paste(image, mask=image.getchannel('A'))
  return black

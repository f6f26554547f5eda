"""Image files → uint8 arrays of the network's size, and the check that every file can be read."""

import concurrent.futures
import contextlib
import pathlib
from collections.abc import Callable, Iterator, Sequence

import numpy as np
from PIL import Image, ImageOps

from medjax.errors import InputError

# Exports of 10- and 12-bit detectors reach 1023 and 4095 of 65535.
_LEAST_16_BIT_MAXIMUM = 8192


def decode(
  path: str | pathlib.Path, image_size: int, channels: int, interpolation: str = 'bilinear'
) -> np.ndarray:
  """Returns uint8[image_size, image_size, channels].

  `interpolation` is nearest, bilinear, bicubic or lanczos, antialiased but for the first.

  The aspect ratio is kept: the longer side fills the square, the rest is black. A large JPEG is
  decoded at a reduced scale that is still no smaller than needed.

  Raises:
    InputError: the file is missing, of zero size, truncated or no image; the message names it.
  """
  mode = 'L' if channels == 1 else 'RGB'
  with _read_errors(path):
    with Image.open(path) as image:
      image.draft(mode, (2 * image_size, 2 * image_size))
      image = _to_8_bit(image).convert(mode)
    if image.size != (image_size, image_size):
      image = ImageOps.pad(image, (image_size, image_size), Image.Resampling[interpolation.upper()])
  return np.asarray(image, np.uint8).reshape(image_size, image_size, channels)


def whole(path: str | pathlib.Path) -> Image.Image:
  """Returns the image at its full size, mode 'L' if it shows no colour, else 'RGB'.

  Raises:
    InputError: as `decode`.
  """
  with _read_errors(path), Image.open(path) as image:
    image = _to_8_bit(image).convert('RGB')
  red, green, blue = image.split()
  return red if red.tobytes() == green.tobytes() == blue.tobytes() else image


@contextlib.contextmanager
def _read_errors(path: str | pathlib.Path) -> Iterator[None]:
  try:
    yield
  except FileNotFoundError:
    raise InputError(f'{path}: no such image file') from None
  except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
    reason = str(error).replace(str(path), 'the file').replace('\n', ' ') or type(error).__name__
    raise InputError(f'{path}: cannot be read as an image ({reason})') from None


def _to_8_bit(image: Image.Image) -> Image.Image:
  # Pillow's convert() clips deeper greys at 255 instead of scaling them.
  if image.mode.startswith('I;16'):
    pixels = np.asarray(image, np.uint32)
    if pixels.max() < _LEAST_16_BIT_MAXIMUM:
      raise ValueError(
        f'its 16-bit pixels reach only {pixels.max()}, which would be almost black; stretch them to '
        '0 … 65535, all images by the same factor'
      )
    return Image.fromarray((pixels >> 8).astype(np.uint8))
  if image.mode in ('I', 'F'):
    raise ValueError('its pixels are 32 bits deep, of no known range; save it with 8 or 16 bits')
  return image


def find_broken(
  paths: Sequence[str], threads: int = 8, progress: Callable[[int], None] = lambda done: None
) -> dict[int, str]:
  """Decodes every file in full and returns {position: reason} of those that cannot be read.

  `progress` is called with the number of files done, a thousand at a time.
  """

  def reason(path: str) -> str:
    try:
      decode(path, 8, 1)
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

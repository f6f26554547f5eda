"""Image files → uint8 arrays of the network's size, and the check that every file can be read.

JPEG, JPEG 2000, PNG, TIFF, BMP and whatever else Pillow reads; DICOM, known by its content; and
images in containers, see medjax.data.images.containers. They are shown as a viewer would show them:

- turned as their EXIF orientation says;
- what is transparent over black, as the padding is; alpha that hides nothing changes nothing;
- CMYK and palettes as RGB, without colour profiles;
- grey of more than 8 bits by `intensity`, see medjax.data.images.intensity; colour of 16 bits by
  its upper eight.

What would show nothing of what is stored, however it came to that, is refused: see
medjax.data.images.intensity.check_shown.
"""

import concurrent.futures
import contextlib
import io
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import IO, Any

import numpy as np
from PIL import ExifTags, Image, ImageOps

from medjax.data.images import containers, dicom, kinds, memory, png, stored_pixels, tiff
from medjax.data.images.headers import UNREAD, Header
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.runtime import remote, storage

# Pillow's own limit warns at 90 million pixels, where films of 10,000 × 10,000 have 100. It counts
# those of the file, so that a pyramid with small pages would not even open; that of
# medjax.data.images.memory is of those to decode.
Image.MAX_IMAGE_PIXELS = None
_NEW_SUBFILE_TYPE = 254  # of TIFF
_REDUCED, _MASK = 1, 4
_MOST_PAGES = 64  # of a pyramid there are about ten
_TURNED = (5, 6, 7, 8)  # EXIF orientations with width and height exchanged
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
    InputError: the file is missing, of zero size, truncated, of many images, no image that is
      read, or one that would show nothing; the message names it.
    OSError: the file system is gone, which is no fault of the image.
  """
  return decode_with_header(path, image_format)[0]


def decode_with_header(
  path: str | pathlib.Path, image_format: ImageFormat
) -> tuple[np.ndarray, Header]:
  """Returns the image as `decode` does, and what its file says of it."""
  mode = 'L' if image_format.channels == 1 else 'RGB'
  size = (image_format.size, image_format.size)
  with contextlib.ExitStack() as memory_in_use:
    how = (mode, 2 * image_format.size, image_format.intensity)
    image, header = _load(path, memory_in_use, *how)
    if image.size != size:
      resampling = Image.Resampling[image_format.interpolation.upper()]
      image = _FITS[image_format.fit](image, size, resampling)
  return np.asarray(image, np.uint8).reshape(image_format.shape), header


def whole(path: str | pathlib.Path, intensity: str = 'file') -> Image.Image:
  """Returns the image at its full size, mode 'L' if it shows no colour, else 'RGB'; see `decode`.

  Raises:
    InputError: as `decode`.
  """
  return whole_with_header(path, intensity)[0]


def whole_with_header(
  path: str | pathlib.Path, intensity: str = 'file'
) -> tuple[Image.Image, Header]:
  """Returns the image as `whole` does, and what its file says of it."""
  with contextlib.ExitStack() as memory_in_use:
    image, header = _load(path, memory_in_use, 'RGB', _WHOLE, intensity)
  red, green, blue = image.split()
  return red if red.tobytes() == green.tobytes() == blue.tobytes() else image, header


def check(
  path: str | pathlib.Path, image_size: int = 0, intensity: str = 'file'
) -> tuple[str, Header]:
  """Decodes an image and returns why `decode` refuses it, '' where it does not, and its header.

  Of a TIFF pyramid or a JPEG 2000 that is what `decode` reads of it for this size, any other file
  in full.
  """
  try:
    with contextlib.ExitStack() as memory_in_use:
      # libjpeg goes through a whole file at any scale.
      how = ('L', 2 * (image_size or _UNKNOWN_SIZE), intensity, 16)
      _, header = _load(path, memory_in_use, *how)
  except InputError as error:
    return str(error), UNREAD
  return '', header


def find_broken(
  paths: Sequence[str], image_size: int = 0, intensity: str = 'file'
) -> dict[int, str]:
  """Returns {position: reason} of the images that `decode` refuses; see `check`."""
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    reasons = pool.map(lambda path: check(path, image_size, intensity)[0], paths)
    return {position: reason for position, reason in enumerate(reasons) if reason}


def _pad(image: Image.Image, size: tuple[int, int], resampling: Image.Resampling) -> Image.Image:
  """As ImageOps.pad, but a strip so thin that it would vanish keeps a line of one pixel."""
  width, height = image.size
  if round(size[0] * min(width, height) / max(width, height)) == 0:
    thin = (size[0], 1) if width > height else (1, size[1])
    image = image.resize(thin, resampling)
  return ImageOps.pad(image, size, resampling)


_FITS: dict[str, Callable[..., Image.Image]] = {
  'pad': _pad,
  'crop': ImageOps.fit,
  'stretch': Image.Image.resize,
}


def _load(
  path: str | pathlib.Path,
  memory_in_use: contextlib.ExitStack,
  mode: str,
  least: int,
  intensity: str,
  least_of_jpeg: int = 0,
) -> tuple[Image.Image, Header]:
  """Returns the image in `mode`, no side reduced below `least`, and its header; see `decode`.

  What it takes is counted until `memory_in_use` is closed.
  """
  how = (memory_in_use, mode, least, intensity, least_of_jpeg or least)
  if containers.is_inside(path):
    record = containers.read(path)
    if isinstance(record, np.ndarray):
      return _of_array(record, mode, '')
    return _load_file(path, io.BytesIO(record), *how)
  is_of_disk = not remote.is_remote(path)
  # To open a pipe would wait for ever.
  if is_of_disk and os.path.exists(path) and not os.path.isfile(path):
    raise InputError(f'{path}: a folder, pipe or device, not an image file')

  def read() -> tuple[Image.Image, Header]:
    memory_in_use.close()  # Of a read that has stumbled.
    with remote.opened(path) as file:
      return _load_file(path, file, *how)

  try:
    return storage.read_again(read)
  except FileNotFoundError:
    raise InputError(f'{path}: no such image file') from None
  except OSError as error:
    if storage.is_gone(error):
      raise OSError(error.errno, error.strerror, os.fspath(path)) from None
    raise InputError(f'{path}: cannot be read as an image ({error.strerror})') from None


def _of_array(pixels: np.ndarray, mode: str, kind: str) -> tuple[Image.Image, Header]:
  image = Image.fromarray(pixels)
  return image.convert(mode), Header(image.width, image.height, image.mode, kind)


def _load_file(
  path: str | pathlib.Path, file: IO[bytes], memory_in_use: contextlib.ExitStack, *how: Any
) -> tuple[Image.Image, Header]:
  try:
    if dicom.is_dicom(path, file.read(dicom.HEAD)):
      mode, _, intensity, _ = how
      return _of_array(dicom.read(path, intensity, file, memory_in_use), mode, 'DICOM')
    file.seek(0)
    try:
      return _load_opened(Image.open(file), file, memory_in_use, *how)
    except ValueError as error:
      if not png.is_too_large(error):
        raise
    memory_in_use.close()  # It is opened once more, and counted anew.
    file = png.without_unused(file)
    return _load_opened(Image.open(file), file, memory_in_use, *how)
  except InputError:
    raise
  except MemoryError as error:
    raise MemoryError(f'{path}: {str(error) or "the system gave no more"}') from None
  except Exception as error:  # Pillow's kinds are many.
    if storage.has_stumbled(error):
      raise
    reason = kinds.why_not_read(file, error)
    raise InputError(f'{path}: cannot be read as an image ({reason})') from None


def _load_opened(
  image: Any,
  file: IO[bytes],
  memory_in_use: contextlib.ExitStack,
  mode: str,
  least: int,
  intensity: str,
  least_of_jpeg: int,
) -> tuple[Image.Image, Header]:
  header = Header(image.width, image.height, image.mode, image.format)
  _seek_reduced_page(image, least)
  if image.format == 'JPEG':
    _check_bytes_suffice(image, file)
  coefficients = memory.coefficient_bytes(image)
  image.draft(mode, (least_of_jpeg, least_of_jpeg))
  halvings = 0
  if image.format == 'JPEG2000':
    halvings = max((min(image.size) // least).bit_length() - 1, 0)
  width, height = (side >> halvings for side in image.size)
  needed = coefficients + memory.picture_bytes(image, width, height, mode)
  memory_in_use.enter_context(memory.reserved(needed))
  if image.format == 'TIFF':
    tiff.correct(image)
  depth = stored_pixels.depth(image, file)
  if halvings:
    image = _load_jpeg_2000(image, halvings, file)
  if image.getexif().get(ExifTags.Base.Orientation) in _TURNED:
    header = header._replace(width=header.height, height=header.width)
  ImageOps.exif_transpose(image, in_place=True)
  if image.mode.startswith('I') or image.mode == 'F':
    grey = Image.fromarray(stored_pixels.grey(image, depth, intensity))
    return _converted(grey, mode), header
  shown = _over_black(image)
  stored_pixels.check_colours(image, shown, depth)
  # Not every mode has a way to grey of its own.
  return _converted(
    shown if shown.mode in ('1', 'L', 'P') else _converted(shown, 'RGB'), mode
  ), header


def _check_bytes_suffice(image: Any, file: IO[bytes]) -> None:
  place = file.tell()
  file_bytes = file.seek(0, os.SEEK_END)
  file.seek(place)
  if not memory.can_hold(file_bytes, *image.size):
    raise OSError(f'{file_bytes:,} bytes cannot hold its {image.width:,} × {image.height:,} pixels')


def _converted(image: Image.Image, mode: str) -> Image.Image:
  return image if image.mode == mode else image.convert(mode)  # To its own mode Pillow copies.


def _seek_reduced_page(image: Any, least: int) -> None:
  """Turns to the smallest page of a TIFF pyramid with no side below `least`."""
  if image.format == 'MPO':  # Its second image is a preview or another eye's view of the first.
    return
  whole, smallest, page = image.size, (image.size, 0), 0
  with contextlib.suppress(EOFError):
    for page in range(1, _MOST_PAGES + 1):
      image.seek(page)
      kind = image.tag_v2.get(_NEW_SUBFILE_TYPE, 0) if image.format == 'TIFF' else 0
      if not kind & (_REDUCED | _MASK):
        raise ValueError(
          'it holds several images; save the one that is meant in a file of its own, or cut a '
          'slide into patches with medjax.slides'
        )
      # The photograph of a slide's label is marked as a reduced page too; its shape differs.
      shape = image.width * whole[1] / (image.height * whole[0])
      if kind & _REDUCED and abs(shape - 1) < 0.02 and min(image.size) >= least:
        smallest = min(smallest, (image.size, page))
    raise ValueError(f'it holds more than {_MOST_PAGES} pages; save the one that is meant alone')
  if page:
    image.seek(smallest[1])


def _load_jpeg_2000(image: Any, halvings: int, file: IO[bytes]) -> Image.Image:
  image.reduce = halvings
  try:
    image.load()
  except OSError:  # The file has fewer resolutions than that, or is damaged: decode it whole.
    file.seek(0)
    return Image.open(file)
  return image


def _over_black(image: Image.Image) -> Image.Image:
  if not image.has_transparency_data:
    return image
  image = _converted(image, 'RGBA')
  black = Image.new('RGB', image.size)
  black.paste(image, mask=image.getchannel('A'))
  return black

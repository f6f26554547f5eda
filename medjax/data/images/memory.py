"""How much memory decoding may take: of one image, and of all that are decoded at once.

A file of a few hundred bytes can describe a picture of gigabytes. What decoding will take is
estimated from the header, before it begins.
"""

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

from PIL import ExifTags

MOST = 2**31  # bytes
_SMALL = 2**24  # bytes; so little need not wait
_PIXEL_BYTES = {'1': 1, 'L': 1, 'P': 1, 'I;16': 2, 'I;16L': 2, 'I;16B': 2, 'I;16N': 2}
_EXIF_FIRST = ('JPEG', 'MPO', 'TIFF')  # Of others Pillow loads the pixels to know of the EXIF.
_GREY_BYTES = 8  # a pixel of more than 8 bits, while its values are counted and shown
_DICOM_BYTES = 8  # a sample, from the stored value to the shown one
# A Huffman-coded JPEG has one bit at least for each block of 8 × 8 pixels: ITU-T T.81, F.1.2.
_PIXELS_OF_A_BYTE = 8 * 64

_changed = threading.Condition()
_in_use = 0


@contextlib.contextmanager
def reserved(size: int) -> Iterator[None]:
  """Waits until `size` more bytes are within `MOST`, and counts them while the context lasts.

  Raises:
    ValueError: they never will be.
  """
  global _in_use
  if size > MOST:
    raise ValueError(
      f'its pixels need about {size / 2**30:.1f} GB to decode, and {MOST / 2**30:.0f} GB is the '
      'most; save it smaller, or cut a slide into patches with medjax.slides'
    )
  if size < _SMALL:
    yield
    return
  with _changed:
    _changed.wait_for(lambda: _in_use + size <= MOST)
    _in_use += size
  try:
    yield
  finally:
    with _changed:
      _in_use -= size
      _changed.notify_all()


def picture_bytes(image: Any, width: int, height: int, mode: str) -> int:
  """Returns about how many bytes it takes to load an opened image and to convert it.

  Args:
    image: as Pillow opened it, before it is loaded.
    width, height: at which it is decoded, which may be less than those of the file.
    mode: to which it is converted, 'L' or 'RGB'.
  """
  stored = _PIXEL_BYTES.get(image.mode, 4)
  pixel = stored
  if image.format in ('JPEG2000', 'WEBP', 'AVIF', 'GIF'):
    pixel += 4 * (len(image.getbands()) if image.format == 'JPEG2000' else 1)  # the decoder's own
  is_exif_known = image.format in _EXIF_FIRST or 'exif' in image.info
  if is_exif_known and image.getexif().get(ExifTags.Base.Orientation, 1) != 1:
    pixel += stored  # It is turned.
  if image.has_transparency_data:
    pixel += 4 + 4 + 1  # RGBA, what is over black, and the mask
  elif image.mode.startswith(('I', 'F')):
    pixel += _GREY_BYTES
  elif image.mode not in ('1', 'L', 'P', 'RGB'):
    pixel += 4
  if image.mode != mode:
    pixel += 4 if mode == 'RGB' else 1
  return pixel * width * height


def coefficient_bytes(image: Any) -> int:
  """Returns how many bytes a JPEG's coefficients take, which a progressive one keeps, at any scale.

  Args:
    image: as Pillow opened it, at the size of the file.
  """
  is_progressive = image.format == 'JPEG' and image.info.get('progressive')
  return 2 * len(image.getbands()) * image.width * image.height if is_progressive else 0


def dicom_bytes(dataset: Any) -> int:
  """Returns about how many bytes it takes to make a picture of a DICOM of one frame."""
  sides = (dataset.get('Rows') or 0) * (dataset.get('Columns') or 0)
  return int(sides) * int(dataset.get('SamplesPerPixel') or 1) * _DICOM_BYTES


def can_hold(file_bytes: int, width: int, height: int) -> bool:
  """Whether a JPEG of so many bytes can be of so many pixels."""
  return width * height <= file_bytes * _PIXELS_OF_A_BYTE

"""From the pixels that Pillow gives to those that are shown, by what the file says of its bits.

Pillow keeps greys of more than 8 bits, though it spreads those of JPEG 2000 and PGM over 16; of
colours of more than 8 bits it keeps the upper eight.
"""

from typing import IO, Any

import numpy as np
from PIL import Image

from medjax.data.images import intensity as intensities
from medjax.data.images import tiff

_SPREAD = 16  # bits
_JPEG_2000 = b'\xff\x4f\xff\x51'  # its first two markers; ITU-T T.800, A.4.1 and A.5.1
_COMPONENT = 42  # bytes after them: bits and sign of the first component
_OPAQUE = 'save it without its alpha channel'


def depth(image: Any, file: IO[bytes]) -> tuple[int, int] | None:
  """Returns the least and the most that the bits of an opened image can hold.

  None of 8 bits, and where nobody knows: of floating-point numbers and of 32 bits.

  Raises:
    ValueError: Pillow would not give the pixels that are stored.
  """
  if image.format == 'PPM':
    decoder, _, _, arguments = image.tile[0]
    most = arguments[1] if decoder.startswith('ppm') else 0
    if most > 255:
      return 0, most
  if image.format == 'JPEG2000':
    place = file.tell()
    file.seek(0)
    data = file.read()
    file.seek(place)
    component = data[data.find(_JPEG_2000) + _COMPONENT]
    bits = component % 128 + 1
    if bits <= 8:
      return None
    if len(image.getbands()) > 1:  # Pillow rounds them to 8, and white up to 256, which is 0.
      raise ValueError(f'a JPEG 2000 of {bits}-bit colours: save it as a PNG or TIFF')
    least = -(2 ** (bits - 1)) if component & 128 else 0
    return least, least + 2**bits - 1
  if image.mode.startswith('I;16'):
    return 0, 2 ** (tiff.bits(image) or 16) - 1
  return (0, 2**16 - 1) if any(';16' in str(tile[3]) for tile in image.tile) else None


def grey(image: Any, whole: tuple[int, int] | None, intensity: str) -> np.ndarray:
  """Returns uint8[H, W] of grey pixels of more than 8 bits.

  Args:
    image: loaded, of mode I, I;16… or F.
    whole: its `depth`.
    intensity: see medjax.data.images.intensity; of the values as stored, also where low ones are
      white, as in a DICOM.

  Raises:
    ValueError: pixels that are no numbers, of no known range, or that would show nothing.
  """
  pixels = _as_stored(image, whole)
  if pixels.dtype.kind == 'f' and not np.isfinite(pixels).all():
    raise ValueError('some of its pixels are not finite numbers')
  darkest, brightest = float(pixels.min()), float(pixels.max())
  ends = intensities.span(intensity, darkest, brightest, whole)
  if whole is None:
    shown = intensities.to_uint8(pixels, *ends)
    before, after = map(intensities.spread, (pixels, shown))
  else:
    values = np.arange(whole[0], whole[1] + 1)
    positions = pixels - np.int32(whole[0]) if whole[0] else pixels
    greys = intensities.to_uint8(values, *ends)
    counts = intensities.counts(positions, len(values))
    before, after = (intensities.spread(picture, counts) for picture in (values, greys))
    shown = greys[positions]
  is_inverted = tiff.is_white_zero(image)
  if intensity != 'stretch':
    intensities.check_shown(
      before,
      after,
      '' if intensity == 'file' else f"data.intensity='{intensity}'",
      possible=whole or ends,
      step=0 if pixels.dtype.kind == 'f' else 1,
      inverted=is_inverted,
    )
  return 255 - shown if is_inverted else shown


def _as_stored(image: Any, whole: tuple[int, int] | None) -> np.ndarray:
  pixels = tiff.grey(image)
  if whole is None:
    return pixels
  if image.format == 'PPM':
    return np.rint(pixels * (whole[1] / (2**_SPREAD - 1))).astype(np.int32)
  if image.format == 'JPEG2000':
    return (pixels >> _SPREAD - (whole[1] - whole[0]).bit_length()).astype(np.int32) + whole[0]
  return pixels


def check_colours(image: Any, shown: Image.Image, whole: tuple[int, int] | None) -> None:
  """Refuses a picture of which transparency, its palette or unused bits leave nothing.

  Args:
    image: loaded, of a mode of up to 8 bits.
    shown: the same over black.
    whole: `depth` of the file.

  Raises:
    ValueError: it would show nothing.
  """
  if shown is not image:
    before, after = (_extremes(picture.convert('RGB')) for picture in (image, shown))
    intensities.check_shown(before, after, 'its transparency', possible=(0, 255), advice=_OPAQUE)
  elif image.mode == 'P':
    counts = np.array(image.histogram())
    colours = np.zeros((len(counts), 3), int)
    palette = np.array(image.getpalette('RGB'))
    colours.flat[: len(palette)] = palette
    if (counts > 0).sum() > 1 and not colours[counts > 0].any():
      raise ValueError('its palette makes black of all its pixels; save it as grey or RGB')
  # Of the lower bits, which are lost, nothing is known: they may differ.
  if whole and _extremes(shown.convert('RGB')).brightest < intensities.LEAST_SHOWN:
    bits, most = whole[1].bit_length(), whole[1]
    raise ValueError(f'its {bits}-bit colours would be almost black; stretch them to 0 … {most}')


def _extremes(image: Image.Image) -> intensities.Spread:
  extrema = np.reshape(image.getextrema(), (-1, 2))
  low, high = float(extrema.min()), float(extrema.max())
  return intensities.Spread(low, high, low, high)

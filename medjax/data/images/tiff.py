"""What a TIFF's tags say of its samples (TIFF 6.0), where Pillow does not go by them."""

from typing import IO, Any

import numpy as np
from PIL import TiffImagePlugin

_STRIP_BYTES, _TILE_BYTES = 279, 325
_BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES = 258, 259, 262, 277
_PLANAR, _EXTRA, _FORMAT = 284, 338, 339
_WHITE_IS_ZERO, _YCBCR = 0, 6
_APART = 2  # the planes one after another
_UNSIGNED, _SIGNED = 1, 2
_MOST_PARTS = 2**17  # a strip for each row of the largest image there is
_NUMBERS = {_UNSIGNED: 'uint', _SIGNED: 'int', 3: 'float', 4: 'untyped', 5: 'complex int'}
_COLOURS = {
  _WHITE_IS_ZERO: 'white as zero', 2: 'RGB', 3: 'palette', 4: 'mask', 5: 'CMYK', _YCBCR: 'YCbCr',
  8: 'CIELab', 32803: 'camera raw', 32844: 'LogL', 32845: 'LogLuv',
}  # fmt: skip
_COLOUR_SAMPLES = {2: 3, 5: 4, _YCBCR: 3, 8: 3}
_BIG_ENDIAN = TiffImagePlugin.MM
_CUT_OFF = 'a TIFF that is cut off or damaged; fetch it again'
_ADVICE = 'save it as a PNG or TIFF of 8 or 16 bits, grey or RGB'
# libtiff decompresses to the machine's byte order, which Pillow minds for unsigned ones alone.
_NATIVE = {'I;16BS': 'I;16NS', 'I;32BS': 'I;32NS', 'F;32BF': 'F;32NF'}


def correct(image: Any) -> None:
  """Corrects how Pillow is about to unpack an opened TIFF's page.

  Raises:
    ValueError: it would unpack it wrongly, and cannot be helped.
  """
  if len(image.tile) > _MOST_PARTS:
    raise ValueError(f'it is in {len(image.tile):,} strips or tiles; save it in fewer')
  tags = image.tag_v2
  is_apart = tags.get(_PLANAR, 1) == _APART
  is_raw = tags.get(_COMPRESSION, 1) == 1
  is_wrong = _number(tags) == 'int8' or (is_apart and image.mode in ('LA', 'La', 'PA'))
  if is_raw and tags.get(_PHOTOMETRIC) == _YCBCR:
    # Subsampled chroma lies between the brightness.
    counts = tags.get(_STRIP_BYTES) or tags.get(_TILE_BYTES) or ()
    is_wrong |= sum(counts) < 3 * image.width * image.height
  if is_raw and is_apart and _bits(tags)[0] == 16:
    if image.mode not in ('RGB', 'RGBA'):
      is_wrong = True
    else:
      image.tile = [
        tile._replace(args=(_of_16_bits(tile.args[0], tags), *tile.args[1:])) for tile in image.tile
      ]
  elif not is_raw and tags.prefix == _BIG_ENDIAN:
    image.tile = [
      tile._replace(args=(_NATIVE.get(tile.args[0], tile.args[0]), *tile.args[1:]))
      for tile in image.tile
    ]
  if is_wrong:
    raise ValueError(f'{_in_words(tags)}: {_ADVICE}')


def _of_16_bits(channel: str, tags: Any) -> str:
  return f'{channel};16{"B" if tags.prefix == _BIG_ENDIAN else "L"}'


def grey(image: Any) -> np.ndarray:
  """Returns the values [H, W] of a loaded image of grey, of whatever format, as they are stored."""
  pixels = np.asarray(image)
  is_tiff = hasattr(image, 'tag_v2')
  return pixels.view(np.uint32) if is_tiff and _number(image.tag_v2) == 'uint32' else pixels


def bits(image: Any) -> int:
  """Returns how many bits a TIFF's samples have; 0 of what is no TIFF."""
  return _bits(image.tag_v2)[0] if hasattr(image, 'tag_v2') else 0


def is_white_zero(image: Any) -> bool:
  """Whether low values are white; Pillow sees to it for up to 8 bits only."""
  return hasattr(image, 'tag_v2') and image.tag_v2.get(_PHOTOMETRIC) == _WHITE_IS_ZERO


def why_not_opened(file: IO[bytes]) -> str:
  """Returns why Pillow does not open a file that begins as a TIFF, and what to do."""
  file.seek(2)
  # BigTIFF's numbers of bytes and of entries are longer.
  head, number = (16, 8) if file.read(2) in (b'+\0', b'\0+') else (8, 2)
  file.seek(0)
  try:
    tags = TiffImagePlugin.ImageFileDirectory_v2(file.read(head))
    file.seek(tags.next)
    entries = int.from_bytes(file.read(number), 'big' if tags.prefix == _BIG_ENDIAN else 'little')
    file.seek(tags.next)
    tags.load(file)
  except Exception:  # Pillow's kinds are many.
    return _CUT_OFF
  # An entry is left out whose value lies beyond the end.
  return f'{_in_words(tags)}: {_ADVICE}' if entries and len(tags) == entries else _CUT_OFF


def _bits(tags: Any) -> tuple[int, ...]:
  return tuple(tags.get(_BITS, (1,)))


def _number(tags: Any) -> str:
  """Returns the samples' type: 'uint16', or 'uint5, uint6' where they differ."""
  formats = tuple(tags.get(_FORMAT, (_UNSIGNED,)))
  bits = _bits(tags)
  formats += formats[-1:] * (len(bits) - len(formats))
  names = [f'{_NUMBERS.get(form, "unknown")}{size}' for form, size in zip(formats, bits)]
  return ', '.join(dict.fromkeys(names))


def _in_words(tags: Any) -> str:
  """Returns 'a TIFF of float64' and whatever else is out of the ordinary."""
  photometric = tags.get(_PHOTOMETRIC, 1)
  samples = tags.get(_SAMPLES, 1)
  words = [_number(tags)]
  if photometric != 1:
    words.append(_COLOURS.get(photometric, f'photometric interpretation {photometric}'))
  extra = samples - _COLOUR_SAMPLES.get(photometric, 1)
  if extra > 0:
    kinds = tags.get(_EXTRA, ())
    words.append('with alpha' if extra == 1 and kinds else f'with {extra} more samples a pixel')
  if samples > 1 and tags.get(_PLANAR, 1) == _APART:
    words.append('planes apart')
  compression = tags.get(_COMPRESSION, 1)
  if compression not in TiffImagePlugin.COMPRESSION_INFO:
    words.append(f'compression {compression}')
  if tags.prefix == _BIG_ENDIAN:
    words.append('big-endian')
  return f'a TIFF of {", ".join(words)}'

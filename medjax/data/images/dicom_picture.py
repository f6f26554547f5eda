"""From the stored values of a DICOM data set to uint8: the pipeline of the standard, PS3.3 C.11.

Stored value → rescale slope and intercept (or modality LUT) → window (or VOI LUT) → MONOCHROME1
inverted; palettes looked up; colour as RGB. Compressed pixels are decompressed by pydicom and its
plug-ins: JPEG, JPEG lossless, JPEG-LS, JPEG 2000, RLE.

Where a file contradicts itself the standard decides, or else what is coded with the pixels; where
neither does, the file is refused.
"""

from typing import Any

import numpy as np

from medjax.data.images import dicom_codestream
from medjax.data.images import intensity as intensities

_MOST_VALUES = 2**20  # between the darkest and the brightest pixel; 16 bits have 2**16
_GREY = ('MONOCHROME1', 'MONOCHROME2')
_PALETTES = [f'{channel}PaletteColorLookupTable' for channel in ('Red', 'Green', 'Blue')]
_OVERLAYS = [(group, 0x0102) for group in range(0x6000, 0x6020, 2)]  # Overlay Bit Position
# The functional groups of an enhanced object that say something of a frame's grey values, PS3.3
# C.7.6.16.2.9 and C.7.6.16.2.10, and what.
GROUPS = {
  'PixelValueTransformationSequence': ('RescaleSlope', 'RescaleIntercept'),
  'FrameVOILUTSequence': ('WindowCenter', 'WindowWidth', 'VOILUTFunction', 'VOILUTSequence'),
}
# All that is read of a file to make a picture of it.
ATTRIBUTES = (
  'SamplesPerPixel', 'PhotometricInterpretation', 'PlanarConfiguration', 'NumberOfFrames', 'Rows',
  'Columns', 'BitsAllocated', 'BitsStored', 'HighBit', 'PixelRepresentation', 'PixelPaddingValue',
  'PixelPaddingRangeLimit', 'ModalityLUTSequence', 'PixelPresentation', 'PresentationLUTShape',
  *(name for names in GROUPS.values() for name in names),
  *(f'{name}{part}' for name in _PALETTES for part in ('Descriptor', 'Data')),
  *(f'Segmented{name}Data' for name in _PALETTES),
  *_OVERLAYS, 'ExtendedOffsetTable', 'ExtendedOffsetTableLengths',
  'FloatPixelData', 'DoubleFloatPixelData', 'PixelData',
)  # fmt: skip


def picture(dataset: Any, intensity: str) -> np.ndarray:
  """Returns uint8[H, W] of a grey image, uint8[H, W, 3] (RGB) of one in colour.

  Args:
    dataset: a pydicom data set of one frame, functional groups resolved; what it says of its
      colours is corrected in place.
    intensity: of greys of more than 8 bits, see medjax.data.images.intensity.

  Raises:
    ValueError: the pixels are cut off, contradict what the file says of them, or would show
      nothing; and whatever pydicom raises.
  """
  if dataset.file_meta.TransferSyntaxUID.is_encapsulated:
    dicom_codestream.check(dataset)
  kind = dataset.PhotometricInterpretation
  _check_said(dataset, kind)
  raw, pixels = _stored(dataset)
  if kind in _GREY:
    return _grey(dataset, raw, pixels, intensity)
  if kind == 'PALETTE COLOR':
    return _looked_up(dataset, pixels)
  if kind == 'RGB' or kind.startswith('YBR'):
    return _colour(dataset, pixels)
  raise ValueError('its photometric interpretation is none that is read')


def _check_said(dataset: Any, kind: str) -> None:
  """Raises ValueError where what the file says of its pixels cannot be, or is not read."""
  if kind in _GREY and dataset.get('PixelPresentation') in ('COLOR', 'MIXED'):
    raise ValueError('its colours lie in a supplemental palette, which is not read; save it as RGB')
  if kind == 'MONOCHROME2' and dataset.get('PresentationLUTShape') == 'INVERSE':
    raise ValueError(
      'it is MONOCHROME2, and yet its Presentation LUT Shape is INVERSE; correct one'
    )
  native = not dataset.file_meta.TransferSyntaxUID.is_encapsulated
  high_bit = dataset.get('HighBit')
  if native and high_bit is not None and high_bit != dataset.BitsStored - 1:
    raise ValueError(
      f'its high bit is {high_bit}, not {dataset.BitsStored - 1} as of {dataset.BitsStored} bits '
      'stored (PS3.5 8.1.1); have a DICOM toolkit write it anew'
    )


def _range(dataset: Any) -> tuple[int, int]:
  """The least and the most that the bits stored can hold."""
  least = -(2 ** (dataset.BitsStored - 1)) if dataset.PixelRepresentation else 0
  return least, least + 2**dataset.BitsStored - 1


def _stored(dataset: Any) -> tuple[np.ndarray, np.ndarray]:
  """Returns the pixels as they lie in the file, and without the bits that are not theirs."""
  from pydicom import pixels as pixels_of

  # YBR comes as RGB.
  raw = pixels_of.pixel_array(dataset, correct_unused_bits=False)
  raw = raw.astype(raw.dtype.newbyteorder('='), copy=False)
  shape = (dataset.Rows, dataset.Columns)
  if raw.shape not in (shape, (*shape, 3)):
    raise ValueError(
      f'its pixel data are {list(raw.shape)}, where it says one frame of {list(shape)}; save the '
      'frame that is meant as a file of its own'
    )
  low, high = _range(dataset)
  if raw.min() >= low and raw.max() <= high:
    return raw, raw
  bits, width = dataset.BitsStored, 8 * raw.dtype.itemsize
  # Bits beyond those stored may be overlays, padding, or, of old, anything: PS3.5 8.1.1.
  unsigned = raw.view(f'u{raw.dtype.itemsize}')
  is_stray = (unsigned & (2**width - 2**bits) & ~_overlay_bits(dataset) % 2**width) != 0
  if dataset.PixelRepresentation:
    is_stray &= (raw < low) | (raw > high)  # A sign fills them all.
  padded = _padded(dataset, raw)
  if (is_stray if padded is None else is_stray & ~padded).any():
    raise ValueError(
      f'its pixels need more than the {bits} bits that it says are stored; correct Bits Stored and '
      'High Bit'
    )
  return raw, raw << width - bits >> width - bits


def _overlay_bits(dataset: Any) -> int:
  """The bits of a pixel that hold overlays, as they may in files of before 2004."""
  positions = [dataset.get(tag) for tag in _OVERLAYS]
  return sum({1 << element.value for element in positions if element is not None})


def _padded(dataset: Any, raw: np.ndarray) -> np.ndarray | None:
  """bool[H, W], which pixels are padding: the padding value, up to its range limit; None of none.

  Pixel Representation decides on their sign, whatever VR they were written with: PS3.3
  C.7.5.1.1.2.
  """
  value, limit = (dataset.get(name) for name in ('PixelPaddingValue', 'PixelPaddingRangeLimit'))
  if value is None:
    return None
  low, high = sorted(
    int(np.array(end % 2 ** (8 * raw.dtype.itemsize)).astype(raw.dtype))
    for end in (value, value if limit is None else limit)
  )
  return (raw >= low) & (raw <= high)


def _colour(dataset: Any, pixels: np.ndarray) -> np.ndarray:
  low, high = _range(dataset)
  if low < 0:
    raise ValueError('its colours are signed')
  if high == 255:
    return pixels.astype(np.uint8)
  values = np.arange(high + 1)
  shown = _upper_8_bits(values, dataset.BitsStored)
  counts = intensities.counts(pixels, len(values))
  _check_shown(values, counts, shown, '', (low, high), advice='save it with all its bits used')
  return shown[pixels]


def _looked_up(dataset: Any, pixels: np.ndarray) -> np.ndarray:
  """The palette color module, PS3.3 C.7.9."""
  least, most = _range(dataset)
  values = np.arange(least, most + 1)
  positions = pixels.astype(np.int32) - least
  counts = intensities.counts(positions, len(values))
  tables = [_palette(dataset, place, values) for place in range(len(_PALETTES))]
  shown = [_upper_8_bits(entries, bits) for entries, bits in tables]
  _check_shown(
    np.concatenate([entries for entries, _ in tables]),
    np.tile(counts, len(tables)),
    np.concatenate(shown),
    'its palette',
    (0, 2 ** tables[0][1] - 1),
    advice='correct the bits that its palette names',
  )
  return np.stack(shown, axis=-1)[positions]


def _palette(dataset: Any, channel: int, values: np.ndarray) -> tuple[np.ndarray, int]:
  """Returns what stored values become in a channel, and of how many bits that is."""
  name = _PALETTES[channel]
  descriptor = dataset[f'{name}Descriptor'].value
  if f'{name}Data' in dataset:
    data = dataset[f'{name}Data'].value
    table, first, bits = _table(dataset, descriptor, data, values[0], values[-1])
    return table[np.clip(values - first, 0, len(table) - 1)], bits
  from pydicom import pixels as pixels_of

  # It is segmented. Beyond its ends pydicom's 8 bits would begin anew.
  count, first, bits = descriptor
  inside = np.clip(values, first, first + (count or 2**16) - 1)
  return pixels_of.apply_color_lut(inside, dataset)[:, channel], bits


def _upper_8_bits(values: np.ndarray, bits: int) -> np.ndarray:
  if bits < 8:
    return intensities.to_uint8(values, 0, 2**bits - 1)
  return (values >> bits - 8).astype(np.uint8)


def _grey(dataset: Any, raw: np.ndarray, pixels: np.ndarray, intensity: str) -> np.ndarray:
  # All that happens to a pixel depends on its value alone: it is worked out once for each value.
  first, last = min(int(pixels.min()), 0), int(pixels.max())
  if last - first >= _MOST_VALUES:
    raise ValueError(f'values from {first} to {last}, more than any grey scale has')
  values = np.arange(first, last + 1)
  positions = np.subtract(pixels, first, dtype=np.int32) if first else pixels
  padded = _padded(dataset, raw)
  shown = positions if padded is None else positions[~padded]
  if not shown.size:
    if raw.min() < raw.max():
      raise ValueError('all its pixels are padding; correct Pixel Padding Value and Range Limit')
    return np.zeros(pixels.shape, np.uint8)
  counts = intensities.counts(shown, len(values))
  greys = _greys(dataset, values, counts, intensity)
  if dataset.PhotometricInterpretation == 'MONOCHROME1':
    greys = 255 - greys
  result = greys[positions]
  if padded is not None:
    result[padded] = 0
  return result


def _greys(dataset: Any, stored: np.ndarray, counts: np.ndarray, intensity: str) -> np.ndarray:
  """uint8 for each stored value, before any inversion; `counts` pixels have it."""
  values, whole, step = _rescaled(dataset, stored)
  if dataset.BitsStored <= 8:
    intensity = 'file'
  advice = {} if dataset.BitsStored > 8 else {'advice': 'correct it in the file'}
  greys, by = _by_file(dataset, values, whole) if intensity == 'file' else (None, '')
  if greys is None:
    occurring = values[counts > 0]
    ends = intensities.span(intensity, occurring.min(), occurring.max(), whole)
    greys = intensities.to_uint8(values, *ends)
    by = '' if intensity == 'file' else f"data.intensity='{intensity}'"
  if intensity == 'stretch':
    return greys
  _check_shown(
    values, counts, greys, by, whole, step=step,
    inverted=dataset.PhotometricInterpretation == 'MONOCHROME1', **advice,
  )  # fmt: skip
  return greys


def _by_file(
  dataset: Any, values: np.ndarray, whole: tuple[float, float]
) -> tuple[np.ndarray | None, str]:
  """The VOI LUT module, PS3.3 C.11.2: uint8 for each value, and by what; (None, '') without one."""
  if dataset.get('VOILUTSequence'):
    item = dataset.VOILUTSequence[0]
    table, first, bits = _table(dataset, item.LUTDescriptor, item.LUTData, *whole)
    looked_up = table[np.clip(np.rint(values).astype(int) - first, 0, len(table) - 1)]
    return intensities.to_uint8(looked_up, 0, 2**bits - 1), 'its VOI LUT'
  center, width = (_first_number(dataset, name) for name in ('WindowCenter', 'WindowWidth'))
  if center is None or width is None:
    return None, ''
  function = (dataset.get('VOILUTFunction') or 'LINEAR').upper()
  return intensities.to_uint8(_window(values, center, width, function), 0, 1), 'its window'


def _check_shown(
  stored: np.ndarray,
  counts: np.ndarray,
  shown: np.ndarray,
  by: str,
  possible: tuple[float, float],
  **options: Any,
) -> None:
  before, after = (intensities.spread(values, counts) for values in (stored, shown))
  intensities.check_shown(before, after, by, possible=possible, **options)


def _rescaled(dataset: Any, stored: np.ndarray) -> tuple[np.ndarray, tuple[float, float], float]:
  """The modality LUT module, PS3.3 C.11.1.

  Returns values f64, the least and the most that they can be, and how far neighbours are apart.
  """
  least, most = _range(dataset)
  if dataset.get('ModalityLUTSequence'):
    item = dataset.ModalityLUTSequence[0]
    table, first, bits = _table(dataset, item.LUTDescriptor, item.LUTData, least, most)
    return table[np.clip(stored - first, 0, len(table) - 1)].astype(float), (0, 2**bits - 1), 1
  slope, intercept = (_first_number(dataset, name) for name in ('RescaleSlope', 'RescaleIntercept'))
  slope, intercept = 1.0 if slope is None else slope, intercept or 0.0
  if slope == 0:
    raise ValueError('its rescale slope is 0, which makes one grey of all; correct it in the file')
  ends = sorted((least * slope + intercept, most * slope + intercept))
  return stored * slope + intercept, (ends[0], ends[1]), abs(slope)


def _table(
  dataset: Any, descriptor: Any, data: Any, least: float, most: float
) -> tuple[np.ndarray, int, int]:
  """A look-up table of values from `least` to `most`, PS3.3 C.11.1.1 and C.7.6.3.1.5.

  Returns its entries, i64, the value of the first, and their bits.

  Count, bits and entries are never negative. The first value is if the values are, whatever VR it
  was written with.
  """
  count, stored_first, bits = (int(number) for number in descriptor)
  count, bits, first = count % 2**16 or 2**16, bits % 2**16, stored_first % 2**16
  if least < 0:
    # Where neither signed nor unsigned numbers of 16 bits hold all values, the VR must do.
    first = stored_first if most >= 2**15 else (first + 2**15) % 2**16 - 2**15
  if isinstance(data, bytes):
    # Entries of 8 bits are packed by some writers and padded to 16 by others.
    is_wide = len(data) >= 2 * count
    wide = '<u2' if dataset.original_encoding[1] else '>u2'
    data, bits = (
      np.frombuffer(data, wide if is_wide else np.uint8),
      bits if is_wide else min(bits, 8),
    )
  table = np.atleast_1d(np.asarray(data, np.int64))[:count] % 2**16
  if not (len(table) and 0 < bits <= 16 and table.max() < 2**bits):
    raise ValueError(
      f'a look-up table of {bits} bits has {len(table)} entries of up to '
      f'{table.max(initial=0)}; correct what it says of itself'
    )
  return table, first, bits


def _first_number(dataset: Any, name: str) -> float | None:
  value = dataset.get(name)
  return None if value in (None, '', []) else float(np.ravel(np.asarray(value, float))[0])


def _window(values: np.ndarray, center: float, width: float, function: str) -> np.ndarray:
  """A window, PS3.3 C.11.2.1.2 and C.11.2.1.3: values → 0 … 1, and beyond where it cuts them
  off.
  """
  if function == 'LINEAR':
    center, width = center - 0.5, width - 1
  if width < 0 or (width == 0 and function != 'LINEAR'):
    raise ValueError("its window has no width; data.intensity='stretch' makes do without it")
  if function == 'SIGMOID':
    return 1 / (1 + np.exp(-4 * (values - center) / width))
  if function not in ('LINEAR', 'LINEAR_EXACT'):
    raise ValueError('its VOI LUT function is none of the standard (PS3.3 C.11.2.1.3)')
  return (values - center) / width + 0.5 if width else (values > center).astype(float)

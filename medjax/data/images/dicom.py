"""DICOM files: their picture as uint8, and of their header the few attributes that are named here.

Nothing but `_HEADER` and `_PICTURE` is ever read, so that names, dates, private elements and
whatever else a file says of a person cannot reach a message, a table or a report.

The picture goes through the grey scale pipeline of the DICOM standard, PS3.3 C.11: stored value →
rescale slope and intercept (or modality LUT) → window (or VOI LUT) → MONOCHROME1 inverted. Colour
is converted to RGB. Compressed pixels are decompressed by pydicom and its plug-ins: JPEG, JPEG
lossless, JPEG-LS, JPEG 2000, RLE.
"""

import functools
import logging
import pathlib
import warnings
from types import ModuleType
from typing import Any

import numpy as np

from medjax.data import cells
from medjax.data.images import intensity as intensities
from medjax.errors import InputError

HEAD = 132  # bytes of a file that say whether it is a DICOM
_HEADER = {
  'patient': 'PatientID',
  'study': 'StudyInstanceUID',
  'instance': 'SOPInstanceUID',
  'view': 'ViewPosition',
  'sex': 'PatientSex',
  'age': 'PatientAge',
  'laterality': 'ImageLaterality',
  'side': 'Laterality',
  'maker': 'Manufacturer',
  'model': 'ManufacturerModelName',
  'width': 'Columns',
  'height': 'Rows',
}
_PICTURE = (
  'SamplesPerPixel', 'PhotometricInterpretation', 'PlanarConfiguration', 'NumberOfFrames', 'Rows',
  'Columns', 'BitsAllocated', 'BitsStored', 'HighBit', 'PixelRepresentation', 'PixelPaddingValue',
  'PixelPaddingRangeLimit', 'RescaleSlope', 'RescaleIntercept', 'ModalityLUTSequence',
  'WindowCenter', 'WindowWidth', 'VOILUTFunction', 'VOILUTSequence', 'PixelPresentation',
  'RedPaletteColorLookupTableDescriptor', 'GreenPaletteColorLookupTableDescriptor',
  'BluePaletteColorLookupTableDescriptor', 'RedPaletteColorLookupTableData',
  'GreenPaletteColorLookupTableData', 'BluePaletteColorLookupTableData',
  'SegmentedRedPaletteColorLookupTableData', 'SegmentedGreenPaletteColorLookupTableData',
  'SegmentedBluePaletteColorLookupTableData', 'ExtendedOffsetTable', 'ExtendedOffsetTableLengths',
  'FloatPixelData', 'DoubleFloatPixelData', 'PixelData',
)  # fmt: skip
_SUFFIXES = ('.dcm', '.dicom')
_MOST_VALUES = 2**20  # between the darkest and the brightest pixel; 16 bits have 2**16


def is_dicom(path: str | pathlib.Path, head: bytes) -> bool:
  """Whether a file is a DICOM by its first `HEAD` bytes; its name counts for nothing.

  Raises:
    InputError: it is named as one and is none.
  """
  if head[128:HEAD] == b'DICM':
    return True
  if pathlib.Path(path).suffix.lower() in _SUFFIXES:
    raise InputError(
      f"{path}: no DICOM file, for it has no 'DICM' at byte 128; fetch it again, or have a DICOM "
      'toolkit '
      'write it anew with its preamble'
    )
  return False


def header(path: str | pathlib.Path) -> dict[str, str]:
  """Returns what the study table may know of a file, without reading its pixels.

  The keys are patient, study, instance, view, sex (M, F or O), age (completed years), laterality
  (L, R, B or U), width and height (pixels, of the original), scanner (maker and model), '' where
  the file does not say. Widths and heights are '' for what is no image, such as a report.

  Raises:
    InputError: the file is missing, damaged, or no DICOM.
  """
  dataset = _read(path, tuple(_HEADER.values()), stop_before_pixels=True)
  try:
    # A list, where a value holds a backslash that should not be there.
    values = {
      name: str(value) if (value := dataset.get(keyword)) is not None else ''
      for name, keyword in _HEADER.items()
    }
  except Exception as error:  # pydicom's kinds are many, and their texts quote the file.
    raise InputError(
      f'{path}: its header cannot be read ({type(error).__name__}); fetch it again'
    ) from None
  values = {name: value.strip(' \0') for name, value in values.items()}
  for name, parse in (('age', cells.age), ('sex', cells.sex)):
    # What is not understood is left out: a message may not quote the header.
    values[name] = cells.attempt(parse, values[name], '')
  values['laterality'] = values['laterality'] or values['side']
  values['scanner'] = f'{values["maker"]} {values["model"]}'.strip()
  for name in ('side', 'maker', 'model'):
    del values[name]
  return values


def read(path: str | pathlib.Path, intensity: str = 'file') -> np.ndarray:
  """Returns uint8[H, W] of a grey image, uint8[H, W, 3] (RGB) of one in colour.

  `intensity` says which values, after the rescaling, become black and white of grey images of more
  than 8 bits (see medjax.data.images.intensity). With 'file' it is the first VOI LUT, else the
  first window; without either all values that the bits stored can have. Padding is black, and does
  not count in a 'stretch'.

  Raises:
    InputError: the file is missing, damaged, of several frames, without pixels, compressed in a way
      that is not read, or its pixels mean nothing that is known.
  """
  dataset = _read(path, _PICTURE)
  try:
    _check_readable(path, dataset)
    return _picture(dataset, intensity)
  except (InputError, MemoryError):
    raise
  except Exception as error:  # pydicom's and its plug-ins' kinds are many.
    # Nothing but the attributes of the picture is there to be quoted.
    reason = ' '.join(str(error).split())[:300] or type(error).__name__
    raise InputError(f'{path}: no picture can be made of it ({reason})') from None


@functools.cache
def _pydicom() -> ModuleType:
  try:
    import pydicom.pixels
  except ImportError:
    raise InputError("DICOM files need pydicom: pip install 'medjax[dicom]'") from None
  # It warns of values that break a rule, and quotes them. What matters to us raises an error.
  pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE
  warnings.filterwarnings('ignore', module='pydicom')
  logging.getLogger('pydicom').setLevel(logging.CRITICAL)
  return pydicom


def _read(path: str | pathlib.Path, keywords: tuple[str, ...], **options: Any) -> Any:
  pydicom = _pydicom()
  try:
    return pydicom.dcmread(path, specific_tags=[*keywords, 'SpecificCharacterSet'], **options)
  except FileNotFoundError:
    raise InputError(f'{path}: no such image file') from None
  except Exception as error:  # pydicom's kinds are many, and their texts quote the file.
    raise InputError(
      f'{path}: cannot be read as DICOM ({type(error).__name__}); fetch it again'
    ) from None


def _check_readable(path: str | pathlib.Path, dataset: Any) -> None:
  pydicom = _pydicom()
  if 'FloatPixelData' in dataset or 'DoubleFloatPixelData' in dataset:
    raise InputError(f'{path}: its pixels are floating-point numbers; save them as 16-bit integers')
  if 'PixelData' not in dataset:
    raise InputError(
      f'{path}: a DICOM without pixel data, such as a report; leave it out of the table'
    )
  frames = int(dataset.get('NumberOfFrames') or 1)
  if frames > 1:
    raise InputError(
      f'{path}: holds {frames} frames, not one image; save the frames that the labels speak of as '
      'files of one frame each'
    )
  syntax = dataset.file_meta.get('TransferSyntaxUID', '')
  try:
    readable = pydicom.pixels.get_decoder(syntax).is_available
  except NotImplementedError:
    readable = False
  if not readable:
    raise InputError(
      f'{path}: its transfer syntax ({getattr(syntax, "name", "") or "none"}) is not read; have a '
      'DICOM '
      "toolkit decompress it, or pip install 'medjax[dicom]' if plug-ins are missing"
    )


def _picture(dataset: Any, intensity: str) -> np.ndarray:
  pixels_of = _pydicom().pixels
  pixels = pixels_of.pixel_array(dataset)  # YBR comes as RGB.
  kind = dataset.PhotometricInterpretation
  if kind in ('MONOCHROME1', 'MONOCHROME2'):
    return _grey(dataset, pixels, intensity)
  if kind == 'PALETTE COLOR':
    colours = pixels_of.apply_color_lut(pixels, dataset)[..., :3]
    return _upper_8_bits(colours, dataset.RedPaletteColorLookupTableDescriptor[2])
  if kind == 'RGB' or kind.startswith('YBR'):
    return _upper_8_bits(pixels, dataset.BitsStored)
  raise ValueError(f'photometric interpretation {kind}')


def _upper_8_bits(pixels: np.ndarray, bits: int) -> np.ndarray:
  return (pixels >> max(bits - 8, 0)).astype(np.uint8)


def _grey(dataset: Any, pixels: np.ndarray, intensity: str) -> np.ndarray:
  # All that happens to a pixel depends on its value alone: it is worked out once for each value.
  first, last = min(int(pixels.min()), 0), int(pixels.max())
  if last - first >= _MOST_VALUES:
    raise ValueError(f'values from {first} to {last}, more than any grey scale has')
  values = np.arange(first, last + 1)
  positions = np.subtract(pixels, first, dtype=np.int32) if first else pixels
  padding = _padding(dataset, values)
  shown = positions[~padding[positions]] if padding.any() else positions
  if not shown.size:
    return np.zeros(pixels.shape, np.uint8)
  greys = _greys(dataset, values, slice(shown.min(), int(shown.max()) + 1), intensity)
  if dataset.PhotometricInterpretation == 'MONOCHROME1':
    greys = 255 - greys
  greys[padding] = 0
  return greys[positions]


def _padding(dataset: Any, values: np.ndarray) -> np.ndarray:
  """bool: which stored values are padding: the padding value, up to its range limit if there is
  one.
  """
  if dataset.get('PixelPaddingValue') is None:
    return np.zeros(len(values), bool)
  limits = (dataset.PixelPaddingValue, dataset.get('PixelPaddingRangeLimit'))
  low, high = sorted((limits[0], limits[0] if limits[1] is None else limits[1]))
  return (values >= low) & (values <= high)


def _greys(dataset: Any, stored: np.ndarray, shown: slice, intensity: str) -> np.ndarray:
  """uint8 for each stored value, before any inversion; `shown` are the values that occur."""
  values, whole = _rescale(dataset, stored)
  intensity = intensity if dataset.BitsStored > 8 else 'file'
  if intensity == 'file' and dataset.get('VOILUTSequence'):
    table, first, bits = _lut(dataset, dataset.VOILUTSequence[0])
    looked_up = table[np.clip(np.rint(values).astype(int) - first, 0, len(table) - 1)]
    return intensities.to_uint8(looked_up, 0, 2**bits - 1)
  center, width = (_first_number(dataset, name) for name in ('WindowCenter', 'WindowWidth'))
  if intensity == 'file' and center is not None and width is not None:
    function = (dataset.get('VOILUTFunction') or 'LINEAR').upper()
    return intensities.to_uint8(_window(values, center, width, function), 0, 1)
  if intensity == 'file' and dataset.BitsStored <= 8:
    return intensities.to_uint8(values, *whole)
  darkest, brightest = values[shown].min(), values[shown].max()
  return intensities.to_uint8(values, *intensities.span(intensity, darkest, brightest, whole))


def _rescale(dataset: Any, stored: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
  """The modality LUT module, PS3.3 C.11.1: values f64, and the least and most that they can be."""
  if dataset.get('ModalityLUTSequence'):
    table, first, bits = _lut(dataset, dataset.ModalityLUTSequence[0])
    return table[np.clip(stored - first, 0, len(table) - 1)], (0, 2**bits - 1)
  signed, bits = dataset.PixelRepresentation, dataset.BitsStored
  least = -(2 ** (bits - 1)) if signed else 0
  slope = float(dataset.get('RescaleSlope') or 1)
  intercept = float(dataset.get('RescaleIntercept') or 0)
  ends = (least * slope + intercept, (least + 2**bits - 1) * slope + intercept)
  return stored * slope + intercept, (min(ends), max(ends))


def _lut(dataset: Any, item: Any) -> tuple[np.ndarray, int, int]:
  """A look-up table, PS3.3 C.11.1.1: its entries f64, the value of the first, and their bits."""
  count, first, bits = item.LUTDescriptor
  count = count or 2**16
  data = item.LUTData
  if isinstance(data, bytes):
    # Entries of 8 bits are packed by some writers and padded to 16 by others.
    wide = '<u2' if dataset.original_encoding[1] else '>u2'
    data = np.frombuffer(data, wide if len(data) >= 2 * count else np.uint8)
  return np.asarray(data, np.float64)[:count], first, bits


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
    raise ValueError(f'VOI LUT function {function}')
  return (values - center) / width + 0.5 if width else (values > center).astype(float)

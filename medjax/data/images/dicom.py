"""DICOM files: their picture as uint8, and of their header the few attributes that are named here.

Nothing but `_HEADER` and `dicom_picture.ATTRIBUTES` is ever kept, so that names, dates, private
elements and whatever else a file says of a person cannot reach a message, a table or a report.

How stored values become a picture stands in medjax.data.images.dicom_picture.
"""

import contextlib
import functools
import logging
import pathlib
import warnings
import zlib
from collections.abc import Sequence
from types import ModuleType
from typing import IO, Any

import numpy as np

from medjax.data import cells
from medjax.data.images import dicom_picture, dicom_words, memory
from medjax.errors import InputError
from medjax.runtime import remote

HEAD = 132  # bytes of a file that say whether it is a DICOM
_HEADER = {
  'patient': 'PatientID',
  'study': 'StudyInstanceUID',
  'instance': 'SOPInstanceUID',
  'kind': 'SOPClassUID',
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
# What an enhanced object says of its frame lies in these; see `dicom_picture.GROUPS`.
_FRAMES = ('SharedFunctionalGroupsSequence', 'PerFrameFunctionalGroupsSequence')
_MOST_INFLATED = 2**29  # bytes
_INFLATED_TOGETHER = 2**20
_SUFFIXES = ('.dcm', '.dicom')


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


def header(
  path: str | pathlib.Path,
  with_accession: bool = False,
  scanners: frozenset[str] = frozenset(),
) -> dict[str, str]:
  """Returns what the study table may know of a file, without reading its pixels.

  The keys are patient, study, instance, view, sex (M, F or O), age (completed years), laterality
  (L, R, B or U), width and height (pixels, of the original), scanner, '' where the file does not
  say; and accession, which may name a person's visit, only if it is asked for. Widths and heights
  are '' for what is no image, such as a report. Free text does not come out: a view is a word of
  the standard, a scanner one of `scanners`, else its maker where that is known and a digest of
  maker and model, see medjax.data.images.dicom_words. Only the patient's id and an accession number
  are as the file has them.

  Raises:
    InputError: the file is missing, damaged, cut off or no DICOM.
  """
  keywords = _HEADER | ({'accession': 'AccessionNumber'} if with_accession else {})
  dataset = _read(path, tuple(keywords.values()), stop_before_pixels=True)
  try:
    # A list, where a value holds a backslash that should not be there.
    values = {
      name: str(value) if (value := dataset.get(keyword)) is not None else ''
      for name, keyword in keywords.items()
    }
  except Exception as error:  # pydicom's kinds are many, and their texts quote the file.
    raise InputError(
      f'{path}: its header cannot be read ({type(error).__name__}); fetch it again'
    ) from None
  values = {name: value.strip(' \0') for name, value in values.items()}
  for name, parse in (('age', cells.age), ('sex', cells.sex)):
    # What is not understood is left out: a message may not quote the header.
    values[name] = cells.attempt(parse, values[name], '')
  values['laterality'] = dicom_words.side(values['laterality'] or values['side'])
  values['view'] = dicom_words.view(values['view'])
  values['scanner'] = dicom_words.scanner(values['maker'], values['model'], scanners)
  for name in ('study', 'instance'):
    values[name] = dicom_words.identifier(values[name])
  for name in ('width', 'height'):
    values[name] = dicom_words.length(values[name])
  is_image = 'ImageStorage' in _pydicom().uid.UID(values['kind']).keyword
  if not values['height'] and (is_image or not values['kind']):
    raise InputError(f'{path}: is cut off, for it does not say how large its image is')
  for name in ('side', 'maker', 'model', 'kind'):
    del values[name]
  return values


def read(
  path: str | pathlib.Path,
  intensity: str = 'file',
  file: IO[bytes] | None = None,
  memory_in_use: contextlib.ExitStack | None = None,
) -> np.ndarray:
  """Returns uint8[H, W] of a grey image, uint8[H, W, 3] (RGB) of one in colour.

  `file` is read in place of `path`, where it is open already or lies in a container. The memory
  that the picture takes is counted until `memory_in_use` is closed, without it until it is made.

  `intensity` says which values, after the rescaling, become black and white of grey images of more
  than 8 bits (see medjax.data.images.intensity). With 'file' it is the first VOI LUT, else the
  first window; without either all values that the bits stored can have. Padding is black, and does
  not count in a 'stretch'.

  Raises:
    InputError: the file is missing, damaged, of several frames, without pixels, compressed in a way
      that is not read, or its pixels mean nothing that is known.
  """
  dataset = _read(path, (*dicom_picture.ATTRIBUTES, *_FRAMES), file)
  frames = _resolve_groups(path, dataset)
  try:
    _check_readable(path, dataset, frames, file)
    with contextlib.ExitStack() as until_made:
      reserved = memory.reserved(memory.dicom_bytes(dataset))
      (memory_in_use or until_made).enter_context(reserved)
      return dicom_picture.picture(dataset, intensity)
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


def _read(
  path: str | pathlib.Path, keywords: Sequence[Any], file: IO[bytes] | None = None, **options: Any
) -> Any:
  pydicom = _pydicom()
  if file is None and remote.is_remote(path):
    file = remote.opened(path)
  try:
    _check_inflated(pydicom, path, file)
    if file:
      file.seek(0)
    tags = [*keywords, 'SpecificCharacterSet']
    return pydicom.dcmread(file or path, specific_tags=tags, **options)
  except FileNotFoundError:
    raise InputError(f'{path}: no such image file') from None
  except _TooLarge as error:
    raise InputError(f'{path}: {error}') from None
  except Exception as error:  # pydicom's kinds are many, and their texts quote the file.
    raise InputError(
      f'{path}: cannot be read as DICOM ({type(error).__name__}); fetch it again'
    ) from None


class _TooLarge(Exception):
  pass


def _check_inflated(pydicom: ModuleType, path: str | pathlib.Path, file: IO[bytes] | None) -> None:
  """Raises _TooLarge for a deflated file, which pydicom inflates at once, of too many bytes."""
  with contextlib.nullcontext(file) if file else open(path, 'rb') as opened:
    opened.seek(0)
    pydicom.filereader.read_preamble(opened, False)
    meta = pydicom.filereader._read_file_meta_info(opened)
    if meta.get('TransferSyntaxUID') != pydicom.uid.DeflatedExplicitVRLittleEndian:
      return
    inflated, decompressor = 0, zlib.decompressobj(-zlib.MAX_WBITS)
    while not decompressor.eof:  # A byte may follow, to make an even number of them.
      data = decompressor.unconsumed_tail or opened.read(_INFLATED_TOGETHER)
      if not data:
        return  # It is cut off, which pydicom says.
      inflated += len(decompressor.decompress(data, _INFLATED_TOGETHER))
      if inflated > _MOST_INFLATED:
        raise _TooLarge(
          f'inflates to more than {_MOST_INFLATED / 2**20:.0f} MB; have a DICOM toolkit decompress '
          'it, or leave it out'
        )


def _resolve_groups(path: str | pathlib.Path, dataset: Any) -> int:
  """Moves what functional groups say of the frame to the top; returns how many frames they name.

  What is said of one frame counts more than what is said of all: PS3.3 C.7.6.16.1.1.
  """
  frames = 1
  try:
    for keyword in _FRAMES:
      items = list(dataset.get(keyword) or [])
      frames = max(frames, len(items))
      for sequence, names in dicom_picture.GROUPS.items():
        for group in (group for item in items[:1] for group in item.get(sequence) or []):
          for name in names:
            if name in group:
              dataset[name] = group[name]
      dataset.pop(keyword, None)
  except Exception as error:  # Their texts quote whatever else lies there.
    raise InputError(
      f'{path}: its functional groups cannot be read ({type(error).__name__}); fetch it again'
    ) from None
  return frames


def _check_readable(
  path: str | pathlib.Path, dataset: Any, frames: int, file: IO[bytes] | None
) -> None:
  pydicom = _pydicom()
  if 'FloatPixelData' in dataset or 'DoubleFloatPixelData' in dataset:
    raise InputError(f'{path}: its pixels are floating-point numbers; save them as 16-bit integers')
  if 'PixelData' not in dataset:
    # Of a file that ends within its pixels pydicom keeps nothing.
    before = _read(path, ('BitsAllocated',), file, stop_before_pixels=True)
    if 'BitsAllocated' in before:
      raise InputError(f'{path}: is cut off: it describes pixels and has none; fetch it again')
    raise InputError(
      f'{path}: a DICOM without pixel data, such as a report, or cut off; leave it out of the '
      'table, or fetch it again'
    )
  frames = max(frames, int(dataset.get('NumberOfFrames') or 1))
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
    known = syntax in pydicom.uid.UID_dictionary  # Others may be any text.
    raise InputError(
      f'{path}: its transfer syntax ({syntax.name if known else "none known"}) is not read; have a '
      "DICOM toolkit decompress it, or pip install 'medjax[dicom]' if plug-ins are missing"
    )

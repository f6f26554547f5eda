"""What the compressed pixels of a DICOM say of themselves, in the words of JPEG or JPEG 2000.

The decoders draw what is left of a JPEG that is cut off, and go by the data set's own words about
its colours, which whoever compressed it may have forgotten to change.
"""

from typing import Any

_JPEG = ('1.2.840.10008.1.2.4.50', '1.2.840.10008.1.2.4.51')
_WITH_MARKERS = '1.2.840.10008.1.2.4.'  # JPEG, JPEG-LS, JPEG 2000 and their kin
_END_OF_IMAGE = b'\xff\xd9'
_JPEG_2000 = b'\xff\x4f\xff\x51'
# ITU-T T.81, table B.1, and T.87 for JPEG-LS.
_FRAME_HEADERS = (
  *range(0xC0, 0xC4),
  *range(0xC5, 0xC8),
  *range(0xC9, 0xCC),
  *range(0xCD, 0xD0),
  0xF7,
)
_TRAILING = 64  # bytes: what may follow the end of an image to fill up


def check(dataset: Any) -> None:
  """Sees whether the pixels are whole, and corrects what the data set says of their colours.

  Raises:
    ValueError: the pixels are cut off, or are not as many as the data set says.
  """
  from pydicom import encaps

  syntax = dataset.file_meta.TransferSyntaxUID
  if not syntax.startswith(_WITH_MARKERS):
    return
  frame = encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)
  if _END_OF_IMAGE not in frame[-_TRAILING:]:
    raise ValueError('its compressed pixels are cut off; fetch it again')
  said, coded = (dataset.Columns, dataset.Rows), _size(frame)
  if coded not in (None, said):
    raise ValueError(
      'its compressed pixels are {} × {}, and it says {} × {}; have a DICOM toolkit write it '
      'anew'.format(*coded, *said)
    )
  if dataset.SamplesPerPixel != 3:
    return
  kind = dataset.PhotometricInterpretation
  if syntax in _JPEG:
    transform = _adobe_transform(frame)
    if transform == 1 and kind == 'RGB':
      dataset.PhotometricInterpretation = 'YBR_FULL_422'
    elif transform == 0 and kind.startswith('YBR'):
      dataset.PhotometricInterpretation = 'RGB'
  elif kind in ('YBR_FULL', 'YBR_FULL_422') and _is_transformed_jpeg_2000(frame):
    dataset.PhotometricInterpretation = 'RGB'  # Decoding undoes the transform.


def _segments(frame: bytes, start: int, last: int) -> dict[int, bytes]:
  """Returns the marker segments from `start` until the marker `last`, the first of each marker."""
  segments: dict[int, bytes] = {}
  while len(frame) >= start + 4 and frame[start] == 0xFF and frame[start + 1] != last:
    length = int.from_bytes(frame[start + 2 : start + 4], 'big')
    segments.setdefault(frame[start + 1], frame[start + 4 : start + 2 + length])
    start += 2 + length
  return segments


def _size(frame: bytes) -> tuple[int, int] | None:
  """Returns width and height as the compressed pixels say them, None where they do not."""
  start = frame.find(_JPEG_2000)
  if start >= 0:
    size = _segments(frame, start + 2, 0x90).get(0x51, b'')
    right, lower, left, upper = (int.from_bytes(size[at : at + 4], 'big') for at in (2, 6, 10, 14))
    return (right - left, lower - upper) if len(size) >= 18 else None
  segments = _segments(frame, 2, 0xDA)
  header = next((segments[marker] for marker in _FRAME_HEADERS if marker in segments), b'')
  height, width = (int.from_bytes(header[at : at + 2], 'big') for at in (1, 3))
  return (width, height) if height else None  # A JPEG may say its height only at its end.


def _adobe_transform(frame: bytes) -> int | None:
  """Returns the colour transform that a JPEG's Adobe marker names, ITU-T T.872: 0 RGB, 1 YCbCr.

  None without such a marker, or with JFIF's, which pydicom goes by.
  """
  segments = _segments(frame, 2, 0xDA)
  adobe = segments.get(0xEE, b'')
  if segments.get(0xE0, b'').startswith(b'JFIF') or not adobe.startswith(b'Adobe'):
    return None
  return adobe[11] if len(adobe) > 11 else None


def _is_transformed_jpeg_2000(frame: bytes) -> bool:
  """Whether its coding style says multiple component transformation: ITU-T T.800, A.6.1."""
  start = frame.find(_JPEG_2000)
  coding_style = _segments(frame, start + 2, 0x90).get(0x52, b'') if start >= 0 else b''
  return len(coding_style) > 4 and coding_style[4] == 1

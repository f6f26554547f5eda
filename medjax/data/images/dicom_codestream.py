"""What the compressed pixels of a DICOM say of themselves, in the words of JPEG or JPEG 2000.

The decoders draw what is left of a JPEG that is cut off, and go by the data set's own words about
its colours, which whoever compressed it may have forgotten to change.
"""

from typing import Any

_JPEG = ('1.2.840.10008.1.2.4.50', '1.2.840.10008.1.2.4.51')
_WITH_MARKERS = '1.2.840.10008.1.2.4.'  # JPEG, JPEG-LS, JPEG 2000 and their kin
_END_OF_IMAGE = b'\xff\xd9'
_TRAILING = 64  # bytes: what may follow the end of an image to fill up


def check(dataset: Any) -> None:
  """Sees whether the pixels are whole, and corrects what the data set says of their colours.

  Raises:
    ValueError: the pixels are cut off.
  """
  from pydicom import encaps

  syntax = dataset.file_meta.TransferSyntaxUID
  if not syntax.startswith(_WITH_MARKERS):
    return
  frame = encaps.get_frame(dataset.PixelData, 0, number_of_frames=1)
  if _END_OF_IMAGE not in frame[-_TRAILING:]:
    raise ValueError('its compressed pixels are cut off; fetch it again')
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
  start = frame.find(b'\xff\x4f\xff\x51')
  coding_style = _segments(frame, start + 2, 0x90).get(0x52, b'') if start >= 0 else b''
  return len(coding_style) > 4 and coding_style[4] == 1

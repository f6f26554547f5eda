"""PNG without what may be large and is not used: colour profiles and text."""

import io
from typing import IO

_SIGNATURE = 8  # bytes
_UNUSED = (b'iCCP', b'tEXt', b'zTXt', b'iTXt')
# Where some writers say how a picture is turned: EXIF before there was a chunk for it, and XMP.
_USED = (b'Raw profile type exif\0', b'XML:com.adobe.xmp\0')


def is_too_large(error: ValueError) -> bool:
  """Whether Pillow would not unpack a chunk of text or a profile, lest it fill the memory."""
  return 'MAX_TEXT' in str(error)


def without_unused(file: IO[bytes]) -> io.BytesIO:
  """Returns the PNG without profile and text; nothing is unpacked, and its pixels stay as they are.

  What ends too early is left as it is: the decoder sees it.
  """
  file.seek(0)
  data = file.read()
  kept, place = [data[:_SIGNATURE]], _SIGNATURE
  while place < len(data):
    length = int.from_bytes(data[place : place + 4], 'big') + 12  # length, type and checksum
    kind, content = data[place + 4 : place + 8], data[place + 8 : place + 40]
    if kind not in _UNUSED or content.startswith(_USED):
      kept.append(data[place : place + length])
    place += length
  return io.BytesIO(b''.join(kept))

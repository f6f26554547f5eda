"""What is packed may be of few bytes and unpack to more than any memory holds."""

import zipfile
import zlib
from typing import IO

# DEFLATE packs what repeats up to a thousand times smaller; tables and pictures ten or twenty.
_MOST_TIMES = 200
_HARMLESS = 2**28  # bytes, whatever they were packed to
_TOGETHER = 2**20


class TooLarge(Exception):
  """What it says is a reason, without a file's name."""


def check(packed: int, unpacked: int) -> None:
  """Raises TooLarge where so many bytes cannot be what a table or pictures unpack to."""
  if unpacked > max(_HARMLESS, _MOST_TIMES * packed):
    raise TooLarge(
      f'{packed:,} bytes that unpack to more than {max(_HARMLESS, _MOST_TIMES * packed):,}, as no '
      'table and no pictures do; unpack it by hand if you know what it is'
    )


def gunzip(data: bytes) -> bytes:
  """Returns what gzip has packed, of one member or several.

  Raises:
    TooLarge: it is too much.
    zlib.error, EOFError: it is damaged, or cut off.
  """
  parts, size = [], 0
  while data.strip(b'\0'):
    unpacker = zlib.decompressobj(wbits=zlib.MAX_WBITS | 16)
    rest = data
    while not unpacker.eof:
      part = unpacker.decompress(rest, _TOGETHER)
      size += len(part)
      check(len(data), size)
      parts.append(part)
      if not part and not unpacker.unconsumed_tail and not unpacker.eof:
        raise EOFError('the end is missing')
      rest = unpacker.unconsumed_tail
    data = unpacker.unused_data
  return b''.join(parts)


def check_zip(file: IO[bytes]) -> None:
  """Raises TooLarge where the members of a zip file are too much together, or one of them alone."""
  with zipfile.ZipFile(file) as archive:
    members = archive.infolist()
  for some in (members, *([member] for member in members)):
    check(sum(m.compress_size for m in some), sum(m.file_size for m in some))

"""Looks for byte strings in all that a folder holds, and in what is packed in there."""

import base64
import binascii
import gzip
import io
import pathlib
import re
import zipfile
import zlib
from collections.abc import Iterator

_DEEPEST = 6
_MOST = 2**26  # bytes that one packed part is unpacked to
_DATA = re.compile(rb'data:[a-z]+/[a-z+]+;base64,([A-Za-z0-9+/=]{16,})')
_GZIP, _ZIP, _ZSTD, _PNG = b'\x1f\x8b\x08', b'PK\x03\x04', b'\x28\xb5\x2f\xfd', b'\x89PNG\r\n\x1a\n'
_ZLIB = re.compile(rb'\x78[\x01\x5e\x9c\xda]')
_PACKED_TEXT = (b'zTXt', b'iTXt', b'iCCP')


def has_zstd() -> bool:
  """Whether parts that zstd has packed can be looked into here."""
  try:
    import pyarrow
  except ImportError:
    return False
  return bool(pyarrow.Codec.is_available('zstd'))


def files(folder: pathlib.Path) -> Iterator[pathlib.Path]:
  """Yields all files of a folder, hidden ones too."""
  return (path for path in sorted(folder.rglob('*')) if path.is_file() and not path.is_symlink())


def find(data: bytes, wanted: re.Pattern[bytes], depth: int = 0) -> str:
  """Returns '' or what of `wanted` is in the bytes, or in what is packed in them, and where."""
  for form, text in (('', data), (' as UTF-16', _utf_16(data))):
    if match := wanted.search(text):
      return f'{match[0][:40]!r}{form}'
  if depth < _DEEPEST:
    for kind, part in _parts(data):
      if there := find(part, wanted, depth + 1):
        return f'{there} in {kind}'
  return ''


def _utf_16(data: bytes) -> bytes:
  return data.replace(b'\0', b'') if data.count(b'\0') * 3 > len(data) else b''


def _parts(data: bytes) -> Iterator[tuple[str, bytes]]:
  for match in _DATA.finditer(data):
    try:
      yield 'base64', base64.b64decode(match[1])
    except binascii.Error:
      continue
  if data.startswith(_PNG):  # Its pixels are no text.
    yield from (('a text of a PNG', text) for text in _png_texts(data))
    return
  if data.startswith(b'\xff\xd8\xff'):
    return
  if data.startswith(_ZIP):
    try:
      with zipfile.ZipFile(io.BytesIO(data)) as archive:
        for member in archive.infolist():
          yield f'{member.filename} of a zip', archive.open(member).read(_MOST)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, zlib.error):
      pass
    return
  for at in _places(data, _GZIP):
    try:
      yield 'gzip', gzip.GzipFile(fileobj=io.BytesIO(data[at:])).read(_MOST)
    except (OSError, EOFError, zlib.error):
      continue
  for at in _places(data, _ZSTD):
    if part := _zstd(data[at:]):
      yield 'zstd', part
  for at in _places(data, _PNG):
    if at:
      yield 'a PNG', data[at:]
  for match in _ZLIB.finditer(data):
    try:
      part = zlib.decompressobj().decompress(data[match.start() :], _MOST)
    except zlib.error:
      continue
    if len(part) > 16:
      yield 'zlib', part


def _places(data: bytes, sign: bytes) -> Iterator[int]:
  at = data.find(sign)
  while at >= 0:
    yield at
    at = data.find(sign, at + 1)


def _zstd(data: bytes) -> bytes:
  if not has_zstd():
    return b''
  import pyarrow

  read = bytearray()
  try:
    with pyarrow.input_stream(pyarrow.BufferReader(data), compression='zstd') as stream:
      while (part := stream.read(2**16)) and len(read) < _MOST:
        read += part
  except (OSError, pyarrow.ArrowInvalid):
    pass  # What follows the part is none.
  return bytes(read)


def _png_texts(data: bytes) -> Iterator[bytes]:
  at = len(_PNG)
  while at + 12 <= len(data):
    length, kind = int.from_bytes(data[at : at + 4], 'big'), data[at + 4 : at + 8]
    body = data[at + 8 : at + 8 + length]
    at += 12 + length
    if kind == b'IEND':
      yield data[at:]  # What is behind the picture.
      return
    if kind not in (b'IDAT', b'IHDR', b'PLTE'):
      yield body
    if kind in _PACKED_TEXT:
      for match in _ZLIB.finditer(body):
        try:
          yield zlib.decompressobj().decompress(body[match.start() :], _MOST)
        except zlib.error:
          continue

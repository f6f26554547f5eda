"""Why a file is not read as an image: what kind of file it is, by its first bytes."""

from typing import IO

from PIL import Image

from medjax.data.images import tiff

_HEAD = 512  # bytes
# (first byte, bytes there, the kind that Pillow reads)
_READ = (
  (0, b'\xff\xd8\xff', 'JPEG'),
  (0, b'\x89PNG', 'PNG'),
  (0, b'\0\0\0\x0cjP  ', 'JPEG 2000'),
  (0, b'\xff\x4f\xff\x51', 'JPEG 2000'),
  (0, b'II*\0', 'TIFF'),
  (0, b'MM\0*', 'TIFF'),
  (0, b'II+\0', 'TIFF'),
  (0, b'MM\0+', 'TIFF'),
  (0, b'GIF8', 'GIF'),
  (8, b'WEBP', 'WebP'),
  (0, b'BM', 'BMP'),
)
# … and what is met in the place of images.
_NOT_READ = (
  (0, b'\xff\xd8\xff\xf7', 'a JPEG-LS: save it as PNG'),
  (4, b'ftyphe', 'a HEIC photograph: save it as JPEG or PNG'),
  (4, b'ftypmif', 'a HEIC photograph: save it as JPEG or PNG'),
  (4, b'ftypavi', 'an AVIF that is cut off, damaged or not read here: save it as PNG'),
  (0, b'\xff\x0a', 'a JPEG XL: save it as PNG'),
  (4, b'JXL ', 'a JPEG XL: save it as PNG'),
  (344, b'n+1\0', 'a NIfTI volume: save the slice that is meant as PNG'),
  (0, b'\x1f\x8b', 'packed by gzip: unpack it'),
  (0, b'PK\x03\x04', 'packed as ZIP: unpack it'),
  (0, b'%PDF', 'a PDF: save its picture as PNG'),
)


def why_not_read(file: IO[bytes], error: Exception) -> str:
  """Returns what kept Pillow from reading a file, in words, and what to do if anything can be."""
  text = ' '.join(str(error).split())
  file.seek(0)
  head = file.read(_HEAD)
  for start, signature, words in _NOT_READ:
    if head.startswith(signature, start):
      return words
  kind = next((kind for start, signature, kind in _READ if head.startswith(signature, start)), '')
  is_unknown = isinstance(error, Image.UnidentifiedImageError)
  if kind == 'TIFF' and (is_unknown or 'raw mode' in text):
    return tiff.why_not_opened(file)
  if is_unknown:
    if kind:
      return f'a {kind} that is cut off, damaged, or of a variety that is not read'
    return 'it is of no kind that is known' if head else 'it has no bytes; fetch it again'
  # An operating system's errors have a number.
  is_damage = isinstance(error, OSError | SyntaxError) and not getattr(error, 'errno', None)
  if is_damage and kind:
    return f'a {kind} that is cut off or damaged: {text}'
  return text or type(error).__name__

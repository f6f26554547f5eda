"""What the files say of their images before a pixel is read: size, colour mode, kind of file."""

from collections.abc import Iterable
from typing import NamedTuple


class Header(NamedTuple):
  """What a file says of its image.

  Attributes:
    width, height: pixels of the whole image, turned as it is shown; 0 where it was not read.
    mode: as Pillow calls it, such as L, RGB, P and I;16; of DICOM and arrays L or RGB.
    kind: of the file, as Pillow calls it, or DICOM; '' of arrays in a container.
  """

  width: int = 0
  height: int = 0
  mode: str = ''
  kind: str = ''


UNREAD = Header()


def metadata(headers: Iterable[Header]) -> dict[str, list[str]]:
  """Returns name → what each header says in words, '' where the image was not read."""
  headers = list(headers)
  return {
    'size of the file': [f'{h.width} × {h.height}' if h.width else '' for h in headers],
    'colour mode': [h.mode for h in headers],
    'kind of file': [h.kind for h in headers],
  }

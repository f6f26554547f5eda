"""Images that lie decoded in a file, mapped into memory."""

import dataclasses
import functools
import os

import numpy as np


@dataclasses.dataclass(frozen=True)
class MappedImages:
  """Some images of a .npy file, in an order of their own; small enough to be sent to workers.

  Attributes:
    path: of the file, uint8[N, size, size, channels].
    rows: int64[M], of the array there.
  """

  path: str
  rows: np.ndarray

  def read_into(self, batch: np.ndarray, positions: np.ndarray) -> None:
    """Copies the images at these positions to the beginning of a batch."""
    pixels = _map(self.path, os.stat(self.path).st_mtime_ns)
    for place, row in enumerate(self.rows[positions]):
      batch[place] = pixels[row]


@functools.lru_cache(8)
def _map(path: str, modified: int) -> np.ndarray:
  del modified  # A file made anew is mapped anew.
  return np.load(path, mmap_mode='r')

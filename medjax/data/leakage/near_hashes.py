"""Hashes of 64 bits that differ in few of them, found without comparing each with each."""

from collections.abc import Iterator

import numpy as np

RADIUS = 7  # bits in which hashes may differ: below 8, one byte at least is equal
_BLOCK = 2**22  # comparisons at once


def search(
  hashed: np.ndarray, queries: np.ndarray, radius: int = RADIUS
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields (i, j): every pair i ≠ j once whose queries[i] and hashed[j] are near.

  Near are hashes that differ in `radius` bits at most.
  Hashes that differ in fewer than 8 bits are equal in one of their 8 bytes, so that only images
  that share a byte are compared (multi-index hashing: Norouzi, Punjani & Fleet 2012, CVPR).

  Args:
    hashed, queries: u64[N], of the same images.
    radius: 0 to 7.
  """
  if not 0 <= radius < 8:
    raise ValueError(f'radius={radius}: must be 0 to 7')
  for band in range(8):
    byte = ((hashed >> np.uint64(8 * band)) & np.uint64(255)).astype(np.uint8)
    asked = ((queries >> np.uint64(8 * band)) & np.uint64(255)).astype(np.uint8)
    order, asking = np.argsort(byte, kind='stable'), np.argsort(asked, kind='stable')
    values = np.arange(257)
    starts = np.searchsorted(byte[order], values)
    asked_starts = np.searchsorted(asked[asking], values)
    for value in range(256):
      members = order[starts[value] : starts[value + 1]]
      rows = asking[asked_starts[value] : asked_starts[value + 1]]
      step = max(1, _BLOCK // max(1, len(members)))
      for first in range(0, len(rows) if len(members) else 0, step):
        some = rows[first : first + step]
        differing = queries[some][:, None] ^ hashed[members]
        row, column = np.nonzero(np.bitwise_count(differing) <= radius)
        # A pair that shares several bytes is taken at the first of them.
        earlier = np.zeros(len(row), bool)
        for before in range(band):
          earlier |= (differing[row, column] >> np.uint64(8 * before)) & np.uint64(255) == 0
        i, j = some[row], members[column]
        kept = ~earlier & (i != j)
        if kept.any():
          yield i[kept], j[kept]

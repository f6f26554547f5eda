"""Hashes of 64 bits that differ in few of them, found without comparing each with each."""

from collections.abc import Iterator

import numpy as np

RADIUS = 7  # bits in which hashes may differ: below 8, a quarter at least differs in one at most
_PARTS, _WIDTH = 4, 16  # bits of a part
_BLOCK = 2**20  # comparisons at once, which a processor's cache holds


def search(
  hashed: np.ndarray, queries: np.ndarray, radius: int = RADIUS
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields (i, j): every pair i ≠ j once whose queries[i] and hashed[j] are near.

  Near are hashes that differ in `radius` bits at most.
  Hashes that differ in fewer than 8 bits differ in at most one bit of one of their four quarters.
  So an image is compared with those alone whose quarter is its own or differs in one bit
  (multi-index hashing: Norouzi, Punjani & Fleet 2012, CVPR): of a million hashes of even bits with
  some 260 in each quarter. Bits that most images share tell little: each quarter has as many.

  Args:
    hashed, queries: u64[N], of the same images.
    radius: 0 to 7.
  """
  if not 0 <= radius < 8:
    raise ValueError(f'radius={radius}: must be 0 to 7')
  parts = _even_parts(hashed)
  for number, part in enumerate(parts):
    key, asked = _bits(hashed, part), _bits(queries, part)
    order, asking = np.argsort(key, kind='stable'), np.argsort(asked, kind='stable')
    starts = np.searchsorted(key[order], np.arange(2**_WIDTH + 1))
    members, questions = hashed[order], queries[asking]
    for flipped in (0, *(1 << bit for bit in range(_WIDTH))):
      bucket = asked[asking] ^ flipped
      first, count = starts[bucket], starts[bucket + 1] - starts[bucket]
      for rows, columns in _pairs(first, count):
        differing = questions[rows] ^ members[columns]
        near = np.flatnonzero(np.bitwise_count(differing) <= radius)
        differing = differing[near]
        # A pair that is near in several quarters is taken at the first of them.
        earlier = np.zeros(len(near), bool)
        for before in parts[:number]:
          earlier |= np.bitwise_count(_bits(differing, before)) <= 1
        i, j = asking[rows[near]], order[columns[near]]
        kept = ~earlier & (i != j)
        if kept.any():
          yield i[kept], j[kept]


def _even_parts(hashes: np.ndarray) -> list[np.ndarray]:
  """Returns which bits make each quarter, int64[_WIDTH]: dealt in turn, the most telling first."""
  places = np.arange(_PARTS * _WIDTH, dtype=np.uint64)
  shares = np.array([((hashes >> place) & np.uint64(1)).mean() for place in places])
  order = np.argsort(np.abs(shares - 0.5), kind='stable')
  return [order[part::_PARTS] for part in range(_PARTS)]


def _bits(hashes: np.ndarray, places: np.ndarray) -> np.ndarray:
  """Returns these bits of u64[N], one beside the other, int64[N]."""
  result = np.zeros(len(hashes), np.int64)
  for bit, place in enumerate(places):
    result |= ((hashes >> np.uint64(place)) & np.uint64(1)).astype(np.int64) << bit
  return result


def _pairs(first: np.ndarray, count: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields each row r with the columns first[r] … first[r] + count[r] - 1, some rows at once."""
  ends = np.cumsum(count)
  start = 0
  while start < len(count):
    before = ends[start] - count[start]
    stop = max(int(np.searchsorted(ends, before + _BLOCK, side='right')), start + 1)
    counts = count[start:stop]
    rows = np.repeat(np.arange(start, stop), counts)
    offset = first[start:stop] - (ends[start:stop] - counts - before)
    yield rows, np.arange(len(rows)) + np.repeat(offset, counts)
    start = stop

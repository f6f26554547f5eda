"""Drawing patients: a test set with a floor of positives, and a validation set that resembles it.

Pure functions of bool[patients, L], whether a patient is positive for a label, and of one random
order of the patients; `medjax.data.split.by_patient.make` says what they are for.
"""

import numpy as np

from medjax.errors import InputError


def draw_test(
  positive: np.ndarray, pool: np.ndarray, rank: np.ndarray, size: int, floors: dict[int, int]
) -> np.ndarray:
  """Returns bool[patients]: `size` patients of the pool, with the floors met.

  Args:
    positive: bool[patients, L].
    pool: bool[patients], who may be drawn.
    rank: int[patients], each patient's place in the random order.
    size: how many to draw.
    floors: column of a label → how many must be positive for it.

  Raises:
    InputError: the floors together need more patients than `size`.
  """
  chosen = np.zeros(len(rank), bool)
  for column in sorted(floors, key=lambda column: positive[pool, column].sum()):
    short = floors[column] - int((chosen & positive[:, column]).sum())
    _take_first(chosen, positive[:, column] & pool & ~chosen, rank, max(short, 0))
  if chosen.sum() > size:
    columns = list(floors)
    chosen = _cover(positive[:, columns], pool, rank, np.array([floors[c] for c in columns]))
  if chosen.sum() > size:
    raise InputError(
      f'config.split.test_floor: the floors together take {int(chosen.sum())} patients, even with '
      f'patients positive for several labels taken first; the test set has {size}: lower the '
      'floors, or enlarge config.split.test'
    )
  _take_first(chosen, pool & ~chosen, rank, size - int(chosen.sum()))
  return chosen


def _take_first(chosen: np.ndarray, candidates: np.ndarray, rank: np.ndarray, count: int) -> None:
  """Adds to `chosen`, in place, the first `count` candidates in the random order."""
  patients = np.flatnonzero(candidates)
  chosen[patients[np.argsort(rank[patients])][:count]] = True


def _cover(
  positive: np.ndarray, pool: np.ndarray, rank: np.ndarray, needs: np.ndarray
) -> np.ndarray:
  """Meets all needs with few patients: whoever adds most to what is still needed comes first.

  Greedy, for the fewest is a hard problem (set multicover); seldom more than one patient off.
  """
  patterns, which = _patterns(positive)
  available = np.bincount(which[pool], minlength=len(patterns))
  take, left = np.zeros(len(patterns), np.int64), needs.copy()
  while (left > 0).any():
    gain = (patterns @ np.maximum(left, 0)) * (take < available)
    best = int(np.argmax(gain))
    take[best] += 1
    left -= patterns[best]
  return _take_by_pattern(which, pool, rank, take)


def draw_validation(
  positive: np.ndarray, like: np.ndarray, pool: np.ndarray, rank: np.ndarray, size: int
) -> tuple[np.ndarray, int, np.ndarray]:
  """Draws `size` patients of the pool that resemble others, such as the test set's.

  Args:
    positive: bool[patients, L].
    like: bool[patients], whom to resemble.
    pool: bool[patients], who may be drawn.
    rank: int[patients], each patient's place in the random order.
    size: how many to draw.

  Returns:
    bool[patients]; how many of them stand in for a pattern that ran out; and bool[L], the labels of
    which there are too few to match them.
  """
  patterns, which = _patterns(positive)
  wanted = _quotas(patterns, np.bincount(which[like], minlength=len(patterns)), size)
  available = np.bincount(which[pool], minlength=len(patterns))
  positives = available @ patterns
  half = np.floor(positives * max(0.5, size / pool.sum())).astype(np.int64)
  # Where a label is rationed, all its patterns give up the same fraction.
  fraction = np.minimum(1, half / np.maximum(wanted @ patterns, 1))
  fraction = np.where(patterns, fraction, 1).min(axis=1, initial=1)
  take = np.minimum(np.floor(wanted * fraction).astype(np.int64), available)
  missing = wanted - take
  # The later limits are for pools in which almost everyone is positive for something.
  for limit in (half, np.maximum(positives - 1, 0), positives):
    _fill(take, missing, wanted, patterns, available, limit)
  stand_ins = int(np.maximum(take - wanted, 0).sum())
  return _take_by_pattern(which, pool, rank, take), stand_ins, wanted @ patterns > half


def _fill(
  take: np.ndarray,
  missing: np.ndarray,
  wanted: np.ndarray,
  patterns: np.ndarray,
  available: np.ndarray,
  limit: np.ndarray,
) -> None:
  """Moves, in place, what is `missing` of each pattern to what to `take` of it or those near it.

  The patterns that differ in the fewest labels come first and, among equals, the one that brings
  each label's total nearest to what is `wanted`. No label gets more than `limit` positives.
  """
  target, taken, pending = (counts @ patterns for counts in (wanted, take, missing))
  for pattern in np.flatnonzero(missing).tolist():
    pending = pending - missing[pattern] * patterns[pattern]
    shells = _shells(patterns, pattern, take < available)
    # One by one, since each changes which label is short.
    while missing[pattern]:
      near = _nearest_free(shells, patterns, available - take, limit - taken)
      if not len(near):
        break
      short = target - taken - pending
      # What is gained in the sum over labels of short ** 2 / target.
      best = near[np.argmax(patterns[near] @ ((2 * short - 1) / np.maximum(target, 1)))]
      take[best] += 1
      missing[pattern] -= 1
      taken = taken + patterns[best]


def _patterns(positive: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the distinct rows of bool[patients, L], and which one each patient has."""
  packed = np.packbits(positive, axis=1)
  _, first, which = np.unique(packed, axis=0, return_index=True, return_inverse=True)
  return positive[first], which.reshape(-1)


def _take_by_pattern(
  which: np.ndarray, pool: np.ndarray, rank: np.ndarray, take: np.ndarray
) -> np.ndarray:
  """Returns bool[patients]: of each pattern k, the first take[k] in the random order."""
  patients = np.flatnonzero(pool)
  patients = patients[np.lexsort((rank[patients], which[patients]))]
  starts = np.searchsorted(which[patients], np.arange(len(take)))
  place = np.arange(len(patients)) - starts[which[patients]]
  chosen = np.zeros(len(which), bool)
  chosen[patients[place < take[which[patients]]]] = True
  return chosen


def _quotas(patterns: np.ndarray, counts: np.ndarray, size: int) -> np.ndarray:
  """Shares `size` among patterns in proportion to `counts`, each share rounded up or down.

  Rounding by largest remainder would leave out the many patterns seen once, and with them most of
  the patients who have several findings. So each share is rounded to whichever side keeps the
  running totals nearest to what they should be: of each label, of no label, and of all.
  """
  shares, rest = np.divmod(counts * size, counts.sum())
  part = rest / counts.sum()
  everyone = np.ones((len(patterns), 1), bool)
  features = np.hstack([patterns, ~patterns.any(axis=1, keepdims=True), everyone]).astype(float)
  weight = 1 / np.maximum((shares + part) @ features, 1)
  up, error = np.zeros(len(patterns), bool), np.zeros(features.shape[1])
  # Many labels first: what they leave, the patterns of few labels can still even out.
  for k in np.argsort(-patterns.sum(axis=1), kind='stable'):
    if rest[k]:
      down = error + part[k] * features[k]
      up[k] = weight @ (down - features[k]) ** 2 < weight @ down**2
      error = down - up[k] * features[k]
  while missing := size - int(shares.sum() + up.sum()):
    step = 1 if missing > 0 else -1
    open_to_change = np.flatnonzero((rest > 0) & (up != (step > 0)))
    costs = (error - step * features[open_to_change]) ** 2 @ weight
    best = open_to_change[np.argmin(costs)]
    up[best] = step > 0
    error = error - step * features[best]
  return shares + up


def _shells(patterns: np.ndarray, pattern: int, candidates: np.ndarray) -> list[np.ndarray]:
  """Returns the candidates, grouped by the number of labels they differ in, ascending."""
  distance = (patterns != patterns[pattern]).sum(axis=1)
  near = np.flatnonzero(candidates)
  near = near[np.argsort(distance[near], kind='stable')]
  return np.split(near, np.flatnonzero(np.diff(distance[near])) + 1)


def _nearest_free(
  shells: list[np.ndarray], patterns: np.ndarray, spare: np.ndarray, room: np.ndarray
) -> np.ndarray:
  """Returns the patterns that can be taken once more, of the first shell that has any."""
  for shell in shells:
    full = (patterns[shell] & (room <= 0)).any(axis=1) | (spare[shell] <= 0)
    if not full.all():
      return shell[~full]
  return np.zeros(0, np.int64)

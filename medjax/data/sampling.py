"""Re-sampling as index streams: which images an epoch shows, and in which order.

No image is copied: a mode turns the training rows into a sequence of row numbers, a function of the
seed and the epoch alone. The modes:

- 'none': every image once.
- 'oversample': every image of the larger class once, those of the smaller one repeated to the same
  number, each equally often (+-1).
- 'undersample': every image of the smaller class, and as many of the larger one, drawn anew each
  epoch without replacement.
- 'balanced': as long as 'none', half positives and half negatives.
- 'class_aware': as long as 'none', for many labels: class-aware sampling (Shen, Lin and Huang 2016,
  "Relay Backpropagation for Effective Learning of Deep Convolutional Neural Networks", ECCV,
  section 3.3). The classes are the labels that have positives, and 'none of them'. Each class is
  drawn equally often, and each draw takes the next image of its class. In the paper an image has
  one class. Here it may be positive for several labels: drawn for one, it is seen for all, so a
  common label that goes with rare ones still comes up more often than its share of the draws.

The middle three need one label, `label`, and leave out the rows where it is masked. 'class_aware'
leaves out the rows that are masked altogether. A soft label counts as positive above 0.5. In
'balanced' and 'class_aware' the classes take turns, in a shuffled order each round, and so do the
images of a class: none comes again before all others have, across epochs too.

Where images are of several sets, a mixture may say each set's share of what is shown, with mode
'none'. An epoch is then still as long as there are images, each set has its share of it to within
one image, spread evenly over it, and a set's images take turns as those of a class do. A set with
less than its share of the images is thus over-sampled, one with more takes more epochs to be seen
whole.
"""

import threading
from collections.abc import Mapping, Sequence

import numpy as np

from medjax.errors import InputError, check_option

ONE_LABEL_MODES = ('oversample', 'undersample', 'balanced')
MODES = ('none', *ONE_LABEL_MODES, 'class_aware')
# Shuffles of a short list are made many at a time: 64 Ki numbers, about a millisecond.
_BLOCK = 1 << 16
_EPOCH_KEY, _TURN_KEY, _IMAGE_KEY, _SET_KEY = range(4)


class IndexStream:
  """The endless concatenation of epochs, read at any position.

  Threads may share a stream, and it can be pickled for other processes. It keeps the orders of the
  two epochs asked for last, since a batch may lie across both.
  """

  def __init__(
    self,
    mode: str,
    values: np.ndarray,
    mask: np.ndarray,
    *,
    seed: int,
    label: str | int | None = None,
    labels: Sequence[str] = (),
    sets: Sequence[str] = (),
    mixture: Mapping[str, float] | None = None,
  ):
    """Makes the stream of one run; the same arguments give the same indices.

    Args:
      mode: one of MODES.
      values: f32[N, L] in [0, 1], the training rows' labels.
      mask: f32[N, L], 0 where the label is unknown.
      seed: 0 or more.
      label: the label that 'oversample', 'undersample' and 'balanced' go by, as a name in `labels`
        or a column number. It may be left out (None or '') if there is only one.
      labels: the L names.
      sets: str[N], the set of each image; only a mixture asks for it.
      mixture: set → its share, 0 or more, of what is shown; shares are divided by their sum. None
        and {} mix nothing.

    Raises:
      InputError: an unknown mode or label, no label where one is needed, a class without images.
    """
    check_option('config.sampling.name', mode, MODES)
    if seed < 0:
      raise InputError(f'the sampling seed is {seed}; give a whole number, 0 or more')
    self._mode, self._seed = mode, seed
    self._classes = _classes(mode, values, mask, label, labels)
    self.epoch_length = _length(mode, self._classes, len(values))
    self._counts: list[int] = []
    if mixture:
      self._classes, self._counts = _mixture(mode, np.asarray(sets, object), mixture)
    self._lock, self._recent = threading.Lock(), list[tuple[int, np.ndarray]]()

  def epoch(self, epoch: int) -> np.ndarray:
    """Returns the row numbers of one epoch in the order they are shown, int64[epoch_length].

    The array is not to be written to. `epoch` is 0 or more.
    """
    with self._lock:
      for number, order in self._recent:
        if number == epoch:
          return order
      if self._counts:
        order = _mixed(self._classes, self._counts, self._seed, epoch)
      else:
        order = _order(self._mode, self._classes, self.epoch_length, self._seed, epoch)
      order.flags.writeable = False
      self._recent = [*self._recent[-1:], (epoch, order)]
      return order

  def batch(self, number: int, batch_size: int) -> np.ndarray:
    """Returns the row numbers at positions [number * B, (number + 1) * B), int64[B]."""
    epoch, start = divmod(number * batch_size, self.epoch_length)
    parts, missing = [], batch_size
    while missing:
      parts.append(self.epoch(epoch)[start : start + missing])
      missing -= len(parts[-1])
      epoch, start = epoch + 1, 0
    return np.concatenate(parts) if parts else np.zeros(0, np.int64)

  def __getstate__(self) -> dict:
    return {name: value for name, value in vars(self).items() if name not in ('_lock', '_recent')}

  def __setstate__(self, state: dict) -> None:
    vars(self).update(state, _lock=threading.Lock(), _recent=[])


def _classes(
  mode: str,
  values: np.ndarray,
  mask: np.ndarray,
  label: str | int | None,
  labels: Sequence[str],
) -> list[np.ndarray]:
  """Returns the row numbers of each class that takes turns, int64[n] each, none empty."""
  if not len(values):
    raise InputError('there are no training images; check the split and its filters')
  if mode == 'none':
    return [np.arange(len(values))]
  known = mask > 0
  positive = known & (values > 0.5)
  if mode == 'class_aware':
    none_of_them = known.any(axis=1) & ~positive.any(axis=1)
    flags = [*positive.T, none_of_them]
    classes = [rows for rows in map(np.flatnonzero, flags) if len(rows)]
    if not classes:
      raise InputError(
        "config.sampling.name is 'class_aware', but no training image has a known label"
      )
    return classes
  column = _column(mode, label, labels, values.shape[1])
  negative = known & ~positive
  classes = [np.flatnonzero(flags[:, column]) for flags in (negative, positive)]
  name = f"'{labels[column]}'" if len(labels) else f'number {column}'
  for rows, sign in zip(classes, ('negative', 'positive')):
    if not len(rows):
      raise InputError(
        f"config.sampling.name is '{mode}', but no training image is {sign} for label {name}; "
        "choose another config.sampling.label, or config.sampling.name='none'"
      )
  return classes


def _column(mode: str, label: str | int | None, labels: Sequence[str], columns: int) -> int:
  """Returns the column of the label to go by."""
  if label is None or label == '':
    if columns == 1:
      return 0
    allowed = f': one of {", ".join(labels)}' if len(labels) else ''
    raise InputError(
      f"config.sampling.name='{mode}' goes by one label; name it in config.sampling.label{allowed}"
    )
  if isinstance(label, str):
    check_option('config.sampling.label', label, labels)
    return list(labels).index(label)
  if not 0 <= label < columns:
    raise InputError(f'config.sampling.label is column {label}; there are {columns}, from 0')
  return int(label)


def _length(mode: str, classes: list[np.ndarray], images: int) -> int:
  sizes = [len(rows) for rows in classes]
  return {'oversample': 2 * max(sizes), 'undersample': 2 * min(sizes)}.get(mode, images)


def _order(mode: str, classes: list[np.ndarray], length: int, seed: int, epoch: int) -> np.ndarray:
  """Returns the row numbers of one epoch, int64[length]."""
  if mode not in ('oversample', 'undersample'):
    return _take_turns(classes, length, seed, epoch)
  rng = np.random.default_rng((seed, _EPOCH_KEY, 0, epoch))
  smaller, larger = sorted(classes, key=len)
  if mode == 'oversample':
    times, more = divmod(len(larger), len(smaller))
    repeated = [np.tile(smaller, times), rng.permutation(smaller)[:more]]
    return rng.permutation(np.concatenate([larger, *repeated]))
  as_many = rng.permutation(larger)[: len(smaller)]
  return rng.permutation(np.concatenate([smaller, as_many]))


def _take_turns(classes: list[np.ndarray], length: int, seed: int, epoch: int) -> np.ndarray:
  """Returns positions [epoch * length, (epoch + 1) * length) of the classes' endless turns."""
  start = epoch * length
  round_start = start - start % len(classes)
  turns = _shuffles(
    np.arange(len(classes)), round_start, start + length - round_start, (seed, _TURN_KEY, 0)
  )
  before, turns = np.split(turns, [start - round_start])
  rounds = round_start // len(classes)
  order = np.empty(length, np.int64)
  for number, rows in enumerate(classes):
    places = np.flatnonzero(turns == number)
    seen = rounds + int(np.count_nonzero(before == number))
    order[places] = _shuffles(rows, seen, len(places), (seed, _IMAGE_KEY, number))
  return order


def _mixture(
  mode: str, sets: np.ndarray, mixture: Mapping[str, float]
) -> tuple[list[np.ndarray], list[int]]:
  """Returns the row numbers of each set, int64[n] each, and how many of them an epoch shows."""
  what = 'config.sampling.mixture'
  if mode != 'none':
    raise InputError(f"{what} goes with config.sampling.name='none' alone, not with '{mode}'")
  names = list(dict.fromkeys(sets))
  if not names:
    raise InputError(f"{what} needs a study table of several sets: config.data.source='several'")
  for name, share in mixture.items():
    check_option(f'{what}: the set', name, names)
    if isinstance(share, bool) or not isinstance(share, int | float) or not 0 <= share < np.inf:
      raise InputError(f"{what}['{name}']={share!r}: must be a share, a number of 0 or more")
  for name in names:
    if name not in mixture:
      raise InputError(
        f"{what} says nothing of the set '{name}'; give its share, 0 to leave it out of training"
      )
  shares = np.array([mixture[name] for name in names], np.float64)
  if not shares.sum() > 0:
    raise InputError(f'{what}: all shares are 0; at least one set must be shown')
  exact = len(sets) * shares / shares.sum()
  counts = np.floor(exact).astype(int)
  # The images that rounding down leaves over go to the sets with the largest remainders.
  counts[np.argsort(counts - exact, kind='stable')[: len(sets) - counts.sum()]] += 1
  return [np.flatnonzero(sets == name) for name in names], counts.tolist()


def _mixed(sets: list[np.ndarray], counts: list[int], seed: int, epoch: int) -> np.ndarray:
  """Returns the row numbers of one epoch, int64[sum(counts)]."""
  rng = np.random.default_rng((seed, _SET_KEY, 0, epoch))
  # One image of a set falls at random into each of as many equal parts of the epoch as it has
  # images.
  places = [(np.arange(count) + rng.random(count)) / max(count, 1) for count in counts]
  rows = [
    _shuffles(rows, epoch * count, count, (seed, _IMAGE_KEY, number))
    for number, (rows, count) in enumerate(zip(sets, counts))
  ]
  return np.concatenate(rows)[np.argsort(np.concatenate(places), kind='stable')]


def _shuffles(rows: np.ndarray, start: int, count: int, key: tuple[int, int, int]) -> np.ndarray:
  """Returns positions [start, start + count) of an endless row of shuffles of `rows`."""
  if not count:
    return rows[:0]
  repeats = max(1, _BLOCK // len(rows))
  size = repeats * len(rows)
  first, last = start // size, (start + count - 1) // size
  blocks = [
    np.random.default_rng((*key, block)).permuted(np.tile(rows, (repeats, 1)), axis=1).ravel()
    for block in range(first, last + 1)
  ]
  return np.concatenate(blocks)[start - first * size :][:count]

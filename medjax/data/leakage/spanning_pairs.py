"""Of all pairs that show the same those that tell it: about as many as images, not their square."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

_HELD = 2**20  # pairs, before those that tell nothing new are let go


class SpanningPairs:
  """Pairs of images that come in any number and order, of which few are kept.

  Kept is a spanning tree of what they connect, of the most alike (Kruskal 1956); and where it tells
  less of an image than all its pairs would, the most alike of those that tell it: one with an
  image of another value of `apart`, and one of the kind `rare`.

  Args:
    apart: f64[C, N], C properties of N images that must not be lost sight of, NaN where not known.
    rare: a kind of which every image keeps a pair, and which a pair of several kinds is said to be.
  """

  def __init__(self, apart: np.ndarray, rare: str):
    self._apart = apart
    self._kinds, self._held = [rare], _table([], [], [], [])
    self._new: list[pd.DataFrame] = []
    self._count = 0  # of the new

  def add(self, a: np.ndarray, b: np.ndarray, kind: str, correlation: np.ndarray) -> None:
    """Takes pairs: positions a < b, what they are, and how much alike.

    Of a pair that comes twice the more alike is kept, of equals the first.
    """
    if not len(a):
      return
    if kind not in self._kinds:
      self._kinds.append(kind)
    self._new.append(_table(a, b, np.full(len(a), self._kinds.index(kind)), correlation))
    self._count += len(a)
    if self._count > max(_HELD, 8 * len(self._held)):
      self._held, _ = self._reduced()

  def result(self) -> pd.DataFrame:
    """Returns the pairs kept, in their order: `a`, `b`, `kind` and `correlation`."""
    pairs, tells_more = self._reduced()
    pairs = pairs[tells_more].sort_values(['a', 'b'], ignore_index=True)
    pairs['kind'] = np.array(self._kinds, object)[pairs['kind']]
    return pairs

  def _reduced(self) -> tuple[pd.DataFrame, np.ndarray]:
    """Returns the pairs that may be kept, and bool, which are."""
    pairs = pd.concat([self._held, *self._new], ignore_index=True)
    self._new, self._count = [], 0
    # Equal but for rounding: of a picture that is its own mirror image the first says enough.
    alike = -pairs['correlation'].round(5)
    best = np.lexsort((alike, pairs['kind'] != 0))
    pairs = pairs.iloc[best].drop_duplicates(['a', 'b'])
    pairs = pairs.iloc[np.argsort(alike[pairs.index], kind='stable')].reset_index(drop=True)
    a, b = pairs['a'].to_numpy(), pairs['b'].to_numpy()
    in_tree = _tree(a, b, self._apart.shape[1])
    may_tell, tells = in_tree.copy(), in_tree.copy()
    for crosses in (*self._differ(a, b), pairs['kind'].to_numpy() == 0):
      nearest = _nearest(a, b, crosses, self._apart.shape[1])
      asked = nearest < len(pairs)
      may_tell[nearest[asked]] = True
      for end in (a, b):
        asked[end[crosses & in_tree]] = False
      tells[nearest[asked]] = True
    return pairs[may_tell], tells[may_tell]

  def _differ(self, a: np.ndarray, b: np.ndarray) -> Sequence[np.ndarray]:
    return [(values[a] < values[b]) | (values[a] > values[b]) for values in self._apart]


def groups(pairs: pd.DataFrame, count: int) -> np.ndarray:
  """Returns the group of each of `count` images, int64, -1 of those in no pair.

  Groups are numbered by their first image; what pairs connect, directly or not, is one group.
  """
  parent = np.arange(count)

  def root(image: int) -> int:
    while parent[image] != image:
      parent[image] = parent[parent[image]]
      image = parent[image]
    return image

  for a, b in zip(pairs['a'], pairs['b']):
    low, high = sorted((root(a), root(b)))
    parent[high] = low
  paired = np.unique(pairs[['a', 'b']].to_numpy())
  result = np.full(count, -1)
  if len(paired):
    result[paired] = np.unique([root(image) for image in paired], return_inverse=True)[1]
  return result


def _table(a, b, kind, correlation) -> pd.DataFrame:
  return pd.DataFrame(
    {
      'a': np.asarray(a, np.int64),
      'b': np.asarray(b, np.int64),
      'kind': np.asarray(kind, np.int8),
      'correlation': np.asarray(correlation, np.float64),
    }
  )


def _tree(a: np.ndarray, b: np.ndarray, count: int) -> np.ndarray:
  """Returns bool, which of distinct pairs make a spanning forest, earlier ones preferred."""
  from scipy.sparse import coo_array, csgraph  # They take long to import, and most need them not.

  order = np.arange(1, len(a) + 1, dtype=np.float64)
  forest = csgraph.minimum_spanning_tree(coo_array((order, (a, b)), (count, count)).tocsr())
  result = np.zeros(len(a), bool)
  result[forest.data.astype(np.int64) - 1] = True
  return result


def _nearest(a: np.ndarray, b: np.ndarray, some: np.ndarray, count: int) -> np.ndarray:
  """Returns the first pair among `some` that each image is in, int64[count]; len(a) for none."""
  result = np.full((2, count), len(a))
  backwards = np.flatnonzero(some)[::-1]  # What is assigned last stays.
  for row, end in zip(result, (a, b)):
    row[end[backwards]] = backwards
  return result.min(axis=0)

"""The same picture under two names: identical files or pixels, saved anew, turned, inverted.

Near-duplicates are found by a perceptual hash and confirmed by correlation. The hash is pHash
(Zauner 2010, "Implementation and benchmarking of perceptual image hash functions", as the package
imagehash computes it): a grey thumbnail of 32 × 32 pixels, its discrete cosine transform, and for
each of the 8 × 8 lowest coefficients whether it is above their median. Re-encoding and resizing
change few of the 64 bits. A mirror image has the same coefficients with every other column negated,
a picture upside down with every other row, one turned on its side has them transposed, and inverted
greys negate all but their mean: so none of them needs a thumbnail of its own. Red and blue weigh
differently in a grey, so a picture in colour has a second thumbnail with the two exchanged.

Images of one kind look alike: half of all pairs of chest X-rays correlate above 0.6. So the
correlation leaves out the lowest coefficients, in which any two such images agree: light and
outline.
"""

import concurrent.futures
import hashlib
import os
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from medjax.data.images import decoding
from medjax.data.images.headers import UNREAD, Header
from medjax.data.leakage import near_hashes
from medjax.data.leakage.spanning_pairs import SpanningPairs
from medjax.errors import InputError
from medjax.runtime import remote, storage

SIZE = 32  # pixels of a thumbnail's side
# Correlation of a copy saved anew at any size and JPEG quality 30 or more: 0.990 and above. Of
# films of two patients, half a million pairs of chest X-rays: 0.917 and below; of one patient:
# 0.964.
SAME = 0.97
LEAST_DETAIL = 2.0  # grey levels, root mean square: plainer pictures have no detail to compare
LEAST_SHIFT = 1.0  # grey levels that exchanging red and blue changes a picture in colour by
EXCHANGED, GREY = 'red and blue exchanged', 'in grey'  # of pairs, beside the relations
_EXCHANGED = (0.114, 0.587, 0.299, 0.0)  # grey of red, green and blue, had they been read as BGR
# Coefficients a side: in the hash, kept at all, left out as outline.
_HASHED, _KEPT, _OUTLINE = 8, 16, 5
_FREQUENCY = np.arange(_KEPT)[:, None]
_COSINES = 2 * np.cos(np.pi * _FREQUENCY * (2 * np.arange(SIZE) + 1) / (2 * SIZE))
_WHITE = 4 * 255 * SIZE**2  # the first coefficient of a white thumbnail


class Relation(NamedTuple):
  """How one picture is made of another: turned over its diagonal, then flipped, then inverted.

  Attributes:
    kind: in words.
    transposed: rows become columns.
    flipped: top to bottom, left to right.
    inverted: black becomes white.
  """

  kind: str
  transposed: bool
  flipped: tuple[bool, bool]
  inverted: bool


# The eight symmetries of the square. The two quarter turns bear one name, and so do their mirror
# images.
_SYMMETRIES = {
  (False, False, False): '',
  (False, False, True): 'mirrored',
  (False, True, False): 'flipped top to bottom',
  (False, True, True): 'turned by 180°',
  (True, False, True): 'turned by 90°',
  (True, True, False): 'turned by 90°',
  (True, False, False): 'turned by 90° and mirrored',
  (True, True, True): 'turned by 90° and mirrored',
}
RELATIONS = tuple(
  Relation(
    ', '.join(filter(None, (words, added))) or 'near', transposed, (down, across), bool(added)
  )
  for added in ('', 'inverted')
  for (transposed, down, across), words in _SYMMETRIES.items()
)


class Looks(NamedTuple):
  """What is kept of N images after one look at each.

  Attributes:
    files: str[N], BLAKE2b of the file, '' of an image that is one of many in its file.
    pixels: str[N], BLAKE2b of size and decoded pixels, '' where `broken`.
    thumbnails: uint8[N, SIZE, SIZE], grey, whatever the aspect ratio was.
    headers: N, what the files say.
    broken: {position: reason} of those that cannot be read.
    exchanged: uint8[N, SIZE, SIZE], as the thumbnails, of the pictures with red and blue exchanged;
      read only of those in colour.
    colours: f32[N, 3], mean red, green and blue.
    coloured: bool[N], whether red and blue differ at all but for what encoding does.
  """

  files: np.ndarray
  pixels: np.ndarray
  thumbnails: np.ndarray
  headers: list[Header]
  broken: dict[int, str]
  exchanged: np.ndarray
  colours: np.ndarray
  coloured: np.ndarray


def look(
  paths: Sequence[str],
  intensity: str | Sequence[str] = 'file',
  threads: int | None = None,
  progress: Callable[[int], None] = lambda done: None,
  on_broken: Callable[[int], None] = lambda position: None,
) -> Looks:
  """Reads and decodes every file once, in full; `progress` is given the number done.

  `intensity` is of deep greys, one for all or one for each file, see `images.decode`. `on_broken`
  is given the position of each file that cannot be read; what it raises ends the look.
  """
  intensities = [intensity] * len(paths) if isinstance(intensity, str) else intensity
  result = Looks(
    files=np.full(len(paths), '', object),
    pixels=np.full(len(paths), '', object),
    thumbnails=np.zeros((len(paths), SIZE, SIZE), np.uint8),
    headers=[UNREAD] * len(paths),
    broken={},
    exchanged=np.zeros((len(paths), SIZE, SIZE), np.uint8),
    colours=np.zeros((len(paths), 3), np.float32),
    coloured=np.zeros(len(paths), bool),
  )

  def one(position: int) -> None:
    path = paths[position]
    try:
      with remote.held(path):
        if remote.is_file(path):
          result.files[position] = storage.read_again(lambda: _digest_of_file(path))
        shown = decoding.whole_with_header(path, intensities[position])
      picture, result.headers[position] = shown
    except (InputError, OSError) as error:
      if storage.is_gone(error):
        raise
      result.broken[position] = str(error)
      on_broken(position)
      return
    about = f'{picture.size} {picture.mode} '.encode()
    result.pixels[position] = _digest(about + picture.tobytes()).hexdigest()
    result.thumbnails[position] = thumbnail = _thumbnail(picture)
    small = np.asarray(picture.convert('RGB').resize((SIZE, SIZE), Image.Resampling.BOX))
    result.colours[position] = small.mean(axis=(0, 1))
    if picture.mode == 'RGB':
      exchanged = _thumbnail(picture, _EXCHANGED)
      shift = np.abs(exchanged.astype(int) - thumbnail).mean()
      result.coloured[position] = shift >= LEAST_SHIFT
      if shift >= LEAST_SHIFT:
        result.exchanged[position] = exchanged

  with concurrent.futures.ThreadPoolExecutor(threads or os.cpu_count()) as pool:
    for done in range(0, len(paths), 1000):
      list(pool.map(one, range(done, min(done + 1000, len(paths)))))
      progress(min(done + 1000, len(paths)))
  return result


def _digest_of_file(path: str) -> str:
  with remote.opened(path) as file:
    return hashlib.file_digest(file, _digest).hexdigest()


def _digest(content: bytes = b'') -> hashlib.blake2b:
  return hashlib.blake2b(content, digest_size=16)


def _thumbnail(
  picture: Image.Image, weights: tuple[float, float, float, float] | None = None
) -> np.ndarray:
  grey = picture.convert('L') if weights is None else picture.convert('L', weights)
  return np.asarray(grey.resize((SIZE, SIZE), Image.Resampling.LANCZOS))


def hashes(thumbnails: np.ndarray) -> np.ndarray:
  """Returns the pHash of each thumbnail as each relation shows it, u64[len(RELATIONS), N].

  The first bit, row by row from the lowest frequency, is the highest of the number.
  """
  result = np.zeros((len(RELATIONS), len(thumbnails)), np.uint64)
  for block, coefficients in _transformed(thumbnails):
    for into, relation in zip(result, RELATIONS):
      lowest = _related(coefficients[:, :_HASHED, :_HASHED], relation)
      lowest[:, 0, 0] += _WHITE if relation.inverted else 0
      lowest = lowest.reshape(-1, _HASHED**2)
      bits = lowest > np.median(lowest, axis=1, keepdims=True)
      into[block] = np.packbits(bits, axis=1).view('>u8')[:, 0]
  return result


def _related(coefficients: np.ndarray, relation: Relation) -> np.ndarray:
  """Returns the coefficients [N, K, K] of related pictures, but for the mean of those inverted."""
  alternating = (-1) ** np.arange(coefficients.shape[-1])
  down, across = (alternating if flip else np.abs(alternating) for flip in relation.flipped)
  signs = (down[:, None] * across * (-1 if relation.inverted else 1)).astype(coefficients.dtype)
  return (coefficients.swapaxes(1, 2) if relation.transposed else coefficients) * signs


def details(thumbnails: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns vectors f32[N, 256] of length 1, whose products are correlations; and their strength.

  The strength f64[N] is the root mean square of what the vector describes, in grey levels. The
  vector of a picture without any is zero.
  """
  vectors = np.zeros((len(thumbnails), _KEPT * _KEPT), np.float32)
  for block, coefficients in _transformed(thumbnails):
    coefficients[:, 0] /= np.sqrt(2)  # to the orthonormal transform, in which lengths are kept
    coefficients[:, :, 0] /= np.sqrt(2)
    coefficients[:, :_OUTLINE, :_OUTLINE] = 0
    vectors[block] = coefficients.reshape(len(coefficients), -1) / (2 * SIZE)
  lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
  np.divide(vectors, lengths[:, None], out=vectors, where=lengths[:, None] > 0)
  return vectors, lengths / SIZE


def _transformed(thumbnails: np.ndarray) -> Iterator[tuple[slice, np.ndarray]]:
  for start in range(0, len(thumbnails), 4096):
    block = slice(start, start + 4096)
    yield block, _COSINES @ thumbnails[block].astype(np.float64) @ _COSINES.T


def find(looks: Looks, apart: np.ndarray | None = None) -> pd.DataFrame:
  """Returns pairs of images that show the same, one row each: those that tell what all would.

  Of k images that show the same, k - 1 pairs connect them, the most alike. Further ones are there
  where these would hide something: for every image the most alike one of another value of `apart`,
  and the most alike one with red and blue exchanged, where it is alike enough itself.

  Args:
    looks: at N images.
    apart: f64[C, N], C properties of them by which pairs must be told apart, such as the side of a
      split; NaN where not known.

  Returns:
    The columns `a` and `b`, positions, a < b; `kind`: 'file' (identical files), 'pixels' (identical
    once decoded), that of a relation, `EXCHANGED` or `GREY`; `correlation`, of details, 1 for the
    first two. A pair that is alike in several ways is listed as it is most alike.
  """
  if apart is None:
    apart = np.empty((0, len(looks.pixels)))
  usable = np.flatnonzero(looks.pixels != '')
  identical = np.full(len(looks.pixels), -1)
  identical[usable], _ = pd.factorize(looks.pixels[usable])
  pairs = SpanningPairs(apart, rare=EXCHANGED)
  for a, b in _identical(usable, identical[usable], apart):
    same_file = (looks.files[a] == looks.files[b]) & (looks.files[a] != '')
    for kind, some in (('file', same_file), ('pixels', ~same_file)):
      pairs.add(a[some], b[some], kind, np.ones(some.sum()))
  # Of identical images of equal properties one is compared with the others.
  known = np.nan_to_num(apart[:, usable], nan=-np.inf)
  _, first = np.unique(np.vstack([identical[usable], known]), axis=1, return_index=True)
  for a, b, kind, correlation in _near(usable[np.sort(first)], looks):
    some = identical[a] != identical[b]
    pairs.add(a[some], b[some], kind, correlation[some])
  table = pairs.result()
  one_is_grey = looks.coloured[table['a']] != looks.coloured[table['b']]
  table.loc[one_is_grey & (table['kind'] == 'near'), 'kind'] = GREY
  return table


def _identical(
  rows: np.ndarray, group: np.ndarray, apart: np.ndarray
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields pairs a < b of identical images: each with the next, and with one of another property.

  Args:
    rows: int64[M], positions, rising.
    group: int64[M], the same for identical images.
    apart: f64[C, N], by position.
  """
  order = rows[np.argsort(group, kind='stable')]
  same = np.diff(np.sort(group)) == 0
  yield order[:-1][same], order[1:][same]
  for values in apart:
    images = pd.DataFrame({'row': rows, 'group': group, 'value': values[rows]}).dropna()
    first = images.drop_duplicates('group').set_index('group')
    is_other = images['value'].to_numpy() != images['group'].map(first['value']).to_numpy()
    other = images[is_other].drop_duplicates('group').set_index('group')
    partner = images['group'].map(first['row']).where(is_other, images['group'].map(other['row']))
    row, partner = (some[partner.notna()].to_numpy(np.int64) for some in (images['row'], partner))
    yield np.minimum(row, partner), np.maximum(row, partner)


def too_plain(looks: Looks) -> np.ndarray:
  """Returns the positions of readable images with too little detail to compare."""
  usable = np.flatnonzero(looks.pixels != '')
  return usable[details(looks.thumbnails[usable])[1] < LEAST_DETAIL]


# Positions a < b, what they are, and how much alike.
Found = tuple[np.ndarray, np.ndarray, str, np.ndarray]


def _near(rows: np.ndarray, looks: Looks) -> Iterator[Found]:
  """Yields the near-duplicates among these positions, identical ones too."""
  thumbnails = looks.thumbnails
  vectors, strength = details(thumbnails[rows])
  rows, vectors = rows[strength >= LEAST_DETAIL], vectors[strength >= LEAST_DETAIL]
  hashed = hashes(thumbnails[rows])
  for relation, queries in zip(RELATIONS, hashed):
    for i, j in _alike(hashed[0], queries):
      # A pair is met from both sides; of turned images maybe from one.
      i, j = (i[i < j], j[i < j]) if relation.kind == 'near' else (i, j)
      turned = _related(vectors[i].reshape(-1, _KEPT, _KEPT), relation)
      correlation = np.einsum('nd,nd->n', turned.reshape(len(i), _KEPT**2), vectors[j])
      yield _found(rows, i, j, relation.kind, correlation, correlation >= SAME)
  yield from _exchanged(rows, vectors, hashed[0], looks)


def _exchanged(
  rows: np.ndarray, vectors: np.ndarray, hashed: np.ndarray, looks: Looks
) -> Iterator[Found]:
  """Yields pairs of which one shows the other with red and blue exchanged.

  Args:
    rows: int[N], positions among those looked at.
    vectors, hashed: their details f32[N, 256] and hashes u64[N].
    looks: of all.
  """
  coloured = looks.coloured[rows]
  if not coloured.any():
    return
  # Those in grey keep their hash, which is not asked for.
  turned, queries = vectors.copy(), hashed.copy()
  turned[coloured] = details(looks.exchanged[rows[coloured]])[0]
  queries[coloured] = hashes(looks.exchanged[rows[coloured]])[0]
  for i, j in _alike(hashed, queries):
    both = coloured[i] & coloured[j]
    i, j = i[both], j[both]
    correlation, plain = (
      np.einsum('nd,nd->n', first[i], vectors[j]) for first in (turned, vectors)
    )
    # Where the picture as it is is alike too, its colours decide.
    as_is, swapped = (
      np.abs(colours - looks.colours[rows[j]]).max(axis=1)
      for colours in (looks.colours[rows[i]], looks.colours[rows[i], ::-1])
    )
    kept = (correlation >= SAME) & np.where(plain >= SAME, swapped < as_is / 2, correlation > plain)
    yield _found(rows, i, j, EXCHANGED, correlation, kept)


def _alike(hashed: np.ndarray, queries: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields what `near_hashes.search` does, few at a time: each will need a vector."""
  for i, j in near_hashes.search(hashed, queries):
    for start in range(0, len(i), 2**16):
      yield i[start : start + 2**16], j[start : start + 2**16]


def _found(
  rows: np.ndarray, i: np.ndarray, j: np.ndarray, kind: str, correlation: np.ndarray,
  kept: np.ndarray,
) -> Found:  # fmt: skip
  low, high = np.minimum(i, j)[kept], np.maximum(i, j)[kept]
  # Rounding may take it above.
  return rows[low], rows[high], kind, np.minimum(correlation[kept].astype(np.float64), 1)


def same_picture(one: str, other: str) -> bool:
  """Returns whether two files show the same picture, at whatever size.

  So does one that is turned by quarter turns, mirrored, inverted, or has red and blue exchanged.

  Raises:
    InputError: a file cannot be read.
  """
  # Whatever the runs took for black and white.
  pictures = [decoding.whole(path, 'stretch') for path in (one, other)]
  thumbnails = np.stack([_thumbnail(picture) for picture in pictures])
  vectors, strength = details(thumbnails)
  if strength.min() < LEAST_DETAIL:
    # Plain pictures differ in their light, if at all.
    difference = np.abs(thumbnails[0].astype(int) - thumbnails[1])
    return bool(difference.mean() < LEAST_DETAIL)
  exchanged = pictures[0].mode == 'RGB'
  if exchanged:
    vectors = np.concatenate([vectors, details(_thumbnail(pictures[0], _EXCHANGED)[None])[0]])
  square = vectors.reshape(-1, _KEPT, _KEPT)
  shown = [_related(square[::2], relation).reshape(-1, _KEPT**2) for relation in RELATIONS]
  return bool((np.concatenate(shown) @ vectors[1] >= SAME).any())

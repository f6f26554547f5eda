"""What of the metadata predicts a label without any image (a shortcut).

A network that can see it, in the size of an image or its contrast, may learn it in place of the
disease (DeGrave, Janizek & Lee 2021, Nature Machine Intelligence 3:610). Age and sex are asked
about too; of those it may be the disease itself that follows them.
"""

import itertools
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data import cells
from medjax.data.images import containers
from medjax.data.leakage.findings import Predictor, ValueShare

COLUMNS = ('dataset', 'site', 'scanner', 'view', 'laterality', 'size', 'file type', 'age', 'sex')
PERSONAL = ('age', 'sex')
LEVEL = 0.05  # chance of any false finding among all questions
DEALS = 199  # of the patients' labels among the patients at random
PREDICTS = 0.05  # by which an AUROC exceeds 0.5
WARN = 0.15  # likewise, for a report on a network to say so
FOLDS = 5
# Patients with a label, without it, and of a value: with fewer, chance looks like a rule.
FEWEST = 20
_MOST_VALUES, _QUANTILES = 40, 10
_AT_ONCE = 5  # labels that are counted together, in 243 patterns
_SMOOTHING = 10.0  # images of average prevalence that each value's share of positives starts from


def text(values: pd.Series) -> pd.Series:
  """Returns each value as text, '' where it is not known."""
  words = values.astype(object).where(values.notna(), '').astype(str).str.strip()
  return words.mask(words.str.lower().isin(('nan', 'none', 'unknown')), '')


def metadata(frame: pd.DataFrame) -> dict[str, pd.Series]:
  """Returns name → text of each image, '' where unknown; age as written."""
  columns = {name: text(frame[name]) for name in COLUMNS if name in frame}
  if 'width' in frame and 'height' in frame:
    width, height = (text(frame[name]).str.removesuffix('.0') for name in ('width', 'height'))
    columns['size'] = (width + ' × ' + height).where((width != '') & (height != ''), '')
  files = [containers.container_of(image) for image in frame['image'].tolist()]
  ends = pd.Series([''.join(file.rpartition('.')[1:]) for file in files], frame.index, str)
  columns['file type'] = ends.where(ends.str.fullmatch(r'\.[A-Za-z0-9]+'), '').str.lower()
  return columns


def bins(name: str, values: pd.Series, patients: np.ndarray) -> tuple[np.ndarray, list[str]]:
  """Returns which of a few values each image has, int64[N], and their names.

  Ages fall into tenths; of names, those of `FEWEST` patients or more stand for themselves, for in
  rarer ones chance looks like a rule. Sizes that are rare are distinguished by their area. Not
  known is a value too: that something was not recorded may say as much.
  """
  if (ages := numbers(name, values)) is not None:
    return _tenths(ages, patients)
  people = pd.Series(patients).groupby(values.to_numpy()).nunique()
  people = people[people >= FEWEST].sort_values(ascending=False, kind='stable')
  frequent = list(people.index[:_MOST_VALUES])
  codes = pd.Index(frequent).get_indexer(values)
  names = [value or 'not known' for value in frequent]
  rare = np.flatnonzero(codes < 0)
  if len(rare) and ' × ' in values[rare[0]]:
    sides = values[rare].str.split(' × ', expand=True).apply(pd.to_numeric, errors='coerce')
    areas, ranges = _tenths((sides[0] * sides[1]).to_numpy(np.float64), patients[rare])
    codes[rare] = len(names) + areas
    names += [f'other sizes of {pixels} pixels' for pixels in ranges]
  elif len(rare):
    codes[rare] = len(names)
    names.append('others')
  return codes, names


def numbers(name: str, values: pd.Series) -> np.ndarray | None:
  """Returns ages f64[N], NaN where not known; None for what is no number."""
  if name != 'age':
    return None
  known = {value: cells.attempt(cells.years, value, np.nan) for value in values.unique()}
  return values.map(known).to_numpy(np.float64)


def _tenths(numbers: np.ndarray, patients: np.ndarray) -> tuple[np.ndarray, list[str]]:
  """Returns the bin of each number and the bins' names.

  Bins are tenths, or fewer where `FEWEST` patients in each allow no more.
  """
  exist = ~np.isnan(numbers)
  if not exist.any():
    return np.zeros(len(numbers), np.int64), ['not known']
  bins = min(_QUANTILES, max(1, len(np.unique(patients[exist])) // FEWEST))
  limits = np.unique(np.quantile(numbers[exist], np.linspace(0, 1, bins + 1)))
  codes = np.searchsorted(limits[1:-1], numbers, side='right')
  names = [f'{low:,.4g}–{high:,.4g}' for low, high in itertools.pairwise(limits)] or [
    f'{limits[0]:g}'
  ]
  if not exist.all():
    codes[~exist] = len(names)
    names.append('not known')
  return codes, names


def predictions(
  patients: np.ndarray,
  labels: Sequence[str],
  truth: np.ndarray,
  known: np.ndarray,
  binned: Mapping[str, tuple[np.ndarray, list[str]]],
) -> tuple[tuple[Predictor, ...], list[str]]:
  """Returns how well each column predicts each label, the best first, and the labels not asked.

  An AUROC has no interval: near 0.5 the order of the values is itself a matter of chance, and
  intervals that take it as given cover half as often as they claim.

  Args:
    patients: int[N], from 0.
    labels: the L labels.
    truth, known: bool[N, L].
    binned: column → what `bins` returned.
  """
  truth = truth & known
  fewest = [_fewest(patients[known[:, n]], truth[known[:, n], n]) for n in range(len(labels))]
  too_few = [label for label, number in zip(labels, fewest) if number < FEWEST]
  asked = [n for n, number in enumerate(fewest) if number >= FEWEST]
  if not (asked and binned):
    return (), too_few
  codes = np.stack([codes for codes, _ in binned.values()], axis=1)
  p = by_chance(dealt_aurocs(patients, codes, truth[:, asked], known[:, asked]))
  folds = np.random.default_rng(0).permutation(patients.max(initial=-1) + 1)[patients] % FOLDS
  predictors = []
  for (column, name), (place, n) in itertools.product(enumerate(binned), enumerate(asked)):
    rows = np.flatnonzero(known[:, n])
    codes_of_label, positive = codes[rows, column], truth[rows, n]
    auroc = predictive_auroc(codes_of_label, positive, folds[rows])
    if auroc is None:
      continue
    predictors.append(
      Predictor(
        column=name,
        label=labels[n],
        auroc=auroc,
        p=float(p[column, place]),
        flagged=bool(p[column, place] <= LEVEL and auroc > 0.5 + PREDICTS),
        values=_shares(codes_of_label, positive, binned[name][1]),
      )
    )
  return tuple(sorted(predictors, key=lambda predictor: -predictor.auroc)), too_few


def predictive_auroc(codes: np.ndarray, positive: np.ndarray, folds: np.ndarray) -> float | None:
  """Returns how well one column predicts a label of patients it has not seen.

  Each value scores the share of positives that it has in the other folds. Pairs are compared within
  a fold, for between folds the average score falls where the held-out prevalence rises.

  Args:
    codes: int[N] from 0, which value each image has.
    positive: bool[N].
    folds: int[N] from 0, the same for all images of a patient.

  Returns:
    None where no fold has both classes.
  """
  shape = (int(folds.max()) + 1, int(codes.max()) + 1)
  cells = folds * shape[1] + codes
  hits, misses = (
    np.bincount(cells[rows], minlength=shape[0] * shape[1]).reshape(shape).astype(np.float64)
    for rows in (positive, ~positive)
  )
  others_hits = hits.sum(axis=0) - hits
  others = others_hits + misses.sum(axis=0) - misses
  scores = (others_hits + _SMOOTHING * positive.mean()) / (others + _SMOOTHING)
  pairs = (hits.sum(axis=1) * misses.sum(axis=1)).sum()
  return float(_won(scores, hits, misses).sum() / pairs) if pairs else None


def dealt_aurocs(
  patients: np.ndarray, codes: np.ndarray, truth: np.ndarray, known: np.ndarray, deals: int = DEALS
) -> np.ndarray:
  """Returns the AUROCs of each column for each label, as they are and after deals of the labels.

  Here each value scores the share of positives that it has in all images, also those asked: the
  optimism is the same in every deal. A deal gives the labels of one patient to another. Patients
  exchange with those of about as many images, within a factor of two: the number may go with both
  label and column, and a patient with most of the images stays as they are.

  Args:
    patients: int[N] from 0.
    codes: int[N, C] from 0, which value each image has in each column.
    truth, known: bool[N, L]; no truth where it is not known.
    deals: how many.

  Returns:
    f64[1 + deals, C, L], NaN where a deal leaves no positive or no negative.
  """
  order = np.argsort(patients, kind='stable')
  codes, truth, known = codes[order], truth[order], known[order]
  sizes, labels = codes.max(axis=0) + 1, truth.shape[1]
  hits, misses = np.zeros((2, 1 + deals, labels, sizes.sum()))
  # A few labels at once: of an image each is unknown, negative or positive.
  chunks = [slice(start, start + _AT_ONCE) for start in range(0, labels, _AT_ONCE)]
  patterns = 3**_AT_ONCE
  answers = np.arange(patterns)[:, None] // 3 ** np.arange(_AT_ONCE) % 3
  answer_of = np.where(known, 1 + truth, 0)
  weight = 3 ** np.arange(_AT_ONCE)
  given = [answer_of[:, chunk] @ weight[: labels - chunk.start] for chunk in chunks]
  parts = [slice(*bounds) for bounds in itertools.pairwise(np.cumsum([0, *sizes]))]
  cells = [column * patterns for column in codes.T]
  for deal, rows in enumerate(_deals(np.bincount(patients), np.random.default_rng(0), deals)):
    for chunk, pattern in zip(chunks, given):
      dealt = pattern[rows]
      for cell, part, size in zip(cells, parts, sizes):
        counts = np.bincount(cell + dealt, minlength=size * patterns).reshape(size, patterns)
        for result, answer in ((misses, 1), (hits, 2)):
          result[deal, chunk, part] = (counts @ (answers == answer)).T[: labels - chunk.start]
  return np.stack([_aurocs(hits[..., part], misses[..., part]) for part in parts], axis=1)


def _aurocs(hits: np.ndarray, misses: np.ndarray) -> np.ndarray:
  """Returns the AUROC f[...] of V values by their own shares of positives; both are f[..., V]."""
  with np.errstate(invalid='ignore', divide='ignore'):
    scores = np.nan_to_num(hits / (hits + misses))
    return _won(scores, hits, misses) / (hits.sum(axis=-1) * misses.sum(axis=-1))


def _won(scores: np.ndarray, hits: np.ndarray, misses: np.ndarray) -> np.ndarray:
  """Returns f[...]: the pairs in which a positive image scores higher, ties count half.

  Args:
    scores, hits, misses: f[..., V], of each value: its score, and its images by class.
  """
  above = (np.sign(scores[..., :, None] - scores[..., None, :]) + 1) / 2
  return (hits * (above @ misses[..., None])[..., 0]).sum(axis=-1)


def _deals(images: np.ndarray, rng: np.random.Generator, deals: int) -> Iterator[np.ndarray]:
  """Yields int[N], the image that each one has its labels from: itself first, then by each deal.

  Images are in the order of their patients, who have `images`, int[P], of them.
  """
  yield np.arange(images.sum())
  first = np.cumsum(images) - images
  # An image's place among those of its patient; small numbers, which are divided faster.
  place = (np.arange(images.sum()) - np.repeat(first, images)).astype(np.int32)
  magnitude = np.frexp(images)[1]
  alike = [np.flatnonzero(magnitude == number) for number in np.unique(magnitude)]
  for _ in range(deals):
    giver = np.empty(len(images), np.int64)
    for members in alike:
      giver[members] = rng.permutation(members)
    shift = rng.integers(images.max(), size=len(images))
    shifts, sizes = (np.repeat(part.astype(np.int32), images) for part in (shift, images[giver]))
    yield np.repeat(first[giver], images) + (place + shifts) % sizes


def by_chance(dealt: np.ndarray) -> np.ndarray:
  """Returns the p value of each question, corrected for all of them.

  What chance can do is the largest deviation of any question in each deal, in standard deviations
  of that question (Westfall & Young 1993, the single-step maxT). If no column tells anything, the
  chance that any p is 0.05 or less is 0.05.

  Args:
    dealt: f64[1 + deals, ...], as they are and after each deal.
  """
  with np.errstate(invalid='ignore', divide='ignore'):
    deviation = (dealt - np.nanmean(dealt, axis=0)) / np.nanstd(dealt, axis=0)
  # Where every deal is the same there is nothing to compare with.
  deviation = np.nan_to_num(deviation, nan=0, posinf=0, neginf=0)
  largest = np.sort(deviation.reshape(len(dealt), -1).max(axis=1))
  return (len(largest) - np.searchsorted(largest, deviation[0] - 1e-9)) / len(largest)


def _fewest(patients: np.ndarray, positive: np.ndarray) -> int:
  """Returns how many patients have the class that fewer have."""
  return min(len(np.unique(patients[rows])) for rows in (positive, ~positive))


def _shares(
  codes: np.ndarray, positive: np.ndarray, values: Sequence[str]
) -> tuple[ValueShare, ...]:
  """Returns the values with the share of positives in each, the highest first."""
  total = np.bincount(codes, minlength=len(values))
  hits = np.bincount(codes[positive], minlength=len(values))
  shares = [
    ValueShare(value=value, images=int(n), positive=int(k))
    for value, n, k in zip(values, total, hits)
    if n
  ]
  return tuple(sorted(shares, key=lambda value: -value.share))


def warns(predictor: Predictor) -> bool:
  """Whether a prediction is so strong that a report on a network must say so."""
  return predictor.flagged and predictor.auroc > 0.5 + WARN

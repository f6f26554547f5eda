"""What of the metadata predicts a label without any image (a shortcut).

A network that can see it, in the size of an image or its contrast, may learn it in place of the
disease (DeGrave, Janizek & Lee 2021, Nature Machine Intelligence 3:610). Age and sex are asked
about too; of those it may be the disease itself that follows them.
"""

import itertools
import math
import re
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from medjax.data import cells, words
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
_COMBINATIONS = 256  # of the values of columns that are counted together
_ENDING = re.compile(r'\.[A-Za-z0-9]+')
_SMOOTHING = 10.0  # images of average prevalence that each value's share of positives starts from


def text(values: pd.Series) -> pd.Series:
  """Returns each value as text, '' where it is not known."""
  return words.cleaned(
    values, lambda word: '' if word.lower() in ('nan', 'none', 'unknown') else word
  )


def metadata(frame: pd.DataFrame) -> dict[str, pd.Series]:
  """Returns name → text of each image, '' where unknown; age as written."""
  columns = {name: text(frame[name]) for name in COLUMNS if name in frame}
  if 'width' in frame and 'height' in frame:
    width, height = (text(frame[name]).str.removesuffix('.0') for name in ('width', 'height'))
    columns['size'] = (width + ' × ' + height).where((width != '') & (height != ''), '')
  columns['file type'] = pd.Series(_endings(frame['image'].tolist()), frame.index, str)
  return columns


def _endings(images: Sequence[str]) -> list[str]:
  """Returns '.png' for a.PNG, and '' for what has no ending."""
  files = (containers.container_of(image) if '#' in image else image for image in images)
  ends = [file[file.rfind('.') :] if '.' in file else '' for file in files]
  kinds = {end: end.lower() if _ENDING.fullmatch(end) else '' for end in set(ends)}
  return [kinds[end] for end in ends]


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
  parts = [slice(*bounds) for bounds in itertools.pairwise(np.cumsum([0, *sizes]))]
  # A few labels at once: of an image each is unknown, negative or positive.
  chunks = [slice(start, start + _AT_ONCE) for start in range(0, labels, _AT_ONCE)]
  patterns = 3**_AT_ONCE
  answers = np.arange(patterns)[:, None] // 3 ** np.arange(_AT_ONCE) % 3
  tallied = [(result, (answers == answer) * 1.0) for result, answer in ((misses, 1), (hits, 2))]
  answer_of = np.where(known, 1 + truth, 0)
  weight = 3 ** np.arange(_AT_ONCE)
  given = [answer_of[:, chunk] @ weight[: labels - chunk.start] for chunk in chunks]
  # A few columns at once too: what is counted of their combinations adds up to each of them.
  groups = _joined(sizes)
  cells = [
    np.ravel_multi_index(tuple(codes[:, group].T), tuple(sizes[group])) * patterns
    for group in groups
  ]
  images = np.bincount(patients)
  patient, rounds, starts = np.repeat(np.arange(len(images)), images), *_rounds(images)
  given = [pattern.astype(np.uint8)[rounds] for pattern in given]
  place = np.arange(len(patient)) - (np.cumsum(images) - images)[patient]
  for deal, (giver, shift) in enumerate(_deals(images, np.random.default_rng(0), deals)):
    rows = (starts[giver] + shift)[patient] + place
    for chunk, pattern in zip(chunks, given):
      dealt = pattern[rows]
      for group, cell in zip(groups, cells):
        shape = (*sizes[group], patterns)
        counts = np.bincount(cell + dealt, minlength=math.prod(shape)).reshape(shape)
        for axis, column in enumerate(group):
          others = tuple(other for other in range(len(group)) if other != axis)
          of_column = counts.sum(axis=others).astype(np.float64)
          for result, is_answer in tallied:
            result[deal, chunk, parts[column]] = (of_column @ is_answer).T[: labels - chunk.start]
  return np.stack([_aurocs(hits[..., part], misses[..., part]) for part in parts], axis=1)


def _joined(sizes: np.ndarray) -> list[list[int]]:
  """Returns columns of these numbers of values in groups of few combinations."""
  groups: list[list[int]] = []
  for column, size in enumerate(sizes.tolist()):
    if groups and math.prod(sizes[groups[-1]].tolist()) * size <= _COMBINATIONS:
      groups[-1].append(column)
    else:
      groups.append([column])
  return groups


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


def _deals(
  images: np.ndarray, rng: np.random.Generator, deals: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
  """Yields who gives each patient labels, int[P], and from which image on: themselves first.

  Args:
    images: int[P], how many each patient has; who gives has half as many or twice as many.
    rng: of the deals.
    deals: how many, besides the first.
  """
  everyone = np.arange(len(images))
  yield everyone, np.zeros_like(everyone)
  magnitude = np.frexp(images)[1]
  alike = [np.flatnonzero(magnitude == number) for number in np.unique(magnitude)]
  for _ in range(deals):
    giver = np.empty(len(images), np.int64)
    for members in alike:
      giver[members] = rng.permutation(members)
    yield giver, rng.integers(images.max(), size=len(images)) % images[giver]


def _rounds(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the images of each patient three times over, int[3 N], and where they start, int[P].

  Whoever takes labels from one of them on, and has less than twice as many images, meets no end.
  """
  starts = 3 * (np.cumsum(images) - images)
  place = np.arange(3 * images.sum()) - np.repeat(starts, 3 * images)
  of_patient = np.repeat(images, 3 * images)
  return np.repeat(starts // 3, 3 * images) + place % of_patient, starts


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
  return min(int((np.bincount(patients[rows]) > 0).sum()) for rows in (positive, ~positive))


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

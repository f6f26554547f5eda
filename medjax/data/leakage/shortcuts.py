"""What of the metadata predicts a label without any image (a shortcut).

A network that can see it, in the size of an image or its contrast, may learn it in place of the
disease (DeGrave, Janizek & Lee 2021, Nature Machine Intelligence 3:610). Age and sex are asked
about too; of those it may be the disease itself that follows them.
"""

import itertools
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from scipy import special

from medjax.data import cells
from medjax.data.images import containers
from medjax.data.leakage.findings import Predictor, ValueShare

COLUMNS = ('dataset', 'site', 'scanner', 'view', 'laterality', 'size', 'file type', 'age', 'sex')
PERSONAL = ('age', 'sex')
LEVEL = 0.05  # chance of any false finding among all questions
PREDICTS = 0.05  # by which the lower bound of an AUROC exceeds 0.5
WARN = 0.15  # likewise, for a report on a network to say so
FOLDS = 5
# Patients with a label, without it, and of a value: with fewer, chance looks like a rule.
FEWEST = 20
_MOST_VALUES, _QUANTILES = 40, 10
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
  files = frame['image'].map(containers.container_of)
  columns['file type'] = files.str.extract(r'(\.[A-Za-z0-9]+)$')[0].fillna('').str.lower()
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

  Args:
    patients: int[N].
    labels: the L labels.
    truth, known: bool[N, L].
    binned: column → what `bins` returned.
  """
  folds = np.random.default_rng(0).permutation(patients.max(initial=-1) + 1)[patients] % FOLDS
  too_few, asked = [], []
  for column, label in enumerate(labels):
    rows = np.flatnonzero(known[:, column])
    positive = truth[rows, column]
    fewest = _fewest(patients[rows], positive)
    if fewest < FEWEST:
      too_few.append(label)
    else:
      asked.append((label, rows, positive))
  # The interval covers at this level, so that all of them together cover at LEVEL.
  level = 1 - LEVEL / max(1, len(asked) * len(binned))
  predictors = []
  for name, (codes, values) in binned.items():
    for label, rows, positive in asked:
      area = predictive_auroc(codes[rows], positive, patients[rows], folds[rows], level)
      if area is None:
        continue
      auroc, (low, high) = area
      predictors.append(
        Predictor(
          column=name,
          label=label,
          auroc=auroc,
          interval=(low, high),
          flagged=bool(low > 0.5 + PREDICTS),
          values=_shares(codes[rows], positive, values),
        )
      )
  return tuple(sorted(predictors, key=lambda predictor: -predictor.auroc)), too_few


def predictive_auroc(
  codes: np.ndarray,
  positive: np.ndarray,
  patients: np.ndarray,
  folds: np.ndarray,
  level: float = 1 - LEVEL,
) -> tuple[float, tuple[float, float]] | None:
  """Returns how well one column predicts a label of patients it has not seen: AUROC and interval.

  Each value scores the share of positives that it has in the other folds. Pairs are compared within
  a fold, for between folds the average score falls where the held-out prevalence rises. The
  interval is of the variance that patients contribute, all images of each together (Obuchowski
  1997, Biometrics 53:567, the clustered form of DeLong's), by Student's t of the rarer class's
  patients.

  Args:
    codes: int[N], which value each image has.
    positive: bool[N].
    patients: int[N].
    folds: int[N], the same for all images of a patient.
    level: that the interval covers at.

  Returns:
    None where no fold has both classes.
  """
  cells = int(codes.max()) + 1
  per_fold = [
    np.bincount(folds[rows] * cells + codes[rows], minlength=(int(folds.max()) + 1) * cells)
    .reshape(-1, cells)
    .astype(np.float64)
    for rows in (positive, ~positive)
  ]
  pairs = per_fold[0].sum(axis=1) * per_fold[1].sum(axis=1)
  if not pairs.sum():
    return None
  weights = pairs / pairs.sum()
  totals = [counts.sum(axis=0) for counts in per_fold]
  prevalence = positive.mean()
  area = 0.0
  influence = np.zeros((2, *per_fold[0].shape))  # of one negative, one positive image of a value
  for fold in np.flatnonzero(weights):
    hits, misses = (counts[fold] for counts in per_fold)
    others_hits, others = totals[0] - hits, totals[0] + totals[1] - hits - misses
    score = (others_hits + _SMOOTHING * prevalence) / (others + _SMOOTHING)
    above = (score[:, None] > score) + 0.5 * (score[:, None] == score)
    positive_beats = above @ misses / misses.sum()
    negative_beaten = hits @ above / hits.sum()
    fold_area = float(hits @ positive_beats / hits.sum())
    area += weights[fold] * fold_area
    influence[1, fold] = weights[fold] * (positive_beats - fold_area) / hits.sum()
    influence[0, fold] = weights[fold] * (negative_beaten - fold_area) / misses.sum()
  by_patient = np.bincount(patients, weights=influence[positive.astype(int), folds, codes])
  quantile = special.stdtrit(max(1, _fewest(patients, positive) - 1), (1 + level) / 2)
  half = quantile * float(np.sqrt((by_patient**2).sum()))
  return float(area), (float(max(0, area - half)), float(min(1, area + half)))


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
  return predictor.flagged and predictor.interval[0] > 0.5 + WARN

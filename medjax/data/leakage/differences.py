"""What differs between the sides of a split: prevalences and metadata, beyond chance."""

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.leakage import shortcuts
from medjax.data.leakage.findings import SIDES, Difference
from medjax.runtime import rounding

LEVEL = 0.05  # chance of any false difference among all
# Standardised mean difference, or the share of images to exchange for two sides to be alike (total
# variation). 0.1 is the usual limit of balance (Austin 2009, Statistics in Medicine 28:3083).
DIFFERENT = 0.1
DEALS = 199  # of patients to the sides at random, at most
# Where chance has reached every difference so often, none can be beyond it after all deals
# (Besag & Clifford 1991, Biometrika 78:301).
ENOUGH = round(LEVEL * (1 + DEALS))
_AT_ONCE = 50  # deals


class Question(NamedTuple):
  """What may differ.

  Attributes:
    what: in words.
    is_share: whether a column's mean is a share of images.
    values: f64[N, K], NaN where not known.
    names: of the K columns, '' where there is one.
  """

  what: str
  is_share: bool
  values: np.ndarray
  names: list[str]


def questions(
  labels: Sequence[str],
  truth: np.ndarray,
  known: np.ndarray,
  columns: Mapping[str, pd.Series],
  binned: Mapping[str, tuple[np.ndarray, list[str]]],
) -> list[Question]:
  """Returns what is asked of N images: the prevalence of each label, and each column.

  Args:
    labels: the L labels.
    truth, known: bool[N, L].
    columns: name → text of each image.
    binned: name → which value each image has, and the values' names, from `shortcuts.bins`.
  """
  prevalences = np.where(known, truth, np.nan)
  questions = [
    Question(f'prevalence of {label}', True, prevalences[:, [column]], [''])
    for column, label in enumerate(labels)
  ]
  for name, values in columns.items():
    numbers = shortcuts.numbers(name, values)
    if numbers is not None:
      questions.append(Question(name, False, numbers[:, None], ['']))
    else:
      codes, names = binned[name]
      questions.append(Question(name, True, (codes[:, None] == range(len(names))) * 1.0, names))
  return questions


def between_sides(
  patients: np.ndarray, side: np.ndarray, questions: Sequence[Question]
) -> tuple[Difference, ...]:
  """Returns what differs between each two sides, the largest effect first.

  Args:
    patients: int[N].
    side: str[N].
    questions: from `questions`.
  """
  pairs = [
    (a, b) for a, b in itertools.combinations(SIDES, 2) if (side == a).any() and (side == b).any()
  ]
  differences: list[Difference] = []
  for a, b in pairs:
    inside = (side == a) | (side == b)
    compared = [question._replace(values=question.values[inside]) for question in questions]
    differences += _between((a, b), patients[inside], side[inside] == a, compared, len(pairs))
  return tuple(sorted(differences, key=lambda difference: -difference.effect))


def _between(
  sides: tuple[str, str],
  patients: np.ndarray,
  in_a: np.ndarray,
  questions: Sequence[Question],
  pairs: int,
) -> list[Difference]:
  differing: list[tuple[Question, float, str]] = []
  columns, question_of_column = [], []
  for question in questions:
    one, other = question.values[in_a], question.values[~in_a]
    exists = ~np.isnan(question.values[:, 0])
    if not (exists[in_a].any() and exists[~in_a].any()):
      continue
    means = np.nanmean(one, axis=0), np.nanmean(other, axis=0)
    if len(question.names) > 1:
      effect = float(np.abs(means[0] - means[1]).sum() / 2)
    else:
      spread = math.sqrt((np.nanvar(one) + np.nanvar(other)) / 2)
      if not spread:
        continue
      effect = float(abs(means[0] - means[1])[0] / spread)
    most = int(np.abs(means[0] - means[1]).argmax())
    sizes = [
      rounding.percent(mean[most]) if question.is_share else f'{mean[most]:.1f} on average'
      for mean in means
    ]
    named = f'{question.names[most]}: ' if question.names[most] else ''
    words = f'{named}{sizes[0]} in {sides[0]} and {sizes[1]} in {sides[1]}'
    question_of_column += [len(differing)] * len(question.names)
    columns.append(question.values)
    differing.append((question, effect, words))
  if not differing:
    return []
  chance = _chance(np.concatenate(columns, axis=1), np.array(question_of_column), patients, in_a)
  differences = []
  for (question, effect, words), by_chance in zip(differing, chance):
    p = min(1.0, float(by_chance) * pairs)
    several = len(question.names) > 1
    differences.append(
      Difference(
        what=question.what,
        between=sides,
        measure='total variation' if several else 'standardised mean difference',
        effect=effect,
        words=words,
        p=p,
        flagged=bool(p < LEVEL and effect >= DIFFERENT),
      )
    )
  return differences


def _chance(
  values: np.ndarray, question: np.ndarray, patients: np.ndarray, in_a: np.ndarray
) -> np.ndarray:
  """Returns the p value of each question, corrected for all of them, f64[questions].

  The patients are dealt anew to two sides of as many patients, many times. The largest deviation of
  any question in each deal is what chance can do (Westfall & Young 1993, the single-step maxT). A
  deviation is a difference in its own standard errors: so it is judged rightly also where patients
  have more images on one side than on the other, as in a publisher's split, and a deal mixes them
  (Chung & Romano 2013, Annals of Statistics 41:484).

  Args:
    values: f64[N, K], NaN where not known.
    question: int[K], to which question a column belongs; its largest deviation counts.
    patients: int[N].
    in_a: bool[N], on the one side or the other; a patient on both counts as two.
  """
  keys = patients * 2 + in_a
  units = np.flatnonzero(np.bincount(keys))
  unit_of_image = np.searchsorted(units, keys)
  exists = ~np.isnan(values)
  centred = np.where(exists, values - np.nanmean(values, axis=0), 0)
  sums, counts = (
    np.stack([np.bincount(unit_of_image, weights=column) for column in columns.T])
    for columns in (centred, exists)
  )
  moments = np.stack([counts, sums, sums**2, sums * counts, counts**2])
  rng = np.random.default_rng(0)
  truly = units % 2 * 1.0
  by_question = functools.partial(_largest, question)
  as_is = by_question(_deviation(truly[None], moments))
  done, reached = 0, np.zeros(as_is.shape[1], np.int64)
  while done < DEALS and reached.min() < ENOUGH:
    dealt = np.tile(truly, (min(_AT_ONCE, DEALS - done), 1))
    for row in dealt:
      rng.shuffle(row)
    largest = by_question(_deviation(dealt, moments)).max(axis=1)
    reached += (largest[:, None] >= as_is * (1 - 1e-9)).sum(axis=0)
    done += len(dealt)
  return (1 + reached) / (1 + done)


def _largest(question: np.ndarray, deviation: np.ndarray) -> np.ndarray:
  """Returns the largest deviation of each question's columns, f64[deals, questions]."""
  numbers = range(question.max() + 1)
  return np.stack([deviation[:, question == number].max(axis=1) for number in numbers], axis=1)


def _deviation(dealt: np.ndarray, moments: np.ndarray) -> np.ndarray:
  """Returns how many standard errors the two sides of each deal are apart, f64[deals, K].

  Args:
    dealt: f64[deals, P], 1 for the patients on the one side and 0 for those on the other.
    moments: f64[5, K, P] of each patient: how many images have a value, the sum of the values, and
      the square of the sum, its product with the number, and the square of that.
  """
  sums = (moments.reshape(-1, moments.shape[2]) @ dealt.T).reshape(*moments.shape[:2], -1)
  others = moments.sum(axis=2)[..., None] - sums
  (one, variance), (other, other_variance) = (
    _mean(of_side, dealt == side, moments) for of_side, side in ((sums, 1), (others, 0))
  )
  with np.errstate(invalid='ignore', divide='ignore'):
    deviation = np.abs(one - other) / np.sqrt(variance + other_variance)
  return np.nan_to_num(deviation, nan=0, posinf=np.inf).T


def _mean(sums: np.ndarray, side: np.ndarray, moments: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns the mean over the images of a side in each deal, and its variance, f64[K, deals] each.

  The variance is that over patients, by residuals as if each patient were left out: one with most
  of the images else fits itself (MacKinnon & White 1985, Journal of Econometrics 29:305).

  Args:
    sums: f64[5, K, deals], the moments summed over the patients of the side.
    side: bool[deals, P], who is on it.
    moments: as of `_deviation`.
  """
  total = sums[0]
  # A patient with less fits itself by less than 1 %.
  heavy = (moments[0] > 0.005 * total.min(axis=1, keepdims=True)).any(axis=0)
  of_heavy, on_side = moments[..., heavy], side[:, heavy]
  with np.errstate(invalid='ignore', divide='ignore'):
    mean = np.where(total > 0, sums[1] / total, np.nan)
    share = on_side * of_heavy[0][:, None] / total[..., None]
    more = on_side * ((1 - share) ** -2 - 1)
    squares, products, images = sums[2:] + np.einsum('kdp,mkp->mkd', more, of_heavy[2:])
    variance = np.maximum(squares - 2 * mean * products + mean**2 * images, 0) / total**2
  # Of one patient alone there is no variance.
  alone = ~(share.max(axis=2, initial=0) < 1 - 1e-9)
  return mean, np.where(alone, np.inf, variance)

"""How far readers agree beyond chance, with intervals: Cohen's, Fleiss' and Krippendorff's figures.

All are 1 at full agreement and 0 where readers agree as often as chance would have it; chance is
what the answers' frequencies alone explain. A rare finding therefore brings any of them down: 95 %
of equal answers say little where 95 % of the answers are no. They do not exist, and are NaN, where
all answers are the same: nothing then distinguishes agreement from a fixed habit.
"""

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from medjax.data.reference import reader_table
from medjax.evaluation.figure import Figure
from medjax.evaluation.statistics import intervals

LEVEL = 0.95
PAIRS_AT_ONCE = 256  # bounds the memory of pairs of readers x replicates


@dataclasses.dataclass(frozen=True)
class Alpha:
  """Krippendorff's alpha: of answers without order and, where they are grades, with it."""

  nominal: Figure
  ordinal: Figure | None = None


@dataclasses.dataclass(frozen=True)
class PairAgreement:
  """Cohen's kappa of two readers.

  Attributes:
    readers: their names.
    images: that both read.
    kappa: unweighted.
    linear_kappa, quadratic_kappa: weighted by the distance of grades; None where there are none.
  """

  readers: tuple[str, str]
  images: int
  kappa: Figure
  linear_kappa: Figure | None = None
  quadratic_kappa: Figure | None = None


@dataclasses.dataclass(frozen=True)
class LabelAgreement:
  """How far readers agree on one label.

  Attributes:
    images: with any read.
    reads: answers in all.
    readers: who answered at all.
    reads_per_image: (fewest, most).
    compared_images: with two reads or more.
    fleiss: of all readers; exists where images have equally many reads.
    krippendorff: of all readers.
    cohen: of each pair that shares an image.
  """

  images: int
  reads: int
  readers: int
  reads_per_image: tuple[int, int]
  compared_images: int
  fleiss: Figure
  krippendorff: Alpha
  cohen: tuple[PairAgreement, ...]


@dataclasses.dataclass(frozen=True)
class Agreement:
  """How far readers agree beyond chance.

  Attributes:
    confidence: how often the intervals cover.
    replicates, seed: of the bootstrap.
    method: how the intervals were made, in words.
    labels: label → agreement.
    schema: number of this schema in JSON.
  """

  confidence: float
  replicates: int
  seed: int
  method: str
  labels: dict[str, LabelAgreement]
  schema: int = 1


def cohen(confusion: np.ndarray, weights: str = 'none') -> np.ndarray:
  """Agreement of two readers beyond chance, f64[...].

  Cohen, EPM 20:37, 1960, and Psych. Bull. 70:213, 1968.

  Args:
    confusion: f[..., K, K], how many images the first reader calls by the row and the second by the
      column.
    weights: what a disagreement costs: 'none', the same whichever it is; 'linear' or 'quadratic',
      the distance in grades or its square.

  Returns:
    1 - observed / expected disagreement; NaN where no disagreement is expected.
  """
  confusion = np.asarray(confusion, np.float64)
  grade = np.arange(confusion.shape[-1], dtype=np.float64)
  distance = np.abs(grade[:, None] - grade)
  cost = {'none': distance > 0, 'linear': distance, 'quadratic': distance**2}[weights]
  first, second = confusion.sum(axis=-1), confusion.sum(axis=-2)
  observed = (confusion * cost).sum(axis=(-2, -1)) * first.sum(axis=-1)
  expected = ((first @ cost) * second).sum(axis=-1)
  return 1 - observed / np.where(expected > 0, expected, np.nan)


def coincidences(counts: np.ndarray) -> np.ndarray:
  """Returns pairs of answers by two readers of an image, f64[N, K, K].

  Each image weighs as much as it has reads.

  Args:
    counts: int[N, K], how many readers give each answer. Images with one read have no pairs.
  """
  counts = np.asarray(counts, np.float64)
  pairs = counts[:, :, None] * counts[:, None, :] - counts[:, :, None] * np.eye(counts.shape[1])
  others = counts.sum(axis=1) - 1
  return pairs / np.where(others > 0, others, np.inf)[:, None, None]


def fleiss(coincidence: np.ndarray) -> np.ndarray:
  """Agreement of equally many reads of every image, f64[...] (Fleiss, Psych. Bull. 76:378, 1971).

  The readers need not be the same from image to image; their number must be, and the caller sees to
  that. NaN where all answers are the same.

  Args:
    coincidence: f[..., K, K], the sum of `coincidences` over images.
  """
  coincidence = np.asarray(coincidence, np.float64)
  answers = coincidence.sum(axis=-1)
  total = answers.sum(axis=-1)
  several = (answers > 0).sum(axis=-1) > 1
  total = np.where(several, total, np.nan)
  equal = np.trace(coincidence, axis1=-2, axis2=-1) / total
  by_chance = np.square(answers / total[..., None]).sum(axis=-1)
  return (equal - by_chance) / (1 - by_chance)


def krippendorff(coincidence: np.ndarray, level: str = 'nominal') -> np.ndarray:
  """Krippendorff's alpha, f64[...], for any number of reads of an image.

  After Krippendorff, Computing Krippendorff's Alpha-Reliability (2011). An image with one read does
  not enter. NaN where all answers are the same.

  Args:
    coincidence: f[..., K, K], the sum of `coincidences` over images.
    level: 'nominal', any two different answers are equally far apart; 'ordinal', as far as there
      are answers between them.
  """
  coincidence = np.asarray(coincidence, np.float64)
  answers = coincidence.sum(axis=-1)
  if level == 'ordinal':
    middle = np.cumsum(answers, axis=-1) - answers / 2
    distance = np.square(middle[..., :, None] - middle[..., None, :])
  else:
    distance = 1 - np.eye(answers.shape[-1])
  observed = (coincidence * distance).sum(axis=(-2, -1))
  expected = (answers[..., :, None] * answers[..., None, :] * distance).sum(axis=(-2, -1))
  several = (answers > 0).sum(axis=-1) > 1
  return 1 - (answers.sum(axis=-1) - 1) * observed / np.where(several, expected, np.nan)


def summarise(
  readings: pd.DataFrame,
  *,
  classes: Sequence[str] = (),
  replicates: int = 2000,
  seed: int = 0,
) -> Agreement:
  """Returns the agreement of readers on each label, with percentile intervals.

  Args:
    readings: as medjax.data.reference.reader_table describes them. Where they have a column
      `patient`, the bootstrap draws patients, else images; intervals are then too narrow if
      patients have several.
    classes: where an answer is one of K classes, their names, grades in rising order.
    replicates, seed: of the bootstrap.

  Raises:
    InputError: readings that are not as described.
  """
  readings = reader_table.check(readings, 'readings', classes)
  group = 'patient' if 'patient' in readings else 'image'
  bootstrap = {'replicates': replicates, 'seed': seed}
  images, _ = pd.factorize(readings['image'])
  readers, names = pd.factorize(readings['reader'], sort=True)
  groups, _ = pd.factorize(readings[group], sort=True)
  group_of = np.zeros(images.max() + 1, int)
  group_of[images] = groups
  labels = {}
  for label in reader_table.labels_of(readings):
    answers = np.full((len(group_of), len(names)), -1)
    values = readings[label].to_numpy(np.float64)
    answers[images, readers] = np.where(np.isnan(values), -1, values).astype(int)
    labels[label] = _of_label(
      answers, names, group_of, max(len(classes), 2), bool(classes), bootstrap
    )
  return Agreement(
    confidence=LEVEL,
    replicates=replicates,
    seed=seed,
    method=f'percentile bootstrap over {group}s',
    labels=labels,
  )


def _of_label(
  answers: np.ndarray,
  names: Sequence[str],
  groups: np.ndarray,
  classes: int,
  graded: bool,
  bootstrap: dict[str, int],
) -> LabelAgreement:
  counts = (answers[:, :, None] == np.arange(classes)).sum(axis=1)
  reads = counts.sum(axis=1)
  numbers, compared = reads[reads > 0], reads >= 2
  pairs = coincidences(counts)
  whole = pairs.sum(axis=0)
  replicates = intervals.totals(_per_group(pairs, groups), **bootstrap)
  replicates = replicates.reshape(-1, classes, classes)
  number = groups.max() + 1
  reason = ''
  if not compared.any():
    reason = 'no image has two reads'
  elif (whole.sum(axis=1) > 0).sum() < 2:
    reason = 'all answers are the same'
  elif number < 2:
    reason = 'there is one patient or image only'
  few, most = (reads[compared].min(), reads[compared].max()) if compared.any() else (0, 0)
  if few != most:
    uneven = f"images have {few} to {most} reads, and Fleiss' kappa needs as many of each"
    fleiss_figure = intervals.figure(np.nan, np.full(len(replicates), np.nan), uneven)
  else:
    fleiss_figure = intervals.figure(float(fleiss(whole)), fleiss(replicates), reason)

  def alpha(level: str) -> Figure:
    value, resampled = krippendorff(whole, level), krippendorff(replicates, level)
    return intervals.figure(float(value), resampled, reason)

  return LabelAgreement(
    images=len(numbers),
    reads=int(reads.sum()),
    readers=int((answers >= 0).any(axis=0).sum()),
    reads_per_image=(int(numbers.min()), int(numbers.max())) if len(numbers) else (0, 0),
    compared_images=int(compared.sum()),
    fleiss=fleiss_figure,
    krippendorff=Alpha(alpha('nominal'), alpha('ordinal') if graded else None),
    cohen=tuple(_pairs(answers, names, groups, classes, graded, bootstrap)),
  )


def _per_group(values: np.ndarray, groups: np.ndarray) -> np.ndarray:
  """Sums f64[N, ...] over the images of each group, f64[G, T]."""
  flat = values.reshape(len(values), -1)
  summed = np.zeros((groups.max() + 1, flat.shape[1]))
  np.add.at(summed, groups, flat)
  return summed


def _pairs(
  answers: np.ndarray,
  names: Sequence[str],
  groups: np.ndarray,
  classes: int,
  graded: bool,
  bootstrap: dict[str, int],
) -> list[PairAgreement]:
  """Returns Cohen's figures for each pair of readers that share an image."""
  number, cells = groups.max() + 1, classes**2
  read = answers >= 0
  shared = read.T.astype(np.float64) @ read
  pairs = [pair for pair in itertools.combinations(range(len(names)), 2) if shared[pair] > 0]
  agreements = []
  for start in range(0, len(pairs), PAIRS_AT_ONCE):
    batch = pairs[start : start + PAIRS_AT_ONCE]
    shared_images = [np.flatnonzero(read[:, first] & read[:, second]) for first, second in batch]
    columns = [
      place * cells + answers[images, first] * classes + answers[images, second]
      for place, (images, (first, second)) in enumerate(zip(shared_images, batch))
    ]
    at = (groups[np.concatenate(shared_images)], np.concatenate(columns))
    tallies = sparse.coo_array((np.ones(len(at[0])), at), shape=(number, len(batch) * cells))
    replicates = intervals.totals(tallies, **bootstrap).reshape(-1, len(batch), classes, classes)
    confusions = tallies.sum(axis=0).reshape(-1, classes, classes)
    for place, (first, second) in enumerate(batch):
      confusion = confusions[place]
      reason = ''
      if ((confusion.sum(axis=0) + confusion.sum(axis=1)) > 0).sum() < 2:
        reason = 'all answers are the same'
      elif len(np.unique(groups[shared_images[place]])) < 2:
        reason = 'the images that both read are of one patient, or are one'
      figures = [
        intervals.figure(
          float(cohen(confusion, weights)), cohen(replicates[:, place], weights), reason
        )
        for weights in (('none', 'linear', 'quadratic') if graded else ('none',))
      ]
      both_readers = str(names[first]), str(names[second])
      agreements.append(PairAgreement(both_readers, int(shared[first, second]), *figures))
  return agreements

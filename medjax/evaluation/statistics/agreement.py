"""How far readers agree beyond chance, with intervals: Cohen's, Fleiss' and Krippendorff's figures.

All are 1 at full agreement and 0 where readers agree as often as chance would have it; chance is what
the answers' frequencies alone explain. A rare finding therefore brings any of them down: 95 % of equal
answers say little where 95 % of the answers are no. They do not exist, and are NaN, where all answers
are the same: nothing then tells agreement from a fixed habit.
"""

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import pandas as pd
from scipy import sparse

from medjax.data.reference import reader_table
from medjax.evaluation.statistics import intervals

WEIGHTS = {'kappa': 'none', 'linear_kappa': 'linear', 'quadratic_kappa': 'quadratic'}
LEVEL = 0.95
METRICS = ('nominal', 'ordinal')
PAIRS_AT_ONCE = 256  # bounds the memory of pairs of readers x replicates


def cohen(confusion: np.ndarray, weights: str = 'none') -> np.ndarray:
  """Agreement of two readers beyond chance, f64[...] (Cohen, EPM 20:37, 1960; Psych. Bull. 70:213, 1968).

  Args:
    confusion: f[..., K, K], how many images the first reader calls by the row and the second by the
      column.
    weights: what a disagreement costs: 'none', the same whichever it is; 'linear' or 'quadratic', the
      distance in grades or its square.

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
  """Returns f64[N, K, K]: pairs of answers by two readers of an image, each image weighing its reads.

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

  After Krippendorff, Computing Krippendorff's Alpha-Reliability (2011). An image with one read does not
  enter. NaN where all answers are the same.

  Args:
    coincidence: f[..., K, K], the sum of `coincidences` over images.
    level: 'nominal', any two different answers are equally far apart; 'ordinal', as far as there are
      answers between them.
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
) -> dict:
  """Returns the agreement of readers on each label, with percentile intervals.

  Args:
    readings: as medjax.data.reference.reader_table describes them. Where they have a column `patient`, the
      bootstrap draws patients, else images; intervals are then too narrow if patients have several.
    classes: where an answer is one of K classes, their names, grades in rising order.
    replicates, seed: of the bootstrap.

  Returns:
    A dictionary that JSON can hold. A figure is as `intervals.figure` returns it; its reason says why
    it or its interval does not exist.

      'level', 'replicates', 'seed', 'method': how the intervals were made.
      'labels': {label: {
        'images': with any read, 'reads', 'readers', 'reads_per_image': [fewest, most],
        'compared_images': with two reads or more,
        'fleiss': figure,
        'krippendorff': {'nominal': figure, with classes also 'ordinal': figure},
        'cohen': [{'readers': [first, second], 'images': that both read, 'kappa': figure, with classes
          also 'linear_kappa' and 'quadratic_kappa': figure}] for each pair that shares an image}}}.
  """
  readings = reader_table.check(readings, 'readings', classes)
  group = 'patient' if 'patient' in readings else 'image'
  drawn = {'replicates': replicates, 'seed': seed}
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
    labels[label] = _of_label(answers, names, group_of, max(len(classes), 2), bool(classes), drawn)
  return {
    'level': LEVEL,
    **drawn,
    'method': f'percentile bootstrap over {group}s',
    'labels': labels,
  }


def _of_label(
  answers: np.ndarray,
  names: Sequence[str],
  groups: np.ndarray,
  classes: int,
  graded: bool,
  drawn: dict[str, int],
) -> dict:
  counts = (answers[:, :, None] == np.arange(classes)).sum(axis=1)
  reads = counts.sum(axis=1)
  some, compared = reads[reads > 0], reads >= 2
  pairs = coincidences(counts)
  whole = pairs.sum(axis=0)
  replicates = intervals.totals(_per_group(pairs, groups), **drawn).reshape(-1, classes, classes)
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
    of_fleiss = intervals.figure(np.nan, np.full(len(replicates), np.nan), uneven)
  else:
    of_fleiss = intervals.figure(float(fleiss(whole)), fleiss(replicates), reason)
  return {
    'images': len(some),
    'reads': int(reads.sum()),
    'readers': int((answers >= 0).any(axis=0).sum()),
    'reads_per_image': [int(some.min()), int(some.max())] if len(some) else [0, 0],
    'compared_images': int(compared.sum()),
    'fleiss': of_fleiss,
    'krippendorff': {
      level: intervals.figure(
        float(krippendorff(whole, level)), krippendorff(replicates, level), reason
      )
      for level in (METRICS if graded else METRICS[:1])
    },
    'cohen': _pairs(answers, names, groups, classes, WEIGHTS if graded else ('kappa',), drawn),
  }


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
  figures: Iterable[str],
  drawn: dict[str, int],
) -> list[dict]:
  """Returns Cohen's figures for each pair of readers that share an image."""
  number, cells = groups.max() + 1, classes**2
  read = answers >= 0
  shared = read.T.astype(np.float64) @ read
  pairs = [pair for pair in itertools.combinations(range(len(names)), 2) if shared[pair] > 0]
  found = []
  for start in range(0, len(pairs), PAIRS_AT_ONCE):
    some = pairs[start : start + PAIRS_AT_ONCE]
    both = [np.flatnonzero(read[:, first] & read[:, second]) for first, second in some]
    columns = [
      place * cells + answers[images, first] * classes + answers[images, second]
      for place, (images, (first, second)) in enumerate(zip(both, some))
    ]
    at = (groups[np.concatenate(both)], np.concatenate(columns))
    tallies = sparse.coo_array((np.ones(len(at[0])), at), shape=(number, len(some) * cells))
    replicates = intervals.totals(tallies, **drawn).reshape(-1, len(some), classes, classes)
    confusions = tallies.sum(axis=0).reshape(-1, classes, classes)
    for place, (first, second) in enumerate(some):
      confusion = confusions[place]
      reason = ''
      if ((confusion.sum(axis=0) + confusion.sum(axis=1)) > 0).sum() < 2:
        reason = 'all answers are the same'
      elif len(np.unique(groups[both[place]])) < 2:
        reason = 'the images that both read are of one patient, or are one'
      found.append(
        {
          'readers': [str(names[first]), str(names[second])],
          'images': int(shared[first, second]),
          **{
            name: intervals.figure(
              float(cohen(confusion, WEIGHTS[name])),
              cohen(replicates[:, place], WEIGHTS[name]),
              reason,
            )
            for name in figures
          },
        }
      )
  return found

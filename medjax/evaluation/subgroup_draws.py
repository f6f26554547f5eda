"""The images of one value of a column, weighed by how often their patients are drawn."""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import sparse

from medjax.evaluation.figure import Figure
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.statistics import delong, metrics

NO_VARIANCE = 'the scores of one of the two separate its classes, or all go together'
FEW = 10  # patients of a class, below which a figure is not reported


class Group(NamedTuple):
  """The images of one value of a column, ready to be weighed by how often patients are drawn.

  Attributes:
    images: how many there are.
    patients: int[P], which of all patients they are of.
    rankings: for each label the ranking of its images, `order` reading from `patients`, or None.
    parts: of the same labels what every patient adds to the AUROC, or None.
    adds: sparse f64[5 · L, P]: images of each patient that are positive, negative, rightly called
      positive, rightly called negative, and their squared errors, each of every label.
    undecided: bool[L], labels without a threshold.
  """

  images: int
  patients: np.ndarray
  rankings: list[metrics.Ranking | None]
  parts: list[delong.Contributions | None]
  adds: sparse.csr_array
  undecided: np.ndarray


class Pair(NamedTuple):
  """A group and the reference, of the same labels."""

  group: Group
  reference: Group
  labels: Sequence[str]

  def with_interval(self, gap: Figure, labels: Sequence[str], confidence: float) -> Figure:
    """Returns a gap in AUROC, or the mean of some labels', with DeLong's for the bootstrap's."""
    if gap.interval is None:
      return gap
    sides = (self.group, self.reference)
    one, other = (parts_of(side, self.labels, labels) for side in sides)
    shared = np.intersect1d(sides[0].patients, sides[1].patients, return_indices=True)[1:]
    bounds = delong.gap_interval(one, other, shared, confidence)
    return dataclasses.replace(gap, interval=bounds, reason='' if bounds else NO_VARIANCE)


def prepare(test: Predictions, patient: np.ndarray, rows: np.ndarray, cutoffs: np.ndarray) -> Group:
  """Returns the images in `rows`, of the patients int[N], at the labels' thresholds f64[L]."""
  patients, place = np.unique(patient[rows], return_inverse=True)
  tallies = np.zeros((6, len(test.labels), len(patients)))
  of_source = np.ones(len(rows)) if test.weights is None else test.weights[rows]
  rankings: list[metrics.Ranking | None] = []
  parts: list[delong.Contributions | None] = []
  for index, threshold in enumerate(cutoffs):
    known = np.asarray(test.known[rows, index], bool)
    owner, positive = place[known], test.truth[rows, index][known] == 1
    scores = np.asarray(test.probabilities[rows, index], np.float64)[known]
    enough = min(len(np.unique(owner[positive])), len(np.unique(owner[~positive]))) >= FEW
    ranks = test.ranks[rows, index][known]
    ranking = metrics.rank(ranks, positive) if enough else None
    rankings.append(ranking and ranking._replace(order=owner[ranking.order]))
    parts.append(
      delong.contributions(ranks[None], positive, owner, len(patients)) if enough else None
    )
    flagged = scores >= threshold
    for tally, weights in zip(
      tallies[:, index],
      (
        positive,
        ~positive,
        flagged & positive,
        ~flagged & ~positive,
        of_source[known] * (scores - positive) ** 2,
        of_source[known],
      ),
    ):
      tally[:] = np.bincount(owner, weights=weights, minlength=len(patients))
  adds = sparse.csr_array(tallies.reshape(-1, len(patients)))
  return Group(len(rows), patients, rankings, parts, adds, np.isnan(cutoffs))


def figures(group: Group, by_patient: np.ndarray) -> np.ndarray:
  """Returns every figure of a group, f64[R, figures, L], NaN where one does not exist.

  Args:
    group: of P patients.
    by_patient: f64[all patients, R], how often each is drawn.
  """
  drawn = by_patient[group.patients]
  whole = metrics.whole_numbers(drawn, group.images)
  areas = np.full((2, drawn.shape[1], len(group.rankings)), np.nan)
  for index, ranking in enumerate(group.rankings):
    if ranking is not None:
      areas[0, :, index], areas[1, :, index] = metrics.areas(ranking, whole)
  with np.errstate(invalid='ignore', divide='ignore'):
    sums = (group.adds @ drawn).reshape(6, -1, drawn.shape[1]).swapaxes(1, 2)
    sums[2:4, :, group.undecided] = np.nan
    positives, negatives, hits, rejected, errors, images = sums
    return np.stack(
      [
        *areas,
        hits / positives,
        rejected / negatives,
        hits / (hits + negatives - rejected),
        rejected / (rejected + positives - hits),
        errors / images,
      ],
      axis=1,
    )


def parts_of(
  group: Group, labels: Sequence[str], entered: Sequence[str]
) -> list[delong.Contributions]:
  """Returns what the group's patients add to the AUROCs of the labels that entered a figure."""
  parts = (group.parts[list(labels).index(label)] for label in entered)
  return [part for part in parts if part is not None]

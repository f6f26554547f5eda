"""Sensitivity and specificity of two runs on the same images, and how far they are apart."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from medjax.evaluation import classes
from medjax.evaluation.contrasts import Compared
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_figures import ONE_PATIENT
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.statistics import proportions

Thresholds = Mapping[str, float | None]
OWN_THRESHOLDS = 'Each run at its own threshold, chosen on validation and frozen.'


class Rates(NamedTuple):
  """Both of one label, None where a run decides nothing."""

  sensitivity: Compared | None
  specificity: Compared | None


def decided(run: Predictions, thresholds: Thresholds, head: str, index: int) -> np.ndarray | None:
  """Returns which images a run calls positive for a label, bool[N]; None without a threshold.

  Of exclusive classes, head 'softmax' or 'ordinal', those for whose class it decides.
  """
  if head != 'sigmoid':
    return classes.decide(run.probabilities, head) == index
  threshold = thresholds.get(run.labels[index])
  return None if threshold is None else run.probabilities[:, index] >= threshold


def of_label(
  one: Predictions,
  index: int,
  called: tuple[np.ndarray | None, np.ndarray | None],
  confidence: float,
) -> Rates:
  """Returns sensitivity and specificity of one label.

  Intervals of each are those of medjax.evaluation.statistics.proportions.wilson, and of their
  difference those of `proportions.difference`.

  Args:
    one: predictions of one of the two, whose patients and truth are those of both.
    index: of the label.
    called: of each run, see `decided`.
    confidence: how often the intervals cover.
  """
  first, second = called
  if first is None or second is None:
    return Rates(None, None)
  known = np.asarray(one.known[:, index], bool)
  truth = one.truth[known, index] == 1
  first, second = first[known], second[known]
  names, patient = np.unique(np.asarray(one.patients)[known], return_inverse=True)
  rates: dict[str, Compared] = {}
  for name, whole, hits in (
    ('sensitivity', truth, (first, second)),
    ('specificity', ~truth, (~first, ~second)),
  ):
    images = np.bincount(patient, whole, minlength=len(names))
    right = [np.bincount(patient, hit & whole, minlength=len(names)) for hit in hits]
    rates[name] = _compared(right[0], right[1], images, confidence, name)
  return Rates(**rates)


def _compared(
  one: np.ndarray, other: np.ndarray, images: np.ndarray, confidence: float, name: str
) -> Compared:
  total = images.sum()
  if not total:
    kind = 'positives' if name == 'sensitivity' else 'negatives'
    nothing = Figure(None, reason=f'no {kind}')
    return Compared(nothing, nothing, nothing)
  shares = [float(hits.sum() / total) for hits in (one, other)]
  bounds = [proportions.wilson(hits, images, confidence) for hits in (one, other)]
  apart = proportions.difference(one, other, images, confidence)
  figures = [
    Figure(value, interval, reason='' if interval else ONE_PATIENT)
    for value, interval in zip((*shares, shares[0] - shares[1]), (*bounds, apart))
  ]
  return Compared(*figures)

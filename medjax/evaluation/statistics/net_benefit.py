"""Net benefit: what acting on a model's probabilities is worth, against acting on all or nobody.

Whoever acts at a probability of t or more takes (1 − t) / t false alarms for one found positive.
Net benefit counts found positives per image, less false alarms at that rate of exchange (Vickers &
Elkin, Medical Decision Making 26:565, 2006). Acting on nobody has 0; the most is the prevalence.

Intervals are of the two proportions that a net benefit is made of, by patient, put together as in
proportions.difference. The percentile bootstrap's hold 74 % where few images pass a threshold, and
47 % where few positives fail it.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

from medjax.evaluation.figure import Interval
from medjax.evaluation.statistics import proportions

POINTS = 40  # thresholds of a curve
_FEW = 20  # patients of whom a weighted interval is: of fewer it holds 75 %
_HIGHEST = 0.99  # threshold; at 1 a false alarm costs infinitely much


class AtThreshold(NamedTuple):
  """What acting at one threshold is worth.

  Attributes:
    model: net benefit of the model, in found positives per image.
    treat_all: of acting on all.
    avoided: actions spared per 100 images against acting on all, the positives that are missed for
      them made up for at the same rate of exchange.
    model_interval, avoided_interval: None with fewer than two patients and, of weighted images,
      where fewer than 20 patients are acted on, or spared.
  """

  model: float
  treat_all: float
  avoided: float
  model_interval: Interval | None
  avoided_interval: Interval | None


def thresholds(prevalence: float) -> np.ndarray:
  """Returns f64[K] thresholds, even from above 0 to four times the prevalence, at most 0.99.

  Nobody acts at a probability far above what is common: there the curve is 0 or nearly so.
  """
  return np.arange(1, POINTS + 1) / POINTS * min(_HIGHEST, 4 * prevalence)


def at_threshold(
  threshold: float,
  patient: np.ndarray,
  scores: np.ndarray,
  truth: np.ndarray,
  weights: np.ndarray | None = None,
  level: float = 0.95,
) -> AtThreshold:
  """Returns what acting at one threshold is worth.

  Args:
    threshold: in (0, 1); a probability at or above is acted on.
    patient: int[N] from 0, whose image it is.
    scores: f[N], probabilities.
    truth: [N] of 0 and 1.
    weights: f64[N], how much an image counts; None for all alike.
    level: how often the intervals cover.
  """
  counts = np.ones(len(truth)) if weights is None else np.asarray(weights, np.float64)
  called, positive = np.asarray(scores, np.float64) >= threshold, np.asarray(truth) == 1
  images = np.bincount(patient, counts)
  hits, alarms, rejected, missed = (
    np.bincount(patient, counts * kind, minlength=len(images))
    for kind in (called & positive, called & ~positive, ~called & ~positive, ~called & positive)
  )
  exchange, total = threshold / (1 - threshold), images.sum()
  prevalence = float((hits.sum() + missed.sum()) / total)

  def interval(one: np.ndarray, other: np.ndarray, times: float) -> Interval | None:
    if weights is None:
      return proportions.difference(one, other, images, level, times)
    if np.count_nonzero(one + other) < _FEW:
      return None
    return _weighted(one - times * other, images, level)

  return AtThreshold(
    model=float((hits.sum() - exchange * alarms.sum()) / total),
    treat_all=float(prevalence - exchange * (1 - prevalence)),
    avoided=float(100 * (rejected.sum() - missed.sum() / exchange) / total),
    model_interval=interval(hits, alarms, exchange),
    avoided_interval=_hundredfold(interval(rejected, missed, 1 / exchange)),
  )


def _weighted(added: np.ndarray, images: np.ndarray, level: float) -> Interval | None:
  """Returns the interval of a mean over weighted images, by the variance between patients.

  The linearised variance of a ratio (Cochran, Sampling Techniques, 1977, section 6.3), with
  Student's t. Wilson's interval takes weighted images for no better than images drawn alike, and
  would be twice as wide where a floor drew ten times as many of the positives.

  Args:
    added: f[P], what each patient adds to the sum.
    images: f[P], weighted images.
    level: how often the interval covers.
  """
  patients = len(images)
  if patients < 2:
    return None
  middle = added.sum() / images.sum()
  apart = added - middle * images
  error = np.sqrt(patients / (patients - 1) * (apart**2).sum()) / images.sum()
  reach = special.stdtrit(patients - 1, (1 + level) / 2) * error
  return float(middle - reach), float(middle + reach)


def _hundredfold(interval: Interval | None) -> Interval | None:
  return interval and (100 * interval[0], 100 * interval[1])

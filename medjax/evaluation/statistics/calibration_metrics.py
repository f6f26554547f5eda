"""How far probabilities are from the shares they promise: Brier score, calibration error, slope.

Slope and intercept are those of a logistic regression of the truth on the logit of the probability
(Cox, Biometrika 45:562, 1958). A slope below 1 says that probabilities are too extreme. The
intercept is taken with the slope fixed at 1: above 0 it says that probabilities are too low on the
whole (Van Calster et al., BMC Medicine 17:230, 2019: "calibration in the large").
"""

import itertools
from typing import Any

import numpy as np
from scipy import sparse, special

from medjax.evaluation.figure import Interval
from medjax.evaluation.label_result import ReliabilityBin
from medjax.evaluation.statistics import metrics

BINS = 15  # of equal width, as in Guo et al., ICML 2017
EPSILON = 1e-7  # probabilities are kept this far from 0 and 1 before their logit is taken
_ITERATIONS = 30
_LARGEST = 100.0  # a coefficient beyond this, in standard deviations of the logit, is running away


def logit(probabilities: np.ndarray) -> np.ndarray:
  """Returns log(p / (1 − p)), f64, of probabilities kept `EPSILON` away from 0 and 1."""
  clipped = np.clip(np.asarray(probabilities, np.float64), EPSILON, 1 - EPSILON)
  return np.log(clipped) - np.log1p(-clipped)


def bin_of(probabilities: np.ndarray) -> np.ndarray:
  """Returns the bin, int[N] from 0, of each probability: bin m holds (m / BINS, (m + 1) / BINS].

  Probability 0 is in the first bin.
  """
  edges = np.arange(1, BINS) / BINS
  return np.searchsorted(edges, np.asarray(probabilities, np.float64), side='left')


def fits(logits: np.ndarray, sums: np.ndarray, totals: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Fits b of truth ~ sigmoid(a + b · logit) and a of truth ~ sigmoid(a + logit), by Newton steps.

  Args:
    logits: f64[G], of images, or the nodes of `on_grid`.
    sums: f64[R, 2], the number of positives and the sum of their logits in each of R fits.
    totals: f64[R, G], how many images each logit has.

  Returns:
    (slopes f64[R], intercepts f64[R]); NaN where a class is absent or, for the slope, where no
    logistic curve fits best because the classes do not overlap or all logits are alike.
  """
  slopes, intercepts = np.full((2, len(totals)), np.nan)
  number = totals.sum(axis=1)
  both = (sums[:, 0] > 1e-6) & (sums[:, 0] < number - 1e-6)
  if not both.any():
    return slopes, intercepts
  sums, totals = sums[both], totals[both]
  intercepts[both] = _newton(np.ones((len(logits), 1)), logits, sums[:, :1], totals)[:, 0]
  images = totals.sum(axis=0)
  middle = images @ logits / images.sum()
  spread = np.sqrt(images @ (logits - middle) ** 2 / images.sum())
  if spread > 0:
    design = np.stack((np.ones(len(logits)), (logits - middle) / spread), axis=1)
    scaled = np.stack((sums[:, 0], (sums[:, 1] - middle * sums[:, 0]) / spread), axis=1)
    slopes[both] = _newton(design, np.zeros(len(logits)), scaled, totals)[:, 1] / spread
  return slopes, intercepts


def on_grid(logits: np.ndarray, nodes: int = 128) -> tuple[np.ndarray, sparse.csr_array]:
  """Returns nodes f64[G] and [N, G], which turns images into weights of nodes.

  A smooth function's sum over images is then its sum over nodes: cubic interpolation on a scale
  that is even where most logits lie and logarithmic far from there, so that a probability of
  exactly 0 or 1 does not make the steps between all others coarse. Exact to about 1e-5 for a
  logistic curve; few different logits are nodes themselves.
  """
  distinct, place = np.unique(logits, return_inverse=True)
  if len(distinct) <= nodes:
    of_image = (np.ones(len(logits)), (np.arange(len(logits)), place))
    return distinct, sparse.csr_array(of_image, (len(logits), len(distinct)))
  low, middle, high = np.quantile(logits, (0.1, 0.5, 0.9))
  unit = (high - low) / 2 or np.std(logits)
  bent = np.arcsinh((logits - middle) / unit)
  low, step = bent.min(), np.ptp(bent) / (nodes - 1)
  place = (bent - low) / step
  first = np.clip(np.floor(place).astype(int) - 1, 0, nodes - 4)
  t = place - first  # in 0 … 3, of four neighbours
  weights = np.stack(
    (
      -(t - 1) * (t - 2) * (t - 3) / 6,
      t * (t - 2) * (t - 3) / 2,
      -t * (t - 1) * (t - 3) / 2,
      t * (t - 1) * (t - 2) / 6,
    ),
    axis=1,
  )
  columns = first[:, None] + np.arange(4)
  rows = np.repeat(np.arange(len(logits)), 4)
  spread = sparse.csr_array((weights.ravel(), (rows, columns.ravel())), (len(logits), nodes))
  return middle + unit * np.sinh(low + step * np.arange(nodes)), spread


def _newton(
  design: np.ndarray, offset: np.ndarray, target: np.ndarray, totals: np.ndarray
) -> np.ndarray:
  """Solves Σ totals · sigmoid(offset + design θ) · design = target; NaN where it fails.

  Args:
    design: f64[G, F].
    offset: f64[G].
    target: f64[R, F], the same sum over the positives.
    totals: f64[R, G].
  """
  size = design.shape[1]
  products = (design[:, :, None] * design[:, None, :]).reshape(len(design), -1)
  solutions = np.full(target.shape, np.nan)
  theta, rows = np.zeros(target.shape), np.arange(len(target))  # the rows that still move
  for _ in range(_ITERATIONS):
    chance = special.expit(theta[rows] @ design.T + offset)
    gradient = target[rows] - (totals[rows] * chance) @ design
    curvature = (totals[rows] * chance * (1 - chance)) @ products
    curvature = curvature.reshape(-1, size, size) + 1e-12 * np.eye(size)
    step = np.linalg.solve(curvature, gradient[..., None])[..., 0]
    # Far from the solution a whole step may overshoot.
    step *= np.minimum(1, 2 / np.maximum(np.abs(step).max(axis=1, keepdims=True), 1e-300))
    theta[rows] += step
    # The next step would be about the square of this one; far smaller ones are lost in rounding
    # where nearly all probabilities are 0 or 1.
    done = np.abs(step).max(axis=1) < 1e-6
    solutions[rows[done]] = theta[rows[done]]
    rows = rows[~done & (np.abs(theta[rows]).max(axis=1) < _LARGEST)]
    if not len(rows):
      break
  return solutions


def reliability(
  scores: np.ndarray, truth: np.ndarray, bins: int = 10, weights: np.ndarray | None = None
) -> tuple[ReliabilityBin, ...]:
  """Returns the points of a reliability curve: of images given about p, what share is positive?

  The bins hold equally many images, as nearly as ties allow: equal scores are never parted, so
  there may be fewer bins. Bins of equal width would leave most points of a rare finding to a few
  images. (The expected calibration error of Guo et al. 2017 has bins of equal width.)

  Args:
    scores: f[N], probabilities.
    truth: [N] of 0 and 1.
    bins: at most so many.
    weights: f64[N], how much each counts in the means of its bin; None for all alike.

  Returns:
    The bins, rising; none without images.
  """
  scores, truth = metrics.checked(scores, truth)
  order = np.argsort(scores, kind='stable')
  scores, truth = scores[order], truth[order]
  weights = np.ones(len(scores)) if weights is None else np.asarray(weights, np.float64)[order]
  cuts = np.linspace(0, len(scores), bins + 1).round().astype(int)[1:-1]
  cuts = np.searchsorted(scores, scores[cuts[cuts < len(scores)]])  # to the start of each tie
  edges = np.unique(np.concatenate(([0], cuts, [len(scores)])))
  return tuple(
    ReliabilityBin(
      low=float(scores[start]),
      high=float(scores[end - 1]),
      images=int(end - start),
      **_shares(scores[start:end], truth[start:end], weights[start:end]),
    )
    for start, end in itertools.pairwise(edges)
  )


def _shares(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> dict[str, Any]:
  """Returns the means of a bin and the interval of the share that is positive.

  Weighted images are as many as Kish's effective size, (Σ w)² / Σ w² (Survey Sampling, 1965).
  """
  if (weights == weights[0]).all():
    share = float(truth.mean())
    return {
      'mean_probability': float(scores.mean()),
      'share_positive': share,
      'interval': _wilson(share, len(truth)),
    }
  share = float(weights @ truth / weights.sum())
  return {
    'mean_probability': float(weights @ scores / weights.sum()),
    'share_positive': share,
    'interval': _wilson(share, float(weights.sum() ** 2 / (weights @ weights))),
  }


def _wilson(share: float, size: float) -> Interval:
  """Returns the 95 % score interval of a share of so many (Wilson, JASA 22:209, 1927)."""
  square = float(special.ndtri(0.975)) ** 2
  middle = (share + square / (2 * size)) / (1 + square / size)
  spread = share * (1 - share) / size + square / (4 * size**2)
  half = float(np.sqrt(square * spread)) / (1 + square / size)
  return max(0.0, middle - half), min(1.0, middle + half)

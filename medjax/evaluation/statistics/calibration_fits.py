"""The least squares and log losses that medjax.evaluation.calibration fits.

Weights f64[N] say how much each image counts, 1 on average.
"""

from collections.abc import Callable

import numpy as np
from scipy import special

TEMPERATURES = (0.01, 100.0)  # beyond, an answer is 0 or 1, or none at all
_COLD = 1e18  # 1 / T at which any two probabilities that differ become 0 and 1
LEAST_SLOPE = 0.01  # of a class in vector scaling

Breakpoints = tuple[tuple[float, float], ...]


def targets(counts: np.ndarray, weights: np.ndarray) -> np.ndarray:
  """Returns what an image of each class aims at, f64[K, K], rows the class, by how many have it.

  Platt's are not 0 and 1 but what Laplace's rule expects of the next image, (n + 1) / (n + 2) for a
  class of n. They keep the fit finite where validation parts the classes without error. With K
  classes the rule is (n + 1) / (n + K), which is Platt's for two. The next image, of another class,
  counts as little as those of its class do: else few common ones would outweigh a rare finding.

  Args:
    counts: int[K], images of each class.
    weights: f64[K], their mean weight.
  """
  others = np.minimum(1.0, weights / weights[:, None])
  return (others + np.diag(counts)) / (counts + others.sum(axis=1))[:, None]


def _of_classes(truth: np.ndarray, classes: int, weights: np.ndarray) -> np.ndarray:
  """Returns the targets f64[K, K] of images whose classes are int[N]."""
  counts = np.bincount(truth, minlength=classes)
  means = np.bincount(truth, weights=weights, minlength=classes) / counts
  return targets(counts, means)


def temperature(slope: Callable[[float], float]) -> tuple[float | None, str]:
  """Returns T of the least log loss, or None and why there is none.

  Args:
    slope: of the log loss against 1 / T, in which it is convex.
  """
  from scipy import optimize  # Half a second, which commands that fit nothing do not wait for.

  coldest, hottest = TEMPERATURES
  if slope(0.0) >= 0:
    return None, 'no temperature does better than calling every answer equally likely'
  if slope(1 / hottest) >= 0:
    return None, f'the temperature that fits is above {hottest:g}, the highest that is tried'
  if slope(_COLD) <= 0:
    return None, 'validation is separated without error, so that any lower temperature is better'
  if slope(1 / coldest) <= 0:
    return None, f'the temperature that fits is below {coldest:g}, the lowest that is tried'
  inverse = optimize.brentq(slope, 1 / hottest, 1 / coldest, xtol=1e-14)
  return 1 / inverse, ''


def platt(z: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
  """Returns (slope, intercept) of the least log loss against Platt's targets.

  Newton's method with backtracking, and a loss that neither overflows nor cancels (Lin, Lin & Weng,
  Machine Learning 68:267, 2007, of which 1e-12, 1e-4 and 1e-10 are too).
  """
  positives, negatives = int(truth.sum()), int((~truth).sum())
  aims = _of_classes(truth.astype(int), 2, weights)[truth.astype(int), 1]
  inputs = np.stack([z, np.ones_like(z)], axis=1)

  def loss(line: np.ndarray) -> float:
    u = inputs @ line
    return float((weights * (np.logaddexp(0, u) - aims * u)).mean())

  line = np.array([0.0, np.log((positives + 1) / (negatives + 1))])
  for _ in range(100):
    p = special.expit(inputs @ line)
    gradient = (weights * (p - aims)) @ inputs / len(z)
    hessian = (inputs * (weights * (p * (1 - p)))[:, None]).T @ inputs / len(z) + 1e-12 * np.eye(2)
    direction = -np.linalg.solve(hessian, gradient)
    if np.abs(direction).max() <= 1e-12 * (1 + np.abs(line).max()):
      break
    # Close to the end the loss no longer tells steps apart, but the gradient still does.
    before, fall, step = loss(line) + 1e-15, 1e-4 * gradient @ direction, 1.0
    while step > 1e-10 and loss(line + step * direction) > before + step * fall:
      step /= 2
    line = line + step * direction
  return float(line[0]), float(line[1])


def vector_scaling(
  scores: np.ndarray, truth: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns (slopes, intercepts), each f64[K], of the least log loss against Platt's targets.

  Args:
    scores: f64[N, K], log p.
    truth: int[N], the class of each image.
    weights: f64[N].
  """
  from scipy import optimize

  classes = scores.shape[1]
  aims = _of_classes(truth, classes, weights)[truth]
  # Far from 0, slopes and intercepts do each other's work and the search is slow.
  centre = scores.mean(axis=0)
  centred = scores - centre

  def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
    slopes, intercepts = np.split(parameters, 2)
    log_p = special.log_softmax(slopes * centred + intercepts, axis=1)
    error = weights[:, None] * (np.exp(log_p) - aims)
    gradient = np.concatenate([(error * centred).mean(axis=0), error.mean(axis=0)])
    return float(-(weights * (aims * log_p).sum(axis=1)).mean()), gradient

  minimum = optimize.minimize(
    loss,
    np.concatenate([np.ones(classes), centre]),
    jac=True,
    method='L-BFGS-B',
    bounds=[(LEAST_SLOPE, None)] * classes + [(None, None)] * classes,
    options={'maxiter': 1000, 'ftol': 1e-14, 'gtol': 1e-9},
  )
  slopes, intercepts = np.split(minimum.x, 2)
  return slopes, intercepts - slopes * centre


def steps(scores: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> Breakpoints:
  """Returns both ends of each step, [score, share positive], by pooling adjacent violators.

  A step without positives would say 0, which no number of images can show, and whose logit and log
  loss are infinite: shares stay within Platt's targets.
  """
  from scipy import optimize

  distinct, place = np.unique(scores, return_inverse=True)
  images = np.bincount(place, weights=weights)
  positives = np.bincount(place, weights=weights * truth)
  pooled = optimize.isotonic_regression(positives / images, weights=images)
  shares = np.clip(pooled.x, *_of_classes(truth.astype(int), 2, weights)[:, 1])
  ends = np.unique(np.concatenate([pooled.blocks[:-1], pooled.blocks[1:] - 1]))
  return tuple(zip(distinct[ends].tolist(), shares[ends].tolist()))

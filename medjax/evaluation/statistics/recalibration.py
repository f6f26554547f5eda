"""Logistic recalibration: probabilities of a model made those of another population.

"Recalibration in the large" moves all log odds by one number, logistic recalibration also stretches
them: logit(p') = a + b · logit(p), of which the first has b = 1 (Cox, Biometrika 45:562, 1958;
Steyerberg et al., Stat. Med. 23:2567, 2004, methods 2 and 3; Van Calster et al., BMC Medicine
17:230, 2019).
Both are maximum likelihood, so with b > 0 nobody changes places and the AUROC stays what it was.
"""

from typing import NamedTuple

import numpy as np
from scipy import special

_ITERATIONS = 60
_LARGEST = 50.0  # a coefficient beyond, in standard deviations of the logit, is running away


class Line(NamedTuple):
  """logit(p') = intercept + slope · logit(p), or why there is none.

  Attributes:
    intercept: a, in log odds.
    slope: b.
    reason: '' where there is one; then neither is NaN.
  """

  intercept: float
  slope: float
  reason: str = ''


def in_the_large(logits: np.ndarray, truth: np.ndarray) -> Line:
  """Fits the intercept, the slope staying 1; arguments as of `logistic`."""
  reason = _lacking(truth)
  if reason:
    return Line(np.nan, 1.0, reason)
  solved = _maximum(np.ones((len(logits), 1)), np.asarray(logits, np.float64), truth)
  return Line(float(solved[0]), 1.0)


def logistic(logits: np.ndarray, truth: np.ndarray) -> Line:
  """Fits intercept and slope.

  Args:
    logits: f[N], log odds, all finite.
    truth: [N] of 0 and 1.
  """
  reason = _lacking(truth)
  if reason:
    return Line(np.nan, np.nan, reason)
  z = np.asarray(logits, np.float64)
  middle, spread = z.mean(), z.std()
  if not spread > 0:
    return Line(np.nan, np.nan, 'all probabilities are alike')
  design = np.stack([np.ones(len(z)), (z - middle) / spread], axis=1)
  solved = _maximum(design, np.zeros(len(z)), truth)
  if np.isnan(solved).any():
    return Line(
      np.nan, np.nan, 'the probabilities separate the classes, so that no curve fits best'
    )
  slope = float(solved[1] / spread)
  if not slope > 0:
    return Line(
      np.nan, np.nan, 'higher probabilities do not go with more positives, so the slope is below 0'
    )
  return Line(float(solved[0] - slope * middle), slope)


def _lacking(truth: np.ndarray) -> str:
  for value, kind in ((1, 'positives'), (0, 'negatives')):
    if not (np.asarray(truth) == value).any():
      return f'no {kind} in the half that it is estimated on'
  return ''


def _maximum(design: np.ndarray, offset: np.ndarray, truth: np.ndarray) -> np.ndarray:
  """Returns the coefficients f64[F] of a logistic regression with an offset, by Newton's method.

  NaN where there is no maximum.
  """
  y, theta = np.asarray(truth, np.float64), np.zeros(design.shape[1])
  for _ in range(_ITERATIONS):
    chance = special.expit(offset + design @ theta)
    gradient = design.T @ (y - chance)
    curvature = (design * (chance * (1 - chance))[:, None]).T @ design
    step = np.linalg.solve(curvature + 1e-12 * np.eye(len(theta)), gradient)
    theta = theta + step * min(1.0, 2 / max(float(np.abs(step).max()), 1e-300))
    if np.abs(step).max() < 1e-10:
      return theta
    if np.abs(theta).max() > _LARGEST:
      break
  return np.full(len(theta), np.nan)

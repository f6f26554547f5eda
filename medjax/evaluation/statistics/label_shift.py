"""The prevalence of a population from a model's probabilities alone, no truth being known.

If a finding looks the same in both populations and is only more or less common (label shift), the
probability p of an image in the one, whose prevalence is q, becomes in the other, of prevalence r,

  r/q · p / (r/q · p + (1 − r)/(1 − q) · (1 − p)),

and r is the mean of these. Saerens, Latinne & Decaestecker, Neural Computation 14:21, 2002, find it
by the EM algorithm (their equation 2.9), which maximises the likelihood of a mixture, Σ log(r p/q +
(1 − r)(1 − p)/(1 − q)). In one unknown it is concave, and Newton's method finds the same maximum in
fewer steps.
"""

import numpy as np

from medjax.evaluation.figure import Figure
from medjax.evaluation.statistics import calibration_metrics, intervals

OFF_RANGE = 'it lies at an end of its range: the scores are unlike any mixture of the two classes'
_ITERATIONS = 200
_PRECISE = 1e-10
_MOST, _NEAR = 2000, 1e-6  # steps of EM; their size that is small enough for a replicate
_END = 1e-4  # EM only comes near the ends of its range


def prevalence(probabilities: np.ndarray, weights: np.ndarray, start: float) -> np.ndarray:
  """Returns the prevalence under each of R weightings, f64[R], in [0, 1].

  Args:
    probabilities: f64[N] of the finding, calibrated to a prevalence of `start`.
    weights: f64[R, N], not negative.
    start: q above, in (0, 1).
  """
  p = np.asarray(probabilities, np.float64)
  present, absent = p / start, (1 - p) / (1 - start)
  slope = present - absent

  def gradient(share: np.ndarray, rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    ratio = slope / np.maximum(absent + share[:, None] * slope, 1e-300)
    return (rows * ratio).sum(axis=1), -(rows * ratio**2).sum(axis=1)

  size = len(weights)
  low, high = np.zeros(size), np.ones(size)
  share = np.full(size, float(start))
  # At an end of [0, 1] the likelihood may still rise, and the end is then the estimate.
  at_low, at_high = (gradient(end, weights)[0] for end in (low, high))
  for _ in range(_ITERATIONS):
    first, second = gradient(share, weights)
    low, high = np.where(first > 0, share, low), np.where(first > 0, high, share)
    with np.errstate(divide='ignore', invalid='ignore'):
      step = share - first / second
    inside = (step > low) & (step < high)
    moved = np.where(inside, step, (low + high) / 2)
    done = np.abs(moved - share).max() < _PRECISE
    share = moved
    if done:
      break
  return np.where(at_low <= 0, 0.0, np.where(at_high >= 0, 1.0, share))


def figure(
  probabilities: np.ndarray,
  patients: np.ndarray,
  start: float,
  *,
  replicates: int = 2000,
  seed: int = 0,
  level: float = 0.95,
) -> Figure:
  """Returns the prevalence with its percentile interval over patients.

  Args:
    probabilities: f[N] of the finding, calibrated to a prevalence of `start`.
    patients: [N], whose image each is.
    start: prevalence that they are calibrated to; without both classes there is no estimate.
    replicates: of the bootstrap over patients.
    seed: of the bootstrap.
    level: how often the interval is to cover.
  """
  p = np.asarray(probabilities, np.float64)
  if not len(p):
    return Figure(None, reason='no images')
  if not 0 < start < 1:
    return Figure(None, reason='the prevalence that probabilities are calibrated to is 0 or 1')
  if np.ptp(p) <= 0:
    return Figure(None, reason='all probabilities are the same')
  names, patient = np.unique(np.asarray(patients), return_inverse=True)
  # Many images as few logits, exact to about 1e-5, see calibration_metrics.on_grid.
  nodes, spread = calibration_metrics.on_grid(calibration_metrics.logit(p))
  at_nodes = 1 / (1 + np.exp(-nodes))
  of_patient = np.zeros((len(names), len(nodes)))
  np.add.at(of_patient, patient, spread.toarray())

  def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
    return {'prevalence': prevalence(at_nodes, weights @ of_patient, start)}

  drawn = intervals.replicate(
    compute, len(names), len(nodes), replicates=replicates, seed=seed
  ).get('prevalence', np.zeros(0))
  value = float(prevalence(p, np.ones((1, len(p))), start)[0])
  reason = 'fewer than two patients' if len(names) < 2 else ''
  if value in (0.0, 1.0):
    reason = OFF_RANGE
  return intervals.figure(value, drawn, reason, level)


def class_prevalences(
  probabilities: np.ndarray,
  weights: np.ndarray,
  start: np.ndarray,
  first: np.ndarray | None = None,
  precision: float = _PRECISE,
) -> np.ndarray:
  """Returns the prevalences of K exclusive classes under each of R weightings, f64[R, K].

  Their sum is 1. Here it is the EM algorithm itself: of one class against all others the others
  would not look the same, for these are mixed anew.

  Args:
    probabilities: f64[N, K], each row of sum 1, calibrated to prevalences of `start`.
    weights: f64[R, N], not negative.
    start: f64[K], all above 0.
    first: f64[K], where the search begins; `start` by default.
    precision: the largest step at which it ends.
  """
  ratios = np.asarray(probabilities, np.float64) / start  # f64[N, K]
  shares = np.repeat((start if first is None else first)[:, None], len(weights), axis=1)
  totals = weights.sum(axis=1)
  for _ in range(_MOST):
    density = np.maximum(ratios @ shares, 1e-300)  # f64[N, R]
    moved = shares * (ratios.T @ (weights.T / density)) / totals
    done = np.abs(moved - shares).max() < precision
    shares = moved
    if done:
      break
  return shares.T


def class_figures(
  probabilities: np.ndarray,
  patients: np.ndarray,
  start: np.ndarray,
  *,
  replicates: int = 2000,
  seed: int = 0,
  level: float = 0.95,
) -> list[Figure]:
  """Returns the prevalence of each of K exclusive classes; arguments as of `figure`, f[N, K]."""
  p, start = np.asarray(probabilities, np.float64), np.asarray(start, np.float64)
  if not len(p):
    return [Figure(None, reason='no images')] * len(start)
  if not (start > 0).all():
    return [Figure(None, reason='a class has no image on validation')] * len(start)
  names, patient = np.unique(np.asarray(patients), return_inverse=True)
  values = class_prevalences(p, np.ones((1, len(p))), start)[0]
  ends = np.where(values < _END, 0.0, np.where(values > 1 - _END, 1.0, values))
  # From a little inside: where a share is 0, EM stays.
  first = 0.99 * values + 0.01 * start

  def compute(weights: np.ndarray) -> dict[str, np.ndarray]:
    return {'shares': class_prevalences(p, weights[:, patient], start, first, _NEAR)}

  drawn = intervals.replicate(compute, len(names), p.size, replicates=replicates, seed=seed).get(
    'shares', np.zeros((0, len(start)))
  )
  few = 'fewer than two patients' if len(names) < 2 else ''
  return [
    intervals.figure(
      float(value),
      drawn[:, index],
      few or (OFF_RANGE if value in (0, 1) else ''),
      level,
    )
    for index, value in enumerate(ends)
  ]

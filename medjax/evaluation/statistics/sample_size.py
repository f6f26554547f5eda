"""How wide an interval a test set of so many patients will have, before there is one.

Each function takes what is expected of the model and how many patients there will be, and gives the
half-width (high − low) / 2 of an interval such as the report makes of AUROCs and proportions.
`smallest` turns one around: from a half-width to patients. Counts are expected ones and need not be
whole.

Patients with several images are worth more than one image each and less than all of them: m images
tell as much as m / d independent ones, d being the design effect, 1 + (m − 1) · ICC where any two
images of a patient correlate by ICC (Kish, Survey Sampling, 1965). `worth` is that m / d.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from medjax.evaluation.statistics import delong, proportions

MOST = 100_000_000  # patients beyond which nothing is searched
_NODES = 100  # of Gauss and Hermite's quadrature


class Placements(NamedTuple):
  """Variances of the placements of images of each class among all of the other, see delong.

  Attributes:
    positives: of the share of negatives that a positive outscores.
    negatives: of the share of positives that outscore a negative.
  """

  positives: float
  negatives: float


def normal(auroc: float) -> Placements:
  """Returns those of scores that are normal in each class, with equal variances.

  P(one positive outscores two negatives) = P(two normals of correlation 1/2 are both below
  Φ⁻¹(AUROC)), by Owen's T (Ann. Math. Stat. 27:1075, 1956).
  """
  both = auroc - 2 * special.owens_t(special.ndtri(auroc), np.sqrt(1 / 3))
  return Placements(float(both - auroc**2), float(both - auroc**2))


def exponential(auroc: float) -> Placements:
  """Returns Hanley & McNeil's (Radiology 143:29, 1982), of scores that are exponential.

  Positives are spread wider than negatives there, so it asks for more of rare positives.
  """
  return Placements(2 * auroc**2 / (1 + auroc) - auroc**2, auroc / (2 - auroc) - auroc**2)


def auroc_variance(
  auroc: float, positives: float, negatives: float, placements: Placements
) -> float:
  """Returns the variance of the AUROC of so many independent images (Hanley & McNeil 1982)."""
  of_positives, of_negatives = placements
  shared = auroc * (1 - auroc) + (positives - 1) * of_negatives + (negatives - 1) * of_positives
  return float(shared / (positives * negatives))


def auroc_half_width(
  auroc: float,
  positives: float,
  negatives: float,
  worth: float = 1.0,
  model: Callable[[float], Placements] = normal,
  level: float = 0.95,
) -> float:
  """Returns that of delong.interval: of logit(AUROC), by Student's t of the patients.

  Args:
    auroc: expected, in (0.5, 1).
    positives, negatives: patients with and without the finding.
    worth: independent images that a patient stands for.
    model: `normal` or `exponential`, how scores are distributed.
    level: how often the interval covers.

  Returns:
    The half-width; inf with fewer than two patients of a class, where no interval exists.
  """
  if min(positives, negatives) < 2:
    return np.inf
  spread = model(auroc)
  variance = auroc_variance(auroc, positives * worth, negatives * worth, spread)
  parts = np.array(spread) / (np.array([positives, negatives]) * worth)
  freedom = parts.sum() ** 2 / (parts**2 / (np.array([positives, negatives]) - 1)).sum()
  bounds, _ = delong.interval(auroc, variance, float(freedom), level)
  assert bounds is not None
  return (bounds[1] - bounds[0]) / 2


def difference_error(
  aurocs: tuple[float, float],
  correlation: float,
  positives: float,
  negatives: float,
  worth: float = 1.0,
) -> float:
  """Returns the standard error of a difference between two AUROCs on the same images.

  Hanley & McNeil, Radiology 148:839, 1983: SE² = SE₁² + SE₂² − 2 r SE₁ SE₂.

  Args:
    aurocs: of the two models.
    correlation: r, of the two estimates, not of the scores.
    positives, negatives: patients with and without the finding.
    worth: independent images that a patient stands for.
  """
  if min(positives, negatives) < 2:
    return np.inf
  one, other = (
    np.sqrt(auroc_variance(auroc, positives * worth, negatives * worth, normal(auroc)))
    for auroc in aurocs
  )
  return float(np.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other)))


def errors_apart(power: float, level: float = 0.95) -> float:
  """Returns how many standard errors a difference must be for so much power, z₁ + z₂.

  With it the two-sided interval excludes 0, or a margin so far away, in that share of studies.
  """
  return float(special.ndtri((1 + level) / 2) + special.ndtri(power))


def proportion_half_width(
  share: float, patients: float, images: float = 1.0, effect: float = 1.0, level: float = 0.95
) -> float:
  """Returns that of proportions.wilson.

  Args:
    share: expected, such as the sensitivity.
    patients: that it is counted in, such as those with the finding.
    images: of each.
    effect: the design effect.
    level: how often the interval covers.
  """
  if patients < 2:
    return np.inf
  quantile = float(special.ndtri((1 + level) / 2))
  if images > 1:
    telling = patients * min(share, 1 - share)
    effect = proportions.shrunken_effect(effect, images, telling)
    quantile = float(special.stdtrit(max(1.0, patients - 1), (1 + level) / 2))
  low, high = proportions.score_interval(share, patients * images / effect, quantile)
  return (high - low) / 2


def logits(auroc: float, prevalence: float) -> tuple[np.ndarray, np.ndarray]:
  """Returns nodes and weights, f64[G] each, of the log-odds of a calibrated model.

  They are normal in each class with the AUROC asked for; calibration then fixes the rest: a mean of
  logit(prevalence) ± d² / 2 and a variance of d², d = √2 Φ⁻¹(AUROC).
  """
  apart = np.sqrt(2) * special.ndtri(auroc)
  nodes, weights = np.polynomial.hermite_e.hermegauss(_NODES)
  weights = weights / weights.sum()
  middle = special.logit(prevalence)
  shifts = middle + apart**2 / 2, middle - apart**2 / 2
  return (
    np.concatenate([shift + apart * nodes for shift in shifts]),
    np.concatenate([prevalence * weights, (1 - prevalence) * weights]),
  )


def slope_half_width(
  nodes: np.ndarray, weights: np.ndarray, size: float, level: float = 0.95
) -> float:
  """Returns that of the calibration slope of a calibrated model.

  Riley et al., Stat. Med. 40:4230, 2021, equation 11: the slope's standard error from Fisher's
  information in a logistic regression on the log-odds, at a slope of 1 and an intercept of 0.

  Args:
    nodes, weights: f64[G], the distribution of the log-odds; weights sum to 1.
    size: independent images.
    level: how often the interval covers.
  """
  fisher = weights * special.expit(nodes) * special.expit(-nodes)
  information = fisher.sum(), fisher @ nodes, fisher @ nodes**2
  determinant = information[0] * information[2] - information[1] ** 2
  error = np.sqrt(information[0] / (determinant * size))
  return float(special.ndtri((1 + level) / 2) * error)


def observed_expected_half_width(prevalence: float, size: float, level: float = 0.95) -> float:
  """Returns that of O:E, positives observed over those expected, of a calibrated model.

  Riley et al. 2021, equations 2 and 3: SE(ln O:E) = √((1 − φ) / (n φ)), and the interval is
  exp(± z SE).

  Args:
    prevalence: φ.
    size: independent images, n.
    level: how often the interval covers.
  """
  error = np.sqrt((1 - prevalence) / (size * prevalence))
  return float(np.sinh(min(700.0, special.ndtri((1 + level) / 2) * error)))


def smallest(half_width: Callable[[float], float], wanted: float) -> int | None:
  """Returns the fewest patients, a whole number from 2, whose half-width is at most `wanted`.

  Args:
    half_width: of so many patients; falls where they are more.
    wanted: the half-width.

  Returns:
    None where more than `MOST` would be needed.
  """
  low, high = 1, 2
  while half_width(high) > wanted:
    low, high = high, 2 * high
    if low > MOST:
      return None
  while high - low > 1:
    middle = (low + high) // 2
    low, high = (middle, high) if half_width(middle) > wanted else (low, middle)
  return high


def simulated_half_widths(
  auroc: float,
  prevalence: float,
  patients: int,
  images: int = 1,
  correlation: float = 0.0,
  replicates: int = 200,
  seed: int = 0,
) -> np.ndarray:
  """Returns the half-widths, f64[R], of the AUROC's interval in simulated test sets.

  Scores are normal in each class; a patient has the finding in all images or in none. How many
  have it is chance, as in a study that takes patients as they come.

  Args:
    auroc: of the model.
    prevalence: share of patients with the finding.
    patients: of each test set.
    images: of each patient.
    correlation: of two images' scores of one patient, beyond what the finding makes alike.
    replicates: test sets.
    seed: of the draws.

  Returns:
    NaN where a test set has no interval.
  """
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), images)
  apart = np.sqrt(2) * special.ndtri(auroc)
  half_widths = np.full(replicates, np.nan)
  for replicate in range(replicates):
    ill = rng.random(patients) < prevalence
    own = rng.normal(0, np.sqrt(correlation), patients) + apart * ill
    scores = own[patient] + rng.normal(0, np.sqrt(1 - correlation), len(patient))
    bounds = delong.figure(scores, ill[patient], patient).interval
    if bounds is not None:
      half_widths[replicate] = (bounds[1] - bounds[0]) / 2
  return half_widths

"""DeLong's standard error of AUROCs, and Obuchowski's where patients have several images.

An AUROC is a mean over images of each class: the share of negatives that a positive outscores, and
of positives that outscore a negative (its placements). How these vary between images, or between
patients, says how the AUROC varies between test sets, without resampling: DeLong, DeLong &
Clarke-Pearson, Biometrics 44:837, 1988; with placements from midranks in O(N log N): Sun & Xu, IEEE
Signal Processing Letters 21:1389, 2014; by patient, who may have images of both classes:
Obuchowski, Biometrics 53:567, 1997.

Of few patients the variance itself is uncertain, so intervals of an AUROC are of Student's t with
Satterthwaite's degrees of freedom, as in Brunner & Munzel, Biometrical Journal 42:17, 2000, whose
effect is the AUROC and whose variance is DeLong's.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from medjax.evaluation.figure import Figure
from medjax.evaluation.label_result import Delong

_ROUNDING = 1e-14  # of the variances: a difference that varies less than this does not vary


class Contributions(NamedTuple):
  """What each of P patients adds to the AUROCs of K models, on the same images, less its share.

  Attributes:
    aurocs: f64[K], ties counting half; NaN where a class is absent.
    positives: f64[K, P], the sum over the patient's positives of (placement - AUROC), divided by
      all positives; 0 for a patient without.
    negatives: f64[K, P], the same of the negatives.
    patients: int[3], how many have a positive, a negative, an image.
  """

  aurocs: np.ndarray
  positives: np.ndarray
  negatives: np.ndarray
  patients: np.ndarray


class PairedTest(NamedTuple):
  """Whether two AUROCs on the same images differ.

  Attributes:
    difference: the first less the second.
    standard_error: of the difference.
    z: difference / standard error.
    p: two-sided, from Student's t.
    freedom: its degrees of freedom; inf for the normal distribution.
  """

  difference: float
  standard_error: float
  z: float
  p: float
  freedom: float = np.inf


def contributions(
  scores: np.ndarray, truth: np.ndarray, patient: np.ndarray, patients: int
) -> Contributions:
  """Returns what every patient adds to the AUROCs, from which all variances here are sums.

  Args:
    scores: f[K, N] of K models on the same images, higher means more likely positive.
    truth: [N] of 0 and 1.
    patient: int[N] in [0, patients), whose image it is.
    patients: how many there are, also without any of these images.

  Raises:
    ValueError: shapes that differ, a score that is NaN, or a truth other than 0 and 1.
  """
  scores, truth, patient = np.asarray(scores, np.float64), np.asarray(truth), np.asarray(patient)
  if scores.ndim != 2 or not scores.shape[1:] == truth.shape == patient.shape:
    raise ValueError(
      f'scores {scores.shape}, truth {truth.shape} and patients {patient.shape} must be '
      '[models, images], [images] and [images]'
    )
  if np.isnan(scores).any():
    raise ValueError(f'{int(np.isnan(scores).sum())} scores are NaN; a NaN has no rank')
  if not np.isin(truth, (0, 1)).all():
    raise ValueError('truth must be 0 or 1; leave out images whose truth is not known')
  positive = truth == 1
  counts = np.array(
    [(np.bincount(patient[rows]) > 0).sum() for rows in (positive, ~positive, slice(None))]
  )
  total, aurocs = [int(positive.sum()), int((~positive).sum())], np.full(len(scores), np.nan)
  added = np.full((2, len(scores), patients), np.nan)
  if all(total):
    ranks = _midranks(scores)
    for row, of_class in enumerate((positive, ~positive)):
      # The rank among all, less the rank in its own class, counts the other class below.
      below = ranks[:, of_class] - _midranks(scores[:, of_class])
      placements = below / total[1 - row] if row == 0 else 1 - below / total[1 - row]
      if row == 0:
        aurocs = placements.mean(axis=1)
      for model, shares in enumerate((placements - aurocs[:, None]) / total[row]):
        added[row, model] = np.bincount(patient[of_class], weights=shares, minlength=patients)
  return Contributions(aurocs, added[0], added[1], counts)


def _midranks(scores: np.ndarray) -> np.ndarray:
  """Returns the ranks f64[K, N] of scores within their rows, from 1; equal ones share the mean."""
  ranks = np.empty(scores.shape)
  for row, values in zip(ranks, scores):
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    row[:] = (np.cumsum(counts) - (counts - 1) / 2)[place]
  return ranks


def covariance(parts: Contributions) -> np.ndarray:
  """Returns the covariance f64[K, K] of the AUROCs; NaN with fewer than two patients of a class.

  Obuchowski's estimate. With P patients in all, P1 of them with positives and P0 with negatives,
  the products of what each adds through its positives are summed and multiplied by P1 / (P1 - 1),
  those through its negatives by P0 / (P0 - 1), and those across the classes by P / (P - 1). Where
  every patient has one image nobody has both classes, P1 and P0 are the positives and the
  negatives, and what is left is DeLong's estimate exactly.
  """
  if (parts.patients < 2).any() or np.isnan(parts.aurocs).any():
    return np.full((len(parts.aurocs),) * 2, np.nan)
  positives, negatives, every = parts.patients / (parts.patients - 1)
  across = _products(parts.positives, parts.negatives)
  return (
    positives * _products(parts.positives, parts.positives)
    + negatives * _products(parts.negatives, parts.negatives)
    + every * (across + across.T)
  )


def _products(one: np.ndarray, other: np.ndarray) -> np.ndarray:
  # Not a matrix product, whose order of summation may differ between its cells: the covariance of
  # two equal models must equal their variances to the last bit.
  return np.einsum('kp,lp->kl', one, other)


def mean_covariance(of_labels: Sequence[Contributions]) -> tuple[np.ndarray, np.ndarray]:
  """Returns (mean AUROCs f64[K], their covariance f64[K, K]) over labels of the same patients.

  What a patient adds to the mean is the mean of what it adds to each label, so that labels which go
  together are not taken for independent ones. Either class has its factor of `covariance`, so that
  the mean of equal labels varies as each of them does. A single label has its `covariance`.

  Args:
    of_labels: at least one, of the same models and the same patients.
  """
  aurocs = np.mean([parts.aurocs for parts in of_labels], axis=0)
  if len(of_labels) == 1:
    return aurocs, covariance(of_labels[0])
  if any((parts.patients < 2).any() for parts in of_labels):
    return aurocs, np.full((len(aurocs),) * 2, np.nan)
  added = np.mean([_added(parts) for parts in of_labels], axis=0)
  return aurocs, _products(added, added)


def _added(parts: Contributions) -> np.ndarray:
  """Returns what patients add, f64[K, P], scaled so that the sum of squares is the variance."""
  positives, negatives, _ = np.sqrt(parts.patients / (parts.patients - 1))
  return positives * parts.positives + negatives * parts.negatives


def freedom(parts: Contributions) -> np.ndarray:
  """Returns Satterthwaite's degrees of freedom of the AUROCs' variances, f64[K].

  Each class adds a variance between its patients, with one degree less than there are of them:
  (V1 + V0)² / (V1² / (P1 - 1) + V0² / (P0 - 1)). NaN with fewer than two patients of a class, or
  without any variance.
  """
  patients = parts.patients[:2, None]
  with np.errstate(divide='ignore', invalid='ignore'):
    sums = np.stack([(added**2).sum(axis=1) for added in (parts.positives, parts.negatives)])
    variances = np.where(patients < 2, np.nan, patients / (patients - 1) * sums)
    return variances.sum(axis=0) ** 2 / (variances**2 / (patients - 1)).sum(axis=0)


def interval(
  auroc: float, variance: float, freedom: float, level: float = 0.95
) -> tuple[tuple[float, float] | None, str]:
  """Returns ((low, high), '') of an AUROC, or (None, why there is none).

  The interval of logit(AUROC) by Student's t, turned back (Pepe, The Statistical Evaluation of
  Medical Tests, 2003). The plain one, AUROC ± z standard errors, runs past 1 where AUROC is high,
  and cut off there it still covers less than it says; of the intervals that Kottas, Kuss & Zapf
  compare (BMC Medical Research Methodology 14:26, 2014) it is among the liberal ones and the logit
  one is not.

  Args:
    auroc, variance: its, NaN where there is none.
    freedom: degrees of freedom of the variance; inf for the normal distribution.
    level: how often such intervals cover.
  """
  if np.isnan(auroc):
    return None, 'a class is absent'
  if np.isnan(variance):
    return None, 'all images of a class are of one patient'
  if auroc in (0, 1):
    return None, 'its estimated variance is 0, because the scores separate the classes'
  if not variance > 0:
    return None, 'its estimated variance is 0, because every patient adds as much as any other'
  reach = special.stdtrit(freedom, (1 + level) / 2) * np.sqrt(variance) / (auroc * (1 - auroc))
  low, high = special.expit(special.logit(auroc) + np.array([-reach, reach]))
  return (float(low), float(high)), ''


def figure(
  scores: np.ndarray, truth: np.ndarray, groups: np.ndarray | None = None, level: float = 0.95
) -> Delong:
  """Returns the interval of one AUROC, or why there is none.

  Args:
    scores: f[N], higher means more likely positive.
    truth: [N] of 0 and 1.
    groups: [N], the patient of each image, any type that sorts; None where each is another
      patient's.
    level: how often such intervals cover.
  """
  patient, patients = _numbered(truth, groups)
  parts = contributions(np.asarray(scores)[None], truth, patient, patients)
  bounds, reason = mean_interval([parts], 0, level)
  return Delong(
    interval=bounds,
    clustered=patients < len(patient),
    reason=reason and (no_variance(parts, truth) or reason),
  )


def with_interval(
  figure: Figure, parts: Sequence[Contributions], level: float, model: int = 0
) -> Figure:
  """Returns an AUROC, or a mean of some, with the interval of this module for the bootstrap's.

  The percentile bootstrap's is too narrow where few patients have the finding: of 15 it holds an
  AUROC of 0.9 in 89 % of studies, this one in 94 %.

  Args:
    figure: of the bootstrap; one that has no interval stays without.
    parts: of each label that enters it, over the same patients.
    level: how often such intervals cover.
    model: which of those that `parts` are of.
  """
  if figure.interval is None:
    return figure
  bounds, _ = mean_interval(parts, model, level)
  return dataclasses.replace(figure, interval=bounds or figure.interval)


def mean_figure(parts: Sequence[Contributions], level: float = 0.95) -> Figure:
  """Returns a mean of AUROCs, or one of them, with its interval, or why it has none.

  Args:
    parts: of each label that enters it, over the same patients.
    level: how often such intervals cover.
  """
  bounds, reason = mean_interval(parts, 0, level)
  return Figure(float(np.mean([part.aurocs[0] for part in parts])), bounds, reason=reason)


def mean_interval(
  parts: Sequence[Contributions], model: int, level: float
) -> tuple[tuple[float, float] | None, str]:
  """Returns `interval` of one label's AUROC or of the mean over several labels."""
  aurocs, shared = mean_covariance(parts)
  degrees = mean_freedom(parts)[model]
  return interval(float(aurocs[model]), float(shared[model, model]), float(degrees), level)


def mean_freedom(parts: Sequence[Contributions]) -> np.ndarray:
  """Returns the degrees of freedom of the variances of mean AUROCs over labels, f64[K].

  Those of labels that go together entirely: the harmonic mean over labels, weighted by variance.
  Were they taken for independent, labels of the same few patients would add up to many.
  """
  variances = np.array([np.diagonal(covariance(part)) for part in parts])
  freedoms = np.array([freedom(part) for part in parts])
  vary = ~(variances <= 0)  # A label that separates its classes adds no variance.
  with np.errstate(divide='ignore', invalid='ignore'):
    shares = np.where(vary, variances / freedoms, 0).sum(axis=0)
    return np.where(vary, variances, 0).sum(axis=0) / shares


def difference(parts: Contributions) -> Contributions:
  """Returns what every patient adds to the AUROC of the first model less that of the second."""
  aurocs, positives, negatives = (values[:1] - values[1:2] for values in parts[:3])
  return Contributions(aurocs, positives, negatives, parts.patients)


def no_variance(parts: Contributions, truth: np.ndarray) -> str:
  """Returns why the AUROCs have no variance between patients, '' where they have."""
  truth = np.asarray(truth)
  for name, value, patients in zip(('positives', 'negatives'), (1, 0), parts.patients):
    if not (truth == value).any():
      return f'no {name}'
    if parts.patients[2] < 2:
      return 'fewer than two patients'
    if patients < 2:
      return f'all {name} are of one patient'
  return ''


def paired_test(aurocs: np.ndarray, covariance: np.ndarray, freedom: float = np.inf) -> PairedTest:
  """Tests whether two AUROCs on the same images differ: z = difference / standard error.

  Args:
    aurocs: f64[2].
    covariance: f64[2, 2], of `covariance` or `mean_covariance`.
    freedom: of the variance of the difference, from `freedom` or `mean_freedom` of `difference`;
      with inf it is the test as published.

  Returns:
    The test of the first less the second. Where the difference does not vary, p is 1 if it is 0, as
    of a model against itself, and otherwise z and p are NaN; NaN too where the covariance is.
  """
  (one, other), ((first, shared), (_, second)) = np.asarray(aurocs), np.asarray(covariance)
  difference, variance = float(one - other), float(first + second - 2 * shared)
  if np.isnan(difference) or np.isnan(variance):
    return PairedTest(difference, np.nan, np.nan, np.nan)
  if variance <= _ROUNDING * (first + second):
    z = 0.0 if difference == 0 else np.nan
    return PairedTest(difference, 0.0, z, 1.0 if difference == 0 else np.nan)
  z = difference / np.sqrt(variance)
  return PairedTest(
    difference,
    float(np.sqrt(variance)),
    float(z),
    float(2 * special.stdtr(freedom, -abs(z))),
    float(freedom),
  )


def difference_interval(test: PairedTest, level: float = 0.95) -> tuple[float, float] | None:
  """Returns difference ± t standard errors, None where the standard error is 0 or NaN.

  A difference lies well inside (-1, 1), so it needs no transformation.
  """
  if not test.standard_error > 0:
    return None
  reach = float(special.stdtrit(test.freedom, (1 + level) / 2)) * test.standard_error
  return test.difference - reach, test.difference + reach


def gap_interval(
  one: Sequence[Contributions],
  other: Sequence[Contributions],
  shared: tuple[np.ndarray, np.ndarray],
  level: float,
) -> tuple[float, float] | None:
  """Returns the interval of a difference between AUROCs on different images.

  None where one of them does not vary, as where its scores separate the classes: that would count
  as certainty.

  Args:
    one, other: of each label that enters the mean, of the first and the second group's patients.
    shared: int[S] and int[S], where the patients that have images in both groups stand in either.
    level: how often such intervals cover.
  """
  aurocs, variances, added = np.zeros(2), np.zeros(2), []
  for side, parts in enumerate((one, other)):
    (aurocs[side],), ((variances[side],),) = mean_covariance(parts)
    added.append(np.mean([_added(part)[0] for part in parts], axis=0))
  variance = variances.sum() - 2 * added[0][shared[0]] @ added[1][shared[1]]
  if not (variances > 0).all() or not variance > _ROUNDING * variances.sum():
    return None
  freedoms = np.array([mean_freedom(parts)[0] for parts in (one, other)])
  degrees = variances.sum() ** 2 / np.sum(variances**2 / freedoms)
  test = PairedTest(aurocs[0] - aurocs[1], np.sqrt(variance), np.nan, np.nan, degrees)
  return difference_interval(test, level)


def _numbered(truth: np.ndarray, groups: np.ndarray | None) -> tuple[np.ndarray, int]:
  if groups is None:
    return np.arange(len(truth)), len(truth)
  unique, patient = np.unique(np.asarray(groups), return_inverse=True)
  return patient, len(unique)

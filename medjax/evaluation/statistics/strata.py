"""AUROCs that compare only within strata, such as the folds of a study, and their interval.

Scores of networks that were trained apart do not share a scale, so a positive of one fold should
not be compared with a negative of another. The AUROC over the pairs within a fold is the mean of
those of the folds, weighted by their pairs (Forman & Scholz, SIGKDD Explorations 12(1):49, 2010;
Airola et al., Comput. Stat. Data Anal. 55:1828, 2011). Folds test different patients: their
variances, each by patient (medjax.evaluation.statistics.delong), add up, and so do those of the
classes in Satterthwaite's degrees of freedom.

That holds for networks that are given. Those of a cross-validation were trained on each other's
test patients, and with other training sets the AUROCs move more than that. `over_training_sets` is
the interval of the mean of folds that allows for it.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medjax.evaluation.statistics import delong
from medjax.evaluation.statistics.delong import Contributions


class Label(NamedTuple):
  """One label in every stratum.

  Attributes:
    parts: of each stratum, of one model; those without a class have the AUROC NaN.
    weights: f64[strata], of sum 1; 0 where the AUROC is NaN.
  """

  parts: Sequence[Contributions]
  weights: np.ndarray

  @property
  def auroc(self) -> float:
    """The weighted mean over the strata; NaN where none has an AUROC."""
    there = self.weights > 0
    values = np.array([part.aurocs[0] for part in self.parts])
    return float(self.weights[there] @ values[there]) if there.any() else np.nan


def by_pairs(parts: Sequence[Contributions], pairs: Sequence[int]) -> Label:
  """Returns a label whose strata weigh as many pairs of a positive and a negative as they have."""
  counts = np.asarray(pairs, np.float64)
  return Label(parts, counts / max(counts.sum(), 1.0))


def interval(labels: Sequence[Label], level: float) -> tuple[tuple[float, float] | None, str]:
  """Returns ((low, high), '') of the labels' mean AUROC, or (None, why there is none).

  What a patient adds to the mean is the mean of what it adds to each label, in the one stratum that
  it is in, so that labels which go together are not taken for independent ones. The degrees of
  freedom are the harmonic mean of those of the labels, weighted by their variances.

  Args:
    labels: at least one, over the same strata of the same patients.
    level: how often such intervals cover.
  """
  mean = float(np.mean([label.auroc for label in labels]))
  if np.isnan(mean):
    return None, 'a class is absent'
  if any(
    (part.patients < 2).any()
    for label in labels
    for part, weight in zip(label.parts, label.weights)
    if weight > 0
  ):
    return None, 'in a fold all images of a class are of one patient'
  variance = 0.0
  for stratum in range(len(labels[0].parts)):
    added = np.mean([_added(label, stratum).sum(axis=0) for label in labels], axis=0)
    variance += float((added**2).sum())
  own, freedoms = np.transpose([_own(label) for label in labels])
  vary = own > 0
  with np.errstate(divide='ignore', invalid='ignore'):
    freedom = own[vary].sum() / (own[vary] / freedoms[vary]).sum() if vary.any() else np.nan
  return delong.interval(mean, variance, float(freedom), level)


def _added(label: Label, stratum: int) -> np.ndarray:
  """Returns what the patients of a stratum add, f64[2, P]; the sums of squares are variances."""
  part, weight = label.parts[stratum], label.weights[stratum]
  if weight == 0:
    return np.zeros((2, part.positives.shape[1]))
  scale = np.sqrt(part.patients[:2] / (part.patients[:2] - 1)) * weight
  return scale[:, None] * np.stack([part.positives[0], part.negatives[0]])


def _own(label: Label) -> tuple[float, float]:
  """Returns the variance of one label's AUROC and its degrees of freedom."""
  of_class = np.array(
    [(_added(label, stratum) ** 2).sum(axis=1) for stratum in range(len(label.parts))]
  )
  fewer = np.array([part.patients[:2] for part in label.parts]) - 1
  there = label.weights > 0
  total = of_class[there].sum()
  with np.errstate(divide='ignore', invalid='ignore'):
    return float(total), float(total**2 / (of_class[there] ** 2 / fewer[there]).sum())


def over_training_sets(
  aurocs: Sequence[float], tested: Sequence[int], trained: Sequence[int], level: float
) -> tuple[tuple[float, float] | None, str]:
  """Returns ((low, high), '') of the mean of folds' AUROCs, or (None, why there is none).

  The corrected resampled t interval of Nadeau & Bengio (Mach. Learn. 52:239, 2003, section 4): the
  variance between K folds S² counts (1/K + tested / trained) times, the mean over folds of that
  ratio, for the folds share most of their training patients; Student's t with K − 1 degrees of
  freedom, of logit(AUROC). It is of networks trained on other patients and tested on others again.
  No unbiased estimate of that variance exists (Bengio & Grandvalet, J. Mach. Learn. Res. 5:1089,
  2004).

  Args:
    aurocs: f64[K]; NaN where a fold has none.
    tested: patients of each fold.
    trained: patients who trained its network. Those of its validation did not.
    level: how often such intervals cover.
  """
  values = np.asarray(aurocs, np.float64)
  if np.isnan(values).any():
    return None, 'a fold has no AUROC'
  mean, folds = float(values.mean()), len(values)
  share = float(np.mean(np.asarray(tested) / np.asarray(trained)))
  variance = (1 / folds + share) * float(values.var(ddof=1))
  if not variance > 0:
    return None, 'all folds have the same AUROC'
  return delong.interval(mean, variance, float(folds - 1), level)

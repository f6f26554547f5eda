"""Images and patients of one label, counted where the truth is known."""

import numpy as np

from medjax.evaluation.contrasts import LabelContrast
from medjax.evaluation.label_result import Counts


def count(patients: np.ndarray, truth: np.ndarray) -> Counts:
  """Counts images and patients of either class.

  Args:
    patients: [N], the patient of each image whose truth is known; any type that sorts.
    truth: [N] of 0 and 1.
  """
  positive = np.asarray(truth) == 1
  return Counts(
    images=len(positive),
    patients=len(np.unique(patients)),
    positives=int(positive.sum()),
    negatives=int((~positive).sum()),
    positive_patients=len(np.unique(patients[positive])),
    negative_patients=len(np.unique(patients[~positive])),
    prevalence=float(positive.mean()) if len(positive) else None,
  )


def of_several_patients(counts: Counts | LabelContrast) -> bool:
  """Whether positives and negatives are of two patients or more, without which an interval is none.

  Replicates of a class that one patient has do not vary, or have none of it.
  """
  return counts.positive_patients > 1 and counts.negative_patients > 1

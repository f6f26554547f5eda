"""AUROCs of several models on the same images with their covariance, in one call."""

import numpy as np

from medjax.evaluation.statistics import delong


def auroc_covariance(scores, truth, groups=None):
  """Returns (AUROCs f64[K], covariance f64[K, K]); groups are patients, None for one image each."""
  names = np.arange(len(truth)) if groups is None else groups
  unique, patient = np.unique(np.asarray(names), return_inverse=True)
  parts = delong.contributions(scores, truth, patient, len(unique))
  return parts.aurocs, delong.covariance(parts)

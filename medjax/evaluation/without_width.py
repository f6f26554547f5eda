"""Why replicates agree, so that there is no interval: which is not certainty."""

import numpy as np

from medjax.evaluation.statistics.intervals import AGREE

ALL_THE_SAME = 'all scores are the same'  # AUROC is then 0.5, whoever is drawn
ABOVE = 'every positive scored above every negative, which is not certainty'
BELOW = 'every positive scored below every negative'
REASONS = (AGREE, ALL_THE_SAME, ABOVE, BELOW)  # of figures that enter a mean all the same


def of_auroc(value: float, scores: np.ndarray) -> str:
  """Returns why the replicates of an AUROC agree, given the scores f[N] that it is of."""
  if all_the_same(scores):
    return ALL_THE_SAME
  return {1.0: ABOVE, 0.0: BELOW}.get(value, AGREE)


def all_the_same(scores: np.ndarray) -> bool:
  """Whether f[N] scores tell nothing apart."""
  return len(scores) > 0 and bool((scores == scores[0]).all())


def of_classes(confusion: np.ndarray, labels: list[str]) -> str:
  """Returns why the replicates of a figure of exclusive classes agree, given int[K, K]."""
  called = np.flatnonzero(confusion.sum(axis=0))
  if not (confusion.sum() - np.trace(confusion)):
    return 'no image was called wrongly, which is not certainty'
  if not np.trace(confusion):
    return 'no image was called its class, which is not certainty'
  if len(called) == 1:
    return f'every image was called {labels[called[0]]}'
  return AGREE

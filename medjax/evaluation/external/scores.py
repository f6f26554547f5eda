"""How scores are distributed in two samples, and whether they are the wrong way round."""

import numpy as np

from medjax.evaluation import wording
from medjax.evaluation.external.result import CohortsLabel, ScoreDistribution
from medjax.evaluation.predictions import Predictions, known_of
from medjax.evaluation.usefulness import LIMITS

BINS = 20


def distribution(own: Predictions, external: Predictions, label: str) -> ScoreDistribution | None:
  """Counts the images of each sample and class by their calibrated probability.

  Bins are of equal width, to the least of `usefulness.LIMITS` that nearly all probabilities lie
  below; what lies beyond is in the last bin.
  """
  parts = [known_of(part, list(part.labels).index(label)) for part in (own, external)]
  every = np.concatenate([scores for scores, _ in parts])
  if not len(every):
    return None
  high = float(np.quantile(every, 0.995))
  edges = np.linspace(0, next(limit for limit in LIMITS if high <= limit or limit == 1), BINS + 1)
  counts = [
    tuple(np.histogram(np.minimum(scores[truth == value], edges[-1]), edges)[0].tolist())
    for scores, truth in parts
    for value in (1, 0)
  ]
  return ScoreDistribution(tuple(edges.tolist()), *counts)


def inverted(label: str, contrast: CohortsLabel, sample: str) -> str:
  """Returns a sentence where an AUROC is below 0.5, saying whether chance explains it; else ''."""
  auroc = contrast.auroc.one
  if auroc.value is None or auroc.value >= 0.5:
    return ''
  turned = wording.number(1 - auroc.value, 3)
  value = f'{label}: the AUROC of {sample} is {wording.plain(auroc, 3)}, below 0.5'
  own = contrast.auroc.other
  before = '' if own.value is None else f', and {wording.plain(own, 3)} on the own test'
  if auroc.interval is not None and auroc.interval[1] < 0.5:
    return (
      f'{value}{before}. Its interval lies below 0.5: scores look inverted (turned round they '
      f'would have {turned}). Look for a label that means the opposite, or for images with black '
      'and white exchanged.'
    )
  if auroc.interval is None:
    return f'{value}{before}; without an interval chance cannot be told from inverted scores.'
  return f'{value}{before}. Its interval holds 0.5: it may be chance.'

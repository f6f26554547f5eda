"""Both runs' areas under the curves in every replicate of the patients, the same for both."""

from collections.abc import Iterable, Sequence

import numpy as np

from medjax.evaluation.predictions import Predictions
from medjax.evaluation.statistics import intervals, metrics

FIGURES = ('auroc', 'auprc')


def bootstrap(
  one: Predictions, other: Predictions, patient: np.ndarray, replicates: int, seed: int
) -> dict[str, np.ndarray]:
  """Returns both runs' figures, f64[replicates, L, 2], NaN where none exist."""
  labels = range(len(one.labels))
  pairs = [
    [_ranking(run, label, patient) for run in (one, other)] if one.known[:, label].any() else []
    for label in labels
  ]
  patients = int(patient.max(initial=-1)) + 1
  resampled = intervals.replicate(
    lambda counts: _by_name(intervals.in_threads(lambda pair: _areas(pair, counts), pairs)),
    patients,
    max(1, len(patient)),
    replicates=replicates,
    seed=seed,
  )
  return {name: resampled.get(name, np.empty((0, len(labels), 2))) for name in FIGURES}


def _ranking(run: Predictions, label: int, patient: np.ndarray) -> metrics.Ranking:
  """Ranks one label's images so that their weights are read straight from those of the patients."""
  known = run.known[:, label]
  ranking = metrics.rank(run.ranks[known, label], run.truth[known, label])
  return ranking._replace(order=patient[known][ranking.order])


def _areas(pair: Sequence[metrics.Ranking], counts: np.ndarray) -> np.ndarray:
  """Returns f64[2, R, 2]: AUROC and AUPRC of both rankings."""
  if not pair:
    return np.full((len(FIGURES), len(counts), 2), np.nan)
  return np.stack([np.stack(metrics.areas(ranking, counts.T)) for ranking in pair], axis=-1)


def _by_name(labels: Iterable[np.ndarray]) -> dict[str, np.ndarray]:
  return dict(zip(FIGURES, np.stack(list(labels), axis=2)))

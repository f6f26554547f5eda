"""Figures of seeds: networks that differ by chance in training alone, tested on the same patients.

Two kinds of luck stay apart. Intervals are over patients, the networks being what they are. The
spread (standard deviation, range) is over networks, the patients being who they are.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medjax.evaluation import spreads, summary
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_figures import CONFIDENCE
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.repeated_result import OverSeeds
from medjax.evaluation.result import Result
from medjax.evaluation.statistics import delong
from medjax.evaluation.statistics.delong import Contributions


class Seed(NamedTuple):
  """What one network says.

  Attributes:
    test: its predictions at the level that is tested, calibrated by its own validation.
    result: of its own test.
  """

  test: Predictions
  result: Result


def over_seeds(
  seeds: Sequence[Seed], entered: Sequence[str], replicates: int
) -> tuple[OverSeeds, dict[str, OverSeeds]]:
  """Returns what is said of the mean over labels, and of each label.

  Args:
    seeds: of the same images in the same order.
    entered: labels over which the mean is.
    replicates: of the evaluation; without any, no figure has an interval.
  """
  labels = list(seeds[0].test.labels)
  by_seed = [summary.contributions(seed.test) for seed in seeds]
  together = {
    label: mean_of([of_seed[column] for of_seed in by_seed]) for column, label in enumerate(labels)
  }
  results = [seed.result for seed in seeds]
  of_labels = {
    label: OverSeeds(
      auroc_mean=_figure([together[label]], replicates),
      spread=spreads.of_label(results, label),
    )
    for label in labels
  }
  mean = OverSeeds(
    auroc_mean=_figure([together[label] for label in entered], replicates),
    spread=spreads.of_mean(results, entered),
  )
  return mean, of_labels


def mean_of(parts: Sequence[Contributions]) -> Contributions:
  """Returns what every patient adds to the mean AUROC of several networks on the same images.

  A patient adds to the mean the mean of what he or she adds to each: networks that agree on whom
  they miss are not taken for independent ones.
  """
  aurocs, positives, negatives = (np.mean([part[at] for part in parts], axis=0) for at in range(3))
  return Contributions(aurocs, positives, negatives, parts[0].patients)


def _figure(parts: Sequence[Contributions], replicates: int) -> Figure:
  """Returns the mean over labels of these AUROCs, with its interval by patient."""
  if not parts:
    return Figure(None, reason='no label has both classes')
  value = float(np.mean([part.aurocs[0] for part in parts]))
  return spreads.figure(value, delong.mean_interval(parts, 0, CONFIDENCE), replicates)

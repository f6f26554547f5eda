"""Which checkpoint is the best: by what is tested, and by labels that can tell.

The mean AUROC that chooses is of the level that is tested, made of images by the same rule, and of
the labels with enough patients of either class: the AUROC of a label with one positive patient is
any number, and in a mean over labels it would weigh like all others.
"""

from collections.abc import Mapping

import numpy as np

from medjax.config.protocol import Protocol
from medjax.evaluation import levels, summary, wording
from medjax.evaluation.counts import count
from medjax.evaluation.figure import Figure
from medjax.evaluation.frozen import ChosenBy
from medjax.evaluation.predictions import Predictions, ranks_of
from medjax.evaluation.statistics import delong, metrics

FEWEST = 5  # patients of either class; with fewer, one more or less decides


def chosen_by(validation: Predictions, protocol: Protocol) -> ChosenBy:
  """Returns by what checkpoints are chosen, which the truth alone decides.

  Labels with both classes, `FEWEST` patients of each; where no label has so many, all with both.

  Args:
    validation: of images, with any scores.
    protocol: its head, level and aggregate.
  """
  units = levels.to_level(validation, protocol.level, protocol.aggregate, protocol.head)
  rarer = {label: _rarer(units, index) for index, label in enumerate(units.labels)}
  both = [label for label, patients in rarer.items() if patients]
  labels = [label for label in both if rarer[label] >= FEWEST] or both
  return ChosenBy(protocol.level, tuple(labels), min((rarer[label] for label in labels), default=0))


def _rarer(units: Predictions, index: int) -> int:
  """Returns how many patients have the class of a label that fewer have."""
  known = units.known[:, index]
  counts = count(np.asarray(units.patients)[known], units.truth[known, index])
  return min(counts.positive_patients, counts.negative_patients)


def validation_metrics(
  validation: Predictions, protocol: Protocol, choice: ChosenBy
) -> dict[str, object]:
  """Returns auroc_mean over the labels that choose, auroc by label, and auprc likewise.

  At the level that is tested. None where a label has one class only, or no label has both.
  """
  units = levels.to_level(validation, protocol.level, protocol.aggregate, protocol.head)
  auroc: dict[str, float | None] = {}
  auprc: dict[str, float | None] = {}
  for index, label in enumerate(units.labels):
    area = float(metrics.auroc(*ranks_of(units, index)))
    auroc[label] = None if np.isnan(area) else area
    precision = float(metrics.average_precision(*ranks_of(units, index)))
    auprc[label] = None if np.isnan(area) else precision
  return {
    'auroc_mean': _mean(auroc, choice),
    'auroc': auroc,
    'auprc_mean': _mean(auprc, choice),
    'auprc': auprc,
  }


def figure(validation: Predictions, protocol: Protocol) -> Figure:
  """Returns the mean AUROC that chooses, with its interval by patient; DeLong's, as of a test.

  It is not known to the interval that a choice was made by the figure.
  """
  choice = chosen_by(validation, protocol)
  if not choice.labels:
    return Figure(None, reason='no label has both classes')
  units = levels.to_level(validation, protocol.level, protocol.aggregate, protocol.head)
  parts = summary.contributions(units)
  return delong.mean_figure([parts[units.labels.index(label)] for label in choice.labels])


def _mean(by_label: Mapping[str, float | None], choice: ChosenBy) -> float | None:
  deciding = [value for label in choice.labels if (value := by_label[label]) is not None]
  return float(np.mean(deciding)) if deciding else None


def in_words(choice: ChosenBy, labels: tuple[str, ...]) -> str:
  """Returns by what a checkpoint was chosen, of all `labels` of the run."""
  if not choice.labels:
    return 'nothing: no label has both classes on validation'
  words = 'the AUROC of ' if len(choice.labels) == 1 else 'the mean AUROC of '
  words += f'{", ".join(choice.labels)} on validation {wording.plural(choice.level)}'
  words += f' ({wording.count(choice.fewest, "patient")} of the rarer class at least)'
  if others := [label for label in labels if label not in choice.labels]:
    words += f'; too few patients of a class to decide: {", ".join(others)}'
  return words

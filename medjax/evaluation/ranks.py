"""Scores that are ranks: higher means more likely positive, and no more than that."""

import dataclasses
from typing import Any

from medjax.evaluation.figure import Figure
from medjax.evaluation.label_figures import OF_PROBABILITIES
from medjax.evaluation.result import NOT_PROBABILITIES, Result, SubgroupResult

NOTE = (
  'Scores are ranks, not probabilities: nothing was calibrated, and there is no Brier score, '
  'calibration error, slope or intercept. Thresholds are scores.'
)


def without_probabilities(result: Result) -> Result:
  """Returns the result without the figures that need probabilities, each saying why."""
  none: dict[str, Any] = dict.fromkeys(OF_PROBABILITIES, Figure(None, reason=NOT_PROBABILITIES))
  unknown: dict[str, Any] = dict.fromkeys(OF_PROBABILITIES)
  labels = {
    label: dataclasses.replace(
      of_label,
      **none,
      reliability=None,
      usefulness=of_label.usefulness
      and dataclasses.replace(
        of_label.usefulness, decision_curve=None, histogram=None, reason=NOT_PROBABILITIES
      ),
      validation=of_label.validation and dataclasses.replace(of_label.validation, **unknown),
    )
    for label, of_label in result.labels.items()
  }
  subgroups = {
    column: tuple(_group(group, none['brier']) for group in groups)
    for column, groups in result.subgroups.items()
  }
  return dataclasses.replace(
    result,
    mean=dataclasses.replace(result.mean, **none),
    labels=labels,
    subgroups=subgroups,
    notes=(*result.notes, NOTE),
  )


def _group(group: SubgroupResult, none: Figure) -> SubgroupResult:
  labels = {label: dataclasses.replace(part, brier=none) for label, part in group.labels.items()}
  return dataclasses.replace(group, labels=labels)

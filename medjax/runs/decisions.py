"""From raw probabilities of single images to calibrated ones and decisions, as validation chose."""

from typing import Any, NamedTuple

import numpy as np

from medjax.config import Config
from medjax.evaluation import classes, frozen
from medjax.evaluation.frozen import Frozen
from medjax.evaluation.predictions import DECISION, PROBABILITY, RAW, Predictions

_LEVEL = 'image'


class Decisions(NamedTuple):
  """Attributes:
  probabilities: f64[N, L], calibrated.
  decided: name of the column → N values: of `decision_<label>` 1, 0, or None where the label has no
    threshold; of `decision`, for exclusive classes and grades, the name of the one decided for.
  """

  probabilities: np.ndarray
  decided: dict[str, list[Any]]


def decide(
  config: Config, chosen: Frozen, probabilities: np.ndarray, log_odds: np.ndarray | None = None
) -> Decisions:
  """Calibrates and decides.

  Args:
    config: of the run.
    chosen: what it has frozen.
    probabilities: f[N, L], raw.
    log_odds: f64[N, L] of them; None where a run of an earlier version kept none.
  """
  labels, head = list(config.data.labels), config.model.head
  level, shape = chosen.levels[_LEVEL], probabilities.shape
  nothing = np.zeros(shape, np.float32), np.zeros(shape, bool)
  names = [''] * len(probabilities)
  raw = Predictions(names, names, labels, probabilities, *nothing, log_odds=log_odds)
  calibrated = frozen.calibrated(level, raw).probabilities
  if head != 'sigmoid':
    decided = {'decision': [labels[index] for index in classes.decide(calibrated, head)]}
    return Decisions(calibrated, decided)
  by_label = frozen.decide(level, labels, calibrated).T
  return Decisions(
    calibrated,
    {
      DECISION + label: [None if value < 0 else int(value) for value in values]
      for label, values in zip(labels, by_label)
    },
  )


def column_names(config: Config, *, raw: bool) -> list[str]:
  """Returns the names of what `columns` returns; `raw` adds probabilities before calibration."""
  labels = config.data.labels
  exclusive = config.model.head != 'sigmoid'
  return [
    *(PROBABILITY + label for label in labels),
    *(['decision'] if exclusive else [DECISION + label for label in labels]),
    *(RAW + label for label in labels if raw),
  ]


def columns(config: Config, decisions: Decisions, raw: np.ndarray) -> dict[str, Any]:
  """Returns name → N values: `prob_<label>`, decisions, and `raw_<label>` of `raw`, f[N, L]."""
  labels = config.data.labels
  return {
    **decided_columns(config, decisions),
    **{RAW + label: raw[:, i] for i, label in enumerate(labels)},
  }


def decided_columns(config: Config, decisions: Decisions) -> dict[str, Any]:
  """Returns name → N values: `prob_<label>` and decisions."""
  labels = config.data.labels
  return {
    **{PROBABILITY + label: decisions.probabilities[:, i] for i, label in enumerate(labels)},
    **decisions.decided,
  }

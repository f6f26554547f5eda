"""From repetitions to figures: means, paired differences with intervals, and what may be said."""

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from medjax.evaluation.figure import Figure, excludes_zero
from medjax.remedies.experiment import Experiment, Measure, Measured
from medjax.remedies.result import Cell, Effect

HELPS, HARMS, UNSEEN, UNKNOWN = 'helps', 'harms', 'no difference seen', 'not known'


def mean(values: Sequence[float | None]) -> Figure:
  """Returns the mean of repetitions with its 95 % interval, Student's t over repetitions."""
  known = np.array([value for value in values if value is not None], float)
  if not len(known):
    return Figure(None, reason='it exists in no repetition')
  value = float(known.mean())
  if len(known) < 3:
    return Figure(value, reason=f'{len(known)} repetitions are too few')
  half = stats.t.ppf(0.975, len(known) - 1) * known.std(ddof=1) / math.sqrt(len(known))
  return Figure(value, (value - float(half), value + float(half)), valid_replicates=len(known))


def cells(
  experiment: Experiment, levels: Sequence[str], measured: Sequence[Measured]
) -> list[Cell]:
  """Returns the mean of every measure in every condition at every level."""
  return [
    Cell(level, condition, measure.name, mean(_values(measured, level, condition, measure.name)))
    for level in levels
    for condition in experiment.conditions
    for measure in experiment.measures
  ]


def effects(
  experiment: Experiment, levels: Sequence[str], measured: Sequence[Measured]
) -> list[Effect]:
  """Returns what every other condition does beside the first, paired by repetition.

  Of a measure that is an error with a sign the difference is of its size.
  """
  made = []
  without = experiment.conditions[0]
  for level in levels:
    for condition in experiment.conditions[1:]:
      for measure in experiment.measures:
        pairs = zip(
          _values(measured, level, condition, measure.name),
          _values(measured, level, without, measure.name),
        )
        differences = [
          None if one is None or other is None else _size(one, measure) - _size(other, measure)
          for one, other in pairs
        ]
        difference = mean(differences)
        verdict = _verdict(difference, measure)
        made.append(Effect(level, condition, measure.name, difference, verdict))
  return made


def _verdict(difference: Figure, measure: Measure) -> str:
  if not measure.better:
    return ''
  if difference.value is None or difference.interval is None:
    return UNKNOWN
  if not excludes_zero(difference.interval):
    return UNSEEN
  return HELPS if (difference.value > 0) == (measure.better == 'higher') else HARMS


def _size(value: float, measure: Measure) -> float:
  return abs(value) if measure.better == 'zero' else value


def _values(
  measured: Sequence[Measured], level: str, condition: str, measure: str
) -> list[float | None]:
  return [one.values[condition][measure] for one in measured if one.level == level]

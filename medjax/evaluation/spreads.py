"""How far several networks lie apart, and the mean of their AUROCs."""

from collections.abc import Iterable, Sequence

import numpy as np

from medjax.evaluation.figure import Figure
from medjax.evaluation.repeated_result import Spread, Spreads
from medjax.evaluation.result import Result
from medjax.evaluation.statistics import intervals

_AT_POINT = ('sensitivity', 'specificity')
_FIGURES = ('auroc', 'auprc', 'brier', *_AT_POINT)


def spread(values: Iterable[float | None]) -> Spread:
  """Returns mean, standard deviation (n − 1) and range of those that exist."""
  given = tuple(values)
  there = np.array([value for value in given if value is not None], np.float64)
  if not len(there):
    return Spread(given, None, None, None, None)
  sd = float(there.std(ddof=1)) if len(there) > 1 else None
  return Spread(given, float(there.mean()), sd, float(there.min()), float(there.max()))


def of_label(results: Sequence[Result], label: str) -> Spreads:
  """Returns the figures of one label in the results of several networks."""
  return _spreads([_values(result, label) for result in results])


def of_mean(results: Sequence[Result], labels: Sequence[str]) -> Spreads:
  """Returns the means over these labels of each network's figures."""
  rows = []
  for result in results:
    of_labels = [_values(result, label) for label in labels]
    rows.append({name: _mean([row[name] for row in of_labels]) for name in _FIGURES})
  return _spreads(rows)


def _values(result: Result, label: str) -> dict[str, float | None]:
  tested = result.labels[label]
  point = tested.decision
  return {
    name: None
    if (whole := point if name in _AT_POINT else tested) is None
    else getattr(whole, name).value
    for name in _FIGURES
  }


def _mean(values: Sequence[float | None]) -> float | None:
  there = [value for value in values if value is not None]
  return float(np.mean(there)) if values and len(there) == len(values) else None


def _spreads(rows: Sequence[dict[str, float | None]]) -> Spreads:
  return Spreads(**{name: spread(row[name] for row in rows) for name in _FIGURES})


def figure(
  value: float, interval: tuple[tuple[float, float] | None, str], replicates: int, reason: str = ''
) -> Figure:
  """Returns a mean of AUROCs with its interval, where intervals are asked for.

  Args:
    value: NaN where there is none.
    interval: its bounds, and why there are none.
    replicates: of the evaluation; without any, no figure has an interval.
    reason: why there is no value, '' where there is one.
  """
  bounds, why = interval
  if np.isnan(value):
    return Figure(None, reason=reason or why)
  if not replicates:
    return Figure(value, reason=intervals.NONE_DRAWN)
  return Figure(value, bounds, reason='' if bounds else why)

"""Why an interval has no width: nearly all replicates agree, which is not certainty."""

from collections.abc import Iterable

import numpy as np

from medjax.evaluation import wording
from medjax.evaluation.figure import Figure
from medjax.evaluation.result import ClassesResult

_OF_RATES: dict[tuple[str, int | None], str] = {
  ('sensitivity', 1): 'no positive was missed',
  ('sensitivity', 0): 'no positive was found',
  ('specificity', 1): 'no negative was called positive',
  ('specificity', 0): 'every negative was called positive',
}


def has_none(figure: Figure) -> bool:
  """Whether a figure has an interval, and it has no width."""
  return figure.interval is not None and figure.interval[0] == figure.interval[1]


def of_rate(name: str, figure: Figure, confidence: float) -> str:
  """Returns why the interval of a sensitivity or specificity has no width."""
  return _OF_RATES.get((name, _whole(figure)), _agree(confidence))


def of_auroc(figure: Figure, confidence: float) -> str:
  """Returns why the interval of an AUROC has no width."""
  side = {1: 'above', 0: 'below', None: ''}[_whole(figure)]
  return f'every positive scored {side} every negative' if side else _agree(confidence)


def of_classes(figure: Figure, classes: ClassesResult, confidence: float) -> str:
  """Returns why the interval of a figure of exclusive classes has no width."""
  matrix = np.array(classes.confusion)
  called = np.flatnonzero(matrix.sum(axis=0))
  if not (matrix.sum() - np.trace(matrix)):
    return 'no image was called wrongly'
  if not np.trace(matrix):
    return 'no image was called its class'
  if len(called) == 1:
    return f'every image was called {classes.labels[called[0]]}'
  return _agree(confidence)


def sentences(named: Iterable[tuple[str, str]], most: int | None = None) -> list[str]:
  """Returns one sentence of (figure, reason) pairs, the figures by reason; none without any.

  Args:
    named: the figures without width and why.
    most: figures named of one reason, the others being counted; None for all.
  """
  by_reason: dict[str, list[str]] = {}
  for name, reason in named:
    by_reason.setdefault(reason, []).append(name)
  if not by_reason:
    return []
  parts = [f'{reason} ({wording.some(names, most, "; ")})' for reason, names in by_reason.items()]
  return [f'Intervals without width, which is not certainty: {"; ".join(parts)}.']


def _whole(figure: Figure) -> int | None:
  """Returns 0 or 1 where the figure and its interval are that, else None."""
  of_all = {figure.value, *(figure.interval or ())}
  return next((whole for whole in (0, 1) if of_all == {whole}), None)


def _agree(confidence: float) -> str:
  return f'at least {confidence:.0%} of the replicates agree'

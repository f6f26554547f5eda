"""A figure with its interval in a table cell: in words, and as a dot on a scale."""

import math
from collections.abc import Iterable

from medjax.evaluation import wording
from medjax.evaluation.figure import Figure
from medjax.report import charts
from medjax.report.markup import Markup, one_line, small, tag


def lowest(figures: Iterable[Figure], guessing: float) -> float:
  """Returns where a scale starts that shows all the figures and what guessing reaches."""
  bounds = [bound for figure in figures for bound in (figure.interval or (figure.value,))]
  return min([guessing, *(math.floor(bound * 10) / 10 for bound in bounds if bound is not None)])


def figure_words(figure: Figure, digits: int) -> list[object]:
  """Returns a figure with its interval for a table cell, or why it has no value or no interval."""
  if figure.value is None:
    return [tag('span', figure.reason, class_='quiet')]
  value = tag('b', wording.number(figure.value, digits))
  if figure.interval is None:
    return [value, small(f'no interval: {figure.reason}')]
  return [one_line(value, f'({wording.bounds(figure.interval, digits)})')]


def figure_bar(what: str, figure: Figure, low: float, baseline: float) -> Markup | None:
  """Draws a figure on a scale from `low` to 1, a tick at `baseline`; None if it has no value."""
  if figure.value is None:
    return None
  words = f'{what}: {wording.plain(figure, 3)}'
  return charts.interval_bar(figure.value, figure.interval, low, baseline, words)

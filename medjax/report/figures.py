"""A figure with its interval in a table cell: in words, and as a dot on a scale."""

import math
from collections.abc import Iterable

from medjax.evaluation import wording
from medjax.evaluation.figure import Figure, excludes_zero
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


def difference_bar(what: str, difference: Figure | None, widest: float) -> Markup | None:
  """Draws a difference and its interval on a scale from −widest to widest, a tick at zero."""
  if difference is None or difference.value is None:
    return None
  width, middle = 132, 8

  def place(x: float) -> float:
    return round(width / 2 + (width / 2 - 4) * x / widest, 1)

  bounds = difference.interval
  words = f'{what}: {wording.signed(difference.value)}'
  return charts.svg(
    width,
    16,
    words,
    f'A dot on a scale from {wording.signed(-widest)} to {wording.signed(widest)}; the tick is no '
    'difference.',
    tag('line', x1=4, x2=width - 4, y1=middle, y2=middle, class_='scale'),
    tag('line', x1=place(0), x2=place(0), y1=2, y2=14, class_='baseline'),
    bounds
    and tag('line', x1=place(bounds[0]), x2=place(bounds[1]), y1=middle, y2=middle, class_='range'),
    tag('circle', cx=place(difference.value), cy=middle, r=3.6, class_='dot'),
  )


def difference_words(difference: Figure, digits: int = 3) -> list[object]:
  """Returns a difference with its interval, bold where that excludes 0, or why it has none."""
  if difference.value is None:
    return [tag('span', difference.reason, class_='quiet')]
  value = wording.signed(difference.value, digits)
  if difference.interval is None:
    return [value, small(f'no interval: {difference.reason}')]
  low, high = (wording.signed(bound, digits) for bound in difference.interval)
  shown = tag('b', value) if excludes_zero(difference.interval) else value
  return [one_line(shown, f'({low} to {high})')]

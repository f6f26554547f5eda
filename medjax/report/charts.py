"""The report's drawings: inline SVG whose colours are the style sheet's, readable without colour.

Coordinates are pixels at the natural size. Every drawing names and describes itself for readers
that cannot see it, and shows its figures on hover.
"""

import math
from collections.abc import Sequence

from medjax.report.markup import Markup, tag

LINE_POINTS = 300


def svg(width: float, height: float, title: str, description: str, *children: object) -> Markup:
  """Returns one drawing that scales with its container and has a name and a description."""
  return tag(
    'svg',
    tag('title', title),
    tag('desc', description),
    *children,
    viewBox=f'0 0 {width} {height}',
    role='img',
    aria_label=f'{title}. {description}',
  )


def interval_bar(
  value: float, bounds: Sequence[float] | None, low: float, baseline: float, what: str
) -> Markup:
  """Draws a figure and its interval on a scale from `low` to 1, a tick at what guessing reaches."""
  width, middle = 132, 8

  def place(x: float) -> float:
    return round(4 + (width - 8) * (x - low) / (1 - low), 1)

  return svg(
    width,
    16,
    what,
    f'A dot on a scale from {low:g} to 1; the tick is what guessing reaches, {baseline:.3f}.',
    tag('line', x1=4, x2=width - 4, y1=middle, y2=middle, class_='scale'),
    tag('line', x1=place(baseline), x2=place(baseline), y1=2, y2=14, class_='baseline'),
    bounds
    and tag('line', x1=place(bounds[0]), x2=place(bounds[1]), y1=middle, y2=middle, class_='range'),
    tag('circle', cx=place(value), cy=middle, r=3.6, class_='dot'),
  )


def line_chart(
  title: str,
  description: str,
  lines: Sequence[tuple[str, str, Sequence[tuple[float, float]]]],
  up: str,
  marked: tuple[float, float, str] | None = None,
) -> Markup:
  """Draws lines over optimizer steps.

  Args:
    title, description: of the drawing.
    lines: (name, class, points (step, value)); the class is 'first', 'second' or 'faint'.
    up: what the values are, with their unit.
    marked: (step, value, words) of a point to mark, or None.
  """
  width, height, left, right, top, bottom = 440, 230, 62, 22, 12, 40
  every = [point for _, _, points in lines for point in points]
  x_ticks = ticks(0, max(x for x, _ in every))
  y_ticks = ticks(min(y for _, y in every), max(y for _, y in every))

  def place(x: float, y: float) -> tuple[float, float]:
    across = (x - x_ticks[0]) / (x_ticks[-1] - x_ticks[0])
    high = (y - y_ticks[0]) / (y_ticks[-1] - y_ticks[0])
    return (
      round(left + (width - left - right) * across, 1),
      round(height - bottom - (height - top - bottom) * high, 1),
    )

  marks = []
  for tick in y_ticks:
    y = place(x_ticks[0], tick)[1]
    marks.append(tag('line', x1=left, x2=width - right, y1=y, y2=y, class_='grid'))
    marks.append(tag('text', f'{tick:.6g}', x=left - 6, y=y + 4, class_='tick end'))
  for tick in x_ticks:
    x = place(tick, y_ticks[0])[0]
    marks.append(tag('text', f'{tick:,.6g}', x=x, y=height - bottom + 16, class_='tick middle'))
  middle = left + (width - left - right) / 2
  marks.append(tag('text', 'optimizer step', x=middle, y=height - 6, class_='axis middle'))
  turned = f'translate(12 {(top + height - bottom) / 2:g}) rotate(-90)'
  marks.append(tag('text', up, x=0, y=0, transform=turned, class_='axis middle'))
  if marked:
    x, y = place(*marked[:2])
    marks.append(tag('line', x1=x, x2=x, y1=top, y2=height - bottom, class_='best'))
  for name, kind, points in lines:
    places = [place(*point) for point in thinned(points)]
    if len(places) == 1:
      marks.append(
        tag(
          'circle',
          tag('title', name),
          cx=places[0][0],
          cy=places[0][1],
          r=2.5,
          class_=f'dot {kind}',
        )
      )
    path = 'M' + 'L'.join(f'{x:g},{y:g}' for x, y in places)
    marks.append(tag('path', tag('title', name), d=path, class_=f'line {kind}'))
  if marked:
    marks.append(tag('path', tag('title', marked[2]), d=_diamond(x, y, 5.5), class_='point'))
  return svg(width, height, title, description, *marks)


def thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
  """Returns at most LINE_POINTS points: where there are more, means of consecutive ones."""
  run = math.ceil(len(points) / LINE_POINTS)
  parts = [points[start : start + run] for start in range(0, len(points), run or 1)]
  return [tuple(sum(values) / len(part) for values in zip(*part)) for part in parts]


def ticks(low: float, high: float, wanted: int = 4) -> list[float]:
  """Returns round numbers, 1, 2 or 5 times a power of ten apart, that enclose low and high."""
  if high <= low:
    low, high = low - (abs(low) or 1) * 0.1, high + (abs(high) or 1) * 0.1
  rough = (high - low) / wanted
  power = 10.0 ** math.floor(math.log10(rough))
  step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
  first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
  return [number * step for number in range(first, last + 1)]


def legend(*entries: tuple[str, str]) -> Markup:
  """Returns (class, words) pairs as a key to a drawing; the shapes differ, not only the colours.

  The class 'number 2' gives the mark of the second operating point.
  """
  shapes = {
    'point': tag('circle', cx=14, cy=6, r=4.5, class_='point'),
    'best': tag('path', d=_diamond(14, 6, 5.5), class_='point'),
    'chance': tag('path', d='M2,6L26,6', class_='chance'),
    'hollow': tag('rect', x=11, y=3, width=6, height=6, class_='hollow'),
    'wilson': [
      tag('path', d='M14,-1V13', class_='wilson'),
      tag('circle', cx=14, cy=6, r=3.6, class_='dot'),
    ],
  }
  return tag(
    'ul',
    [
      tag(
        'li',
        tag(
          'svg',
          shapes.get(kind) or _numbered(kind) or tag('path', d='M2,6L26,6', class_=f'line {kind}'),
          viewBox='0 0 28 12',
          width=28,
          height=12,
          aria_hidden='true',
        ),
        words,
      )
      for kind, words in entries
    ],
    class_='legend',
  )


def _numbered(kind: str) -> list[Markup] | None:
  name, _, number = kind.partition(' ')
  if name != 'number':
    return None
  first = ' decides' if number == '1' else ''
  return [
    tag('circle', cx=14, cy=6, r=6.5, class_=f'mark{first}'),
    tag('text', number, x=14, y=9.3, class_=f'middle numeral{first}'),
  ]


def _diamond(x: float, y: float, r: float) -> str:
  return f'M{x - r:g},{y:g}L{x:g},{y - r:g}L{x + r:g},{y:g}L{x:g},{y + r:g}Z'

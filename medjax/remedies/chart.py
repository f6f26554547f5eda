"""The drawing of one measure: the mean of each condition at each level, with its interval."""

import textwrap

from medjax.evaluation import wording
from medjax.remedies.result import Cell, ExperimentResult
from medjax.report import charts
from medjax.report.markup import Markup, tag

# Marks of the conditions, around (0, 0): told apart by shape, not by colour alone.
SHAPES = (
  'M-4,0A4,4 0 1 0 4,0A4,4 0 1 0 -4,0Z',
  'M-3.6,-3.6H3.6V3.6H-3.6Z',
  'M-5.2,0L0,-5.2L5.2,0L0,5.2Z',
  'M0,-5L4.8,3.6H-4.8Z',
  'M0,5L4.8,-3.6H-4.8Z',
  'M-1.5,-5H1.5V-1.5H5V1.5H1.5V5H-1.5V1.5H-5V-1.5H-1.5Z',
  'M-4.6,-2.5L-2.5,-4.6L0,-2.1L2.5,-4.6L4.6,-2.5L2.1,0L4.6,2.5L2.5,4.6L0,2.1L-2.5,4.6L-4.6,2.5L-2.1,0Z',
  'M-5,0L-2.5,-4.3H2.5L5,0L2.5,4.3H-2.5Z',
  'M-5,-2H5V2H-5Z',
)
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 560, 250, 58, 10, 12, 66
_LETTER = 6.2  # pixels of one, about


def of_measure(experiment: ExperimentResult, measure: str) -> Markup:
  """Returns the drawing; its figures are shown on hover and said to those who cannot see."""
  shown = [cell for cell in experiment.cells if cell.measure == measure and _has_value(cell)]
  title = experiment.measures[measure]
  if not shown:
    return tag('p', f'{title}: it exists at no level.')
  ends = [end for cell in shown for end in cell.mean.interval or (_value(cell),)]
  zero = [0.0] if experiment.better[measure] == 'zero' else []
  ticks = charts.ticks(min(ends + zero), max(ends + zero))
  slot = (_WIDTH - _LEFT - _RIGHT) / len(experiment.levels)

  def across(level: str, condition: str) -> float:
    position = experiment.conditions.index(condition) - (len(experiment.conditions) - 1) / 2
    apart = min(16.0, 0.8 * slot / len(experiment.conditions))
    return round(_LEFT + slot * (experiment.levels.index(level) + 0.5) + apart * position, 1)

  def high(value: float) -> float:
    share = (value - ticks[0]) / (ticks[-1] - ticks[0])
    return round(_HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * share, 1)

  marks: list[object] = []
  for tick in ticks:
    y, kind = high(tick), 'grid zero' if zero and abs(tick) < 1e-9 else 'grid'
    marks.append(tag('line', x1=_LEFT, x2=_WIDTH - _RIGHT, y1=y, y2=y, class_=kind))
    marks.append(tag('text', f'{tick + 0.0:.4g}', x=_LEFT - 6, y=y + 4, class_='tick end'))
  for number, level in enumerate(experiment.levels):
    x = round(_LEFT + slot * (number + 0.5), 1)
    lines = textwrap.wrap(level, max(6, int(slot / _LETTER)))
    marks += [
      tag('text', line, x=x, y=_HEIGHT - _BOTTOM + 16 + 12 * row, class_='tick middle')
      for row, line in enumerate(lines[:3])
    ]
  middle = _LEFT + (_WIDTH - _LEFT - _RIGHT) / 2
  marks.append(tag('text', experiment.level_title, x=middle, y=_HEIGHT - 6, class_='axis middle'))
  for cell in shown:
    x, number = across(cell.level, cell.condition), experiment.conditions.index(cell.condition)
    if cell.mean.interval:
      low, top = (high(end) for end in cell.mean.interval)
      marks.append(tag('path', d=f'M{x:g},{low:g}V{top:g}', class_=f'whisker s{number}'))
    words = tag('title', _words(cell))
    place = f'translate({x:g} {high(_value(cell)):g})'
    marks.append(tag('path', words, d=SHAPES[number], transform=place, class_=f'shape s{number}'))
  said = '; '.join(_words(cell) for cell in shown)
  drawing = charts.svg(_WIDTH, _HEIGHT, title, f'{said}.', *marks)
  return tag('figure', tag('figcaption', title), drawing, class_='measure')


def legend(conditions: list[str]) -> Markup:
  """Returns the key to the marks."""
  entries = [
    tag(
      'li',
      tag(
        'svg',
        tag('path', d=SHAPES[number], transform='translate(8 6)', class_=f'shape s{number}'),
        viewBox='0 0 16 12',
        width=16,
        height=12,
        aria_hidden='true',
      ),
      condition,
    )
    for number, condition in enumerate(conditions)
  ]
  return tag('ul', entries, class_='legend')


def _has_value(cell: Cell) -> bool:
  return cell.mean.value is not None


def _value(cell: Cell) -> float:
  assert cell.mean.value is not None
  return cell.mean.value


def _words(cell: Cell) -> str:
  return f'{cell.level}, {cell.condition}: {wording.plain(cell.mean, 3)}'

"""Plots of one label that answer to pointer, finger and keyboard without a script.

Every mark of class 'hit' carries its words, '.tip', which the style sheet shows while the mark is
pointed at or focused. Samples along a curve are reached by pointing and tapping; the tab key stops
at the frozen operating points only, because forty stops per curve would keep everybody from what
comes after. No `title` stands in these drawings: a browser would show it over the words.
"""

import itertools
import math
import textwrap
from collections.abc import Sequence
from typing import NamedTuple

from medjax.evaluation import wording
from medjax.evaluation.label_result import PrecisionRecallCurve, ReliabilityBin, RocCurve
from medjax.evaluation.readers.study import Curve
from medjax.report.markup import Markup, tag

HITS = 40  # samples of a curve that can be pointed at
_SIZE, _LEFT, _TOP, _BELOW, _RIGHT = 200, 46, 8, 36, 8
_LETTER, _LINE = 6.2, 14.5  # of the words: width and height, pixels
_LETTERS = 30  # of the longest line of words that stays within the plot
_LIMITS = (0.05, 0.1, 0.2, 0.5, 1.0)  # of the axes of a reliability plot
_FULL = (0.0, 0.5, 1.0)


class Point(NamedTuple):
  """A frozen operating point in a plot: its number in the key, where it lies, and its words."""

  number: int
  x: float
  y: float
  words: Sequence[str]


class Mark(NamedTuple):
  """What else lies in a plot: where its middle is, how it is drawn, and its words."""

  x: float
  y: float
  drawing: Markup
  words: Sequence[str]


def roc(
  label: str,
  curve: RocCurve | Curve,
  area: str,
  points: Sequence[Point] = (),
  marks: Sequence[Mark] = (),
) -> Markup:
  """Draws sensitivity over 1 - specificity.

  Args:
    label: its name.
    curve: its points, with their thresholds if they are known.
    area: the AUROC with its interval, in words.
    points: the frozen operating points.
    marks: others, such as readers, the last on top.
  """
  x, y = curve.false_positive_rate, curve.sensitivity
  places = [place(*xy) for xy in zip(x, y)]
  words = [
    [f'sensitivity {wording.number(up, 2)}', f'specificity {wording.number(1 - across, 2)}']
    for across, up in zip(x, y)
  ]
  if isinstance(curve, RocCurve):
    words = [[_at(threshold), *rates] for threshold, rates in zip(curve.threshold, words)]
  (left, bottom), (right, top) = place(0, 0), place(1, 1)
  drawn = [
    tag('path', d=f'M{left:g},{bottom:g}L{right:g},{top:g}', class_='chance'),
    tag('path', d=f'{_path(places)}L{right:g},{bottom:g}Z', class_='area'),
    tag('path', d=_path(places), class_='curve'),
  ]
  return _panel(
    f'ROC curve of {label}. AUROC {area}',
    ('1 − specificity', 'sensitivity'),
    _FULL,
    [drawn, [mark.drawing for mark in marks], _numbered(points)],
    [
      *_samples(places, words, 'low right'),
      *_stops(marks, 'low right'),
      *_stops(points[::-1], 'low right'),
    ],
  )


def roc_pair(label: str, one: RocCurve, other: RocCurve, areas: tuple[str, str]) -> Markup:
  """Draws the curves of two models over each other, the second dashed.

  Args:
    label: its name.
    one, other: their points.
    areas: the AUROC of each with its interval, in words.
  """
  (left, bottom), (right, top) = place(0, 0), place(1, 1)
  drawn = [tag('path', d=f'M{left:g},{bottom:g}L{right:g},{top:g}', class_='chance')]
  for curve, kind in ((one, 'first'), (other, 'second')):
    places = [place(*xy) for xy in zip(curve.false_positive_rate, curve.sensitivity)]
    drawn.append(tag('path', d=_path(places), class_=f'line {kind}'))
  return _panel(
    f'ROC curves of {label}. AUROC {areas[0]} and {areas[1]}',
    ('1 − specificity', 'sensitivity'),
    _FULL,
    drawn,
    [],
  )


def precision_recall(
  label: str,
  curve: PrecisionRecallCurve,
  area: str,
  prevalence: float,
  points: Sequence[Point],
) -> Markup:
  """Draws PPV over sensitivity, with a line at the prevalence, which is what guessing reaches.

  Args:
    label: its name.
    curve: its points.
    area: the AUPRC with its interval, in words.
    prevalence: of the label in the test set.
    points: the frozen operating points.
  """
  x, y = curve.sensitivity, curve.ppv
  places = [place(*xy) for xy in zip(x, y)]
  words = [
    (_at(threshold), f'sensitivity {wording.number(across, 2)}', f'PPV {wording.number(up, 2)}')
    for across, up, threshold in zip(x, y, curve.threshold)
  ]
  (left, level), (right, _) = place(0, prevalence), place(1, prevalence)
  # The words go where the curve is not: a good one passes through the upper right corner.
  high = sum(y) / len(y) < 0.5
  drawn = [
    tag('path', d=f'M{left:g},{level:g}L{right:g},{level:g}', class_='chance'),
    tag('path', d=_path(places), class_='curve'),
    tag(
      'text',
      f'prevalence {wording.percent(prevalence)}',
      x=left + 4,
      y=round(level + (12 if prevalence > 0.9 else -5), 1),
    ),
  ]
  corner = 'high right' if high else 'low left'
  return _panel(
    f'Precision-recall curve of {label}. AUPRC {area}',
    ('sensitivity', 'PPV'),
    _FULL,
    [drawn, _numbered(points)],
    [*_samples(places, words, corner), *_stops(points[::-1], corner)],
  )


def reliability(
  label: str,
  before: Sequence[ReliabilityBin],
  after: Sequence[ReliabilityBin],
  error: str,
  unit: str,
) -> Markup:
  """Draws how often a finding is there over how probable it was said to be.

  The axes end where the probabilities do: those of a rare label would else crowd into a corner.

  Args:
    label: its name.
    before: bins of the probabilities before calibration, none where they were left alone.
    after: bins of those that are tested.
    error: the calibration error in words.
    unit: what a bin counts, such as 'image'.
  """
  shown = [*((point, 'before') for point in before), *((point, 'after') for point in after)]
  reach = max((max(point.mean_probability, point.share_positive) for point, _ in shown), default=1)
  limit = next(limit for limit in _LIMITS if limit >= min(reach, 1))
  (left, bottom), (right, top) = place(0, 0), place(1, 1)
  drawn = [tag('path', d=f'M{left:g},{bottom:g}L{right:g},{top:g}', class_='chance')]
  hits = []
  path = [place(point.mean_probability, point.share_positive, limit) for point in after]
  if len(path) > 1:
    drawn.append(tag('path', d=_path(path), class_='faint-line'))
  for point, when in shown:
    x, y = place(point.mean_probability, point.share_positive, limit)
    if when == 'after':
      if point.interval:
        ends = [place(0, min(bound, limit), limit)[1] for bound in point.interval]
        drawn.append(tag('path', d=f'M{x:g},{ends[0]:g}V{ends[1]:g}', class_='wilson'))
      drawn.append(tag('circle', cx=x, cy=y, r=3.6, class_='dot'))
    else:
      drawn.append(
        tag('rect', x=round(x - 3, 1), y=round(y - 3, 1), width=6, height=6, class_='hollow')
      )
    interval = point.interval
    words = [
      f'{"after" if when == "after" else "before"} calibration' if before else 'as predicted',
      f'said {wording.percent(point.mean_probability)}',
      f'found {wording.percent(point.share_positive)}'
      + (
        f' ({wording.percent(interval[0])} to {wording.percent(interval[1])})' if interval else ''
      ),
      wording.count(point.images, unit),
    ]
    hits.append(_hit(x, y, words, 'low right', tabindex=-1, aria_hidden='true'))
  return _panel(
    f'Reliability of {label}. {error}',
    ('predicted probability', 'share with the finding'),
    (0.0, limit / 2, limit),
    drawn,
    hits,
  )


def place(x: float, y: float, limit: float = 1.0) -> tuple[float, float]:
  """Returns the pixel at which values on both axes lie; the axes end at `limit`."""
  return round(_LEFT + _SIZE * x / limit, 1), round(_TOP + _SIZE * (1 - y / limit), 1)


def _path(places: Sequence[tuple[float, float]]) -> str:
  kept = [xy for at, xy in enumerate(places) if not at or xy != places[at - 1]]
  return 'M' + 'L'.join(f'{x:g},{y:g}' for x, y in kept)


def _at(threshold: float | None) -> str:
  if threshold is None or not math.isfinite(threshold):
    return 'above every probability'
  return f'threshold {wording.threshold(threshold)}'


def _panel(
  name: str,
  axes: tuple[str, str],
  ticks: Sequence[float],
  drawn: Sequence[object],
  hits: Sequence[Markup],
) -> Markup:
  across, up = axes
  limit = ticks[-1]
  marks: list[object] = [
    tag('rect', x=_LEFT, y=_TOP, width=_SIZE, height=_SIZE, class_='frame'),
  ]
  x, y = place(0.5, 0.5)
  marks.append(tag('path', d=f'M{x:g},{_TOP}v{_SIZE}M{_LEFT},{y:g}h{_SIZE}', class_='grid'))
  for tick in ticks:
    x, y = place(tick, tick, limit)
    marks.append(tag('text', f'{tick:g}', x=x, y=_TOP + _SIZE + 14, class_='middle'))
    marks.append(tag('text', f'{tick:g}', x=_LEFT - 6, y=round(y + 4, 1), class_='end'))
  middle = _LEFT + _SIZE / 2
  marks.append(tag('text', across, x=middle, y=_TOP + _SIZE + 30, class_='middle'))
  turned = f'translate(11 {_TOP + _SIZE / 2}) rotate(-90)'
  marks.append(tag('text', up, x=0, y=0, transform=turned, class_='middle'))
  return tag(
    'svg',
    marks,
    drawn,
    tag('g', hits, class_='hits') if hits else None,
    viewBox=f'0 0 {_LEFT + _SIZE + _RIGHT} {_TOP + _SIZE + _BELOW}',
    role='group',
    aria_label=name,
  )


def _numbered(points: Sequence[Point]) -> list[Markup]:
  """Draws the operating points, the first, which decides, on top and filled."""
  drawn = []
  for point in reversed(points):
    x, y = place(point.x, point.y)
    first = point is points[0]
    drawn.append(tag('circle', cx=x, cy=y, r=6.5, class_='mark decides' if first else 'mark'))
    kind = 'middle numeral decides' if first else 'middle numeral'
    drawn.append(tag('text', point.number, x=x, y=round(y + 3.3, 1), class_=kind))
  return drawn


def _stops(points: Sequence[Point | Mark], corner: str) -> list[Markup]:
  stops = []
  for point in points:
    words = '. '.join(point.words)
    x, y = place(point.x, point.y)
    stops.append(_hit(x, y, point.words, corner, tabindex=0, role='img', aria_label=words))
  return stops


def _samples(
  places: Sequence[tuple[float, float]], words: Sequence[Sequence[str]], corner: str
) -> list[Markup]:
  """Returns at most HITS marks at even steps along the drawn line."""
  lengths = [0.0]
  for (x0, y0), (x1, y1) in itertools.pairwise(places):
    lengths.append(lengths[-1] + math.hypot(x1 - x0, y1 - y0))
  chosen, at = [], 0
  for step in range(HITS):
    wanted = lengths[-1] * step / (HITS - 1)
    while at < len(lengths) - 1 and lengths[at] < wanted - 1e-9:
      at += 1
    if at not in chosen:
      chosen.append(at)
  return [
    _hit(*places[index], words[index], corner, tabindex=-1, aria_hidden='true') for index in chosen
  ]


def _hit(x: float, y: float, words: Sequence[str], corner: str, **attributes: object) -> Markup:
  lines = [line for text in words for line in textwrap.wrap(text, _LETTERS)]
  width = round(max(map(len, lines)) * _LETTER + 16)
  height = round(len(lines) * _LINE + 9)
  left = _LEFT + 5 if corner.endswith('left') else _LEFT + _SIZE - 5 - width
  top = _TOP + 5 if corner.startswith('high') else _TOP + _SIZE - 5 - height
  spans = [
    tag('tspan', line, x=left + 8, y=round(top + 5 + _LINE * (at + 0.75), 1))
    for at, line in enumerate(lines)
  ]
  board = tag('rect', x=left, y=top, width=width, height=height, rx=3)
  return tag(
    'g',
    tag('circle', cx=x, cy=y, r=3),
    tag('g', board, tag('text', spans), class_='tip'),
    class_='hit',
    **attributes,
  )

"""Drawings of one label's use: net benefit, actions avoided, probabilities by class."""

from collections.abc import Sequence

from medjax.evaluation import wording
from medjax.evaluation.label_result import Band, DecisionCurve, Histogram
from medjax.report import charts
from medjax.report.markup import Markup, tag

_SIZE, _LEFT, _TOP, _BELOW, _RIGHT = 200, 46, 8, 36, 8

Places = Sequence[tuple[float, float]]


class _Frame:
  """A square with its axes: where values lie in it, in pixels."""

  def __init__(self, right: float, low: float, high: float):
    self.right, self.low, self.high = right, low, high

  def place(self, x: float, y: float) -> tuple[float, float]:
    """Returns the pixel of a point; what lies beyond is drawn at the edge."""
    up = (min(max(y, self.low), self.high) - self.low) / (self.high - self.low)
    return round(_LEFT + _SIZE * x / self.right, 1), round(_TOP + _SIZE * (1 - up), 1)

  def line(self, xs: Sequence[float], ys: Sequence[float], kind: str) -> Markup | None:
    """Draws a line where it lies in the square, and nothing of it beyond."""
    parts, inside = [], False
    for x, y in zip(xs, ys):
      if self.low <= y <= self.high:
        across, up = self.place(x, y)
        parts.append(f'{"L" if inside else "M"}{across:g},{up:g}')
      inside = self.low <= y <= self.high
    return tag('path', d=''.join(parts), class_=f'line {kind}') if len(parts) > 1 else None

  def path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
    return 'M' + 'L'.join(f'{x:g},{y:g}' for x, y in map(self.place, xs, ys))

  def drawing(self, name: str, description: str, axes: tuple[str, str], *drawn: object) -> Markup:
    """Returns the frame with ticks at the ends and middles of its axes, and what lies in it."""
    across, up = axes
    marks: list[object] = [tag('rect', x=_LEFT, y=_TOP, width=_SIZE, height=_SIZE, class_='frame')]
    for part in (0, 0.5, 1):
      x, y = _LEFT + _SIZE * part, _TOP + _SIZE * (1 - part)
      value = self.low + part * (self.high - self.low)
      marks.append(
        tag('text', f'{self.right * part:.3g}', x=x, y=_TOP + _SIZE + 14, class_='middle')
      )
      marks.append(tag('text', f'{value:.3g}', x=_LEFT - 6, y=round(y + 4, 1), class_='end'))
    middle = _LEFT + _SIZE / 2
    marks.append(tag('text', across, x=middle, y=_TOP + _SIZE + 30, class_='middle'))
    turned = f'translate(11 {_TOP + _SIZE / 2}) rotate(-90)'
    marks.append(tag('text', up, x=0, y=0, transform=turned, class_='middle'))
    width, height = _LEFT + _SIZE + _RIGHT, _TOP + _SIZE + _BELOW
    return charts.svg(width, height, name, description, marks, *drawn)


def net_benefit(label: str, curve: DecisionCurve) -> Markup:
  """Draws net benefit over the threshold: of the model, of acting on all and on nobody."""
  top = charts.ticks(0, max(*curve.model.value, curve.prevalence, 1e-9))[-1]
  frame = _Frame(curve.threshold[-1], -top / 2, top)
  first = _at(curve.threshold, curve.model.value, curve.prevalence)
  return frame.drawing(
    f'Decision curve of {label}',
    f'Net benefit of the model at a threshold of {wording.percent(curve.prevalence)}, the '
    f'prevalence: {wording.number(first, 3)}.',
    ('threshold t', 'net benefit'),
    _band(frame, curve.threshold, curve.model),
    tag('path', d=frame.path((0, frame.right), (0, 0)), class_='chance'),
    frame.line(curve.threshold, curve.treat_all, 'second'),
    frame.line(curve.threshold, curve.model.value, 'first'),
  )


def avoided(label: str, curve: DecisionCurve) -> Markup:
  """Draws how many actions per 100 are spared against acting on all, over the threshold."""
  bounds = [bound for bound in curve.avoided.low if bound is not None]
  lowest = max(-100.0, min(0.0, *curve.avoided.value, *bounds))
  frame = _Frame(curve.threshold[-1], charts.ticks(lowest, 100)[0], 100.0)
  first = _at(curve.threshold, curve.avoided.value, curve.prevalence)
  return frame.drawing(
    f'Actions avoided for {label}',
    f'Per 100, at a threshold of {wording.percent(curve.prevalence)}, the prevalence: '
    f'{wording.number(first, 1)}.',
    ('threshold t', 'avoided per 100'),
    _band(frame, curve.threshold, curve.avoided),
    tag('path', d=frame.path((0, frame.right), (0, 0)), class_='chance'),
    frame.line(curve.threshold, curve.avoided.value, 'first'),
  )


def histogram(label: str, counts: Histogram, unit: str, least: float = 0.0) -> Markup:
  """Draws the share of each class that has which probability, positives above, negatives below.

  Args:
    label: its name.
    counts: of each class.
    unit: what is counted.
    least: that the axis reaches, so that several drawings have one scale.
  """
  shares = [
    [count / max(1, sum(of_class)) for count in of_class]
    for of_class in (counts.positives, counts.negatives)
  ]
  top = charts.ticks(0, max(least, *map(max, shares)))[-1]
  frame = _Frame(counts.edges[-1], -top, top)
  bars = []
  for sign, kind, of_class in ((1, 'first', shares[0]), (-1, 'second', shares[1])):
    for left, right, share in zip(counts.edges, counts.edges[1:], of_class):
      (x0, y0), (x1, y1) = frame.place(left, 0), frame.place(right, sign * share)
      if share:
        width, height = round(x1 - x0 - 1, 1), round(abs(y1 - y0), 1)
        bars.append(
          tag('rect', x=x0, y=min(y0, y1), width=width, height=height, class_=f'bar {kind}')
        )
  return frame.drawing(
    f'Probabilities of {label}',
    f'{wording.count(sum(counts.positives), unit)} with the finding above the line, '
    f'{sum(counts.negatives):,} without it below, in shares of each.',
    ('probability', 'without  |  with the finding'),
    bars,
    tag('path', d=frame.path((0, frame.right), (0, 0)), class_='chance'),
  )


def _band(frame: _Frame, at: Sequence[float], band: Band) -> Markup | None:
  there = [
    (x, low, high)
    for x, low, high in zip(at, band.low, band.high)
    if low is not None and high is not None
  ]
  if len(there) < 2:
    return None
  xs, lows, highs = zip(*there)
  outline = frame.path([*xs, *xs[::-1]], [*highs, *lows[::-1]])
  return tag('path', d=f'{outline}Z', class_='band')


def _at(thresholds: Sequence[float], values: Sequence[float], wanted: float) -> float:
  return min(zip(thresholds, values), key=lambda point: abs(point[0] - wanted))[1]

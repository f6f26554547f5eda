"""A search of hyper-parameters as one HTML file: its trials, what they drew, and the winner."""

from typing import Any

from medjax.evaluation import wording
from medjax.evaluation.search_result import (
  COMPLETE,
  PRUNED,
  SearchResult,
  SearchTrial,
  value_in_words,
)
from medjax.report import beside, charts, weaknesses
from medjax.report.markup import (
  NOTHING,
  Markup,
  banner,
  findings,
  one_line,
  page,
  section,
  small,
  style,
  table,
  tag,
  term,
)

_SETTINGS_SHOWN = 5  # of the winner, in one line


def render(result: SearchResult, *, title: str, warning: str = '', best: str = '') -> str:
  """Returns the page as the text of one HTML file.

  Args:
    result: of the search, ended or not.
    title: of the page, plain text like all that is given here.
    warning: what stands on the first line, or ''.
    best: address of the winner's report, seen from the page; '' before there is one.
  """
  parts = [_chart(result), _trials(result), _space(result), _how(result)]
  main = tag('main', [part for part in parts if part is not None])
  footer = tag('footer', tag('p', beside.SAID, class_='quiet'))
  css = style('report.css', 'sections.css', 'search.css')
  first = _first_screen(result, title, warning, best)
  return page(f'{title} · medjax search', css, first, main, footer)


def _first_screen(result: SearchResult, title: str, warning: str, best: str) -> Markup:
  winner = result.winner()
  if winner is None:
    answer = [tag('h2', 'No trial is complete', id='answer')]
  else:
    interval = winner.auroc.interval
    answer = [
      tag('h2', 'Mean AUROC of the winner, on validation', id='answer'),
      tag('p', wording.number(winner.auroc.value, 3), class_='number'),
      tag('p', '95 % interval ', tag('b', wording.bounds(interval, 3)), class_='interval')
      if interval
      else tag('p', f'No interval: {winner.auroc.reason}.', class_='interval'),
      tag('p', 'Optimistic: it is the highest of all trials.', class_='quiet'),
    ]
  answered = tag('section', tag('div', answer), class_='answer', aria_labelledby='answer')
  weak = findings('What weakens this choice', weaknesses.ranked(result.notes), NOTHING)
  facts = [term('Trials', result.counts() + _open(result))]
  if winner is not None:
    drawn = [f'{name} {value_in_words(value)}' for name, value in winner.parameters.items()]
    facts.append(term('Winner', f'trial {winner.number}: {wording.some(drawn, _SETTINGS_SHOWN)}'))
  if result.test is not None:
    report = tag('a', 'the report of the winner', href=best)
    facts.append(
      term('Mean AUROC of the winner, on test', wording.plain(result.test, 3), '; ', report)
    )
  elif winner is not None:
    facts.append(term('Test', 'not read yet'))
  if result.chosen_by:
    facts.append(term('Compared by', result.chosen_by))
  heading = tag(
    'div', banner(warning), tag('p', 'medjax search', class_='eyebrow'), tag('h1', title)
  )
  question = tag('dl', facts, class_='asked')
  return tag('header', heading, tag('div', tag('div', answered, weak), question, class_='first'))


def _open(result: SearchResult) -> str:
  left = result.asked - len(result.trials)
  return f'; {left} still to end' if left > 0 else ''


def _chart(result: SearchResult) -> Markup | None:
  """Draws the validation figure of each trial, with its interval, and the best so far."""
  shown = [trial for trial in result.trials if trial.auroc.value is not None]
  if not shown:
    return None
  width, height, left, right, top, bottom = 520, 240, 62, 14, 12, 40
  ends = [end for trial in shown for end in trial.auroc.interval or [_value_of(trial)]]
  ticks = charts.ticks(min(ends), max(ends))
  last = max(trial.number for trial in result.trials)

  def place(number: float, value: float) -> tuple[float, float]:
    across = (number + 0.5) / (last + 1)
    high = (value - ticks[0]) / (ticks[-1] - ticks[0])
    x, y = left + (width - left - right) * across, height - bottom - (height - top - bottom) * high
    return round(x, 1), round(y, 1)

  marks: list[object] = []
  for tick in ticks:
    y = place(0, tick)[1]
    marks.append(tag('line', x1=left, x2=width - right, y1=y, y2=y, class_='grid'))
    marks.append(tag('text', f'{tick:.6g}', x=left - 6, y=y + 4, class_='tick end'))
  for number in range(0, last + 1, max(1, -(-(last + 1) // 15))):
    x = place(number, ticks[0])[0]
    marks.append(tag('text', f'{number}', x=x, y=height - bottom + 16, class_='tick middle'))
  middle = left + (width - left - right) / 2
  marks.append(tag('text', 'trial', x=middle, y=height - 6, class_='axis middle'))
  turned = f'translate(12 {(top + height - bottom) / 2:g}) rotate(-90)'
  marks.append(
    tag('text', 'mean AUROC on validation', x=0, y=0, transform=turned, class_='axis middle')
  )
  marks.append(_best_so_far(shown, place, last))
  marks += [_mark(trial, place, trial.number == result.best) for trial in shown]
  words = '; '.join(f'trial {trial.number} {_figure_words(trial)}' for trial in shown)
  kinds = [('first', 'best so far'), ('wilson', 'complete, with its interval by patient')]
  if any(trial.state == PRUNED for trial in shown):
    kinds.append(('hollow', 'pruned: the best until then'))
  kinds.append(('best', 'the winner'))
  return section(
    'Trials',
    tag(
      'figure',
      charts.svg(width, height, 'Validation AUROC by trial', f'{words}.', *marks),
      charts.legend(*kinds),
      class_='trials',
    ),
  )


def _best_so_far(shown: list[SearchTrial], place: Any, last: int) -> Markup | None:
  points: list[tuple[float, float]] = []
  highest = None
  for trial in shown:
    value = trial.auroc.value
    if trial.state == COMPLETE and value is not None and (highest is None or value > highest):
      if highest is not None:
        points.append(place(trial.number, highest))
      points.append(place(trial.number, value))
      highest = value
  if highest is None:
    return None
  points.append(place(last, highest))
  path = 'M' + 'L'.join(f'{x:g},{y:g}' for x, y in points)
  return tag('path', tag('title', 'best so far'), d=path, class_='line first')


def _mark(trial: SearchTrial, place: Any, is_best: bool) -> list[Markup | None]:
  x, y = place(trial.number, _value_of(trial))
  title = tag('title', f'trial {trial.number}: {_figure_words(trial)}')
  if trial.state == PRUNED:
    return [tag('rect', title, x=x - 3, y=y - 3, width=6, height=6, class_='hollow')]
  bar = None
  if trial.auroc.interval:
    low, high = (place(trial.number, end)[1] for end in trial.auroc.interval)
    bar = tag('path', d=f'M{x:g},{low:g}V{high:g}', class_='wilson')
  if is_best:
    diamond = f'M{x - 5.5:g},{y:g}L{x:g},{y - 5.5:g}L{x + 5.5:g},{y:g}L{x:g},{y + 5.5:g}Z'
    return [bar, tag('path', title, d=diamond, class_='point')]
  return [bar, tag('circle', title, cx=x, cy=y, r=3.6, class_='dot')]


def _value_of(trial: SearchTrial) -> float:
  assert trial.auroc.value is not None
  return trial.auroc.value


def _figure_words(trial: SearchTrial) -> str:
  figure = wording.plain(trial.auroc, 3)
  return f'{figure}, pruned' if trial.state == PRUNED else figure


def _trials(result: SearchResult) -> Markup:
  names = list(result.space)
  rows = [
    [
      tag('b', f'{trial.number}, the winner') if trial.number == result.best else trial.number,
      _state(trial),
      _figure(trial),
      '' if trial.step is None else f'{trial.step:,} of {trial.steps:,}',
      *(
        value_in_words(trial.parameters[name]) if name in trial.parameters else '' for name in names
      ),
    ]
    for trial in result.trials
  ]
  header = ['Trial', 'State', 'Mean AUROC on validation', 'Best of steps', *names]
  listed = table(header, rows, 'cards') if rows else tag('p', 'None has ended yet.')
  return section('What each trial drew', tag('div', listed, class_='scroll'))


def _state(trial: SearchTrial) -> object:
  return [trial.state, small(trial.reason)] if trial.reason else trial.state


def _figure(trial: SearchTrial) -> object:
  if trial.auroc.value is None:
    return wording.DASH
  value = wording.number(trial.auroc.value, 3)
  if trial.auroc.interval is None:
    return value
  return one_line(value, wording.bounds(trial.auroc.interval, 3))


def _space(result: SearchResult) -> Markup:
  rows = [term(name, kind.in_words()) for name, kind in result.space.items()]
  winner = result.winner()
  settings = [term(name, str(value)) for name, value in winner.settings.items()] if winner else []
  return section(
    'Search space',
    tag('dl', rows, class_='list'),
    tag('h3', 'What the winner sets in the config') if settings else None,
    tag('dl', settings, class_='list') if settings else None,
  )


def _how(result: SearchResult) -> Markup:
  return section(
    'How the settings were chosen',
    tag(
      'p',
      'Every trial trains on the same training patients and is judged by the same validation '
      f'patients (split {result.split_sha256[:12] or "not drawn yet"}); none predicts a test '
      'image. Optuna’s tree-structured Parzen estimator draws the trials (Bergstra et al. 2011) '
      'and its pruner ends those that lag behind at a validation. Intervals are of the AUROC by '
      'patient, after DeLong. The winner has the highest mean AUROC on validation of the complete '
      'trials; it alone is tested, once.',
      class_='quiet',
    ),
  )

"""The seven problems as one HTML file. What it claims in words is a function of intervals."""

import importlib.resources

from medjax.evaluation import wording
from medjax.remedies import chart, own_films
from medjax.remedies.effects import HARMS, HELPS, UNKNOWN, UNSEEN
from medjax.remedies.result import Effect, ExperimentResult, ProblemResult, Remedies
from medjax.report.markup import (
  Markup,
  banner,
  identity,
  join,
  one_line,
  page,
  style,
  table,
  tag,
  term,
)

_TITLE = 'Seven problems, each with and without its remedy'
_WARNING = 'Generated films, not patients: the sizes of the effects say nothing about medicine.'
_OWN_TITLE = 'Patient overlap and intervals, with and without the remedy'
_FILMS = 'Films of generated chests, whose truth is known, stand for patients. '
_OWN_FILMS = 'Patients who were put aside stand for new ones. '
_READING = (
  'Each mark is a mean over repetitions with data and training of their own, its line the 95 % '
  'interval (Student’s t over repetitions). Differences are paired by repetition. “Helps” and '
  '“harms” are said where the interval of the difference leaves out 0, else “no difference '
  'seen”, which with few repetitions may also mean too uncertain to tell. Where 0 is right, the '
  'difference is of distances from 0, and so not that of the two marks above. Sizes and '
  'repetitions were fixed before anything was measured, and everything that was measured is here. '
)
_DIRECTIONS = {
  'higher': '{} (higher is better)',
  'lower': '{} (lower is better)',
  'zero': 'distance from 0 of the {}',
}


def render(result: Remedies) -> str:
  """Returns the page as the text of one HTML file."""
  is_own = list(result.problems) == [own_films.NAME]
  title = _OWN_TITLE if is_own else _TITLE
  entries = [
    tag('li', tag('a', problem.title, href=f'#{identity(problem.title)}'))
    for problem in result.problems.values()
  ]
  hours = sum(problem.hours for problem in result.problems.values())
  facts = [
    term('Plan', result.plan),
    term('medjax', result.version),
    term('Measured in', f'{hours:.1f} hours of one process'),
  ]
  head = tag(
    'header',
    None if is_own else banner(_WARNING),
    tag('p', 'medjax remedies', class_='eyebrow'),
    tag('h1', title),
    tag('p', (_OWN_FILMS if is_own else _FILMS) + _READING + _by_chance(result), class_='reading'),
    tag('nav', tag('ol', entries), aria_label='Problems'),
    tag('dl', facts, class_='list'),
  )
  own = importlib.resources.files('medjax.remedies').joinpath('remedies.css').read_text('utf-8')
  css = '\n'.join([style('report.css', 'sections.css'), own])
  main = tag('main', [_problem(problem) for problem in result.problems.values()])
  return page(title, css, head, main)


def _by_chance(result: Remedies) -> str:
  judged = sum(
    effect.verdict in (HELPS, HARMS, UNSEEN)
    for problem in result.problems.values()
    for experiment in problem.experiments.values()
    for effect in experiment.effects
  )
  return (
    f'{judged} differences are judged: if no remedy did anything, about {judged / 20:.0f} would be '
    'called “helps” or “harms” by chance, so trust what repeats over levels.'
  )


def _problem(problem: ProblemResult) -> Markup:
  literature = tag('ul', [tag('li', source) for source in problem.literature])
  words = tag('dl', [
    term('What goes wrong', problem.wrong),
    term('The remedy', problem.remedy),
    term('When not, and what it does not do', problem.limits),
    term('In the config', tag('code', problem.config)),
  ], class_='list')  # fmt: skip
  return tag(
    'section',
    tag('h2', problem.title, id=identity(problem.title)),
    words,
    [_experiment(experiment) for experiment in problem.experiments.values()],
    tag('h3', 'Literature'),
    literature,
    class_='problem',
  )


def _experiment(experiment: ExperimentResult) -> Markup:
  sizes = ', '.join(f'{name.replace("_", " ")} {size:,}' for name, size in experiment.sizes.items())
  said = f'{experiment.repetitions} repetitions of each level; {sizes}.'
  if experiment.measured < experiment.planned:
    said += f' Not all is measured yet: {experiment.measured} of {experiment.planned}.'
  return join(
    tag('h3', experiment.title),
    tag('div', _claims(experiment), class_='scroll'),
    chart.legend(experiment.conditions),
    tag(
      'div', [chart.of_measure(experiment, name) for name in experiment.measures], class_='grid2'
    ),
    tag('p', said, class_='quiet'),
    tag(
      'details',
      tag('summary', 'Every difference'),
      tag('div', _differences(experiment), class_='scroll'),
    ),
  )


def _claims(experiment: ExperimentResult) -> Markup:
  titles = [_directed(experiment, name) for name in _judged(experiment)]
  header = [f'Beside “{experiment.conditions[0]}”', *titles]
  return table(header, in_words(experiment), 'cards')


def in_words(experiment: ExperimentResult) -> list[list[str]]:
  """Returns a row for each condition: its name, and of each measure that is judged its verdicts."""
  rows = []
  for condition in experiment.conditions[1:]:
    row = [condition]
    for name in _judged(experiment):
      row.append(
        _verdicts(
          [
            effect
            for effect in experiment.effects
            if effect.condition == condition and effect.measure == name
          ],
          experiment.level_title,
        )
      )
    rows.append(row)
  return rows


def _directed(experiment: ExperimentResult, measure: str) -> str:
  """Returns a measure's title, and what of it is better."""
  title, better = experiment.measures[measure], experiment.better[measure]
  return _DIRECTIONS.get(better, '{}').format(title)


def _judged(experiment: ExperimentResult) -> list[str]:
  return [name for name, better in experiment.better.items() if better]


def _verdicts(those: list[Effect], level_title: str) -> str:
  parts = []
  for verdict in (HELPS, HARMS, UNSEEN, UNKNOWN):
    same = [effect for effect in those if effect.verdict == verdict]
    if not same:
      continue
    words = verdict if len(those) == 1 else f'{verdict} at {len(same)} of {len(those)} levels'
    if verdict in (HELPS, HARMS) or len(those) == 1:
      strongest = max(same, key=lambda effect: abs(effect.difference.value or 0.0))
      at = f', most at {strongest.level} ({level_title}): ' if len(those) > 1 else ': '
      words += at + _difference(strongest)
    parts.append(words)
  return '; '.join(parts)


def _difference(effect: Effect) -> str:
  figure = effect.difference
  if figure.value is None or figure.interval is None:
    return figure.reason
  low, high = (wording.signed(end, 3) for end in figure.interval)
  return f'{wording.signed(figure.value, 3)}, 95 % interval {low} to {high}'


def _differences(experiment: ExperimentResult) -> Markup:
  rows = []
  for effect in experiment.effects:
    figure = effect.difference
    value: object = figure.reason
    if figure.value is not None:
      value = wording.signed(figure.value, 3)
    if figure.value is not None and figure.interval is not None:
      low, high = (wording.signed(end, 3) for end in figure.interval)
      value = one_line(value, f'{low} to {high}')
    rows.append(
      [
        effect.level,
        effect.condition,
        _directed(experiment, effect.measure),
        value,
        effect.verdict or 'not judged',
      ]
    )
  without = experiment.conditions[0]
  header = [
    wording.capital(experiment.level_title),
    'Condition',
    'Measure',
    f'Less “{without}”',
    'Verdict',
  ]
  return table(header, rows, 'cards')

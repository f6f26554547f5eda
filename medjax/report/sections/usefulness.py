"""The report's section on use: what acting on the model is worth, and what it means for 1,000."""

from collections.abc import Sequence

from medjax.evaluation import wording
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_result import LabelResult, OfThousand, Usefulness
from medjax.evaluation.result import Result
from medjax.report import charts, usefulness_panels
from medjax.report.markup import Markup, one_line, section, small, table, tag

_OPEN = 3  # labels whose drawings are not folded away
_SHOWN = 6  # labels whose table is not

_COUNTED = ('flagged', 'true_positives', 'missed', 'false_alarms')


def usefulness(result: Result) -> Markup | None:
  """Returns the section; None for results of earlier versions, which have nothing of it."""
  useful = {label: tested.usefulness for label, tested in result.labels.items()}
  known = {label: part for label, part in useful.items() if part is not None}
  if not known:
    return None
  drawn = [
    _row(result, label, result.labels[label], part)
    for label, part in known.items()
    if part.decision_curve or (part.histogram and not part.reason)
  ]
  reasons = {label: part.reason for label, part in known.items() if part.reason}
  alike = len(reasons) == len(known) and len(set(reasons.values())) == 1
  missing = (
    sorted(set(reasons.values()))
    if alike
    else [f'{label} ({reason})' for label, reason in reasons.items()]
  )
  return section(
    'Is it useful?',
    _thousands(result, known),
    _folded(result, drawn, known) if drawn else None,
    tag('p', f'No decision curve: {", ".join(missing)}.', class_='quiet') if missing else None,
  )


def _thousands(result: Result, known: dict[str, Usefulness]) -> list[object]:
  """Returns the tables, one for each operating point, those after the first folded away."""
  rules = list(dict.fromkeys(row.rule for part in known.values() for row in part.of_thousand))
  if not rules:
    return []
  units = wording.plural(result.unit)
  tables = [_table(result, rule, known) for rule in rules]
  more: list[object] = [
    tag('details', tag('summary', f'The same: {wording.rule(rule)}'), content)
    for rule, content in zip(rules[1:], tables[1:])
  ]
  first: object = tables[0]
  if len(known) > _SHOWN:
    words = f'The 1,000 {units} of each of {wording.count(len(known), "label")}'
    first = tag('details', tag('summary', words), first)
  return [
    tag(
      'p',
      f'What a clinic sees. Of 1,000 {units} like these, so many are flagged at the '
      f'{wording.against_rest(result)}threshold '
      f'({wording.rule(rules[0])}), so many of them with the finding, and so many with the finding '
      'are missed. The prevalence is taken as known. ',
      f'In brackets the {result.confidence:.0%} interval of the rates that they come from; these '
      f'were counted in the {units} that stand in small figures.',
      class_='quiet lead',
    ),
    first,
    more,
  ]


def _table(result: Result, rule: str, known: dict[str, Usefulness]) -> Markup:
  units = wording.plural(result.unit)
  one = wording.capital(wording.things(result)[0])
  header = (one, f'Of 1,000 {units}', 'Flagged', 'Truly', 'Missed', 'False alarms')
  rows = []
  for label, part in known.items():
    tested = result.labels[label]
    for row in part.of_thousand:
      if row.rule == rule:
        counted = f'{tested.positives:,} with, {tested.negatives:,} without'
        rows.append([[label, small(counted)], *_cells(row)])
  return table(header, rows, 'cards wide')


def _cells(row: OfThousand) -> Sequence[object]:
  where = 'as in the test set' if row.of_test else 'stated or of the source'
  with_finding = wording.number(1000 * row.prevalence, 1)
  return [
    [tag('b', with_finding), ' have it', small(f'{wording.percent(row.prevalence)}, {where}')],
    *(_count(getattr(row, name)) for name in _COUNTED),
  ]


def _count(figure: Figure) -> list[object]:
  if figure.value is None:
    return [tag('span', figure.reason, class_='quiet')]
  value = tag('b', wording.number(figure.value, _digits(figure.value)))
  if figure.interval is None:
    return [value, small(f'no interval: {figure.reason}')]
  digits = _digits(figure.interval[1])
  low, high = (wording.number(bound, digits) for bound in figure.interval)
  return [one_line(value, f'({low} to {high})')]


def _digits(number: float) -> int:
  return 1 if number < 100 else 0


def _folded(result: Result, drawn: Sequence[Markup], known: dict[str, Usefulness]) -> Markup:
  few = len(drawn) <= _OPEN
  return tag(
    'details',
    tag('summary', f'Decision curves and probabilities: {wording.count(len(drawn), "label")}'),
    _key(result, known),
    tag('div', drawn, class_='rows'),
    open='' if few else None,
  )


def _key(result: Result, known: dict[str, Usefulness]) -> list[Markup]:
  weighted = any(part.decision_curve and part.decision_curve.weighted for part in known.values())
  source = ' Each patient is weighted back to the source that a floor enriched.' if weighted else ''
  one = result.unit
  return [
    tag(
      'p',
      f'Net benefit: found positives per {one}, less false alarms, of which (1 − t) / t weigh as '
      'much as one found positive for somebody who acts at a probability of t (Vickers & Elkin '
      '2006). The model is of use where its line lies above both others. Actions avoided: per 100 '
      f'{wording.plural(one)} against acting on all, at the same net benefit. Shaded: the '
      f'{result.confidence:.0%} interval at each threshold, over patients.{source} Probabilities: '
      f'how many {wording.plural(one)} with and without the finding have which, each class in '
      'shares of its own. What lies beyond a frame is not drawn.',
      class_='quiet lead',
    ),
    tag(
      'div',
      charts.legend(
        ('first', 'the model; with the finding'),
        ('second', 'act on all; without the finding'),
        ('chance', 'act on nobody'),
      ),
      class_='key',
    ),
  ]


def _row(result: Result, label: str, tested: LabelResult, part: Usefulness) -> Markup:
  plots = []
  curve = part.decision_curve
  if curve is not None:
    words = f'prevalence {wording.percent(curve.prevalence)}'
    no_interval = f', no interval: {curve.reason}' if curve.reason else ''
    plots += [
      ('Net benefit', words + no_interval, usefulness_panels.net_benefit(label, curve)),
      ('Actions avoided', 'per 100, against all', usefulness_panels.avoided(label, curve)),
    ]
  if part.histogram is not None:
    drawing = usefulness_panels.histogram(label, part.histogram, result.unit)
    plots.append(('Probabilities', 'share of each class', drawing))
  return tag(
    'section',
    tag(
      'div',
      tag('h3', label),
      small(f'{tested.positives:,} of {tested.images:,} positive'),
      small(wording.count(tested.positive_patients, 'patient')),
    ),
    tag(
      'div',
      [
        tag('figure', tag('figcaption', tag('b', name), small(said)), plot)
        for name, said, plot in plots
      ],
      class_='plots',
      role='region',
      aria_label=f'Plots of the use of {label}',
      tabindex=0,
    ),
    class_='label',
  )

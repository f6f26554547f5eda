"""The report's section on decisions: what each frozen threshold does on the test set."""

from collections.abc import Mapping, Sequence

from medjax.evaluation import wording
from medjax.report.markup import Markup, section, small, table, tag
from medjax.report.sections.labels import figure_words

# A figure's counts: of so many (all of them) so many are (right).
_COUNTS = {
  'sensitivity': ('true_positives', ('true_positives', 'false_negatives')),
  'specificity': ('true_negatives', ('true_negatives', 'false_positives')),
  'ppv': ('true_positives', ('true_positives', 'false_positives')),
  'npv': ('true_negatives', ('true_negatives', 'false_negatives')),
}


def operating_points(summary: Mapping) -> Markup:
  """Returns the section with a table for each rule, a row for each label.

  Where there is one label, one table holds a row for each rule.
  """
  labels = summary['labels']
  rules = max((of['operating_points'] for of in labels.values()), key=len, default=[])
  rules = [point['rule'] for point in rules]
  stated = any(point['at_prevalence'] for of in labels.values() for point in of['operating_points'])
  one = wording.capital(wording.things(summary)[0])
  points = [point for of in labels.values() for point in of['operating_points']]
  chosen = wording.chosen(points)
  if not chosen:
    why = ', '.join(dict.fromkeys(point['reason'] for point in points if point['reason']))
    return section('Operating points', tag('p', f'No threshold{f": {why}" if why else ""}.'))
  if len(labels) == 1:
    (of,) = labels.values()
    rows = [
      _row([_numeral(number), f' {_name(point["rule"], number)}'], point)
      for number, point in enumerate(of['operating_points'], 1)
    ]
    tables = [_table('Rule', rows)]
  else:
    tables = []
    for number, rule in enumerate(rules, 1):
      rows = [
        _row(label, of['operating_points'][number - 1])
        for label, of in labels.items()
        if len(of['operating_points']) >= number
      ]
      if number == 1 and len(summary['mean']['labels']) > 1:
        rows.append(_mean(summary['mean']))
      heading = tag('h3', _numeral(number), f' {_name(rule, number)}', class_='rule')
      tables.append([heading, _table(one, rows)])
  return section(
    'Operating points',
    tag(
      'p',
      f'Each threshold was {chosen}: a '
      'probability at or above it is called positive. PPV and NPV hold for a clinic with the test '
      'set’s own prevalence',
      '; below them stands what they are at the stated one.' if stated else '.',
      f' In brackets the {summary["level"]:.0%} interval, below it the counts'
      f'{_of_unit(summary)}{" and the figure on validation" if summary.get("validation") else ""}.',
      class_='quiet lead',
    ),
    tables,
  )


def _of_unit(summary: Mapping) -> str:
  unit = wording.unit(summary)
  return '' if unit == 'image' else f' ({wording.plural(unit)})'


def _name(rule: str, number: int) -> str:
  name = wording.capital(wording.rule(rule))
  return f'{name}, makes the decisions' if number == 1 else name


def _numeral(number: int) -> Markup:
  return tag('span', number, class_='numeral decides' if number == 1 else 'numeral')


def _table(first: str, rows: Sequence[Sequence[object]]) -> Markup:
  header = [first, 'Threshold', 'Sensitivity', 'Specificity', 'PPV', 'NPV', 'F1']
  return table(header, rows, 'cards wide')


def _row(name: object, point: Mapping) -> list[object]:
  if point['threshold'] is None:
    cells = [tag('span', point['reason'] or 'no threshold', class_='quiet')]
    return [name, *cells, *[wording.DASH] * 5]
  cells = [wording.threshold(point['threshold'])]
  for figure in ('sensitivity', 'specificity', 'ppv', 'npv'):
    before = (point.get('validation') or {}).get(figure)
    cells.append(
      [
        *figure_words(point[figure], 2),
        _counts(point, figure),
        None if before is None else small(f'validation {before:.2f}'),
        _at_prevalence(point['at_prevalence'], figure),
      ]
    )
  cells.append(figure_words(point['f1'], 2))
  return [name, *cells]


def _counts(point: Mapping, figure: str) -> Markup | None:
  counts = point['confusion']
  if counts is None or point[figure]['value'] is None:
    return None
  right, parts = _COUNTS[figure]
  return small(f'{counts[right]:,} of {sum(counts[part] for part in parts):,}')


def _at_prevalence(of: Mapping | None, name: str) -> Markup | None:
  if of is None or name not in of:
    return None
  # Three digits: of a rare finding the NPV is nearly 1.
  words = f'at {wording.percent(of["prevalence"])}: {wording.plain(of[name], 3)}'
  return tag('small', words, class_='line')


def _mean(mean: Mapping) -> list[object]:
  figures = [figure_words(mean[name], 2) for name in (*_COUNTS, 'f1')]
  return [f'Mean of {len(mean["labels"])}', wording.DASH, *figures]

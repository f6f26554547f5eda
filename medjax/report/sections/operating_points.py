"""The report's section on decisions: what each frozen threshold does on the test set."""

from collections.abc import Sequence

from medjax.evaluation import wording
from medjax.evaluation.label_result import AtPrevalence, OperatingPoint
from medjax.evaluation.result import Mean, Result
from medjax.report.figures import figure_words
from medjax.report.markup import Markup, section, small, table, tag

# A figure's counts: of so many (all of them) so many are (right).
_COUNTS = {
  'sensitivity': ('true_positives', ('true_positives', 'false_negatives')),
  'specificity': ('true_negatives', ('true_negatives', 'false_positives')),
  'ppv': ('true_positives', ('true_positives', 'false_positives')),
  'npv': ('true_negatives', ('true_negatives', 'false_negatives')),
}


def operating_points(result: Result) -> Markup:
  """Returns the section with a table for each rule, a row for each label.

  Where there is one label, one table holds a row for each rule.
  """
  labels = result.labels
  longest: tuple[OperatingPoint, ...] = max(
    (label_result.operating_points for label_result in labels.values()), key=len, default=()
  )
  rules = [point.rule for point in longest]
  stated = any(
    point.at_prevalence
    for label_result in labels.values()
    for point in label_result.operating_points
  )
  one = wording.capital(wording.things(result)[0])
  points = [point for label_result in labels.values() for point in label_result.operating_points]
  chosen = wording.chosen(points)
  if not chosen:
    why = ', '.join(dict.fromkeys(point.reason for point in points if point.reason))
    return section('Operating points', tag('p', f'No threshold{f": {why}" if why else ""}.'))
  if len(labels) == 1:
    (label_result,) = labels.values()
    rows = [
      _row([_numeral(number), f' {_name(result, point.rule, number)}'], point)
      for number, point in enumerate(label_result.operating_points, 1)
    ]
    tables: list[object] = [_table('Rule', rows)]
  else:
    tables = []
    for number, rule in enumerate(rules, 1):
      rows = [
        _row(label, label_result.operating_points[number - 1])
        for label, label_result in labels.items()
        if len(label_result.operating_points) >= number
      ]
      if number == 1 and len(result.mean.labels) > 1:
        rows.append(_mean(result.mean))
      heading = tag('h3', _numeral(number), f' {_name(result, rule, number)}', class_='rule')
      tables.append([heading, _table(one, rows)])
  return section(
    f'Operating points{", one against rest" if result.classes else ""}',
    tag('p', _no_part(result), class_='lead') if result.classes else None,
    tag(
      'p',
      f'Each threshold was {chosen}: a '
      'probability at or above it is called positive. PPV and NPV hold for a clinic with the test '
      'set’s own prevalence',
      '; below them stands what they are at the prevalence named there.' if stated else '.',
      f' In brackets the {result.confidence:.0%} interval, below it the counts'
      f'{_of_unit(result)}{" and the figure on validation" if result.validation else ""}.',
      class_='quiet lead',
    ),
    tables,
  )


def _of_unit(result: Result) -> str:
  unit = result.unit
  return '' if unit == 'image' else f' ({wording.plural(unit)})'


def _no_part(result: Result) -> str:
  one, several = wording.things(result)
  return (
    f'These thresholds play no part in the decision between {several}. Each asks of '
    f'one {one} alone whether it is there, all others together being the other answer.'
  )


def _name(result: Result, rule: str, number: int) -> str:
  name = wording.capital(wording.rule(rule))
  decides = number == 1 or result.classes is not None
  return f'{name}, {wording.first_point(result)}' if decides else name


def _numeral(number: int) -> Markup:
  return tag('span', number, class_='numeral decides' if number == 1 else 'numeral')


def _table(first: str, rows: Sequence[Sequence[object]]) -> Markup:
  header = [first, 'Threshold', 'Sensitivity', 'Specificity', 'PPV', 'NPV', 'F1']
  return table(header, rows, 'cards wide')


def _row(name: object, point: OperatingPoint) -> list[object]:
  if point.threshold is None:
    reason = tag('span', point.reason or 'not recorded', class_='quiet')
    nothing = tag('span', 'no threshold', class_='quiet')
    return [name, reason, *[nothing] * 5]
  cells: list[object] = [wording.threshold(point.threshold)]
  for figure in ('sensitivity', 'specificity', 'ppv', 'npv'):
    before = getattr(point.validation, figure, None)
    cells.append(
      [
        *figure_words(getattr(point, figure), 2),
        counts(point, figure),
        None if before is None else small(f'validation {wording.number(before, 2)}'),
        at_prevalence(point.at_prevalence, figure),
      ]
    )
  cells.append(figure_words(point.f1, 2))
  return [name, *cells]


def counts(point: OperatingPoint, figure: str) -> Markup | None:
  """Returns of how many images a rate is, 'sensitivity', 'specificity', 'ppv' or 'npv'."""
  decided = point.confusion
  if decided is None or getattr(point, figure).value is None:
    return None
  right, parts = _COUNTS[figure]
  total = sum(getattr(decided, part) for part in parts)
  return small(f'{getattr(decided, right):,} of {total:,}')


def at_prevalence(values: AtPrevalence | None, name: str) -> Markup | None:
  """Returns 'ppv' or 'npv' at the prevalence that was stated; None of another rate, or of none."""
  figure = getattr(values, name, None)
  if values is None or figure is None:
    return None
  # Three digits: of a rare finding the NPV is nearly 1.
  words = f'at {wording.percent(values.prevalence)}: {wording.plain(figure, 3)}'
  return tag('small', words, class_='line')


def _mean(mean: Mean) -> list[object]:
  figures = [figure_words(getattr(mean, name), 2) for name in (*_COUNTS, 'f1')]
  return [
    f'Mean of {len(mean.labels)}',
    tag('span', 'not averaged', class_='quiet'),
    *figures,
  ]

"""The report's sections that compare labels: how well each is ranked, at which level, how else."""

from medjax.evaluation import wording
from medjax.evaluation.figure import Interval
from medjax.evaluation.label_result import LabelResult, OperatingPoint
from medjax.evaluation.result import LevelResult, Result
from medjax.report.figures import figure_bar, figure_words, lowest
from medjax.report.markup import Markup, one_line, section, small, table, tag
from medjax.report.sections import curves


def label_table(result: Result) -> Markup:
  """Returns the section with one row per label: its figures at a glance, and its counts."""
  labels, mean = result.labels, result.mean
  low = lowest([*(label_result.auroc for label_result in labels.values()), mean.auroc], 0.5)
  (one, several), unit = wording.things(result), result.unit
  rows = []
  for label, label_result in labels.items():
    point = label_result.decision
    counts = point.confusion if point else None
    identity = curves.anchor(result, label)
    rows.append(
      [
        tag('a', label, href=f'#{identity}') if identity else label,
        [
          one_line(
            wording.percent(label_result.prevalence),
            f'{label_result.positives:,} of {label_result.images:,}',
          ),
          small(wording.count(label_result.positive_patients, 'patient')),
        ],
        [
          *figure_words(label_result.auroc, 3),
          figure_bar(f'AUROC of {label}', label_result.auroc, low, 0.5),
          _on_validation(label_result, 'auroc'),
        ],
        [
          *figure_words(label_result.auprc, 3),
          figure_bar(f'AUPRC of {label}', label_result.auprc, 0, label_result.prevalence or 0),
          _on_validation(label_result, 'auprc'),
        ],
        _at_point(
          point, 'sensitivity', counts.true_positives if counts else None, label_result.positives
        ),
        _at_point(
          point, 'specificity', counts.true_negatives if counts else None, label_result.negatives
        ),
      ]
    )
  if len(mean.labels) > 1:
    rows.append(
      [
        f'Mean of {len(mean.labels)}',
        tag('span', 'not averaged', class_='quiet'),
        [*figure_words(mean.auroc, 3), figure_bar('Mean AUROC', mean.auroc, low, 0.5)],
        figure_words(mean.auprc, 3),
        figure_words(mean.sensitivity, 2),
        figure_words(mean.specificity, 2),
      ]
    )
  first = [result.decision for result in labels.values() if result.decision]
  rules = {point.rule for point in first if point.threshold is not None}
  apart = result.classes and f'Each {one} is tested against all other {several} together. '
  counted = unit != 'image' and f'Counts are {wording.plural(unit)}. '
  rates = ['Sensitivity', 'Specificity']
  if apart:
    rates = [f'{name}, against rest' for name in rates]
  return section(
    f'Every {one} on the test set' + (', against all others' if apart else ''),
    table(
      (wording.capital(one), 'Prevalence', 'AUROC', 'AUPRC', *rates),
      rows,
      'cards wide',
    ),
    tag(
      'p',
      apart or None,
      counted or None,
      f'In brackets the {result.confidence:.0%} interval. The tick on each scale is what guessing '
      'reaches: 0.5 for AUROC, about the prevalence for AUPRC. ',
      _of_threshold(result, ', '.join(sorted(map(wording.rule, rules))), wording.chosen(first))
      if rules
      else None,
      'Validation figures, without intervals, flatter where checkpoint or thresholds were chosen '
      'there.'
      if result.validation
      else None,
      class_='quiet',
    ),
    _other_intervals(result),
  )


def _of_threshold(result: Result, rules: str, chosen: str) -> str:
  if result.classes is None:
    return (
      f'Sensitivity and specificity are those at the threshold that decides ({rules}), {chosen}. '
    )
  one, several = wording.things(result)
  return (
    f'Sensitivity and specificity are those of a one-against-rest threshold ({rules}), {chosen}, '
    f'which asks of one {one} alone. Those of the decision between {several} are in the frames of '
    'the confusion matrix. '
  )


def _at_point(
  point: OperatingPoint | None, name: str, right: int | None, total: int
) -> list[object]:
  if point is None:
    return [tag('span', 'no operating point', class_='quiet')]
  return [
    *figure_words(getattr(point, name), 2),
    None if right is None else small(f'{right:,} of {total:,}'),
  ]


def _other_intervals(result: Result) -> Markup | None:
  """Returns the AUROC's interval by every method, folded away: they seldom say anything else."""
  rows, clustered = [], False
  for label, label_result in result.labels.items():
    figure = label_result.auroc
    if figure.value is None:
      continue
    clustered = clustered or label_result.delong.clustered
    rows.append(
      [
        label,
        wording.number(figure.value, 3),
        _bounds(figure.interval, figure.reason),
        _bounds(figure.bca, figure.reason),
      ]
    )
  if not rows:
    return None
  level = f'{result.confidence:.0%}'
  return tag(
    'details',
    tag('summary', f'The {level} interval of the AUROC by two methods'),
    table(('', 'AUROC', 'DeLong', 'BCa bootstrap'), rows, 'cards'),
    tag(
      'p',
      'DeLong’s, which the report shows, is computed from the ranks',
      ', in its form for several images per patient (Obuchowski),' if clustered else '',
      ' on the scale of the logit and with Student’s t. The bootstrap draws whole patients. Where ',
      'they disagree, the numbers are small.',
      class_='quiet',
    ),
  )


def _bounds(interval: Interval | None, reason: str) -> object:
  if interval:
    return tag('span', wording.bounds(interval, 3), class_='line')
  return tag('span', reason or wording.DASH, class_='quiet')


def variants(result: Result) -> Markup | None:
  """Returns the section with mean AUROC by level, and of ensembles beside the single model."""
  levels = result.levels
  if len(levels) < 2 and not result.variants:
    return None
  low = lowest([areas.auroc for areas in (*levels.values(), *result.variants)], 0.5)
  several = len(result.mean.labels) > 1
  names = [f'{"Mean " if several else ""}{name}' for name in ('AUROC', 'AUPRC')]
  parts = []
  if levels:
    rows = [
      [
        [wording.capital(level), small('this report') if level == result.unit else None],
        [
          wording.count(areas.units, level),
          None if level == 'patient' else small(wording.count(areas.patients, 'patient')),
        ],
        *_areas(f'by {level}', areas, low),
      ]
      for level, areas in levels.items()
    ]
    rule = wording.aggregate(result.aggregate)
    parts.append(
      tag(
        'div',
        tag('h3', 'By level'),
        table(('Level', 'Tested', *names), rows, 'cards'),
        tag('p', f'The probability of a level is {rule} of those of its images.', class_='quiet'),
      )
    )
  if result.variants:
    rows = [[areas.name, *_areas(areas.name, areas, low)] for areas in result.variants]
    parts.append(
      tag(
        'div',
        tag('h3', 'Single model and ensemble'),
        table(('Prediction', *names), rows, 'cards'),
      )
    )
  return section('Other ways to read the same test set', tag('div', parts, class_='pair'))


def _areas(what: str, areas: LevelResult, low: float) -> list[object]:
  return [
    [*figure_words(areas.auroc, 3), figure_bar(f'AUROC {what}', areas.auroc, low, 0.5)],
    figure_words(areas.auprc, 3),
  ]


def _on_validation(label_result: LabelResult, name: str) -> Markup | None:
  value = getattr(label_result.validation, name, None)
  return None if value is None else small(f'validation {wording.number(value, 3)}')

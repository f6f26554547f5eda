"""The report's sections that compare labels: how well each is ranked, at which level, how else."""

import math
from collections.abc import Mapping

from medjax.evaluation import wording
from medjax.report import charts
from medjax.report.markup import Markup, one_line, section, small, table, tag
from medjax.report.sections import curves


def label_table(summary: Mapping) -> Markup:
  """Returns the section with one row per label: its figures at a glance, and its counts."""
  labels, mean = summary['labels'], summary['mean']
  low = _lowest([*(of['test']['auroc'] for of in labels.values()), mean['auroc']], 0.5)
  (one, several), unit = wording.things(summary), wording.unit(summary)
  rows = []
  for label, of in labels.items():
    test, point = of['test'], next(iter(of['operating_points']), None)
    counts = point and point['confusion']
    identity = curves.anchor(summary, label)
    rows.append(
      [
        tag('a', label, href=f'#{identity}') if identity else label,
        [
          one_line(
            wording.percent(test['prevalence']), f'{test["positives"]:,} of {test["images"]:,}'
          ),
          small(wording.count(test['positive_patients'], 'patient')),
        ],
        [
          *figure_words(test['auroc'], 3),
          figure_bar(f'AUROC of {label}', test['auroc'], low, 0.5),
          _beside_validation(of, 'auroc'),
        ],
        [
          *figure_words(test['auprc'], 3),
          figure_bar(f'AUPRC of {label}', test['auprc'], 0, test['prevalence']),
          _beside_validation(of, 'auprc'),
        ],
        _at_point(point, 'sensitivity', counts and counts['true_positives'], test['positives']),
        _at_point(point, 'specificity', counts and counts['true_negatives'], test['negatives']),
      ]
    )
  if len(mean['labels']) > 1:
    rows.append(
      [
        f'Mean of {len(mean["labels"])}',
        wording.DASH,
        [*figure_words(mean['auroc'], 3), figure_bar('Mean AUROC', mean['auroc'], low, 0.5)],
        figure_words(mean['auprc'], 3),
        figure_words(mean['sensitivity'], 2),
        figure_words(mean['specificity'], 2),
      ]
    )
  first = [of['operating_points'][0] for of in labels.values() if of['operating_points']]
  rules = {point['rule'] for point in first if point['threshold'] is not None}
  apart = summary['classes'] and f'Each {one} is tested against all other {several} together. '
  counted = unit != 'image' and f'Counts are {wording.plural(unit)}. '
  return section(
    f'Every {one} on the test set' + (', against all others' if apart else ''),
    table(
      (
        wording.capital(one),
        'Prevalence',
        'AUROC',
        'AUPRC',
        'Sensitivity',
        'Specificity',
      ),
      rows,
      'cards wide',
    ),
    tag(
      'p',
      apart or None,
      counted or None,
      f'In brackets the {summary["level"]:.0%} interval. The tick on each scale is what guessing '
      'reaches: 0.5 for AUROC, about the prevalence for AUPRC. ',
      'Sensitivity and specificity are those at the threshold that decides '
      f'({", ".join(sorted(map(wording.rule, rules)))}), {wording.chosen(first)}. '
      if rules
      else None,
      'Validation figures flatter where checkpoint or thresholds were chosen there.'
      if summary.get('validation')
      else None,
      class_='quiet',
    ),
    _other_intervals(summary),
  )


def _at_point(point: Mapping | None, name: str, right: int | None, total: int) -> list[object]:
  if point is None:
    return [tag('span', 'no operating point', class_='quiet')]
  return [
    *figure_words(point[name], 2),
    None if right is None else small(f'{right:,} of {total:,}'),
  ]


def _other_intervals(summary: Mapping) -> Markup | None:
  """Returns the AUROC's interval by every method, folded away: they seldom say anything else."""
  rows, clustered = [], False
  for label, of in summary['labels'].items():
    figure, delong = of['test']['auroc'], of['test'].get('delong') or {}
    if figure['value'] is None:
      continue
    clustered = clustered or bool(delong.get('clustered'))
    rows.append(
      [
        label,
        wording.number(figure['value'], 3),
        _bounds(figure['interval'], figure['reason']),
        _bounds(figure['bca'], figure['reason']),
        _bounds(delong.get('interval'), delong.get('reason')),
      ]
    )
  if not rows:
    return None
  level = f'{summary["level"]:.0%}'
  return tag(
    'details',
    tag('summary', f'The {level} interval of the AUROC by three methods'),
    table(('', 'AUROC', 'Percentile bootstrap', 'BCa bootstrap', 'DeLong'), rows, 'cards'),
    tag(
      'p',
      'Both bootstraps draw whole patients. DeLong’s is computed from the ranks',
      ', in its form for several images per patient (Obuchowski)' if clustered else '',
      '. Where they disagree, the numbers are small.',
      class_='quiet',
    ),
  )


def _bounds(interval: list | None, reason: str | None) -> object:
  if interval:
    return tag('span', wording.bounds(interval, 3), class_='line')
  return tag('span', reason or wording.DASH, class_='quiet')


def variants(summary: Mapping) -> Markup | None:
  """Returns the section with mean AUROC by level, and of ensembles beside the single model."""
  levels, beside = summary.get('levels') or {}, summary.get('beside') or []
  if len(levels) < 2 and not beside:
    return None
  low = _lowest([of['auroc'] for of in [*levels.values(), *beside]], 0.5)
  several = len(summary['mean']['labels']) > 1
  names = [f'{"Mean " if several else ""}{name}' for name in ('AUROC', 'AUPRC')]
  parts = []
  if levels:
    rows = [
      [
        [wording.capital(level), small('this report') if level == wording.unit(summary) else None],
        [
          wording.count(of['units'], level),
          None if level == 'patient' else small(wording.count(of['patients'], 'patient')),
        ],
        *_areas(f'by {level}', of, low),
      ]
      for level, of in levels.items()
    ]
    rule = wording.aggregate(summary.get('aggregate') or 'max')
    parts.append(
      tag(
        'div',
        tag('h3', 'By level'),
        table(('Level', 'Tested', *names), rows, 'cards'),
        tag('p', f'The probability of a level is {rule} of those of its images.', class_='quiet'),
      )
    )
  if beside:
    rows = [[of['name'], *_areas(of['name'], of, low)] for of in beside]
    parts.append(
      tag(
        'div',
        tag('h3', 'Single model and ensemble'),
        table(('Prediction', *names), rows, 'cards'),
      )
    )
  return section('Other ways to read the same test set', tag('div', parts, class_='pair'))


def _areas(what: str, of: Mapping, low: float) -> list[object]:
  return [
    [*figure_words(of['auroc'], 3), figure_bar(f'AUROC {what}', of['auroc'], low, 0.5)],
    figure_words(of['auprc'], 3),
  ]


def _lowest(figures: list[Mapping], guessing: float) -> float:
  """Returns where a scale starts that shows all the figures and what guessing reaches."""
  reached = [bound for figure in figures for bound in (figure['interval'] or [figure['value']])]
  return min([guessing, *(math.floor(bound * 10) / 10 for bound in reached if bound is not None)])


def figure_words(figure: Mapping, digits: int) -> list[object]:
  """Returns a figure with its interval for a table cell, or why it has no value or no interval."""
  if figure['value'] is None:
    return [tag('span', figure['reason'], class_='quiet')]
  value = tag('b', wording.number(figure['value'], digits))
  if figure['interval'] is None:
    return [value, small(f'no interval: {figure["reason"]}')]
  return [one_line(value, f'({wording.bounds(figure["interval"], digits)})')]


def _beside_validation(of: Mapping, name: str) -> Markup | None:
  value = of['validation'] and of['validation'][name]
  return None if value is None else small(f'validation {value:.3f}')


def figure_bar(what: str, figure: Mapping, low: float, baseline: float) -> Markup | None:
  """Draws a figure on a scale from `low` to 1, a tick at `baseline`; None if it has no value."""
  if figure['value'] is None:
    return None
  words = f'{what}: {wording.plain(figure, 3)}'
  return charts.interval_bar(figure['value'], figure['interval'], low, baseline, words)

"""The report's sections on single labels: the table of figures and the ROC curves."""

import math
from collections.abc import Mapping

from medjax.evaluation import charts, wording
from medjax.evaluation.markup import Markup, one_line, section, small, table, tag


def label_table(summary: Mapping) -> Markup:
  """Returns the section with one row per label: every figure with its interval and its counts."""
  aurocs = [of['test']['auroc'] for of in summary['labels'].values()]
  reached = [bound for figure in aurocs for bound in (figure['interval'] or [figure['value']])]
  low = min([0.5, *(math.floor(bound * 10) / 10 for bound in reached if bound is not None)])
  rows = []
  for label, of in summary['labels'].items():
    test, point = of['test'], of['operating_point']
    rows.append(
      [
        label,
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
        wording.number(point and point['threshold'], 3),
        [*figure_words(test['sensitivity'], 2), _errors(test, 'true_positives', 'positives')],
        [*figure_words(test['specificity'], 2), _errors(test, 'true_negatives', 'negatives')],
      ]
    )
  level, (one, several) = f'{summary["level"]:.0%}', wording.things(summary)
  apart = summary['classes'] and f'Each {one} is tested against all other {several} together. '
  return section(
    f'Every {one} on the test set' + (', against all others' if apart else ''),
    table(
      (
        wording.capital(one),
        'Prevalence',
        'AUROC',
        'AUPRC',
        'Threshold',
        'Sensitivity',
        'Specificity',
      ),
      rows,
      'cards',
    ),
    tag(
      'p',
      apart,
      f'In brackets the {level} interval. The tick on each scale is what guessing reaches: 0.5 for '
      'AUROC, about the prevalence for AUPRC. Thresholds maximise sensitivity + specificity on '
      'validation (Youden) and were then frozen: a score at or above is called positive. Validation '
      'figures flatter, because checkpoint and thresholds were chosen there.',
      class_='quiet',
    ),
  )


def roc_curves(summary: Mapping) -> Markup:
  """Returns the section with one small ROC curve per label and its frozen operating point.

  A panel each, not one chart: fourteen lines in one square cannot be told apart by anybody.
  """
  panels, missing, pointed = [], [], False
  for label, of in summary['labels'].items():
    test, point = of['test'], of['operating_point']
    if of['roc'] is None:
      missing.append(label)
      continue
    pointed = pointed or point is not None
    sensitivity, specificity = (test[name]['value'] for name in ('sensitivity', 'specificity'))
    marked = None if point is None else (1 - specificity, sensitivity)
    at = '' if point is None else (
      f'At threshold {point["threshold"]:.3f}: sensitivity {sensitivity:.2f}, '
      f'specificity {specificity:.2f}'
    )  # fmt: skip
    area = wording.plain(test['auroc'], 3)
    panels.append(
      tag(
        'figure',
        charts.roc_panel(label, of['roc'], area, marked, at),
        tag('figcaption', tag('b', label), ' ', wording.number(test['auroc']['value'], 3)),
      )
    )
  entries = [('point', 'frozen operating point')] if pointed else []
  entries.append(('chance', 'guessing'))
  return section(
    'ROC curves on the test set',
    tag('div', panels, class_='panels') if panels else None,
    charts.legend(*entries) if panels else None,
    tag('p', f'Not drawn, for want of a class: {", ".join(missing)}.', class_='quiet')
    if missing
    else None,
  )


def figure_words(figure: Mapping, digits: int) -> list[object]:
  """Returns a figure with its interval for a table cell, or why it has no value or no interval."""
  if figure['value'] is None:
    return [tag('span', figure['reason'], class_='quiet')]
  value = tag('b', wording.number(figure['value'], digits))
  if figure['interval'] is None:
    return [value, small(f'no interval: {figure["reason"]}')]
  return [one_line(value, f'({wording.bounds(figure["interval"], digits)})')]


def _beside_validation(of: Mapping, name: str) -> Markup | None:
  value = of['validation'][name]
  return None if value is None else small(f'validation {value:.3f}')


def _errors(test: Mapping, hits: str, total: str) -> Markup | None:
  return test['confusion'] and small(f'{test["confusion"][hits]:,} of {test[total]:,}')


def figure_bar(what: str, figure: Mapping, low: float, baseline: float) -> Markup | None:
  """Draws a figure on a scale from `low` to 1, a tick at `baseline`; None if it has no value."""
  if figure['value'] is None:
    return None
  words = f'{what}: {wording.plain(figure, 3)}'
  return charts.interval_bar(figure['value'], figure['interval'], low, baseline, words)

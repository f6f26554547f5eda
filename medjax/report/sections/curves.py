"""The report's section of plots: a label's ROC, precision-recall and reliability side by side.

A row each, not one chart: fourteen lines in one square cannot be told apart by anybody.
"""

from collections.abc import Mapping

from medjax.evaluation import wording
from medjax.report import charts, panels
from medjax.report.markup import Markup, section, small, tag


def anchor(summary: Mapping, label: str) -> str | None:
  """Returns the id of a label's row of plots, None if it has no plots."""
  if summary['labels'][label]['roc'] is None:
    return None
  return f'label-{list(summary["labels"]).index(label) + 1}'


def curves(summary: Mapping) -> Markup:
  """Returns the section: every label that has both classes on test."""
  rows = [_row(summary, label) for label in summary['labels'] if anchor(summary, label)]
  missing = [label for label in summary['labels'] if not anchor(summary, label)]
  return section(
    'Curves on the test set',
    _key(summary) if rows else None,
    tag('div', rows, class_='rows') if rows else None,
    tag('p', f'Not drawn, for want of a class: {", ".join(missing)}.', class_='quiet')
    if missing
    else None,
  )


def _key(summary: Mapping) -> Markup:
  drawn = [of for label, of in summary['labels'].items() if anchor(summary, label)]
  entries, points = [], [point for of in drawn for point in of['operating_points']]
  chosen = wording.chosen(points)
  numbers = {
    number: point['rule']
    for of in drawn
    for number, point in enumerate(of['operating_points'], 1)
    if point['threshold'] is not None
  }
  for number, rule in sorted(numbers.items()):
    decides = ', makes the decisions' if number == 1 else ''
    entries.append((f'number {number}', f'{wording.capital(wording.rule(rule))}{decides}'))
  entries.append(('chance', 'guessing; prevalence; perfectly calibrated'))
  plots = [of['reliability'] for of in drawn if of['reliability']]
  if any(each['before'] for each in plots):
    entries.append(('hollow', 'before calibration'))
  if plots:
    entries.append(
      ('wilson', f'as tested, with Wilson interval, every {wording.unit(summary)} for itself')
    )
  return tag(
    'div',
    tag(
      'p',
      'Point at a curve, or tap it, to read threshold and figures there.',
      f' The numbered points are the thresholds {chosen}.' if chosen else None,
      class_='quiet',
    ),
    charts.legend(*entries),
    class_='key',
  )


def _row(summary: Mapping, label: str) -> Markup:
  of = summary['labels'][label]
  test, unit = of['test'], wording.unit(summary)
  identity = anchor(summary, label)
  roc, recall = _points(of)
  auroc, auprc, error = (wording.plain(test[name], 3) for name in ('auroc', 'auprc', 'ece'))
  plots = [('ROC', f'AUROC {auroc}', panels.roc(label, of['roc'], auroc, roc))]
  if of['precision_recall']:
    drawn = panels.precision_recall(
      label, of['precision_recall'], auprc, test['prevalence'], recall
    )
    plots.append(('Precision–recall', f'AUPRC {auprc}', drawn))
  if of['reliability']:
    before, after = of['reliability']['before'] or [], of['reliability']['after'] or []
    said = f'ECE {error}'
    plots.append(('Reliability', said, panels.reliability(label, before, after, said, unit)))
  return tag(
    'section',
    tag(
      'div',
      tag('h3', label, id=f'{identity}-name'),
      small(f'{test["positives"]:,} of {test["images"]:,} positive'),
      small(wording.count(test['positive_patients'], 'patient')),
    ),
    tag(
      'div',
      [
        tag('figure', tag('figcaption', tag('b', name), small(said)), plot)
        for name, said, plot in plots
      ],
      class_='plots',
      role='region',
      aria_label=f'Plots of {label}',
      tabindex=0,
    ),
    id=identity,
    class_='label',
    aria_labelledby=f'{identity}-name',
  )


def _points(of: Mapping) -> tuple[list[panels.Point], list[panels.Point]]:
  """Returns the frozen operating points in the ROC and in the precision-recall plot."""
  roc, recall = [], []
  for number, point in enumerate(of['operating_points'], 1):
    sensitivity, specificity, ppv = (
      point[name]['value'] for name in ('sensitivity', 'specificity', 'ppv')
    )
    if point['threshold'] is None or sensitivity is None or specificity is None:
      continue
    rule = wording.rule(point['rule'])
    words = [
      wording.capital(rule),
      f'threshold {wording.threshold(point["threshold"])}',
      f'sensitivity {wording.plain(point["sensitivity"], 2)}',
      f'specificity {wording.plain(point["specificity"], 2)}',
    ]
    roc.append(panels.Point(number, 1 - specificity, sensitivity, words))
    if ppv is not None:
      said = f'PPV {wording.plain(point["ppv"], 2)}'
      recall.append(panels.Point(number, sensitivity, ppv, [*words[:3], said]))
  return roc, recall

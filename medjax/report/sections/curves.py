"""The report's section of plots: a label's ROC, precision-recall and reliability side by side.

A row each, not one chart: nobody can tell fourteen lines in one square apart.
"""

from medjax.evaluation import wording
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_result import LabelResult
from medjax.evaluation.result import Result
from medjax.report import charts, panels
from medjax.report.markup import Markup, section, small, tag


def anchor(result: Result, label: str) -> str | None:
  """Returns the id of a label's row of plots, None if it has no plots."""
  if result.labels[label].roc is None:
    return None
  return f'label-{list(result.labels).index(label) + 1}'


def curves(result: Result) -> Markup:
  """Returns the section: every label that has both classes on label_result."""
  rows = [_row(result, label) for label in result.labels if anchor(result, label)]
  missing = [label for label in result.labels if not anchor(result, label)]
  return section(
    'Curves on the test set',
    _key(result) if rows else None,
    tag('div', rows, class_='rows') if rows else None,
    tag('p', f'Not drawn, for want of a class: {", ".join(missing)}.', class_='quiet')
    if missing
    else None,
  )


def _key(result: Result) -> Markup:
  drawn = [label_result for label, label_result in result.labels.items() if anchor(result, label)]
  entries, points = [], [point for label_result in drawn for point in label_result.operating_points]
  chosen = wording.chosen(points)
  numbers = {
    number: point.rule
    for label_result in drawn
    for number, point in enumerate(label_result.operating_points, 1)
    if point.threshold is not None
  }
  for number, rule in sorted(numbers.items()):
    decides = f', {wording.first_point(result)}' if number == 1 or result.classes else ''
    entries.append((f'number {number}', f'{wording.capital(wording.rule(rule))}{decides}'))
  plots = [label_result.reliability for label_result in drawn if label_result.reliability]
  entries.append(('chance', f'guessing; prevalence{"; perfectly calibrated" if plots else ""}'))
  if any(plot.before for plot in plots):
    entries.append(('hollow', 'before calibration'))
  if plots:
    entries.append(('wilson', f'as tested, with Wilson interval, every {result.unit} for itself'))
  rest = wording.against_rest(result)
  return tag(
    'div',
    tag(
      'p',
      'Point at a curve, or tap it, to read threshold and figures there.',
      f' The numbered points are the {rest}thresholds {chosen}.' if chosen else None,
      class_='quiet',
    ),
    charts.legend(*entries),
    class_='key',
  )


def _row(result: Result, label: str) -> Markup:
  label_result, unit = result.labels[label], result.unit
  identity = anchor(result, label)
  roc, recall = _points(label_result)
  auroc, auprc, error = map(_said, (label_result.auroc, label_result.auprc, label_result.ece))
  plots = []
  if label_result.roc:
    plots.append(('ROC', f'AUROC {auroc}', panels.roc(label, label_result.roc, auroc, roc)))
  if label_result.precision_recall:
    drawn = panels.precision_recall(
      label, label_result.precision_recall, auprc, label_result.prevalence or 0.0, recall
    )
    plots.append(('Precision–recall', f'AUPRC {auprc}', drawn))
  if label_result.reliability:
    before, after = label_result.reliability.before or (), label_result.reliability.after
    said = f'ECE {error}'
    plots.append(('Reliability', said, panels.reliability(label, before, after, said, unit)))
  return tag(
    'section',
    tag(
      'div',
      tag('h3', label, id=f'{identity}-name'),
      small(f'{label_result.positives:,} of {label_result.images:,} positive'),
      small(wording.count(label_result.positive_patients, 'patient')),
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


def _said(figure: Figure) -> str:
  """Returns a figure with its interval, or why it has none."""
  words = wording.plain(figure, 3)
  return words if figure.interval else f'{words}, no interval: {figure.reason}'


def _points(label_result: LabelResult) -> tuple[list[panels.Point], list[panels.Point]]:
  """Returns the frozen operating points in the ROC and in the precision-recall plot."""
  roc, recall = [], []
  for number, point in enumerate(label_result.operating_points, 1):
    sensitivity, specificity, ppv = (
      figure.value for figure in (point.sensitivity, point.specificity, point.ppv)
    )
    if point.threshold is None or sensitivity is None or specificity is None:
      continue
    rule = wording.rule(point.rule)
    words = [
      wording.capital(rule),
      f'threshold {wording.threshold(point.threshold)}',
      f'sensitivity {wording.plain(point.sensitivity, 2)}',
      f'specificity {wording.plain(point.specificity, 2)}',
    ]
    roc.append(panels.Point(number, 1 - specificity, sensitivity, words))
    if ppv is not None:
      said = f'PPV {wording.plain(point.ppv, 2)}'
      recall.append(panels.Point(number, sensitivity, ppv, [*words[:3], said]))
  return roc, recall

"""Learning curves, drawn from the lines of metrics.jsonl."""

import math
from collections.abc import Mapping, Sequence

from medjax.evaluation import wording
from medjax.report import charts
from medjax.report.markup import Markup, section, tag


def curves(history: Sequence[Mapping], best_step: str = '') -> Markup:
  """Returns the section with the loss and the validation AUROC over optimizer steps.

  Args:
    history: the lines of metrics.jsonl: {'step', 'split': 'train' or 'validation', 'loss', and on
      validation 'auroc_mean' and 'auroc': {label: value}}; absent and NaN values are ignored.
    best_step: the step of the checkpoint that was evaluated; where there was no validation at it,
      the validation with the highest mean is marked instead.
  """
  loss = _points(history, 'train', 'loss')
  validation_loss = _points(history, 'validation', 'loss')
  means = _points(history, 'validation', 'auroc_mean')
  figures = []
  if loss or validation_loss:
    lines = [('training loss', 'first', loss), ('validation loss', 'second', validation_loss)]
    lines = [line for line in lines if line[2]]
    words = '; '.join(f'{name} ends at {points[-1][1]:.4g}' for name, _, points in lines)
    figures.append(
      tag(
        'figure',
        tag('figcaption', tag('b', 'Loss')),
        charts.line_chart('Loss over steps', f'{words}.', lines, 'loss, nats per image'),
        charts.legend(*((kind, name) for name, kind, _ in lines)),
      )
    )
  if means:
    best = _best(means, best_step)
    faint = [
      (label, 'faint', points) for label, points in _by_label(history).items() if len(points) > 1
    ]
    words = f'best checkpoint: step {best[0]:,}, mean validation AUROC {wording.number(best[1], 3)}'
    entries = [('first', 'mean over labels'), ('best', words)]
    figures.append(
      tag(
        'figure',
        tag('figcaption', tag('b', 'AUROC on validation')),
        charts.line_chart(
          'Validation AUROC over steps',
          f'{words}.',
          [*faint, ('mean over labels', 'first', means)],
          'AUROC',
          (*best, words),
        ),
        charts.legend(*entries, *([('faint', 'single labels')] if faint else [])),
      )
    )
  if not figures:
    return section('Learning curves', tag('p', 'No training history was given.'))
  return section('Learning curves', tag('div', figures, class_='pair'))


def _points(history: Sequence[Mapping], split: str, name: str) -> list[tuple[float, float]]:
  rows = [row for row in history if row.get('split') == split and 'step' in row]
  return [(row['step'], row[name]) for row in rows if _finite(row.get(name))]


def _by_label(history: Sequence[Mapping]) -> dict[str, list[tuple[float, float]]]:
  lines: dict[str, list[tuple[float, float]]] = {}
  for row in history:
    if row.get('split') == 'validation' and 'step' in row:
      for label, value in (row.get('auroc') or {}).items():
        if _finite(value):
          lines.setdefault(label, []).append((row['step'], value))
  return lines


def _best(means: Sequence[tuple[float, float]], best_step: str) -> tuple[float, float]:
  named = best_step.replace(',', '').strip()
  at_named = [point for point in means if named == str(point[0])]
  return at_named[-1] if at_named else max(means, key=lambda point: point[1])


def _finite(value: object) -> bool:
  return isinstance(value, int | float) and math.isfinite(value)

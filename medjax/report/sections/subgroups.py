"""The report's section on subgroups: for whom the answer holds, and how far apart they are."""

import math
from collections.abc import Iterable, Sequence

from medjax.evaluation import subgroups, wording
from medjax.evaluation.figure import Figure
from medjax.evaluation.result import Result, SubgroupResult
from medjax.evaluation.subgroup_notes import NOT_RECORDED, comparisons, excludes_zero, in_words
from medjax.report import markup
from medjax.report.figures import difference_bar, figure_bar, figure_words, lowest
from medjax.report.markup import Markup, small, tag

COLUMNS = {'age': 'Age in years', 'dataset': 'Data set'}  # others by their own name
SHORT = {'ppv': 'PPV', 'npv': 'NPV', 'auroc': 'AUROC', 'auprc': 'AUPRC'}


def section(result: Result, tested: str = 'test set') -> Markup | None:
  """Returns the section, a table for each column of what is `tested`; None without subgroups."""
  columns = result.subgroups
  if not columns:
    return None
  confidence, gaps = result.confidence, list(comparisons(columns))
  apart = sum(excludes_zero(comparison.gap) for comparison in gaps)
  every = [group for groups in columns.values() for group in groups]
  low = lowest((group.mean_auroc for group in every), 0.5)
  mean_gaps = [group.mean_gap for group in every if group.mean_gap]
  widest = max([0.05, *(abs(bound) for bound in _bounds(mean_gaps))])
  return markup.section(
    'Subgroups',
    tag(
      'p',
      f'The figures of the {tested} for each value of a column by itself. ',
      f'{in_words(len(gaps), apart, confidence)}.' if gaps else None,
    ),
    [
      _column(column, groups, result, low, math.ceil(widest * 20) / 20)
      for column, groups in columns.items()
    ],
    tag(
      'p',
      f'In brackets the {confidence:.0%} interval. A gap is the difference from the reference, the '
      'value with most patients; the tick is no gap. Both sides of a gap are drawn from the same '
      f'replicates of the patients. Of fewer than {subgroups.FEW} patients of a class no figure is '
      f'reported. Thresholds are the frozen {wording.against_rest(result)}operating points, the '
      'same for all. PPV, NPV, AUPRC and the Brier score differ with the prevalence alone, which '
      'is why no gaps of them are reported.',
      class_='quiet',
    ),
  )


def _bounds(figures: Iterable[Figure]) -> list[float]:
  """Returns the values and bounds that a scale must hold."""
  bounds = [bound for figure in figures for bound in (*(figure.interval or ()), figure.value)]
  return [bound for bound in bounds if bound is not None]


def _column(
  column: str, groups: Sequence[SubgroupResult], result: Result, low: float, widest: float
) -> Markup:
  unit, labels = result.unit, list(groups[0].labels)
  name = COLUMNS.get(column, wording.capital(column))
  area = 'Mean AUROC' if len(labels) > 1 else 'AUROC'
  rows = []
  for group in groups:
    value = _value(group, unit)
    entered = group.mean_labels
    rows.append(
      [
        value,
        [f'{group.patients:,}', small(f'{group.images:,} {wording.plural(unit)}')],
        _prevalence(group),
        [
          *figure_words(group.mean_auroc, 3),
          figure_bar(f'{area}, {column} {value}', group.mean_auroc, low, 0.5),
          small(f'of {len(entered)} of {len(labels)} labels')
          if 0 < len(entered) < len(labels)
          else None,
        ],
        [
          *_gap(group.mean_gap),
          difference_bar(f'Gap of {column} {value}', group.mean_gap, widest),
          _of_fewer(group),
        ],
      ]
    )
  return tag(
    'div',
    tag('h3', name),
    markup.table(('Value', 'Patients', 'Prevalence', area, 'Gap'), rows, 'cards'),
    tag(
      'details',
      tag('summary', f'Each label by {column}' if len(labels) > 1 else f'Every figure by {column}'),
      [
        [
          tag('h3', label) if len(labels) > 1 else None,
          _label_table(label, groups, unit),
        ]
        for label in labels
      ],
      style='margin-top: 10px',
    ),
  )


def _label_table(label: str, groups: Sequence[SubgroupResult], unit: str) -> Markup:
  rows = []
  for group in groups:
    label_result = group.labels[label]
    cells = []
    for figure in subgroups.NEEDS:
      gap = getattr(label_result.gaps, figure, None)
      cells.append([*_stacked(getattr(label_result, figure)), *_stacked_gap(gap)])
    positives = [
      _small_line(f'{label_result.positives:,} of {label_result.images:,}'),
      _small_line(wording.count(label_result.positive_patients, 'patient')),
    ]
    rows.append([_value(group, unit), positives, *cells])
  header = [SHORT.get(figure, wording.capital(figure)) for figure in subgroups.NEEDS]
  return markup.table(('Value', 'Positive', *header), rows, 'cards')


def _value(group: SubgroupResult, unit: str) -> str:
  """Returns a group's name; a study or patient whose images differ has no value either."""
  if group.value == NOT_RECORDED and unit != 'image':
    return f'several, or {NOT_RECORDED}'
  if group.merged > 1:
    return f'{group.value} ({group.merged} values)'
  return group.value


def _prevalence(group: SubgroupResult) -> list[object]:
  shares = [
    label_result.prevalence
    for label_result in group.labels.values()
    if label_result.prevalence is not None
  ]
  if not shares:
    return [wording.percent(None)]
  if len(group.labels) == 1:
    [label_result] = group.labels.values()
    return [
      wording.percent(shares[0]),
      small(f'{label_result.positives:,} of {label_result.images:,}'),
    ]
  return [
    f'{wording.percent(min(shares))} to {wording.percent(max(shares))}',
    small(f'of {len(shares)} labels'),
  ]


def _stacked(figure: Figure) -> list[object]:
  """Returns a figure for a narrow cell, its interval below it, or why there is none."""
  if figure.value is None:
    return [small(figure.reason)]
  bounds = figure.interval and _small_line(f'({wording.bounds(figure.interval, 2)})')
  return [wording.number(figure.value, 2), bounds or None]


def _stacked_gap(gap: Figure | None) -> list[object]:
  if gap is None or gap.value is None:
    return []
  value = tag('b', wording.signed(gap.value)) if excludes_zero(gap) else wording.signed(gap.value)
  bounds = gap.interval and _small_line(
    f'({wording.signed(gap.interval[0])} to {wording.signed(gap.interval[1])})'
  )
  return [_small_line('gap ', value), bounds or None]


def _small_line(*children: object) -> Markup:
  return tag('small', *children, class_='line')


def _gap(gap: Figure | None) -> list[object]:
  """Returns a gap in words, in bold type if its interval excludes zero."""
  if gap is None:
    return [tag('span', 'reference', class_='quiet')]
  if gap.value is None:
    return [tag('span', gap.reason, class_='quiet')]
  value = wording.signed(gap.value)
  if gap.interval is None:
    return [value]
  low, high = (wording.signed(bound) for bound in gap.interval)
  apart = excludes_zero(gap)
  return [
    markup.one_line(tag('b', value) if apart else value, f'({low} to {high})'),
    small('its interval excludes zero') if apart else None,
  ]


def _of_fewer(group: SubgroupResult) -> Markup | None:
  shared = group.gap_labels
  if not shared or len(shared) == len(group.mean_labels):
    return None
  return small(f'of the {wording.count(len(shared), "label")} that both have')

"""Tables of two samples of other patients: external and own test, a site and all others."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from medjax.evaluation import wording
from medjax.evaluation.contrasts import Compared
from medjax.evaluation.external.result import Cohorts, CohortsLabel, CohortsMean
from medjax.evaluation.figure import Figure
from medjax.evaluation.label_result import Counts
from medjax.evaluation.result import Size
from medjax.report.figures import difference_bar, difference_words, figure_words
from medjax.report.markup import Markup, small, table, tag

CALIBRATION = {
  'calibration_slope': ('Slope (1 is right)', 2),
  'calibration_intercept': ('Intercept, log odds (0 is right)', 2),
  'observed_expected': ('O:E (1 is right)', 2),
  'brier': ('Brier score (0 is best)', 3),
}
RATES = {
  'sensitivity': 'Sensitivity',
  'specificity': 'Specificity',
  'ppv': 'PPV',
  'npv': 'NPV',
}


class Names(NamedTuple):
  """What the two samples and what is counted are called.

  Attributes:
    one: the first, of which figures stand first: 'external'.
    other: the second: 'own test'.
    unit: 'image', 'study', 'patient' or 'slide'.
  """

  one: str
  other: str
  unit: str


def cell(compared: Compared, names: Names, digits: int) -> list[object]:
  """Returns the first figure, and smaller the second and the difference, each with its interval."""
  difference = compared.difference
  return [
    *figure_words(compared.one, digits),
    tag('small', f'{names.other} ', _plain(compared.other, digits)),
    None
    if difference.value is None
    else tag('small', 'difference ', difference_words(difference, digits)),
  ]


def _plain(figure: Figure, digits: int) -> str:
  if figure.value is None:
    return f'none: {figure.reason}'
  if figure.interval is None:
    return f'{wording.number(figure.value, digits)} (no interval: {figure.reason})'
  return wording.plain(figure, digits)


def counted(label: str, contrast: CohortsLabel, names: Names) -> list[object]:
  """Returns a label with how many of either sample have it."""
  return [
    label,
    *(
      small(f'{name}: {_positive(counts, names.unit)}')
      for name, counts in ((names.one, contrast.one), (names.other, contrast.other))
    ),
  ]


def _positive(counts: Counts, unit: str) -> str:
  people = wording.count(counts.positive_patients, 'patient')
  total = wording.count(counts.images, unit)
  said = f'{counts.positives:,} positive of {total}'
  return said if unit == 'patient' else f'{said}, {people}'


def discrimination(contrast: Cohorts, names: Names, sizes: tuple[Size, Size]) -> Markup:
  """Returns the table of areas under curves, a row for each label and one for the mean.

  Args:
    contrast: of the two samples.
    names: what they are called.
    sizes: of the two.
  """
  rows, several = [], len(contrast.mean.labels) > 1
  parts: list[CohortsLabel | CohortsMean] = [*contrast.labels.values()]
  widest = _widest([*parts, contrast.mean])
  for label, part in contrast.labels.items():
    rows.append([counted(label, part, names), *_areas(label, part, names, widest)])
  if several:
    name = [
      f'Mean of {len(contrast.mean.labels)}',
      *(
        small(f'{called}: {wording.count(size.patients, "patient")}')
        for called, size in zip(names[:2], sizes)
      ),
    ]
    rows.append([name, *_areas('the mean', contrast.mean, names, widest)])
  header = (
    'Label',
    f'AUROC, {names.one}',
    f'AUROC, {names.other}',
    'Difference in AUROC',
    f'AUPRC, {names.one}',
  )
  return table(header, rows, 'cards wide')


def _areas(
  label: str, part: CohortsLabel | CohortsMean, names: Names, widest: float
) -> list[object]:
  auroc = part.auroc
  return [
    figure_words(auroc.one, 3),
    figure_words(auroc.other, 3),
    [
      *difference_words(auroc.difference),
      difference_bar(f'Difference in AUROC of {label}', auroc.difference, widest),
    ],
    cell(part.auprc, names, 3),
  ]


def _widest(parts: Sequence[CohortsLabel | CohortsMean]) -> float:
  figures = [part.auroc.difference for part in parts]
  bounds = [abs(x) for f in figures for x in (f.value, *(f.interval or ())) if x is not None]
  return math.ceil(max([0.05, *bounds]) * 20) / 20


def calibration(contrast: Cohorts, names: Names) -> Markup:
  """Returns the table of calibration figures, a row for each label."""
  rows = [
    [
      counted(label, part, names),
      *(cell(getattr(part, name), names, digits) for name, (_, digits) in CALIBRATION.items()),
    ]
    for label, part in contrast.labels.items()
  ]
  return table(('Label', *(name for name, _ in CALIBRATION.values())), rows, 'cards wide')


def operating_points(contrast: Cohorts, names: Names) -> list[Markup]:
  """Returns a table for each rule, a row for each label."""
  rules = list(
    dict.fromkeys(
      point.rule for part in contrast.labels.values() for point in part.operating_points
    )
  )
  tables = []
  for number, rule in enumerate(rules):
    rows = []
    for label, part in contrast.labels.items():
      point = next((point for point in part.operating_points if point.rule == rule), None)
      if point is None:
        continue
      if point.threshold is None:
        reason = tag('span', point.reason or 'no threshold', class_='quiet')
        rows.append([counted(label, part, names), reason, *[wording.DASH] * 4])
        continue
      cells = [cell(getattr(point, name), names, 2) for name in RATES]
      rows.append([counted(label, part, names), wording.threshold(point.threshold), *cells])
    decides = ', makes the decisions' if number == 0 and not contrast.classes else ''
    tables += [
      tag('h3', f'{wording.capital(wording.rule(rule))}{decides}'),
      table(('Label', 'Threshold', *RATES.values()), rows, 'cards wide'),
    ]
  return tables


def class_decisions(contrast: Cohorts, names: Names) -> Markup | None:
  """Returns the table of figures of a decision between exclusive classes; None without one."""
  if not contrast.classes:
    return None
  rows = [
    [
      wording.capital(wording.CLASS_FIGURES[name]),
      figure_words(compared.one, 3),
      figure_words(compared.other, 3),
      difference_words(compared.difference),
    ]
    for name, compared in contrast.classes.items()
  ]
  return table(('', wording.capital(names.one), names.other, 'Difference'), rows, 'cards')

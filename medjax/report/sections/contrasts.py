"""Sections of the comparison beside the AUROC: curves, decisions, and in what the runs differ."""

from collections.abc import Sequence

from medjax.evaluation import wording
from medjax.evaluation.contrasts import Compared, Comparison
from medjax.evaluation.figure import Figure, excludes_zero
from medjax.report import charts, panels
from medjax.report.figures import figure_words
from medjax.report.markup import Markup, one_line, section, small, table, tag


def curves(comparison: Comparison) -> Markup | None:
  """Returns the section with the ROC curves of both runs over each other; None without any."""
  one, other = comparison.between
  figures, missing = [], []
  for label, contrast in comparison.labels.items():
    if contrast.roc is None:
      missing.append(label)
      continue
    areas = tuple(wording.plain(f, 3) for f in (contrast.auroc.one, contrast.auroc.other))
    said = small(f'AUROC {areas[0]} and {areas[1]}')
    drawing = panels.roc_pair(label, *contrast.roc, (areas[0], areas[1]))
    figures.append(tag('figure', tag('figcaption', tag('b', label), said), drawing))
  if not figures:
    return None
  return section(
    'ROC curves over each other',
    charts.legend(('first', one), ('second', other), ('chance', 'guessing')),
    tag('div', figures, class_='pairs'),
    tag('p', f'Not drawn, for want of a class: {", ".join(missing)}.', class_='quiet')
    if missing
    else None,
  )


def decisions(comparison: Comparison) -> Markup:
  """Returns the section on sensitivity and specificity of both runs and their differences."""
  one, other = comparison.between
  heading = 'Sensitivity and specificity'
  if not comparison.decided:
    words = 'Not compared: of one of the two no frozen thresholds are known, only predictions.'
    return section(heading, tag('p', words))
  header = (
    'Label',
    *(f'{name}{what}' for name in ('Sensitivity', 'Specificity') for what in ('', ', difference')),
  )
  rows = [
    [
      [label, small(f'{contrast.positives:,} positive, {contrast.negatives:,} negative')],
      *_rates(contrast.sensitivity, comparison.between),
      *_rates(contrast.specificity, comparison.between),
    ]
    for label, contrast in comparison.labels.items()
  ]
  unit = wording.plural(comparison.unit)
  return section(
    heading,
    table(header, rows, 'cards'),
    tag(
      'p',
      f'{comparison.decided} Counts are of {unit}. In brackets the {comparison.confidence:.0%} '
      f'interval over patients; that of a difference, {one} less {other}, takes both decisions on '
      'a patient together (Newcombe), and is in bold type where it leaves out 0. Two thresholds '
      'that trade one for the other differ in both without either run being better.',
      class_='quiet',
    ),
  )


def _rates(compared: Compared | None, between: tuple[str, str]) -> list[object]:
  if compared is None:
    nothing = tag('span', 'a run has no threshold', class_='quiet')
    return [nothing, nothing]
  pair = [
    tag('div', small(name), *figure_words(figure, 2), class_='of-run')
    for name, figure in zip(between, (compared.one, compared.other))
  ]
  return [pair, _difference(compared.difference)]


def _difference(figure: Figure) -> list[object]:
  if figure.value is None:
    return [tag('span', figure.reason, class_='quiet')]
  words = wording.signed(figure.value, 2)
  if figure.interval is None:
    return [words, small(f'no interval: {figure.reason}')]
  low, high = (wording.signed(bound, 2) for bound in figure.interval)
  value = tag('b', words) if excludes_zero(figure.interval) else words
  return [one_line(value, f'({low} to {high})')]


def settings(between: tuple[str, str], apart: Sequence[tuple[str, str, str]] | None) -> Markup:
  """Returns the section on the settings in which the two runs differ."""
  heading = 'Settings in which the runs differ'
  if apart is None:
    return section(heading, tag('p', 'Not known: one of the two is a file of predictions.'))
  if not apart:
    return section(heading, tag('p', 'None: what differs is chance, or the data.'))
  return section(
    heading,
    table(('Setting', *between), apart, 'cards'),
    tag(
      'p',
      'More than one setting apart, nobody can say which of them made the difference.'
      if len(apart) > 1
      else 'One setting apart. Another seed would move the difference too.',
      class_='quiet',
    ),
  )

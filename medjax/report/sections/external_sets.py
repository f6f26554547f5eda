"""The external page's sections on data: labels as they were mapped, patients, scores."""

from collections.abc import Mapping

from medjax.evaluation import wording
from medjax.evaluation.external.result import ExternalResult, ScoreDistribution
from medjax.evaluation.label_result import Histogram
from medjax.report import charts, panels, usefulness_panels
from medjax.report.markup import Markup, section, small, table, tag
from medjax.report.sections import patients

_BY = {
  'name': 'the same name',
  'vocabulary': 'common vocabulary of chest sets',
  '--labels': 'as given by --labels',
}


def mapping(result: ExternalResult) -> Markup:
  """Returns the section on what each label of the run is in the other set."""
  rows = [
    [
      entry.label,
      ' or '.join(entry.external)
      if entry.external
      else tag('span', f'not tested: {entry.reason}', class_='quiet'),
      _BY.get(entry.by, wording.DASH),
    ]
    for entry in result.mapping
  ]
  return section('Labels', table(('Label of the run', 'In the external set', 'By'), rows, 'cards'))


def people(result: ExternalResult, about: Mapping[str, Mapping]) -> Markup:
  """Returns the section on who is in either sample.

  Args:
    result: of the external set.
    about: 'external' and 'own test' → what characteristics.of_rows says of their patients.
  """
  sizes = {'external': result.external.test, 'own test': result.own.test}
  unit = wording.capital(wording.plural(result.external.unit))
  rows: list[list[object]] = [['Patients', *(f'{size.patients:,}' for size in sizes.values())]]
  if result.external.unit != 'patient':
    rows.append([unit, *(f'{size.images:,}' for size in sizes.values())])
  rows += patients.people_rows(list(sizes), about, True)
  source = result.source
  said = [
    'Of the other set '
    f'{"everything counts" if source.part == "all" else f"its {source.part} part"}: '
    f'{wording.count(source.images, "image")} of {wording.count(source.patients, "patient")}'
    + (f', {len(source.unreadable):,} of which could not be read' if source.unreadable else '')
    + f'. Its images were compared {source.compared}.'
  ]
  if any(part.get('age', {}).get('known') for part in about.values()):
    said.append('Age: mean ± standard deviation, then the median with the quartiles.')
  return section(
    'Patients',
    table(('', 'External', 'Own test'), rows, 'cards people'),
    tag('p', ' '.join(said), class_='quiet'),
  )


def curves(result: ExternalResult) -> Markup | None:
  """Returns the section with the ROC curves of both samples over each other; None without any."""
  figures = []
  for label, external in result.external.labels.items():
    own = result.own.labels[label]
    if external.roc is None or own.roc is None:
      continue
    areas = wording.plain(external.auroc, 3), wording.plain(own.auroc, 3)
    counts = (
      f'{part.positives:,} of {wording.count(part.images, result.external.unit)}'
      for part in (external, own)
    )
    said = [
      small(f'{name}: AUROC {area}, positive {count}')
      for name, area, count in zip(('external', 'own test'), areas, counts)
    ]
    drawing = panels.roc_pair(label, external.roc, own.roc, areas)
    figures.append(tag('figure', tag('figcaption', tag('b', label), said), drawing))
  if not figures:
    return None
  return section(
    'ROC curves over each other',
    charts.legend(('first', 'external'), ('second', 'own test'), ('chance', 'guessing')),
    tag('div', figures, class_='pairs'),
  )


def scores(result: ExternalResult) -> Markup | None:
  """Returns the section on the scores of each sample and class; None without any."""
  rows = []
  for label, part in result.labels.items():
    if part.scores is not None:
      rows.append(_scores(label, part.scores, result.external.unit))
  if not rows:
    return None
  return section(
    'Scores of either sample',
    charts.legend(('first', 'with the finding'), ('second', 'without the finding')),
    tag('div', rows, class_='rows'),
    tag(
      'p',
      'Calibrated probabilities, in shares of each class; both samples on one scale. A '
      'distribution that has moved as a whole is mended by recalibration, classes that have come '
      'together are not.',
      class_='quiet',
    ),
  )


def _scores(label: str, part: ScoreDistribution, unit: str) -> Markup:
  samples = {
    'External': Histogram(part.edges, part.external_positives, part.external_negatives),
    'Own test': Histogram(part.edges, part.own_positives, part.own_negatives),
  }
  highest = max(
    count / max(1, sum(of_class))
    for counts in samples.values()
    for of_class in (counts.positives, counts.negatives)
    for count in of_class
  )
  plots = [
    tag(
      'figure',
      tag(
        'figcaption',
        tag('b', name),
        small(f'{sum(counts.positives):,} with, {sum(counts.negatives):,} without'),
      ),
      usefulness_panels.histogram(f'{label}, {name.lower()}', counts, unit, highest),
    )
    for name, counts in samples.items()
  ]
  return tag(
    'section', tag('div', tag('h3', label)), tag('div', plots, class_='plots'), class_='label'
  )

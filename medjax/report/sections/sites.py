"""The section on sites: each beside all others together."""

import math

from medjax.evaluation import wording
from medjax.evaluation.external.result import Site, Sites
from medjax.evaluation.result import Size
from medjax.report.figures import difference_bar, difference_words, figure_words
from medjax.report.markup import Markup, section, small, table, tag
from medjax.report.sections import cohorts
from medjax.report.sections.cohorts import Names


def sites(result: Sites) -> Markup:
  """Returns the section, a table of all sites and folded away every figure of each."""
  several = len(result.sites[0].contrast.labels) > 1
  area = 'Mean AUROC' if several else 'AUROC'
  bounds = [
    abs(bound)
    for site in result.sites
    for figure in (site.contrast.mean.auroc.difference,)
    for bound in (figure.value, *(figure.interval or ()))
    if bound is not None
  ]
  widest = math.ceil(max([0.05, *bounds]) * 20) / 20
  rows = [_row(site, result, widest) for site in result.sites]
  return section(
    f'By {result.column}: each against all others',
    table(
      (
        wording.capital(result.column),
        'Patients',
        f'{area} here',
        f'{area} of all others',
        'Difference',
      ),
      rows,
      'cards',
    ),
    tag(
      'p',
      f'One model, the same at every {result.column}: no other was trained without it. Each value '
      'is compared with all others together, who are other patients unless a patient has images of '
      f'several. In brackets the {result.confidence:.0%} interval, by patient: one of '
      f'twenty excludes 0 by chance, and here are {len(result.sites)} differences.',
      class_='quiet',
    ),
    [_details(site, result) for site in result.sites],
  )


def _row(site: Site, result: Sites, widest: float) -> list[object]:
  unit = wording.count(site.images, result.unit)
  size = [f'{site.patients:,}', None if result.unit == 'patient' else small(unit)]
  if site.shared:
    size.append(small(f'{site.shared:,} of them elsewhere, too'))
  name = f'{site.value} ({site.merged} values)' if site.merged > 1 else site.value
  mean = site.contrast.mean
  entered = small(f'of {", ".join(mean.labels)}') if mean.labels else None
  return [
    [name],
    size,
    [*figure_words(mean.auroc.one, 3), entered],
    [*figure_words(mean.auroc.other, 3), small(_others(site, result))],
    [
      *difference_words(mean.auroc.difference),
      difference_bar(f'Difference of {site.value}', mean.auroc.difference, widest),
    ],
  ]


def _others(site: Site, result: Sites) -> str:
  patients = wording.count(result.patients - site.patients + site.shared, 'patient')
  return f'of {patients}'


def _details(site: Site, result: Sites) -> Markup:
  names = Names('here', 'all others', result.unit)
  return tag(
    'details',
    tag('summary', f'Every figure of {site.value}'),
    cohorts.discrimination(
      site.contrast,
      names,
      (
        Size(site.images, site.patients),
        Size(result.images - site.images, result.patients - site.patients + site.shared),
      ),
    ),
    cohorts.class_decisions(site.contrast, names),
    tag('h3', 'Calibration'),
    cohorts.calibration(site.contrast, names),
    cohorts.operating_points(site.contrast, names),
  )

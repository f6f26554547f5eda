"""The page of one run's own test by site, as one HTML file."""

from medjax.evaluation import wording
from medjax.evaluation.external.result import Sites
from medjax.report import beside
from medjax.report.markup import NOTHING, banner, findings, page, style, tag, term
from medjax.report.sections import sites as sites_section


def render(sites: Sites) -> str:
  """Returns the page as the text of one HTML file."""
  heading = tag(
    'div',
    banner(sites.warning),
    tag('p', f'medjax by {sites.column}', class_='eyebrow'),
    tag('h1', f'{sites.run} by {sites.column}'),
  )
  tested = wording.count(sites.patients, 'patient')
  if sites.unit != 'patient':
    tested += f', {wording.count(sites.images, sites.unit)}'
  asked = tag(
    'dl',
    term('Asked', f'Does the model read every {sites.column} as well as the others?'),
    term('On whom', f'{tested}: {sites.tested}'),
    term('Intervals', f'{sites.replicates:,} replicates by patient, seed {sites.seed}'),
    class_='asked',
  )
  weak = findings('What weakens this answer', sites.notes, NOTHING)
  first = tag('header', heading, tag('div', tag('div', weak), asked, class_='first'))
  footer = tag('footer', tag('p', beside.SAID, class_='quiet'))
  css = style('report.css', 'sections.css', 'comparison.css')
  main = tag('main', sites_section.sites(sites))
  return page(f'{sites.run} by {sites.column} · medjax', css, first, main, footer)


def in_words(sites: Sites) -> list[str]:
  """Returns the answer as lines of text, one for each site."""
  lines = []
  for site in sites.sites:
    size = wording.count(site.patients, 'patient')
    auroc = site.contrast.mean.auroc
    if auroc.one.value is None:
      lines.append(f'{sites.column} {site.value} ({size}): no AUROC, {auroc.one.reason}')
      continue
    difference = auroc.difference
    interval = f'no interval: {difference.reason}'
    if difference.interval:
      interval = ' to '.join(wording.signed(bound) for bound in difference.interval)
    lines.append(
      f'{sites.column} {site.value} ({size}): AUROC {wording.plain(auroc.one, 3)}, all others '
      f'{wording.plain(auroc.other, 3)}, difference {wording.signed(difference.value)} ({interval})'
    )
  return lines

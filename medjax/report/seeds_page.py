"""The page of seeds: the ensemble over patients, and beside it the spread over networks."""

from medjax.evaluation import wording
from medjax.evaluation.repeated_result import OverSeeds, SeedsResult
from medjax.report import beside, repeated_parts
from medjax.report.figures import figure_bar, figure_words
from medjax.report.markup import (
  NOTHING,
  Markup,
  banner,
  findings,
  page,
  section,
  style,
  table,
  tag,
  term,
)
from medjax.report.sections import calibration, classes, curves, operating_points, subgroups
from medjax.runtime.rounding import decimal

LUCK = (
  'Two kinds of luck stay apart. The intervals are over patients: what another test set would '
  'change, these networks being as they are. The SD and the range are over seeds: what another '
  'start, order of images and augmentation would change, these patients being who they are. '
  'Neither holds the other, and they are not added.'
)


def render(result: SeedsResult, *, title: str, method: str, warning: str = '') -> str:
  """Returns the page as the text of one HTML file.

  Args:
    result: of all seeds.
    title: of the page, plain text.
    method: of the calibration, as config.evaluation.calibration names it.
    warning: one sentence that forbids trust in the answer, on the first line; '' for none.
  """
  ensemble = result.ensemble
  over = [result.mean, *result.labels.values()]
  low = repeated_parts.scale(result.networks, ensemble, over)
  main = tag(
    'main',
    _labels(result, low),
    repeated_parts.networks_table(
      'Every seed',
      'Seed',
      result.networks,
      low,
      ensemble.unit,
      'Each seed is a run of its own on the same split, with its report: nothing but the seed '
      'differs. In brackets the 95% interval over patients. To report the best of them would be to '
      'choose on the test set.',
    ),
    classes.decisions(ensemble),
    operating_points.operating_points(ensemble),
    curves.curves(ensemble),
    calibration.calibration(ensemble, method),
    subgroups.section(ensemble),
    _how(result),
  )
  footer = tag('footer', tag('p', beside.SAID, class_='quiet'))
  css = style('report.css', 'sections.css', 'comparison.css')
  return page(f'{title} · medjax seeds', css, _first_screen(result, title, warning), main, footer)


def _first_screen(result: SeedsResult, title: str, warning: str) -> Markup:
  ensemble, number = result.ensemble, len(result.networks)
  auroc, entered = ensemble.mean.auroc, ensemble.mean.labels
  which = f'AUROC of {entered[0]}' if len(entered) == 1 else f'Mean AUROC of {len(entered)} labels'
  spread = repeated_parts.spread_words(result.mean.spread.auroc, 3, 'seeds')
  answer = tag(
    'section',
    tag(
      'div',
      tag('h2', f'{which}, ensemble of {number} networks', id='answer'),
      tag('p', 'No AUROC' if auroc.value is None else decimal(auroc.value, 3), class_='number'),
      repeated_parts.interval(auroc, 'over patients'),
      tag('p', 'One network, on average: ', *figure_words(result.mean.auroc_mean, 3)),
      tag('p', f'Over seeds: {spread}'),
    ),
    class_='answer',
    aria_labelledby='answer',
  )
  size = ensemble.test
  tested = [wording.count(size.patients, 'patient')]
  if ensemble.unit != 'patient':
    tested.append(wording.count(size.images, ensemble.unit))
  several = len(entered) > 1
  asked = tag(
    'dl',
    term(
      'Asked',
      'How well does a network trained so read new patients, and how much of that is luck in '
      f'training: {", ".join(ensemble.labels)}',
    ),
    term('On whom', f'{", ".join(tested)} in the test set, the same for all networks'),
    term('Mean AUPRC' if several else 'AUPRC', *figure_words(ensemble.mean.auprc, 3)),
    term('Mean Brier score' if several else 'Brier score', *figure_words(ensemble.mean.brier, 3)),
    [term(name, text) for name, text in result.facts.items()],
    class_='asked',
  )
  heading = tag(
    'div', banner(warning), tag('p', 'medjax seeds', class_='eyebrow'), tag('h1', title)
  )
  weak = findings('What weakens this answer', result.notes, NOTHING)
  return tag('header', heading, tag('div', tag('div', answer, weak), asked, class_='first'))


def _labels(result: SeedsResult, low: float) -> Markup:
  ensemble = result.ensemble
  rows = []
  if len(ensemble.mean.labels) > 1:
    name = tag('span', f'Mean of {len(ensemble.mean.labels)}', class_='mean')
    rows.append([name, *_row('Mean AUROC', ensemble.mean, result.mean, low)])
  for label, tested in ensemble.labels.items():
    name = repeated_parts.counts(ensemble, label)
    rows.append([name, *_row(f'AUROC of {label}', tested, result.labels[label], low)])
  header = ('Label', 'AUROC of the ensemble', 'AUROC of one network', 'AUPRC', 'Brier score')
  return section(
    'Every label',
    table(header, rows, 'cards wide'),
    tag(
      'p',
      'The ensemble is the mean probability of all networks, calibrated and decided as its own '
      'validation chose. One network: the mean of their AUROCs; each is a dot. In brackets the 95% '
      'interval over patients. SD and range are over seeds and no intervals.',
      class_='quiet',
    ),
  )


def _row(what: str, tested, over: OverSeeds, low: float) -> list[object]:
  spread = over.spread
  return [
    [*figure_words(tested.auroc, 3), figure_bar(what, tested.auroc, low, 0.5)],
    [
      *figure_words(over.auroc_mean, 3),
      repeated_parts.dots(what, spread.auroc, low, 'seeds'),
      tag('small', repeated_parts.spread_words(spread.auroc, 3, 'seeds')),
    ],
    [
      *figure_words(tested.auprc, 3),
      repeated_parts.mean_and_spread(spread.auprc, 3, 'seeds'),
    ],
    [
      *figure_words(tested.brier, 3),
      repeated_parts.mean_and_spread(spread.brier, 3, 'seeds'),
    ],
  ]


def _how(result: SeedsResult) -> Markup:
  ensemble = result.ensemble
  return section(
    'What the figures are over',
    tag(
      'dl',
      term('Patients and seeds', LUCK),
      term(
        'Intervals',
        f'{ensemble.method}, {ensemble.replicates:,} replicates, seed {ensemble.seed}; of the mean '
        'of the networks from what each patient adds to all of them',
      ),
      class_='list',
    ),
  )

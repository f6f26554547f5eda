"""The page of folds: everybody tested once, pooled, within folds, and fold by fold."""

from medjax.evaluation import wording
from medjax.evaluation.repeated_result import FoldsResult, OverFolds
from medjax.evaluation.result import Mean, Result
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
from medjax.report.sections import classes, curves, operating_points
from medjax.runtime.rounding import decimal

_RATES = ('sensitivity', 'specificity', 'ppv', 'npv')
_OWN_SCALES = (
  'Raw scores of networks that were trained apart do not share a scale: in one list a positive of '
  'one fold may fall below a negative of another, though each network ranks its own patients well, '
  'and the AUROC comes out too low. So each probability is calibrated by its own fold before they '
  'are pooled. '
)
_WITHIN = (
  'The AUROC within folds compares a positive with the negatives of its own fold alone and needs '
  'no common scale.'
)
POOLING = {
  'patient': (
    f'{_OWN_SCALES}The calibration is itself estimated on the validation of one fold; what it '
    'misses still lowers the pooled AUROC, by about 0.01 in simulated studies of 200 to 1,000 '
    f'patients. {_WITHIN}'
  ),
  'site': (
    f'{_OWN_SCALES}The calibration is that of the other sites, for nobody has the labels of a site '
    'that was never seen, and where sites differ in prevalence it is off. So pooling may lower the '
    'AUROC, and between sites of unlike prevalence it may also raise it: whatever marks the images '
    'of a site with many positives then tells them from the negatives of the other sites. '
    f'{_WITHIN}'
  ),
}
LUCK = (
  'Pooled and within folds: what other patients would change, these networks being as they are. '
  'But the networks were trained on each other’s test patients, and other training sets would '
  'give other networks: in simulated studies these intervals, 95% by name, held the AUROC of '
  'networks so trained in 82 to 95%, the fewer patients for a parameter the less. The interval of '
  'the mean of folds allows for the training sets (Nadeau and Bengio, 2003) and held it in 96 to '
  '99.5%; it rests on as many numbers as there are folds, and no unbiased estimate of that '
  'variance exists (Bengio and Grandvalet, 2004).'
)


def render(result: FoldsResult, *, title: str, warning: str = '') -> str:
  """Returns the page as the text of one HTML file.

  Args:
    result: of all folds.
    title: of the page, plain text.
    warning: one sentence that forbids trust in the answer, on the first line; '' for none.
  """
  pooled, number = result.pooled, len(result.networks)
  over = [result.mean, *result.labels.values()]
  low = repeated_parts.scale(result.networks, pooled, over)
  main = tag(
    'main',
    _labels(result, low),
    repeated_parts.networks_table(
      'Every fold',
      'Fold',
      result.networks,
      low,
      pooled.unit,
      'Each fold is a run of its own, with its report. Checkpoint, calibration and thresholds were '
      'chosen on its own validation; none of its test patients trained or chose anything of it, '
      'which the files of the runs prove. In brackets the 95% interval over its patients.',
    ),
    classes.decisions(pooled),
    _decisions(result),
    curves.curves(pooled),
    _how(result),
  )
  footer = tag('footer', tag('p', beside.SAID, class_='quiet'))
  css = style('report.css', 'sections.css', 'comparison.css')
  first = _first_screen(result, title, warning, number)
  return page(f'{title} · medjax folds', css, first, main, footer)


def _first_screen(result: FoldsResult, title: str, warning: str, number: int) -> Markup:
  pooled, mean = result.pooled, result.mean
  auroc, entered = pooled.mean.auroc, pooled.mean.labels
  which = f'AUROC of {entered[0]}' if len(entered) == 1 else f'Mean AUROC of {len(entered)} labels'
  spread = repeated_parts.spread_words(mean.spread.auroc, 3, 'folds')
  answer = tag(
    'section',
    tag(
      'div',
      tag('h2', f'{which}, pooled over {number} folds', id='answer'),
      tag('p', 'No AUROC' if auroc.value is None else decimal(auroc.value, 3), class_='number'),
      repeated_parts.interval(auroc, 'over patients'),
      tag('p', 'Within folds: ', *figure_words(mean.auroc_within, 3)),
      tag(
        'p',
        'Mean of folds: ',
        *figure_words(mean.auroc_mean, 3),
        f', over training sets too; {spread}',
      ),
    ),
    class_='answer',
    aria_labelledby='answer',
  )
  size = pooled.test
  tested = [wording.count(size.patients, 'patient')]
  if pooled.unit != 'patient':
    tested.append(wording.count(size.images, pooled.unit))
  by = (
    'one site after another' if result.by == 'site' else 'another part of the patients in each fold'
  )
  asked = tag(
    'dl',
    term(
      'Asked', 'How well does a network trained so read new patients: ', ', '.join(pooled.labels)
    ),
    term(
      'On whom',
      f'{", ".join(tested)}: {by}, everybody once, by a network that had not seen them',
    ),
    term('Mean AUPRC' if len(entered) > 1 else 'AUPRC', *figure_words(pooled.mean.auprc, 3)),
    term(
      'Mean Brier score' if len(entered) > 1 else 'Brier score', *figure_words(pooled.mean.brier, 3)
    ),
    [term(name, text) for name, text in result.facts.items()],
    class_='asked',
  )
  heading = tag(
    'div', banner(warning), tag('p', 'medjax folds', class_='eyebrow'), tag('h1', title)
  )
  weak = findings('What weakens this answer', result.notes, NOTHING)
  return tag('header', heading, tag('div', tag('div', answer, weak), asked, class_='first'))


def _labels(result: FoldsResult, low: float) -> Markup:
  pooled = result.pooled
  rows = []
  if len(pooled.mean.labels) > 1:
    name = tag('span', f'Mean of {len(pooled.mean.labels)}', class_='mean')
    rows.append([name, *_row('Mean AUROC', pooled.mean, result.mean, low)])
  for label, tested in pooled.labels.items():
    name = repeated_parts.counts(pooled, label)
    rows.append([name, *_row(f'AUROC of {label}', tested, result.labels[label], low)])
  header = ('Label', 'AUROC, pooled', 'Within folds', 'Mean of folds', 'AUPRC', 'Brier score')
  return section(
    'Every label',
    table(header, rows, 'cards wide'),
    tag(
      'p',
      'Pooled: each probability calibrated by its own fold. Within folds: a positive against the '
      'negatives of its own fold. Mean of folds: every fold alike; each fold is a dot. In brackets '
      'the 95% interval over patients, of the mean of folds over training sets too. SD and range '
      'are over folds and no intervals.',
      class_='quiet',
    ),
  )


def _row(what: str, tested, over: OverFolds, low: float) -> list[object]:
  spread = over.spread
  return [
    [*figure_words(tested.auroc, 3), figure_bar(what, tested.auroc, low, 0.5)],
    figure_words(over.auroc_within, 3),
    [
      *figure_words(over.auroc_mean, 3),
      repeated_parts.dots(what, spread.auroc, low, 'folds'),
      tag('small', repeated_parts.spread_words(spread.auroc, 3, 'folds')),
    ],
    [
      *figure_words(tested.auprc, 3),
      repeated_parts.mean_and_spread(spread.auprc, 3, 'folds'),
    ],
    [
      *figure_words(tested.brier, 3),
      repeated_parts.mean_and_spread(spread.brier, 3, 'folds'),
    ],
  ]


def _decisions(result: FoldsResult) -> Markup:
  """Returns the section with a table for each rule: the decisions of all folds together."""
  pooled = result.pooled
  tables: list[object] = []
  rules = [point.rule for point in next(iter(pooled.labels.values())).operating_points]
  stated = any(
    point.at_prevalence for tested in pooled.labels.values() for point in tested.operating_points
  )
  there = '; below them stands what they are at the prevalence named there' if stated else ''
  for number, rule in enumerate(rules):
    rows: list[list[object]] = []
    for label, tested in pooled.labels.items():
      point = tested.operating_points[number]
      if point.reason:
        nothing = tag('span', point.reason, class_='quiet')
        rows.append([label, nothing, *[tag('span', wording.DASH, class_='quiet')] * 4])
        continue
      cells: list[object] = [
        [
          *figure_words(getattr(point, name), 2),
          operating_points.counts(point, name),
          operating_points.at_prevalence(point.at_prevalence, name),
        ]
        for name in _RATES
      ]
      rows.append([label, *cells, figure_words(point.f1, 2)])
    if number == 0 and len(pooled.mean.labels) > 1:
      rows.append(_mean_row(pooled.mean))
    decides = f', {wording.first_point(pooled)}' if number == 0 else ''
    tables.append(
      [
        tag('h3', f'{wording.capital(wording.rule(rule))}{decides}', class_='rule'),
        table(('Label', 'Sensitivity', 'Specificity', 'PPV', 'NPV', 'F1'), rows, 'cards wide'),
      ]
    )
  return section(
    f'Decisions{", one against rest" if pooled.classes else ""}',
    tag(
      'p',
      'Everybody was decided for at the thresholds that the validation of their own fold chose, '
      'and the decisions are counted together. PPV and NPV hold at the prevalence of these '
      f'patients{there}. In brackets the 95% interval over patients, below it the counts '
      f'({wording.plural(pooled.unit)}).',
      class_='quiet lead',
    ),
    tables,
  )


def _mean_row(mean: Mean) -> list[object]:
  figures = [figure_words(getattr(mean, name), 2) for name in (*_RATES, 'f1')]
  return [f'Mean of {len(mean.labels)}', *figures]


def _how(result: FoldsResult) -> Markup:
  pooled: Result = result.pooled
  return section(
    'How the folds were pooled',
    tag(
      'dl',
      term('Why not raw scores', POOLING[result.by]),
      term('What the intervals do not hold', LUCK),
      term(
        'Intervals',
        'Pooled: as of a single test set, by patient ('
        f'{pooled.method}, {pooled.replicates:,} replicates, seed {pooled.seed}). Within folds: '
        'the variances of the folds, each by patient, added up, with Student’s t. Mean of folds: '
        'Nadeau and Bengio’s corrected resampled t interval',
      ),
      term(
        'Who was tested by which network',
        'The splits that the runs wrote were compared: no patient is in the test of two folds, all '
        'are in one, and none was scored by a network that had seen them, its pretrained weights '
        'included. Each checkpoint carries the SHA-256 of its split',
      ),
      class_='list',
    ),
  )

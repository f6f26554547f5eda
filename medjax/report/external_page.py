"""The page of an external validation, as one HTML file: what holds elsewhere, and what does not."""

from collections.abc import Mapping

from medjax.evaluation import wording
from medjax.evaluation.external.result import ExternalResult
from medjax.evaluation.figure import Figure
from medjax.report import beside, weaknesses
from medjax.report.markup import (
  NOTHING,
  Markup,
  banner,
  findings,
  identity,
  page,
  section,
  small,
  style,
  tag,
  term,
)
from medjax.report.sections import cohorts, external_sets, recalibration, sites, subgroups
from medjax.report.sections.cohorts import Names


def render(
  result: ExternalResult,
  *,
  title: str,
  people: Mapping[str, Mapping],
  facts: Mapping,
) -> str:
  """Returns the page as the text of one HTML file.

  Args:
    result: of the other set.
    title: of the page, plain text like all that is given here.
    people: 'external' and 'own test' → what characteristics.of_rows says of their patients.
    facts: 'model', its name; 'versions', name → words.
  """
  names = Names('external', 'own test', result.external.unit)
  parts = [
    ('Discrimination', _discrimination(result, names)),
    ('Operating points', _operating_points(result, names)),
    ('Calibration', _calibration(result, names)),
    ('Recalibration', recalibration.recalibration(result)),
    ('Prevalence', recalibration.prevalence(result)),
    ('Scores', external_sets.scores(result)),
    ('Curves', external_sets.curves(result)),
    ('Sites', sites.sites(result.sites) if result.sites else None),
    ('Subgroups', subgroups.section(result.external, 'external set')),
    ('Patients', external_sets.people(result, people)),
    ('Labels', external_sets.mapping(result)),
    ('Method', _method(result, facts)),
  ]
  parts = [(name, content) for name, content in parts if content is not None]
  links = [tag('li', tag('a', name, href=f'#{identity(name)}')) for name, _ in parts]
  contents = tag('nav', tag('ul', links), class_='contents', aria_label='Contents')
  body = [tag('div', content, id=identity(name), class_='part') for name, content in parts]
  css = style('report.css', 'sections.css', 'comparison.css')
  footer = tag('footer', tag('p', beside.SAID, class_='quiet'))
  return page(
    f'{title} · medjax external validation',
    css,
    _first_screen(result, title, facts),
    contents,
    tag('main', body),
    footer,
  )


def in_words(result: ExternalResult) -> list[str]:
  """Returns the answer as lines of text, and what weakens it."""
  lines = [_mapped(result)]
  auroc, entered = result.contrast.mean.auroc, result.contrast.mean.labels
  if auroc.one.value is None:
    lines.append(f'no AUROC: {auroc.one.reason}')
  else:
    name = 'mean AUROC' if len(entered) > 1 else f'AUROC of {entered[0]}'
    lines.append(
      f'external {name} {_said(auroc.one)}; own test {_said(auroc.other)}; difference '
      f'{_signed(auroc.difference)}'
    )
  lines += [
    f'not tested: {entry.label}: {entry.reason}' for entry in result.mapping if not entry.external
  ]
  # What cannot be mapped stands above already.
  notes = weaknesses.ranked(result.notes)
  rest = [note for note in notes if not note.startswith('Not tested: ')]
  return [
    *lines,
    *(f'warning: {warning}' for warning in result.warnings),
    *(f'note: {n}' for n in rest),
  ]


def _mapped(result: ExternalResult) -> str:
  pairs = [
    f'{entry.label} = {" or ".join(entry.external)}' for entry in result.mapping if entry.external
  ]
  return f'labels: {"; ".join(pairs)}'


def _said(figure: Figure) -> str:
  interval = f'no interval: {figure.reason}'
  if figure.interval:
    interval = f'95 % interval {" to ".join(wording.number(x, 3) for x in figure.interval)}'
  return f'{wording.number(figure.value, 3)} ({interval})'


def _signed(difference: Figure) -> str:
  interval = f'no interval: {difference.reason}'
  if difference.interval:
    interval = f'95 % interval {" to ".join(wording.signed(x) for x in difference.interval)}'
  return f'{wording.signed(difference.value)} ({interval})'


def _first_screen(result: ExternalResult, title: str, facts: Mapping) -> Markup:
  mean, confidence = result.contrast.mean, f'{result.external.confidence:.0%}'
  auroc, entered = mean.auroc, mean.labels
  name = (
    f'Mean AUROC of {len(entered)} labels'
    if len(entered) > 1
    else (f'AUROC of {entered[0]}' if entered else 'AUROC')
  )
  value = auroc.one.value
  answer = tag(
    'section',
    tag(
      'div',
      tag('h2', f'{name}, external', id='answer'),
      tag('p', 'None' if value is None else wording.number(value, 3), class_='number'),
      _interval(auroc.one, confidence),
      _lowest(result),
    ),
    tag(
      'dl',
      _entry('Own test', auroc.other, confidence),
      _entry('Difference', auroc.difference, confidence, is_signed=True),
      _entry(
        'Calibration slope, external (1 is right)', mean.calibration_slope.one, confidence, digits=2
      ),
      _entry(
        'Calibration intercept, external (0 is right)',
        mean.calibration_intercept.one,
        confidence,
        digits=2,
      ),
      class_='decision',
    ),
    class_='answer',
    aria_labelledby='answer',
  )
  weak = findings(
    'What weakens this answer, and what does not hold', weaknesses.ranked(result.notes), NOTHING
  )
  source, size = result.source, result.external.test
  tested = wording.count(size.patients, 'patient')
  if result.external.unit != 'patient':
    tested += f', {wording.count(size.images, result.external.unit)}'
  part = 'all of it' if source.part == 'all' else f'its {source.part} part'
  question = tag(
    'dl',
    term(
      'Asked',
      f'Does {facts["model"]}, trained in {source.run}, hold on {source.root}? ',
      tag('span', ', '.join(result.labels), class_='names'),
    ),
    term('On whom', f'{tested} of the external set ({part}){_known(result)}'),
    term('Own test', _own_size(result)),
    term('Labels mapped', f'{len(result.labels)} of {len(result.mapping)} of the run'),
    term('Chosen again', 'nothing: preprocessing, calibration and thresholds are those of the run'),
    term('External source', source.source),
    class_='asked',
  )
  heading = tag(
    'div',
    banner(*result.warnings),
    tag('p', 'medjax external validation', class_='eyebrow'),
    tag('h1', title),
  )
  return tag('header', heading, tag('div', tag('div', answer, weak), question, class_='first'))


def _known(result: ExternalResult) -> str:
  """Returns whether any of those tested is known to have trained the run."""
  source = result.source
  if source.seen:  # The first line of the page says it.
    return ''
  if source.namesakes:
    return f', {source.namesakes:,} by names of patients who trained or chose the run'
  return ', none known to have trained the run'


def _own_size(result: ExternalResult) -> str:
  size, unit = result.own.test, result.own.unit
  words = wording.count(size.patients, 'patient')
  return words if unit == 'patient' else f'{words}, {wording.count(size.images, unit)}'


def _interval(figure: Figure, confidence: str) -> Markup:
  if figure.interval is None:
    return tag('p', f'No interval: {figure.reason}.', class_='interval')
  low, high = (wording.number(bound, 3) for bound in figure.interval)
  return tag(
    'p', f'{confidence} interval ', tag('b', low), ' to ', tag('b', high), class_='interval'
  )


def _entry(
  name: str, figure: Figure, confidence: str, *, digits: int = 3, is_signed: bool = False
) -> Markup:
  write = wording.signed if is_signed else wording.number
  if figure.value is None:
    return term(name, small(f'None: {figure.reason}.'))
  remark = f'No interval: {figure.reason}.'
  if figure.interval:
    low, high = (write(bound, digits) for bound in figure.interval)
    remark = f'{confidence} interval {low} to {high}'
  return term(name, tag('span', write(figure.value, digits), class_='number'), small(remark))


def _lowest(result: ExternalResult) -> Markup | None:
  """Returns the label with the lowest external AUROC, which a mean over several hides."""
  ranked = [
    (part.auroc.one.value, label)
    for label, part in result.contrast.labels.items()
    if part.auroc.one.value is not None
  ]
  if len(ranked) < 2:
    return None
  _, label = min(ranked)
  auroc = result.contrast.labels[label].auroc
  return tag(
    'p',
    'Worst: ',
    tag('b', label),
    f' {wording.plain(auroc.one, 3)}',
    class_='worst',
  )


def _discrimination(result: ExternalResult, names: Names) -> Markup:
  return section(
    'Discrimination: does it still rank?',
    cohorts.discrimination(result.contrast, names, (result.external.test, result.own.test)),
    cohorts.class_decisions(result.contrast, names),
    tag(
      'p',
      f'In brackets the {result.external.confidence:.0%} interval. Differences are external less '
      'own test, of other patients: unpaired, by patient (AUROC: DeLong’s variances of either '
      'sample). Bold where the interval excludes 0. AUPRC rises with the prevalence, so that its '
      'difference is of the patients as much as of the model.',
      class_='quiet',
    ),
  )


def _operating_points(result: ExternalResult, names: Names) -> Markup:
  apart = ''
  if result.contrast.classes:
    apart = ' Each asks of one class alone whether it is there; it decides nothing between classes.'
  return section(
    'Operating points as frozen',
    tag(
      'p',
      'Thresholds are those that validation of the run chose, on its calibrated probabilities.'
      f'{apart} First the external figure, under it that of the own test and the difference, each '
      f'with its {result.external.confidence:.0%} interval. PPV and NPV are at the prevalence of '
      'either sample.',
      class_='quiet lead',
    ),
    cohorts.operating_points(result.contrast, names),
  )


def _calibration(result: ExternalResult, names: Names) -> Markup:
  return section(
    'Calibration as frozen: is what is called 20% there in 20%?',
    cohorts.calibration(result.contrast, names),
    tag(
      'p',
      'Slope below 1: probabilities are too extreme, above 1 too timid. Intercept (calibration in '
      'the large, slope fixed at 1) below 0: they are too high, above 0 too low. O:E: positives '
      'observed over those expected, the sum of probabilities. In brackets the '
      f'{result.external.confidence:.0%} interval. Where a floor enriched the split of the run, '
      'its own figures are of the source that it was drawn from.',
      class_='quiet',
    ),
  )


def _method(result: ExternalResult, facts: Mapping) -> Markup:
  source, external = result.source, result.external
  replicates = f'{external.replicates:,} replicates, seed {external.seed}'
  rows = [
    ('Run', f'{source.run}, checkpoint of step {source.step}'),
    ('frozen.json', f'SHA-256 {source.frozen_sha256}'),
    ('External table', f'SHA-256 {source.table_sha256} of image, patient and mapped labels'),
    ('Seen before', f'Compared {source.compared}'),
    ('Intervals of figures', f'{wording.capital(external.method)}, {replicates}'),
    (
      'Intervals of differences',
      'AUROC: DeLong’s variances of both samples with Student’s t. Others: from the intervals of '
      'both figures (Zou & Donner 2008; of proportions Newcombe 1998)',
    ),
    (
      'Expected PPV and NPV',
      'Bayes’ theorem on the scale of log odds, the intervals of sensitivity, specificity and '
      'prevalence put together in the same way',
    ),
    (
      'Prevalence by the scores',
      'Saerens et al. 2002, exclusive classes together; percentile interval over patients, which '
      'does not hold the uncertainty of the calibration',
    ),
    (
      'Recalibration',
      'Logistic regression on the logit of the calibrated probability (Cox 1958; Steyerberg et al. '
      f'2004), patients halved at random by seed {external.seed}; intervals by the jackknife over '
      'patients with Student’s t, of rates Wilson’s, of the AUROC DeLong’s',
    ),
    *facts.get('versions', {}).items(),
  ]
  return section('Method', tag('dl', [term(*row) for row in rows], class_='list'))

"""The comparison of two runs as one HTML file: the difference first, then every label."""

from collections.abc import Mapping, Sequence

from medjax.evaluation import contrasts, wording
from medjax.evaluation.contrasts import (
  Comparison,
  Contrast,
  LabelContrast,
  PairedTest,
)
from medjax.evaluation.figure import Figure
from medjax.report import beside, charts, weaknesses
from medjax.report.figures import figure_words
from medjax.report.markup import (
  NOTHING,
  Markup,
  banner,
  findings,
  one_line,
  page,
  section,
  small,
  style,
  table,
  tag,
  term,
)
from medjax.report.sections import contrasts as contrast_sections
from medjax.runtime import rounding

WIDTH, EDGE = 220, 12  # pixels of a bar's drawing, and at either end of its scale
LEAST_P = 0.001
MINUS, NO_BREAK = '\N{MINUS SIGN}', '\N{NO-BREAK SPACE}'
WORDS = {  # in a table cell; the sentences are those of `_answer_in_words`
  contrasts.SUPERIOR: 'superior',
  contrasts.NON_INFERIOR: 'non-inferior, not shown to differ',
  contrasts.WORSE_WITHIN: 'worse, within the margin',
  contrasts.WORSE: 'worse',
  contrasts.UNDECIDED: 'undecided',
  contrasts.NOT_COMPARED: 'not compared',
}


def render(
  comparison: Comparison,
  *,
  facts: Mapping[str, str] | None = None,
  notes: Sequence[str] = (),
  warning: str = '',
  settings: Sequence[tuple[str, str, str]] | None = None,
) -> str:
  """Returns the page as the text of one HTML file.

  Args:
    comparison: two runs on the same test images.
    facts: name -> words, shown next to the answer in the order given; plain text, like all that is
      given here.
    notes: sentences that weaken the comparison and are not in it: another split, patients who
      trained one of the runs, another seed.
    warning: one sentence that forbids trust in the answer, on the first line; '' for none.
    settings: (name, of the first, of the second) of each in which they differ; None where unknown.
  """
  css = style('report.css', 'comparison.css')
  one, other = comparison.between
  first = _first_screen(comparison, facts or {}, notes, warning)
  footer = tag('footer', tag('p', beside.SAID, class_='quiet'))
  main = tag(
    'main',
    _labels(comparison),
    contrast_sections.curves(comparison),
    contrast_sections.decisions(comparison),
    contrast_sections.settings(comparison.between, settings),
    _how(comparison),
  )
  return page(f'{one} against {other} · medjax comparison', css, first, main, footer)


def in_words(comparison: Comparison) -> list[str]:
  """Returns the answer as lines of text: the numbers, the verdict, and what weakens them."""
  one, other = comparison.between
  auroc, entered = comparison.mean.auroc, comparison.mean.labels
  difference = auroc.difference
  notes = [f'note: {note}' for note in comparison.notes]
  if not entered:
    return [f'No difference in AUROC: {difference.reason}', *notes]
  if difference.interval:
    interval = (
      f'{comparison.confidence:.0%} interval {_bounds(difference.interval, comparison.margin)}'
    )
  else:
    interval = f'no interval: {difference.reason}'
  numbers = (
    f'{wording.capital(_figure_name(entered))}: {one} {wording.plain(auroc.one, 3)}, '
    f'{other} {wording.plain(auroc.other, 3)}, '
    f'difference {wording.signed(difference.value, 3)} ({interval})'
  )
  return [numbers, _answer_in_words(comparison), *notes]


def _figure_name(labels: Sequence[str]) -> str:
  return f'AUROC of {labels[0]}' if len(labels) == 1 else f'mean AUROC of {len(labels)} labels'


def p_value(p: float | None, alpha: float) -> str:
  """Writes a p value, never as 0, nor as the `alpha` that it is below or above."""
  if p is None:
    return wording.DASH
  return f'<{NO_BREAK}{LEAST_P}' if p < LEAST_P else rounding.decimal(p, 3, (alpha, 1))


def _bounds(interval: Sequence[float], margin: float) -> str:
  return ' to '.join(wording.signed(bound, 3, (-margin, margin)) for bound in interval)


def _first_screen(
  comparison: Comparison,
  facts: Mapping[str, str],
  notes: Sequence[str],
  warning: str,
) -> Markup:
  one, other = comparison.between
  mean, size = comparison.mean, comparison.test
  difference, entered = mean.auroc.difference, mean.labels
  left_out = [label for label in comparison.labels if label not in entered]
  answer = tag(
    'section',
    tag(
      'div',
      tag(
        'h2',
        f'Difference in {_figure_name(entered)}' if entered else 'Difference in AUROC',
        id='answer',
      ),
      tag(
        'p',
        'None' if difference.value is None else wording.signed(difference.value, 3),
        class_='number',
      ),
      _interval(difference, comparison),
      tag('p', tag('b', _answer_in_words(comparison)), class_='verdict'),
      left_out and tag('p', f'Without {", ".join(left_out)}: see below.', class_='quiet'),
    ),
    class_='answer',
    aria_labelledby='answer',
  )
  weak = findings(
    'What weakens this answer', weaknesses.ranked((*comparison.notes, *notes)), NOTHING
  )
  tested = [wording.count(size.patients, 'patient')]
  if comparison.unit != 'patient':
    tested.append(wording.count(size.images, comparison.unit))
  area = 'Mean AUROC' if len(entered) > 1 else 'AUROC'
  question = tag(
    'dl',
    term(
      'Asked',
      f'Is {one} better than {other}, or worse by less than {comparison.margin:g} in AUROC?',
    ),
    term('On whom', f'{", ".join(tested)} in the test set, the same for both'),
    term(f'{area} of {one}', *figure_words(mean.auroc.one, 3)),
    term(f'{area} of {other}', *figure_words(mean.auroc.other, 3)),
    term('Difference in AUPRC', *_difference(mean.auprc.difference, comparison.margin)),
    term(_test_name(mean.delong), *_test(mean.delong, comparison)),
    [term(name, text) for name, text in facts.items()],
    class_='asked',
  )
  heading = tag(
    'div',
    banner(warning),
    tag('p', 'medjax comparison', class_='eyebrow'),
    tag('h1', one, tag('span', ' against ', class_='against'), other),
  )
  return tag('header', heading, tag('div', tag('div', answer, weak), question, class_='first'))


def _interval(figure: Figure, comparison: Comparison) -> Markup:
  if figure.interval is None:
    return tag('p', f'No interval: {figure.reason}.', class_='interval')
  low, high = (
    wording.signed(bound, 3, (-comparison.margin, comparison.margin)) for bound in figure.interval
  )
  return tag(
    'p',
    f'{comparison.confidence:.0%} interval ',
    tag('b', low),
    ' to ',
    tag('b', high),
    class_='interval',
  )


def _answer_in_words(comparison: Comparison) -> str:
  one, other = comparison.between
  margin = f'{comparison.margin:g}'
  return {
    contrasts.SUPERIOR: f'{one} is better than {other}: the interval lies above 0.',
    contrasts.NON_INFERIOR: f'{one} is not worse than {other} by {margin} or more, the margin. '
    'That they differ at all is not shown.',
    contrasts.WORSE_WITHIN: f'{one} is worse than {other}, but by less than the margin of '
    f'{margin}.',
    contrasts.WORSE: f'{one} is worse than {other}: the interval lies below 0 and reaches past the '
    f'margin of {margin}.',
    contrasts.UNDECIDED: f'Undecided: {one} may be worse than {other} by {margin}, the margin, or '
    'more, and it is not shown to be worse.',
    contrasts.NOT_COMPARED: 'No verdict without an interval and a p value.',
  }[comparison.mean.verdict]


def _test_name(test: PairedTest) -> str:
  return "Obuchowski's test, by patient" if test.clustered else "DeLong's test"


def _test(test: PairedTest, comparison: Comparison) -> list[object]:
  if test.p is None:
    return [f'None: {test.reason}.']
  bounds = test.interval and _bounds(test.interval, comparison.margin)
  interval = bounds and small(f'{comparison.confidence:.0%} interval {bounds}')
  equals = '' if test.p < LEAST_P else '= '
  return [f'p {equals}{p_value(test.p, 1 - comparison.confidence)}', interval]


def _difference(figure: Figure, margin: float) -> list[object]:
  """Returns a difference with its interval, or why it has no value or no interval."""
  if figure.value is None:
    return [tag('span', figure.reason, class_='quiet')]
  value = tag('b', wording.signed(figure.value, 3))
  if figure.interval is None:
    return [value, small(f'no interval: {figure.reason}')]
  return [one_line(value, f'({_bounds(figure.interval, margin)})')]


def _labels(comparison: Comparison) -> Markup:
  one, other = comparison.between
  labels, mean, margin = comparison.labels, comparison.mean, comparison.margin
  scale = _scale([mean, *labels.values()], margin)
  header = (
    'Label',
    f'AUROC of {one}',
    f'AUROC of {other}',
    'Difference in AUROC',
    'p, adjusted',
    'Verdict',
    'Difference in AUPRC',
  )
  rows = []
  if len(mean.labels) > 1:
    name = tag('span', f'Mean of {len(mean.labels)}', class_='mean')
    p = [p_value(mean.delong.p, 1 - comparison.confidence), small(f'not{NO_BREAK}adjusted')]
    rows.append([name, *_row('the mean', mean, scale, margin, p)])
  for label, contrast in labels.items():
    counts = f'{contrast.positives:,} of {wording.count(contrast.images, comparison.unit)}'
    rows.append(
      [
        [label, tag('small', f'positive {counts}, {contrast.positive_patients:,} patients')],
        *_row(label, contrast, scale, margin, _adjusted(contrast, 1 - comparison.confidence)),
      ]
    )
  rows.append(['', '', '', _axis(scale), '', '', ''])
  alpha = f'{1 - comparison.confidence:.2g}'
  return section(
    'Every label',
    table(header, rows, 'cards forest'),
    charts.legend(*_lines(margin)),
    tag(
      'p',
      f'Differences are {one} less {other}, so right of the line {one} is better. In brackets, and '
      f'as the bar, the {comparison.confidence:.0%} interval. Of many labels one will seem to '
      'differ by chance: p is adjusted by Holm, which keeps even one false claim among all labels '
      f'as rare as {alpha}. Under it p of the label alone, and p adjusted by Benjamini and '
      'Hochberg (BH), which lets a small share of the claims be false. A label is called better '
      f'or worse only where its interval leaves out 0 and its p by Holm is below {alpha}. '
      'Intervals are not widened for the number of labels.',
      class_='quiet',
    ),
  )


def _adjusted(contrast: LabelContrast, alpha: float) -> list[object]:
  """Returns the adjusted p value and, smaller, the others."""
  adjusted: list[object] = [p_value(contrast.p_holm, alpha)]
  if contrast.delong.p is not None:
    adjusted.append(small(f'alone{NO_BREAK}{p_value(contrast.delong.p, alpha)}'))
    adjusted.append(small(f'BH{NO_BREAK}{p_value(contrast.p_benjamini_hochberg, alpha)}'))
  return adjusted


def _lines(margin: float) -> list[tuple[str, str]]:
  at_margin = [('chance', f'the margin, {wording.signed(-margin, 3)}')] if margin else []
  return [('baseline', 'no difference'), *at_margin]


def _row(
  what: str, contrast: Contrast, scale: Sequence[float], margin: float, p: Sequence[object]
) -> list[object]:
  auroc = contrast.auroc
  return [
    figure_words(auroc.one, 3),
    figure_words(auroc.other, 3),
    [*_difference(auroc.difference, margin), _bar(what, contrast, scale, margin)],
    p,
    WORDS[contrast.verdict],
    _difference(contrast.auprc.difference, margin),
  ]


def _scale(contrasts: Sequence[Contrast], margin: float) -> list[float]:
  """Returns the ticks of one axis for all rows, round numbers around all that is places."""
  places = [0.0, -margin]
  for contrast in contrasts:
    figure = contrast.auroc.difference
    places += [x for x in (figure.value, *(figure.interval or ())) if x is not None]
  return charts.ticks(min(places), max(places))


def _place(x: float, scale: Sequence[float]) -> float:
  return round(EDGE + (WIDTH - 2 * EDGE) * (x - scale[0]) / (scale[-1] - scale[0]), 1)


def _bar(what: str, contrast: Contrast, scale: Sequence[float], margin: float) -> Markup | None:
  """Draws a difference and its interval, a line at no difference and a dashed one at the margin."""
  figure = contrast.auroc.difference
  if figure.value is None:
    return None
  middle, height = 9, 18
  words = wording.signed(figure.value, 3)
  if figure.interval:
    words += f' ({_bounds(figure.interval, margin)})'
  ends = figure.interval and [_place(bound, scale) for bound in figure.interval]
  zero, at_margin = _place(0, scale), _place(-margin, scale)
  return charts.svg(
    WIDTH,
    height,
    f'Difference in AUROC of {what}: {words}',
    f'{wording.capital(WORDS[contrast.verdict])}. Scale from {scale[0]:g} to {scale[-1]:g}, a line '
    'at 0, a dashed line at the margin.',
    tag('line', x1=EDGE, x2=WIDTH - EDGE, y1=middle, y2=middle, class_='scale'),
    tag('line', x1=zero, x2=zero, y1=0, y2=height, class_='baseline'),
    tag('line', x1=at_margin, x2=at_margin, y1=0, y2=height, class_='chance') if margin else None,
    ends and tag('line', x1=ends[0], x2=ends[1], y1=middle, y2=middle, class_='range'),
    tag('circle', cx=_place(figure.value, scale), cy=middle, r=4, class_='dot'),
  )


def _axis(scale: Sequence[float]) -> Markup:
  step = max(1, (len(scale) - 1) // 3)
  marks = []
  for tick in scale:
    x = _place(tick, scale)
    marks.append(tag('line', x1=x, x2=x, y1=0, y2=4, class_='grid'))
  # Every few ticks have their number, counted from no difference.
  middle = min(range(len(scale)), key=lambda index: abs(scale[index]))
  for index in range(middle % step, len(scale), step):
    text = f'{scale[index]:+.3g}'.replace('-', MINUS) if index != middle else '0'
    marks.append(tag('text', text, x=_place(scale[index], scale), y=16, class_='tick middle'))
  ends = f'from {scale[0]:g} to {scale[-1]:g}'
  return charts.svg(WIDTH, 20, 'Scale of the differences', f'Difference in AUROC {ends}.', *marks)


def _how(comparison: Comparison) -> Markup:
  one, other = comparison.between
  replicates = f'{comparison.replicates:,} replicates, seed {comparison.seed}'
  return section(
    'How they were compared',
    tag(
      'dl',
      term(
        'Scores',
        'Of a run the calibrated probabilities, so that its AUROCs are those of its own report; of '
        'a file the probabilities as they stand there',
      ),
      term('Intervals', f'{wording.capital(comparison.method)}, {replicates}'),
      term(
        'p values',
        'Two-sided, from the paired covariance of the two AUROCs (DeLong; Obuchowski where a '
        'patient has several images); of the mean from what each patient adds to it over all '
        'labels',
      ),
      term(
        'Margin',
        f'{comparison.margin:g} in AUROC. {one} counts as non-inferior where the interval lies '
        f'wholly above {wording.signed(-comparison.margin, 3)}. A margin says something only if it '
        'was chosen before anyone saw the figures.',
      ),
      term(
        'Not in this comparison',
        f'Chance in training. Another seed gives another {one} and another {other}; these '
        'intervals say only what other patients would change.',
      ),
      class_='list',
    ),
  )

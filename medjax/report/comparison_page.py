"""The comparison of two runs as one HTML file: the difference first, then every label."""

from collections.abc import Mapping, Sequence

from medjax.evaluation import comparison, wording
from medjax.report import charts
from medjax.report.markup import (
  NOTHING,
  Markup,
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

WIDTH, EDGE = 220, 12  # pixels of a bar's drawing, and beside its scale
LEAST_P = 0.001
MINUS, NO_BREAK = '\N{MINUS SIGN}', '\N{NO-BREAK SPACE}'
WORDS = {  # in a table cell; the sentences are those of `_answer_in_words`
  comparison.SUPERIOR: 'superior',
  comparison.NON_INFERIOR: 'non-inferior, not shown to differ',
  comparison.WORSE_WITHIN: 'worse, within the margin',
  comparison.WORSE: 'worse',
  comparison.UNDECIDED: 'undecided',
  comparison.NOT_COMPARED: 'not compared',
}


def render(
  compared: Mapping,
  one: str,
  other: str,
  *,
  facts: Mapping[str, str] | None = None,
  notes: Sequence[str] = (),
  warning: str = '',
) -> str:
  """Returns the page as the text of one HTML file.

  Args:
    compared: what `medjax.evaluation.comparison.compare` returns, and 'unit', what is tested, if that is
      not the image.
    one, other: names of the two runs, the one that is asked about first; plain text, like all that is
      given here.
    facts: name -> words, shown beside the answer in the order given.
    notes: sentences that weaken the comparison and are not in it: another split, patients who trained
      one of the runs, another seed.
    warning: one sentence that forbids trust in the answer, on the first line; '' for none.
  """
  css = style('report.css', 'comparison.css')
  first = _first_screen(compared, one, other, facts or {}, notes, warning)
  main = tag('main', _labels(compared, one, other), _how(compared, one, other))
  return page(f'{one} against {other} · medjax comparison', css, first, main)


def in_words(compared: Mapping, one: str, other: str) -> list[str]:
  """Returns the answer as lines of text: the numbers, the verdict, and what weakens them."""
  auroc, entered = compared['mean']['auroc'], compared['mean']['labels']
  difference = auroc['difference']
  if not entered:
    return [f'No difference in AUROC: {difference["reason"]}', *_as_notes(compared)]
  if difference['interval']:
    low_to_high = _bounds(difference['interval'], 3)
    beside = f'{compared["level"]:.0%} interval {low_to_high}'
  else:
    beside = f'no interval: {difference["reason"]}'
  numbers = (
    f'{wording.capital(_figure_name(entered))}: {one} {wording.number(auroc["one"], 3)}, '
    f'{other} {wording.number(auroc["other"], 3)}, difference {wording.signed(difference["value"], 3)} ({beside})'
  )
  return [numbers, _answer_in_words(compared, one, other), *_as_notes(compared)]


def _as_notes(compared: Mapping) -> list[str]:
  return [f'note: {note}' for note in compared['notes']]


def _figure_name(labels: Sequence[str]) -> str:
  return f'AUROC of {labels[0]}' if len(labels) == 1 else f'mean AUROC of {len(labels)} labels'


def p_value(p: float | None) -> str:
  """Writes a p value, never as 0."""
  if p is None:
    return wording.DASH
  return f'<{NO_BREAK}{LEAST_P}' if p < LEAST_P else f'{p:.3f}'


def _bounds(interval: Sequence[float], digits: int) -> str:
  return ' to '.join(wording.signed(bound, digits) for bound in interval)


def _first_screen(
  compared: Mapping,
  one: str,
  other: str,
  facts: Mapping[str, str],
  notes: Sequence[str],
  warning: str,
) -> Markup:
  mean, size = compared['mean'], compared['test']
  difference, entered = mean['auroc']['difference'], mean['labels']
  left_out = [label for label in compared['labels'] if label not in entered]
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
        'None' if difference['value'] is None else wording.signed(difference['value'], 3),
        class_='number',
      ),
      _interval(difference, compared['level']),
      tag('p', tag('b', _answer_in_words(compared, one, other)), class_='verdict'),
      left_out and tag('p', f'Without {", ".join(left_out)}: see below.', class_='quiet'),
    ),
    class_='answer',
    aria_labelledby='answer',
  )
  found = list(dict.fromkeys((*notes, *compared['notes'])))
  weaknesses = findings('What weakens this answer', found, NOTHING)
  margin = f'{compared["margin"]:g}'
  unit = wording.unit(compared)
  tested = [wording.count(size['patients'], 'patient')]
  if unit != 'patient':
    tested.append(wording.count(size['images'], unit))
  asked = tag(
    'dl',
    term('Asked', f'Is {one} better than {other}, or worse by less than {margin} in AUROC?'),
    term('On whom', f'{", ".join(tested)} in the test set, the same for both'),
    term(f'AUROC of {one}', wording.number(mean['auroc']['one'], 3)),
    term(f'AUROC of {other}', wording.number(mean['auroc']['other'], 3)),
    term('Difference in AUPRC', *_difference(mean['auprc']['difference'])),
    term(_test_name(mean), *_test(mean, compared['level'])),
    [term(name, text) for name, text in facts.items()],
    class_='asked',
  )
  heading = tag(
    'div',
    tag('p', warning, class_='banner', role='alert') if warning else None,
    tag('p', 'medjax comparison', class_='eyebrow'),
    tag('h1', one, tag('span', ' against ', class_='against'), other),
  )
  return tag('header', heading, tag('div', tag('div', answer, weaknesses), asked, class_='first'))


def _interval(figure: Mapping, level: float) -> Markup:
  if figure['interval'] is None:
    return tag('p', f'No interval: {figure["reason"]}.', class_='interval')
  low, high = (wording.signed(bound, 3) for bound in figure['interval'])
  return tag(
    'p', f'{level:.0%} interval ', tag('b', low), ' to ', tag('b', high), class_='interval'
  )


def _answer_in_words(compared: Mapping, one: str, other: str) -> str:
  margin = f'{compared["margin"]:g}'
  return {
    comparison.SUPERIOR: f'{one} is better than {other}: the interval lies above 0.',
    comparison.NON_INFERIOR: f'{one} is not worse than {other} by {margin} or more, the margin. '
    'That they differ at all is not shown.',
    comparison.WORSE_WITHIN: f'{one} is worse than {other}, but by less than the margin of {margin}.',
    comparison.WORSE: f'{one} is worse than {other}: the interval lies below 0 and reaches past the '
    f'margin of {margin}.',
    comparison.UNDECIDED: f'Undecided: {one} may be worse than {other} by {margin}, the margin, or '
    'more, and it is not shown to be worse.',
    comparison.NOT_COMPARED: 'No verdict without an interval and a p value.',
  }[compared['mean']['verdict']]


def _test_name(of: Mapping) -> str:
  return "Obuchowski's test, by patient" if of['delong']['clustered'] else "DeLong's test"


def _test(of: Mapping, level: float) -> list[object]:
  test = of['delong']
  if test['p'] is None:
    return [f'None: {test["reason"]}.']
  beside = test['interval'] and small(f'{level:.0%} interval {_bounds(test["interval"], 3)}')
  return [f'p {"" if test["p"] < LEAST_P else "= "}{p_value(test["p"])}', beside]


def _difference(figure: Mapping) -> list[object]:
  """Returns a difference with its interval, or why it has no value or no interval."""
  if figure['value'] is None:
    return [tag('span', figure['reason'], class_='quiet')]
  value = tag('b', wording.signed(figure['value'], 3))
  if figure['interval'] is None:
    return [value, small(f'no interval: {figure["reason"]}')]
  return [one_line(value, f'({_bounds(figure["interval"], 3)})')]


def _labels(compared: Mapping, one: str, other: str) -> Markup:
  labels, mean, margin = compared['labels'], compared['mean'], compared['margin']
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
  if len(mean['labels']) > 1:
    name = tag('span', f'Mean of {len(mean["labels"])}', class_='mean')
    p = [p_value(mean['delong']['p']), small(f'not{NO_BREAK}adjusted')]
    rows.append([name, *_row('the mean', mean, scale, margin, p)])
  for label, of in labels.items():
    counts = f'{of["positives"]:,} of {wording.count(of["images"], wording.unit(compared))}'
    alone = of['delong']['p']
    adjusted = [p_value(of['p_holm'])] + (
      []
      if alone is None
      else [
        small(f'alone{NO_BREAK}{p_value(alone)}'),
        small(f'BH{NO_BREAK}{p_value(of["p_benjamini_hochberg"])}'),
      ]
    )
    rows.append(
      [
        [label, tag('small', f'positive {counts}, {of["positive_patients"]:,} patients')],
        *_row(label, of, scale, margin, adjusted),
      ]
    )
  rows.append(['', '', '', _axis(scale), '', '', ''])
  alpha = f'{1 - compared["level"]:.2g}'
  return section(
    'Every label',
    table(header, rows, 'cards forest'),
    charts.legend(*_lines(margin)),
    tag(
      'p',
      f'Differences are {one} less {other}, so right of the line {one} is better. In brackets, and as '
      f'the bar, the {compared["level"]:.0%} interval. Of many labels one will seem to differ by chance: '
      f'p is adjusted by Holm, which keeps even one false claim among all labels as rare as {alpha}. '
      'Under it p of the label alone, and p adjusted by Benjamini and Hochberg (BH), which lets a small '
      'share of the claims be false. A label is called better or worse only where its interval leaves '
      f'out 0 and its p by Holm is below {alpha}. Intervals are not widened for the number of labels.',
      class_='quiet',
    ),
  )


def _lines(margin: float) -> list[tuple[str, str]]:
  at_margin = [('chance', f'the margin, {wording.signed(-margin, 3)}')] if margin else []
  return [('baseline', 'no difference'), *at_margin]


def _row(
  what: str, of: Mapping, scale: Sequence[float], margin: float, p: Sequence[object]
) -> list[object]:
  figures, difference = of['auroc'], of['auroc']['difference']
  return [
    wording.number(figures['one'], 3),
    wording.number(figures['other'], 3),
    [*_difference(difference), _bar(what, of, scale, margin)],
    p,
    WORDS[of['verdict']],
    _difference(of['auprc']['difference']),
  ]


def _scale(rows: Sequence[Mapping], margin: float) -> list[float]:
  """Returns the ticks of one axis for all rows, round numbers around all that is drawn."""
  drawn = [0.0, -margin]
  for of in rows:
    figure = of['auroc']['difference']
    drawn += [x for x in (figure['value'], *(figure['interval'] or ())) if x is not None]
  return charts.ticks(min(drawn), max(drawn))


def _place(x: float, scale: Sequence[float]) -> float:
  return round(EDGE + (WIDTH - 2 * EDGE) * (x - scale[0]) / (scale[-1] - scale[0]), 1)


def _bar(what: str, of: Mapping, scale: Sequence[float], margin: float) -> Markup | None:
  """Draws one difference with its interval, a line at no difference and a dashed one at the margin."""
  figure = of['auroc']['difference']
  if figure['value'] is None:
    return None
  middle, height = 9, 18
  words = wording.signed(figure['value'], 3)
  if figure['interval']:
    words += f' ({_bounds(figure["interval"], 3)})'
  ends = figure['interval'] and [_place(bound, scale) for bound in figure['interval']]
  zero, at_margin = _place(0, scale), _place(-margin, scale)
  return charts.svg(
    WIDTH,
    height,
    f'Difference in AUROC of {what}: {words}',
    f'{wording.capital(WORDS[of["verdict"]])}. Scale from {scale[0]:g} to {scale[-1]:g}, a line at 0, a '
    'dashed line at the margin.',
    tag('line', x1=EDGE, x2=WIDTH - EDGE, y1=middle, y2=middle, class_='scale'),
    tag('line', x1=zero, x2=zero, y1=0, y2=height, class_='baseline'),
    tag('line', x1=at_margin, x2=at_margin, y1=0, y2=height, class_='chance') if margin else None,
    ends and tag('line', x1=ends[0], x2=ends[1], y1=middle, y2=middle, class_='range'),
    tag('circle', cx=_place(figure['value'], scale), cy=middle, r=4, class_='dot'),
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


def _how(compared: Mapping, one: str, other: str) -> Markup:
  replicates = f'{compared["replicates"]:,} replicates, seed {compared["seed"]}'
  margin = f'{compared["margin"]:g}'
  return section(
    'How they were compared',
    tag(
      'dl',
      term('Intervals', f'{wording.capital(compared["method"])}, {replicates}'),
      term(
        'p values',
        'Two-sided, from the paired covariance of the two AUROCs (DeLong; Obuchowski where a patient '
        'has several images); of the mean from what each patient adds to it over all labels',
      ),
      term(
        'Margin',
        f'{margin} in AUROC. {one} counts as non-inferior where the interval lies wholly above '
        f'{wording.signed(-compared["margin"], 3)}. A margin says something only if it was chosen before '
        'anyone saw the figures.',
      ),
      term(
        'Not in this comparison',
        f'Chance in training. Another seed gives another {one} and another {other}; these intervals say '
        'only what other patients would change.',
      ),
      class_='list',
    ),
  )

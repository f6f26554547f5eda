"""The report's section on readers beside the model: ROC panels with the readers' points, and tables.

Its style sheet is reader_section.css, beside the report's own.
"""

from collections.abc import Mapping, Sequence

from medjax.evaluation import wording
from medjax.report import charts, markup
from medjax.report.markup import Markup, join, small, table, tag

SIZE, LEFT, TOP = 240, 38, 8  # of a panel's square and the space around it, in pixels


def section(study: Mapping, summary: Mapping) -> Markup:
  """Returns the section.

  Args:
    study: what `medjax.evaluation.readers.comparison.compare` returns.
    summary: what `medjax.evaluation.summary.evaluate` returns; says what labels are called.
  """
  readers, level = len(study['readers']), f'{study["level"]:.0%}'
  notes = study['notes']
  return markup.section(
    'Readers beside the model',
    tag('p', *_answer(study, wording.things(summary)), class_='readers-answer'),
    tag(
      'p',
      f'{wording.count(readers, "reader")} on {wording.count(study["images"], "image")} of '
      f'{wording.count(study["patients"], "patient")}. Each reader is compared with the model on the '
      f'images that this reader answered. Beside every figure is its {level} interval '
      f'({study["method"]}, {study["replicates"]:,} replicates). It says what other patients would '
      'change; the readers are taken as they are, so it says nothing of other readers.',
      class_='quiet',
    ),
    tag('ul', [tag('li', note) for note in notes], class_='readers-notes') if notes else None,
    [_label(label, of) for label, of in study['labels'].items()],
    tag('p', _how(study), class_='quiet'),
    tag('h3', 'Agreement beyond chance (kappa)'),
    _agreement(study, wording.things(summary)[0]),
  )


def _answer(study: Mapping, things: tuple[str, str]) -> list[object]:
  below = study['below']
  if below is None:
    return ['No curve to compare readers with.']
  low, high = below['readers']
  of = wording.count(high, 'reader') if low == high else f'{low} to {high} readers'
  average, labels = below['average'], below['labels']
  if len(labels) == 1:
    words = [_above(study['labels'][labels[0]]['below'], labels[0])]
  else:
    words = [
      'The curve lies above ',
      tag('b', f'{average["value"]:.1f}'),
      _interval(average, 1),
      f' of {of}, averaged over {len(labels)} {things[1]}.',
    ]
  if len(labels) > 1:
    words.append(f' As the CheXpert competition counted, above {below["competition"]:.1f}.')
  return words


def _above(below: Mapping, label: str) -> str:
  number, count = below['readers'], below['count']['value']
  reader = 'reader' if number == 1 else 'readers'
  other = below['competition']
  beside = '' if other == count else f' As the CheXpert competition counted: {other}.'
  return f'The curve lies above {count:.0f} of {number} {reader} for {label}.{beside}'


def _how(study: Mapping) -> str:
  gain = (
    'Gain is model minus reader on the reader’s images: in sensitivity at the reader’s own specificity, '
    'and in both at the frozen threshold. '
  )
  if study['below'] is None:
    return gain
  return (
    f'{gain}The curve lies above a reader if the gain at equal specificity is more than none, straight '
    'lines between its points. That point is sought on these very images and so favours the model a '
    'little; the frozen threshold does not. The CheXpert competition took the last point of the ROC curve '
    'left of the reader, and as much sensitivity was enough.'
  )


def _label(label: str, of: Mapping) -> Markup:
  rows = []
  for number, reader in enumerate(of['readers'], 1):
    rows.append(_row(tag('span', tag('b', number), ' ', reader['reader']), reader))
  if of['majority']:
    rows.append(_row(wording.capital(of['majority']['reader']), of['majority']))
  said = 'No curve.' if of['below'] is None else _above(of['below'], label)
  drawn = of['roc'] and [tag('figure', panel(label, of)), _legend(of)]
  return tag(
    'div',
    tag('h3', label),
    tag('div', drawn, class_='readers-panel') if drawn else None,
    tag(
      'div',
      tag('p', said),
      tag(
        'p',
        _of_model(of),
        class_='quiet',
      ),
      table(
        (
          'Reader',
          'Images',
          'Sensitivity',
          'Specificity',
          'Gain at equal specificity',
          'Gain in sensitivity',
          'Gain in specificity',
        ),
        rows,
        'cards',
      ),
      class_='readers-figures',
    ),
    class_='readers-label',
  )


def _of_model(of: Mapping) -> str:
  area = of['auroc']
  area = f'none ({area["reason"]})' if area['value'] is None else wording.plain(area, 3)
  words = (
    f'Model on the images read: AUROC {area}; {of["positives"]:,} positive of {of["images"]:,}.'
  )
  if of['model']:
    rates = (
      f'{name} {wording.plain(of["model"][name], 2)}' for name in ('sensitivity', 'specificity')
    )
    words += f' At its frozen threshold {of["model"]["threshold"]:.3f}: {", ".join(rates)}.'
  return words


def _row(name: object, reader: Mapping) -> list[object]:
  threshold = reader['at_threshold']
  missing = 'tied' if 'tied' in reader else 'not answered'
  return [
    name,
    [
      f'{reader["images"]:,}',
      small(f'{reader["unanswered"]:,} {missing}') if reader['unanswered'] else None,
    ],
    _cell(reader['sensitivity']),
    _cell(reader['specificity']),
    _cell(reader['at_specificity']['difference'], signed=True),
    *(
      _cell(threshold[f'{name}_difference'], signed=True) if threshold else wording.DASH
      for name in ('sensitivity', 'specificity')
    ),
  ]


def _agreement(study: Mapping, one: str) -> Markup:
  rows = []
  for label, of in study['labels'].items():
    cohen, fleiss = of['kappa']['cohen'], of['kappa']['fleiss']
    common = of['kappa']['images_of_all']
    rows.append(
      [
        label,
        *(
          _cell(cohen[whose]) if whose in cohen else wording.DASH for whose in ('readers', 'model')
        ),
        _cell(cohen['difference'], signed=True) if 'difference' in cohen else wording.DASH,
        [_cell(fleiss['readers']), small(f'{wording.count(common, "image")} that all answered')],
        _cell(fleiss['difference'], signed=True) if 'difference' in fleiss else wording.DASH,
      ]
    )
  return join(
    table(
      (
        wording.capital(one),
        'Cohen, pairs of readers',
        'Cohen, model with each reader',
        'Change with the model as one more reader',
        'Fleiss, readers',
        'Change with the model as one more reader',
      ),
      rows,
      'cards',
    ),
    tag(
      'p',
      'Cohen’s kappa is a mean over pairs. 1 is full agreement, 0 what chance alone gives; a rare '
      'finding brings any kappa down.',
      class_='quiet',
    ),
  )


def panel(label: str, of: Mapping) -> Markup:
  """Draws one label's ROC curve with the readers' points; a cross is the intervals of both rates.

  Args:
    label: its name.
    of: the label of a study, with a curve.
  """

  def place(specificity: float, sensitivity: float) -> tuple[float, float]:
    return round(LEFT + SIZE * (1 - specificity), 1), round(TOP + SIZE * (1 - sensitivity), 1)

  curve = of['roc']
  points = [
    place(1 - rate, sensitivity)
    for rate, sensitivity in zip(curve['false_positive_rate'], curve['sensitivity'])
  ]
  path = 'M' + 'L'.join(f'{x:g},{y:g}' for x, y in points)
  bottom, right = TOP + SIZE, LEFT + SIZE
  area = wording.plain(of['auroc'], 3)
  marks: list[object] = [
    tag('rect', x=LEFT, y=TOP, width=SIZE, height=SIZE, class_='frame'),
    [_grid(tick) for tick in (0.25, 0.5, 0.75)],
    tag('path', d=f'M{LEFT},{bottom}L{right},{TOP}', class_='chance'),
    tag('path', tag('title', f'{label}: AUROC {area}'), d=path, class_='curve'),
  ]
  for tick in (0, 0.5, 1):
    x, y = place(1 - tick, tick)
    marks.append(tag('text', f'{tick:g}', x=x, y=bottom + 14, class_='tick middle'))
    marks.append(tag('text', f'{tick:g}', x=LEFT - 5, y=y + 4, class_='tick end'))
  marks.append(
    tag('text', '1 − specificity', x=LEFT + SIZE / 2, y=bottom + 27, class_='axis middle')
  )
  marks.append(
    tag(
      'text',
      'sensitivity',
      x=0,
      y=0,
      class_='axis middle',
      transform=f'translate({LEFT - 27} {TOP + SIZE / 2}) rotate(-90)',
    )
  )
  said = []
  shown = [(f'{number}', reader) for number, reader in enumerate(of['readers'], 1)]
  shown += [('', of['majority'])] if of['majority'] else []
  for sign, reader in shown:
    rates = reader['specificity'], reader['sensitivity']
    if any(rate['value'] is None for rate in rates):
      continue
    words = _in_words(reader)
    said.append(words)
    kind = 'below' if reader['below'] else 'beside'
    marks.append(
      tag(
        'g',
        tag('title', words),
        _cross(place, *rates),
        _mark(*place(rates[0]['value'], rates[1]['value']), sign),
        class_=f'reader-mark {kind}',
      )
    )
  if of['model']:
    rates = of['model']['specificity'], of['model']['sensitivity']
    words = (
      f'Model at threshold {of["model"]["threshold"]:.3f}: sensitivity '
      f'{wording.plain(rates[1], 2)}, specificity {wording.plain(rates[0], 2)}'
    )
    said.append(words)
    x, y = place(*(rate['value'] for rate in rates))
    shape = tag('rect', x=x - 5, y=y - 5, width=10, height=10)
    marks.append(tag('g', tag('title', words), shape, class_='reader-model'))
  description = f'AUROC {area}. {". ".join(said)}.'
  title = f'ROC curve of {label} and its readers'
  return charts.svg(right + 8, bottom + 32, title, description, *marks)


def _grid(tick: float) -> Markup:
  x, y = LEFT + SIZE * tick, TOP + SIZE * tick
  return tag(
    'path', d=f'M{x:g},{TOP}V{TOP + SIZE}M{LEFT},{y:g}H{LEFT + SIZE}', class_='grid readers-grid'
  )


def _cross(place, specificity: Mapping, sensitivity: Mapping) -> Markup | None:
  """Draws the interval of each rate that has one through the reader's point."""
  parts = []
  for bounds, corners in (
    (specificity['interval'], lambda bound: (bound, sensitivity['value'])),
    (sensitivity['interval'], lambda bound: (specificity['value'], bound)),
  ):
    if bounds:
      ends = (place(*corners(bound)) for bound in bounds)
      parts.append('M' + 'L'.join(f'{x:g},{y:g}' for x, y in ends))
  return tag('path', d=''.join(parts), class_='cross') if parts else None


def _mark(x: float, y: float, sign: str) -> Markup:
  """Draws a reader as a disc with its number, the majority as a diamond."""
  if not sign:
    return tag('path', d=f'M{x - 7:g},{y:g}l7,-7l7,7l-7,7Z', class_='shape')
  return join(
    tag('circle', cx=x, cy=y, r=7, class_='shape'),
    tag('text', sign, x=x, y=round(y + 3.4, 1), class_='sign middle'),
  )


def _legend(of: Mapping) -> Markup:
  readers = [*of['readers'], *([of['majority']] if of['majority'] else [])]
  entries = []
  for kind, words in (('below', 'reader below the curve'), ('beside', 'reader not below it')):
    if any((reader['below'] or False) == (kind == 'below') for reader in of['readers']):
      entries.append((f'reader-mark {kind}', tag('circle', cx=8, cy=8, r=6, class_='shape'), words))
  if of['majority']:
    kind = 'below' if readers[-1]['below'] else 'beside'
    entries.append((f'reader-mark {kind}', _mark(8, 8, ''), of['majority']['reader']))
  if of['model']:
    square = tag('rect', x=3, y=3, width=10, height=10)
    entries.append(('reader-model', square, 'model, frozen threshold'))
  return tag(
    'ul',
    [
      tag(
        'li',
        tag(
          'svg',
          tag('g', shape, class_=kind),
          viewBox='0 0 16 16',
          width=16,
          height=16,
          aria_hidden='true',
        ),
        words,
      )
      for kind, shape, words in entries
    ],
    class_='legend',
  )


def _in_words(reader: Mapping) -> str:
  where = {True: ', below the curve', False: ', not below the curve', None: ''}[reader['below']]
  return (
    f'{wording.capital(reader["reader"])}: sensitivity {wording.plain(reader["sensitivity"], 2)}, '
    f'specificity {wording.plain(reader["specificity"], 2)}{where}'
  )


def _cell(figure: Mapping, *, signed: bool = False) -> object:
  """Returns a figure with its interval for a table cell, or why there is none."""
  if figure['value'] is None:
    return tag('span', figure['reason'], class_='quiet')
  value = tag('b', _number(figure['value'], signed))
  if figure['interval'] is None:
    return [value, small(f'no interval: {figure["reason"]}')]
  return [value, small(_bounds(figure['interval'], signed))]


def _number(value: float, signed: bool) -> str:
  return wording.signed(value, 2) if signed else wording.number(value, 2)


def _bounds(interval: Sequence[float], signed: bool) -> str:
  low, high = (_number(bound, signed) for bound in interval)
  return f'{low} to {high}' if signed else f'{low}–{high}'


def _interval(figure: Mapping, digits: int) -> str:
  return f' ({wording.bounds(figure["interval"], digits)})' if figure['interval'] else ''

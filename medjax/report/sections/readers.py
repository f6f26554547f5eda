"""The report's section on readers and the model: ROC panels with the readers' points, and tables.

Its style sheet is reader_section.css.
"""

from collections.abc import Sequence

from medjax.evaluation import wording
from medjax.evaluation.figure import Figure
from medjax.evaluation.readers.study import Below, Reader, ReaderLabel, ReaderStudy
from medjax.evaluation.result import Result
from medjax.report import markup, panels
from medjax.report.markup import Markup, join, small, table, tag


def section(study: ReaderStudy, result: Result) -> Markup:
  """Returns the section.

  Args:
    study: readers and the model on the same images.
    result: of the test; says what labels are called.
  """
  readers, notes = len(study.readers), study.notes
  return markup.section(
    'Readers beside the model',
    tag('p', *_answer(study, wording.things(result)), class_='readers-answer'),
    tag(
      'p',
      f'{wording.count(readers, "reader")} on {wording.count(study.images, "image")} of '
      f'{wording.count(study.patients, "patient")}. Each reader is compared with the model on the '
      f'images that this reader answered. With every figure is its {study.confidence:.0%} interval '
      f'({study.method}, {study.replicates:,} replicates). It says what other patients would '
      'change; the readers are taken as they are, so it says nothing of other readers.',
      class_='quiet',
    ),
    tag('ul', [tag('li', note) for note in notes], class_='readers-notes') if notes else None,
    [_label(label, read) for label, read in study.labels.items()],
    tag('p', _how(study), class_='quiet'),
    tag('h3', 'Agreement beyond chance (kappa)'),
    _agreement(study, wording.things(result)[0]),
  )


def _answer(study: ReaderStudy, things: tuple[str, str]) -> list[object]:
  below = study.below
  if below is None:
    return ['No curve to compare readers with.']
  if len(below.labels) == 1:
    (label,) = below.labels
    return [_above(study.labels[label].below, label)]
  low, high = below.readers
  readers = wording.count(high, 'reader') if low == high else f'{low} to {high} readers'
  return [
    'The curve lies above ',
    tag('b', f'{below.average.value:.1f}'),
    _interval(below.average, 1),
    f' of {readers}, averaged over {len(below.labels)} {things[1]}.',
    f' As the CheXpert competition counted, above {below.competition:.1f}.',
  ]


def _above(below: Below | None, label: str) -> str:
  if below is None:
    return 'No curve.'
  count, other = below.count.value, below.competition
  counted = '' if other == count else f' As the CheXpert competition counted: {other}.'
  readers = wording.count(below.readers, 'reader')
  return f'The curve lies above {count:.0f} of {readers} for {label}.{counted}'


def _how(study: ReaderStudy) -> str:
  gain = (
    'Gain is model minus reader on the reader’s images: in sensitivity at the reader’s own '
    'specificity, and in both at the frozen threshold. '
  )
  if study.below is None:
    return gain
  return (
    f'{gain}The curve lies above a reader if the gain at equal specificity is more than none, '
    'straight lines between its points. That point is sought on these very images and so favours '
    'the model a little; the frozen threshold does not. The CheXpert competition took the last '
    'point of the ROC curve left of the reader, and as much sensitivity was enough.'
  )


def _label(label: str, read: ReaderLabel) -> Markup:
  rows = []
  for number, reader in enumerate(read.readers, 1):
    rows.append(_row(tag('span', tag('b', number), ' ', reader.reader), reader))
  if read.majority:
    rows.append(_row(wording.capital(read.majority.reader), read.majority))
  drawn = read.roc and [tag('figure', panel(label, read)), _legend(read)]
  return tag(
    'div',
    tag('h3', label),
    tag('div', drawn, class_='readers-panel') if drawn else None,
    tag(
      'div',
      tag('p', _above(read.below, label)),
      tag(
        'p',
        _of_model(read),
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


def _of_model(read: ReaderLabel) -> str:
  area = read.auroc
  words = f'none ({area.reason})' if area.value is None else wording.plain(area, 3)
  on_images = f'{read.positives:,} positive of {read.images:,}'
  sentence = f'Model on the images read: AUROC {words}; {on_images}.'
  if read.model is None:
    return sentence
  return (
    f'{sentence} At its frozen threshold {wording.threshold(read.model.threshold)}: '
    f'sensitivity {wording.plain(read.model.sensitivity, 2)}, '
    f'specificity {wording.plain(read.model.specificity, 2)}.'
  )


def _row(name: object, reader: Reader) -> list[object]:
  at = reader.at_threshold
  missing = 'not answered' if reader.tied is None else 'tied'
  return [
    name,
    [
      f'{reader.images:,}',
      small(f'{reader.unanswered:,} {missing}') if reader.unanswered else None,
    ],
    _cell(reader.sensitivity),
    _cell(reader.specificity),
    _cell(reader.at_specificity.difference, signed=True),
    _cell(None if at is None else at.sensitivity_difference, signed=True),
    _cell(None if at is None else at.specificity_difference, signed=True),
  ]


def _agreement(study: ReaderStudy, one: str) -> Markup:
  rows = []
  for label, read in study.labels.items():
    cohen, fleiss = read.kappa.cohen, read.kappa.fleiss
    common = wording.count(read.kappa.images_of_all, 'image')
    rows.append(
      [
        label,
        _cell(cohen.readers),
        _cell(cohen.model),
        _cell(cohen.difference, signed=True),
        [_cell(fleiss.readers), small(f'{common} that all answered')],
        _cell(fleiss.difference, signed=True),
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


def panel(label: str, read: ReaderLabel) -> Markup:
  """Draws one label's ROC curve with the readers' points; a cross is the intervals of both rates.

  Args:
    label: its name.
    read: the label of a study, with a curve.
  """
  assert read.roc is not None
  marks = []
  for number, reader in enumerate(read.parties, 1):
    specificity, sensitivity = reader.specificity, reader.sensitivity
    if specificity.value is None or sensitivity.value is None:
      continue
    x, y = 1 - specificity.value, sensitivity.value
    sign = '' if reader is read.majority else f'{number}'
    drawing = tag(
      'g',
      _cross(specificity, sensitivity),
      _mark(*panels.place(x, y), sign),
      class_=f'reader-mark {_kind(reader)}',
    )
    marks.append(panels.Mark(x, y, drawing, _in_words(reader)))
  model = read.model
  if model and model.specificity.value is not None and model.sensitivity.value is not None:
    x, y = 1 - model.specificity.value, model.sensitivity.value
    left, top = (middle - 5 for middle in panels.place(x, y))
    drawing = tag('g', tag('rect', x=left, y=top, width=10, height=10), class_='reader-model')
    words = (
      f'Model at threshold {wording.threshold(model.threshold)}',
      f'sensitivity {wording.plain(model.sensitivity, 2)}',
      f'specificity {wording.plain(model.specificity, 2)}',
    )
    marks.append(panels.Mark(x, y, drawing, words))
  return panels.roc(label, read.roc, wording.plain(read.auroc, 3), marks=marks)


def _kind(reader: Reader) -> str:
  return 'below' if reader.below else 'beside'


def _cross(specificity: Figure, sensitivity: Figure) -> Markup | None:
  """Draws the interval of each rate that has one through the reader's point."""
  if specificity.value is None or sensitivity.value is None:
    return None
  lines = [
    [panels.place(1 - bound, sensitivity.value) for bound in specificity.interval or ()],
    [panels.place(1 - specificity.value, bound) for bound in sensitivity.interval or ()],
  ]
  parts = ['M' + 'L'.join(f'{x:g},{y:g}' for x, y in ends) for ends in lines if ends]
  return tag('path', d=''.join(parts), class_='cross') if parts else None


def _mark(x: float, y: float, sign: str) -> Markup:
  """Draws a reader as a disc with its number, the majority as a diamond."""
  if not sign:
    return tag('path', d=f'M{x - 7:g},{y:g}l7,-7l7,7l-7,7Z', class_='shape')
  return join(
    tag('circle', cx=x, cy=y, r=7, class_='shape'),
    tag('text', sign, x=x, y=round(y + 3.4, 1), class_='sign middle'),
  )


def _legend(read: ReaderLabel) -> Markup:
  entries = []
  for kind, words in (('below', 'reader below the curve'), ('beside', 'reader not below it')):
    if any(_kind(reader) == kind for reader in read.readers):
      entries.append((f'reader-mark {kind}', tag('circle', cx=8, cy=8, r=6, class_='shape'), words))
  if read.majority:
    majority = f'reader-mark {_kind(read.majority)}'
    entries.append((majority, _mark(8, 8, ''), read.majority.reader))
  if read.model:
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


def _in_words(reader: Reader) -> tuple[str, ...]:
  words = (
    wording.capital(reader.reader),
    f'sensitivity {wording.plain(reader.sensitivity, 2)}',
    f'specificity {wording.plain(reader.specificity, 2)}',
  )
  if reader.below is None:
    return words
  return (*words, 'below the curve' if reader.below else 'not below the curve')


def _cell(figure: Figure | None, *, signed: bool = False) -> object:
  """Returns a figure with its interval for a table cell, or why there is none."""
  if figure is None:
    return wording.DASH
  if figure.value is None:
    return tag('span', figure.reason, class_='quiet')
  value = tag('b', _number(figure.value, signed))
  if figure.interval is None:
    return [value, small(f'no interval: {figure.reason}')]
  return [value, small(_bounds(figure.interval, signed))]


def _number(value: float, signed: bool) -> str:
  return wording.signed(value, 2) if signed else wording.number(value, 2)


def _bounds(interval: Sequence[float], signed: bool) -> str:
  low, high = (_number(bound, signed) for bound in interval)
  return f'{low} to {high}' if signed else f'{low}–{high}'


def _interval(figure: Figure, digits: int) -> str:
  return f' ({wording.bounds(figure.interval, digits)})' if figure.interval else ''

"""The audit as one HTML file, with the pairs of images that show the same as small pictures."""

from collections.abc import Mapping, Sequence
from typing import TypeVar

from medjax.data.leakage import (
  copies,
  differences,
  duplicates,
  near_hashes,
  shortcuts,
  table_audit,
)
from medjax.data.leakage.findings import (
  SIDES,
  Audit,
  Copies,
  CopyPair,
  Difference,
  Overlap,
  Predictor,
  TableAudit,
  ValueShare,
)
from medjax.evaluation import wording
from medjax.report import weaknesses
from medjax.report.markup import (
  Markup,
  banner,
  enlarged,
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

PAIRS = 60  # drawn at most; audit.json lists them all
_ROWS = 10  # of differences and predictions at most, unless more are flagged
_LEAST_SHARE = 0.01  # of the images, for a value to be named as the highest or lowest


def render(title: str, audit: Audit, pictures: Mapping[int, str], warning: str = '') -> str:
  """Returns the page as the text of one HTML file.

  Args:
    title: of the page.
    audit: what was found.
    pictures: row → data URI of the images in the first `PAIRS` pairs that could be drawn.
    warning: what stands on the first line, or ''.
  """
  main = tag(
    'main',
    _sides(audit.table),
    _prevalence(audit.table),
    _differences(audit.table.differences),
    _predictions(audit.table.predicts),
    _copies(audit.copies, pictures),
    _not_looked_at(audit.not_looked_at),
    _how(),
  )
  css = style('report.css', 'audit.css')
  return page(f'{title} · medjax audit', css, _first_screen(title, audit, warning), main)


def _first_screen(title: str, audit: Audit, warning: str) -> Markup:
  overlaps = audit.table.overlap
  bad = {name: overlap for name, overlap in overlaps.items() if overlap.shared}
  name = next(iter(bad), 'patient')
  answer = tag(
    'section',
    tag(
      'div',
      tag(
        'h2', f'{wording.capital(_plural(name))} on more than one side of the split', id='answer'
      ),
      tag('p', f'{overlaps[name].shared:,}', class_=f'number verdict {"bad" if bad else ""}'),
      tag('p', f'of {overlaps[name].names:,}', class_='interval'),
    ),
    class_='answer',
    aria_labelledby='answer',
  )
  sentences = [warning]
  if bad:
    sentences.append(
      f'Not a split by {name}: {_shared(bad)} on more than one side. Its test flatters.'
    )
  weak = findings('What this audit found', weaknesses.ranked(audit.warnings), _nothing(audit))
  facts = tag('dl', [term(name, text) for name, text in audit.facts.items()], class_='asked')
  heading = tag(
    'div', banner(*sentences), tag('p', 'medjax audit', class_='eyebrow'), tag('h1', title)
  )
  return tag('header', heading, tag('div', tag('div', answer, weak), facts, class_='first'))


def _nothing(audit: Audit) -> str:
  """Says that no warning is given, and what was found that does not make the test flatter."""
  words = 'Nothing that makes a test flatter. What it did not look at stands below.'
  if audit.copies is None or not audit.copies.pairs:
    return words
  pictures = wording.count(audit.copies.groups, 'picture')
  return (
    f'{words} {pictures} lie under several names, {wording.count(audit.copies.images, "image")} in '
    'all, none of them on two sides of the split: they weigh more than others.'
  )


def _shared(bad: Mapping[str, Overlap]) -> str:
  words = [
    f'{overlap.shared:,} {name if overlap.shared == 1 else _plural(name)}'
    for name, overlap in bad.items()
  ]
  return ', '.join(words)


def _plural(group: str) -> str:
  return table_audit.PLURALS.get(group, f'{group}s')


def _sides(audit: TableAudit) -> Markup:
  sizes = [[name, f'{side.patients:,}', f'{side.images:,}'] for name, side in audit.sides.items()]
  if audit.unused:
    sizes.append(['unused', wording.DASH, f'{audit.unused:,}'])
  parts = [tag('div', tag('h3', 'Sizes'), table(('Side', 'Patients', 'Images'), sizes))]
  for name, overlap in audit.overlap.items():
    rows = [
      [
        one,
        *(_number_in_common(overlap.matrix[one][other], one == other) for other in SIDES),
      ]
      for one in SIDES
    ]
    examples = [
      f'{example.name} ({", ".join(f"{side} {n:,}" for side, n in example.images.items())})'
      for example in overlap.examples[:5]
    ]
    parts.append(
      tag(
        'div',
        tag('h3', f'{wording.capital(_plural(name))} in common'),
        table(('', *SIDES), rows),
        examples and tag('p', f'Such as, with images: {"; ".join(examples)}.', class_='quiet'),
      )
    )
  return section('The sides of the split', tag('div', parts, class_='pair'))


def _number_in_common(number: int, same: bool) -> object:
  if same:
    return tag('span', f'{number:,}', class_='quiet')
  return tag('strong', f'{number:,}', class_='alarm') if number else '0'


def _prevalence(audit: TableAudit) -> Markup:
  rows = [
    [
      label,
      *(
        one_line(wording.percent(side.prevalence), f'{side.positive:,} of {side.known:,}')
        if side.known
        else 'unknown'
        for side in sides.values()
      ),
    ]
    for label, sides in audit.prevalence.items()
  ]
  return section('Prevalence', table(('Label', *SIDES), rows))


def _differences(compared: Sequence[Difference]) -> Markup:
  rows = [
    [
      difference.what,
      ' and '.join(difference.between),
      [_strong(f'{difference.effect:.2f}', difference.flagged), small(difference.measure)],
      _p(difference.p),
      difference.words,
    ]
    for difference in _first(compared)
  ]
  return section(
    'What differs between the sides',
    table(('What', 'Between', 'Effect', 'p, corrected', 'Where most'), rows, 'cards')
    if rows
    else tag('p', 'There is nothing to compare.'),
    tag(
      'p',
      f'The largest of {len(compared):,} comparisons first. Underlined: an effect of '
      f'{differences.DIFFERENT:g} or more that is not chance: p below {differences.LEVEL:g}, '
      f'corrected for all comparisons, over at most {differences.DEALS} random deals of patients.',
      class_='quiet',
    ),
  )


def _predictions(predictions: Sequence[Predictor]) -> Markup:
  rows = [
    [
      predictor.column,
      [
        predictor.label,
        small(f'{predictor.positive:,} of {wording.count(predictor.images, "image")} positive'),
      ],
      _strong(wording.number(predictor.auroc, 2), predictor.flagged),
      _p(predictor.p),
      *_extremes(predictor.values),
    ]
    for predictor in _first(predictions)
  ]
  head = ('Column', 'Label', 'AUROC', 'p, corrected', 'Most often positive', 'Least often')
  return section(
    'What predicts a label without any image',
    table(head, rows, 'cards') if rows else tag('p', 'There is nothing to ask.'),
    tag(
      'p',
      f'Each column alone, {shortcuts.FOLDS}-fold cross-validated by patient, the strongest of '
      f'{len(predictions):,} first. Underlined: an AUROC above {0.5 + shortcuts.PREDICTS:g} that '
      f'is not chance: p of {shortcuts.LEVEL:g} or less, corrected for all questions, over '
      f'{shortcuts.DEALS} random deals of the labels among patients with about as many images; '
      f'warned of above {0.5 + shortcuts.WARN:g}. There are no intervals: the order of the values '
      'is fitted to the same patients, and an interval that leaves this out is too narrow. To '
      'predict is not to be wrong: age goes with disease, and the sickest are filmed lying down. '
      'But what tells the label without the disease, a network may learn instead of it.',
      class_='quiet',
    ),
  )


Flagged = TypeVar('Flagged', Difference, Predictor)


def _first(findings: Sequence[Flagged]) -> list[Flagged]:
  flagged = [finding for finding in findings if finding.flagged]
  others = [finding for finding in findings if not finding.flagged]
  return flagged + others[: max(0, _ROWS - len(flagged))]


def _extremes(values: Sequence[ValueShare]) -> list[object]:
  images = sum(value.images for value in values)
  common = [value for value in values if value.images >= _LEAST_SHARE * images] or values
  return [
    [
      value.value,
      small(f'{wording.percent(value.share)} of {wording.count(value.images, "image")}'),
    ]
    for value in (common[0], common[-1])
  ]


def _strong(text: str, flagged: bool) -> Markup:
  return tag('strong', text, class_='alarm') if flagged else tag('span', text)


def _p(p: float) -> str:
  return 'below 0.001' if p < 0.001 else wording.number(p, 3)


def _copies(matches: Copies | None, pictures: Mapping[int, str]) -> Markup:
  heading = 'The same picture under two names'
  if matches is None:
    return section(heading, tag('p', 'No image was opened.'))
  if not matches.pairs:
    return section(heading, tag('p', 'None was found.'), _how_copies())
  kinds = [
    [wording.capital(copies.KINDS[kind]), f'{n:,}'] for kind, n in matches.kinds.items() if n
  ]
  across = [
    [
      one,
      *(_number_in_common(matches.across[one][other], one == other) for other in SIDES),
    ]
    for one in SIDES
  ]
  shown = matches.pairs[:PAIRS]
  pictures_in_all = wording.count(matches.groups, 'picture')
  several = len({name for pair in matches.pairs for name in pair.sets}) > 1
  return section(
    heading,
    tag('p', f'{wording.count(matches.images, "image")} of {pictures_in_all}.'),
    tag(
      'div',
      tag('div', tag('h3', 'Pairs listed'), table(('Both names show', 'Pairs'), kinds)),
      tag(
        'div',
        tag('h3', 'Images of one side with a copy in the other'),
        table(('', *SIDES), across),
      ),
      class_='pair',
    ),
    tag('h3', f'{len(shown):,} of {wording.count(len(matches.pairs), "pair")}, the gravest first'),
    tag('div', [_pair(pair, pictures, several) for pair in shown], class_='twins'),
    _how_copies(),
  )


def _pair(pair: CopyPair, pictures: Mapping[int, str], several_sets: bool) -> Markup:
  concerns = []
  if pair.crossing:
    concerns.append(f'in {" and ".join(pair.sides)}')
  if pair.sets[0] != pair.sets[1]:
    concerns.append(f'in {" and ".join(pair.sets)}')
  elif pair.patients[0] != pair.patients[1]:
    concerns.append('under two patients')
  for label, (a, b) in pair.conflicts.items():
    concerns.append(f'{label} {a} and {b}')
  kind = wording.capital(copies.KINDS[pair.kind])
  agreement = f', correlation {wording.number(pair.correlation, 3)}' if pair.correlation < 1 else ''
  sides = []
  for row, image, patient, side, dataset in zip(
    pair.rows, pair.images, pair.patients, pair.sides, pair.sets
  ):
    parts = (side, dataset if several_sets else '', f'patient {patient}')
    about = ' · '.join(part for part in parts if part)
    sides.append(
      tag(
        'div',
        enlarged(image, tag('img', src=pictures[row], alt=image))
        if row in pictures
        else small('could not be drawn'),
        small(image),
        small(about),
      )
    )
  return tag(
    'figure',
    tag(
      'figcaption',
      f'{kind}{agreement}',
      [[': ', tag('strong', '; '.join(concerns))]] if concerns else None,
    ),
    tag('div', sides, class_='two'),
  )


def _how_copies() -> Markup:
  return tag(
    'p',
    'Near-duplicates: perceptual hashes (pHash, of the image, of its mirror images and quarter '
    f'turns, of each of them inverted, and with red and blue exchanged) that differ in '
    f'{near_hashes.RADIUS} of 64 bits at most, '
    f'confirmed by a correlation of {duplicates.SAME:g} or more between thumbnails of '
    f'{duplicates.SIZE} pixels without their coarse outline. Two films of one patient may be found '
    'too. Look at the pictures. Of many images of one picture those pairs are listed that connect '
    'them, and for every image the nearest of another side, set, patient or truth.',
    class_='quiet',
  )


def _not_looked_at(sentences: Sequence[str]) -> Markup:
  return section(
    'What was not looked at', tag('ul', [tag('li', sentence) for sentence in sentences])
  )


def _how() -> Markup:
  return section(
    'Exit status',
    tag(
      'p',
      f'2 where {", ".join(_plural(name) for name in table_audit.GROUPS[:-1])} or '
      f'{_plural(table_audit.GROUPS[-1])} are on two sides; 0 otherwise, whatever else was found; '
      '1 for a mistake in what was given.',
    ),
  )


def pairs_drawn(matches: Copies | None) -> list[int]:
  """Returns the rows whose pictures the page shows."""
  shown = matches.pairs[:PAIRS] if matches else ()
  return sorted({row for pair in shown for row in pair.rows})

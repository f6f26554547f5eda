"""The audit as one HTML file, with the pairs of images that show the same as small pictures."""

import itertools
from collections.abc import Mapping, Sequence

from medjax.data.leakage import copies, duplicates, shortcuts, table_audit
from medjax.evaluation import wording
from medjax.report import charts
from medjax.report.markup import (
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

PAIRS = 60  # drawn at most; audit.json lists them all
_ROWS = 10  # of differences and predictions, beside those that are flagged
_LEAST_SHARE = 0.01  # of the images, for a value to be named as the highest or lowest


def render(title: str, found: Mapping, pictures: Mapping[int, str]) -> str:
  """Returns the page as the text of one HTML file.

  Args:
    title: of the page.
    found: what `medjax.audit` writes to audit.json.
    pictures: row → data URI of the images in the first `PAIRS` pairs, as far as they could be drawn.
  """
  main = tag(
    'main',
    _sides(found['table']),
    _prevalence(found['table']),
    _differences(found['table']['differences']),
    _predictions(found['table']['predicts']),
    _copies(found['copies'], pictures),
    _not_looked_at(found['not_looked_at']),
    _how(),
  )
  css = style('report.css', 'audit.css')
  return page(f'{title} · medjax audit', css, _first_screen(title, found), main)


def _first_screen(title: str, found: Mapping) -> Markup:
  overlap = found['table']['overlap']
  bad = {name: of for name, of in overlap.items() if of['shared']}
  name, of = next(iter(bad.items()), ('patient', overlap['patient']))
  answer = tag(
    'section',
    tag(
      'div',
      tag(
        'h2', f'{wording.capital(_plural(name))} on more than one side of the split', id='answer'
      ),
      tag('p', f'{of["shared"]:,}', class_=f'number verdict {"bad" if bad else ""}'),
      tag('p', f'of {of["names"]:,}', class_='interval'),
    ),
    class_='answer',
    aria_labelledby='answer',
  )
  banner = bad and tag(
    'p',
    f'Not a split by {name}: {_shared(bad)} on more than one side. Its test flatters.',
    class_='banner',
    role='alert',
  )
  weaknesses = findings(
    'What this audit found',
    found['warnings'],
    'Nothing that it looks for. What it did not look at stands below.',
  )
  asked = tag('dl', [term(name, text) for name, text in found['facts'].items()], class_='asked')
  heading = tag('div', banner or None, tag('p', 'medjax audit', class_='eyebrow'), tag('h1', title))
  return tag('header', heading, tag('div', tag('div', answer, weaknesses), asked, class_='first'))


def _shared(bad: Mapping) -> str:
  words = [
    wording.count(of['shared'], name) if of['shared'] == 1 else f'{of["shared"]:,} {_plural(name)}'
    for name, of in bad.items()
  ]
  return ', '.join(words)


def _plural(group: str) -> str:
  return table_audit.PLURALS.get(group, f'{group}s')


def _sides(of: Mapping) -> Markup:
  sizes = [
    [name, f'{side["patients"]:,}', f'{side["images"]:,}'] for name, side in of['sides'].items()
  ]
  if of['unused']:
    sizes.append(['unused', wording.DASH, f'{of["unused"]:,}'])
  parts = [tag('div', tag('h3', 'Sizes'), table(('Side', 'Patients', 'Images'), sizes))]
  for name, overlap in of['overlap'].items():
    rows = [
      [
        one,
        *(
          _number_in_common(overlap['matrix'][one][other], one == other)
          for other in table_audit.SIDES
        ),
      ]
      for one in table_audit.SIDES
    ]
    examples = [
      f'{each["name"]} ({", ".join(f"{side} {n:,}" for side, n in each["images"].items())})'
      for each in overlap['examples'][:5]
    ]
    parts.append(
      tag(
        'div',
        tag('h3', f'{wording.capital(_plural(name))} in common'),
        table(('', *table_audit.SIDES), rows),
        examples and tag('p', f'Such as, with images: {"; ".join(examples)}.', class_='quiet'),
      )
    )
  return section('The sides of the split', tag('div', parts, class_='pair'))


def _number_in_common(number: int, same: bool) -> object:
  if same:
    return tag('span', f'{number:,}', class_='quiet')
  return tag('strong', f'{number:,}', class_='alarm') if number else '0'


def _prevalence(of: Mapping) -> Markup:
  rows = [
    [
      label,
      *(
        one_line(wording.percent(each['prevalence']), f'{each["positive"]:,} of {each["known"]:,}')
        if each['known']
        else 'unknown'
        for each in sides.values()
      ),
    ]
    for label, sides in of['prevalence'].items()
  ]
  return section('Prevalence', table(('Label', *table_audit.SIDES), rows))


def _differences(differences: Sequence[Mapping]) -> Markup:
  rows = [
    [
      each['what'],
      ' and '.join(each['between']),
      [_strong(f'{each["effect"]:.2f}', each['flagged']), small(each['measure'])],
      _p(each['p']),
      each['words'],
    ]
    for each in _first(differences)
  ]
  return section(
    'What differs between the sides',
    table(('What', 'Between', 'Effect', 'p, corrected', 'Where most'), rows, 'cards')
    if rows
    else tag('p', 'There is nothing to compare.'),
    tag(
      'p',
      f'The largest of {len(differences):,} comparisons first. Underlined: an effect of '
      f'{table_audit.DIFFERENT:g} or more that is not chance: p below {table_audit.LEVEL:g}, corrected for all '
      f'comparisons, over {table_audit.DEALS} random deals of the patients.',
      class_='quiet',
    ),
  )


def _predictions(predictions: Sequence[Mapping]) -> Markup:
  shown = _first(predictions)
  low = min([0.5, *(each['interval'][0] for each in shown)])
  rows = []
  for each in shown:
    auroc, bounds = each['auroc'], each['interval']
    words = (
      f'AUROC of {each["column"]} for {each["label"]}: {auroc:.2f} ({wording.bounds(bounds, 2)})'
    )
    rows.append(
      [
        each['column'],
        each['label'],
        [
          one_line(_strong(f'{auroc:.2f}', each['flagged']), f'({wording.bounds(bounds, 2)})'),
          charts.interval_bar(auroc, bounds, low, 0.5, words),
        ],
        *_extremes(each['values']),
      ]
    )
  return section(
    'What predicts a label without any image',
    table(('Column', 'Label', 'AUROC', 'Most often positive', 'Least often'), rows, 'cards')
    if rows
    else tag('p', 'There is nothing to ask.'),
    tag(
      'p',
      f'Each column alone, {shortcuts.FOLDS}-fold cross-validated by patient, the strongest of '
      f'{len(predictions):,} first. The intervals together cover with {1 - shortcuts.LEVEL:.0%}; '
      f'underlined where the lower bound is above {0.5 + shortcuts.PREDICTS:g}, and warned of above '
      f'{0.5 + shortcuts.WARN:g}. To predict is not to be wrong: age goes with disease, and the sickest '
      'are filmed lying down. But what tells the label without the disease, a network may learn '
      'instead of it.',
      class_='quiet',
    ),
  )


def _first(findings: Sequence[Mapping]) -> list[Mapping]:
  flagged = sum(each['flagged'] for each in findings)
  kept = [each for each in findings if each['flagged']]
  return kept + [each for each in findings if not each['flagged']][: max(0, _ROWS - flagged)]


def _extremes(values: Sequence[Mapping]) -> list[object]:
  images = sum(each['images'] for each in values)
  common = [each for each in values if each['images'] >= _LEAST_SHARE * images] or values
  return [
    [
      each['value'],
      small(f'{each["positive"] / each["images"]:.1%} of {wording.count(each["images"], "image")}'),
    ]
    for each in (common[0], common[-1])
  ]


def _strong(text: str, flagged: bool) -> Markup:
  return tag('strong', text, class_='alarm') if flagged else tag('span', text)


def _p(p: float) -> str:
  return 'below 0.001' if p < 0.001 else f'{p:.3f}'


def _copies(found: Mapping | None, pictures: Mapping[int, str]) -> Markup:
  heading = 'The same picture under two names'
  if found is None:
    return section(heading, tag('p', 'No image was opened.'))
  if not found['pairs']:
    return section(heading, tag('p', 'None was found.'), _how_copies())
  kinds = [
    [wording.capital(copies.KINDS[kind]), f'{n:,}'] for kind, n in found['kinds'].items() if n
  ]
  across = [
    [
      one,
      *(
        _number_in_common(found['across'][one][other], one == other) for other in table_audit.SIDES
      ),
    ]
    for one in table_audit.SIDES
  ]
  shown = found['pairs'][:PAIRS]
  several = len({each for pair in found['pairs'] for each in pair['sets']}) > 1
  return section(
    heading,
    tag(
      'div',
      tag('div', tag('h3', 'Pairs'), table(('Both names show', 'Pairs'), kinds)),
      tag(
        'div',
        tag('h3', 'Images of one side with a copy in the other'),
        table(('', *table_audit.SIDES), across),
      ),
      class_='pair',
    ),
    tag('h3', f'{len(shown):,} of {wording.count(len(found["pairs"]), "pair")}, the gravest first'),
    tag('div', [_pair(pair, pictures, several) for pair in shown], class_='twins'),
    _how_copies(),
  )


def _pair(pair: Mapping, pictures: Mapping[int, str], several_sets: bool) -> Markup:
  concerns = []
  if pair['crossing']:
    concerns.append(f'in {" and ".join(pair["sides"])}')
  if pair['sets'][0] != pair['sets'][1]:
    concerns.append(f'in {" and ".join(pair["sets"])}')
  elif pair['patients'][0] != pair['patients'][1]:
    concerns.append('under two patients')
  for label, (a, b) in pair['conflicts'].items():
    concerns.append(f'{label} {a} and {b}')
  kind = wording.capital(copies.KINDS[pair['kind']])
  agreement = f', correlation {pair["correlation"]:.3f}' if pair['correlation'] < 1 else ''
  sides = []
  for row, image, patient, side, of_set in zip(
    *(pair[name] for name in ('rows', 'images', 'patients', 'sides', 'sets'))
  ):
    about = ' · '.join(
      each for each in (side, several_sets and of_set, f'patient {patient}') if each
    )
    sides.append(
      tag(
        'div',
        tag('img', src=pictures[row], alt=image)
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
    'Near-duplicates: perceptual hashes (pHash, of the image, of its mirror images and quarter turns, and of '
    f'each of them inverted) that differ in {duplicates.RADIUS} of 64 bits at most, confirmed by a '
    f'correlation of {duplicates.SAME:g} or more between thumbnails of {duplicates.SIZE} pixels without '
    'their coarse outline. Two films of one patient may be found too. Look at the pictures.',
    class_='quiet',
  )


def _not_looked_at(sentences: Sequence[str]) -> Markup:
  return section('What was not looked at', tag('ul', [tag('li', each) for each in sentences]))


def _how() -> Markup:
  return section(
    'Exit status',
    tag(
      'p',
      f'2 where {", ".join(_plural(name) for name in table_audit.GROUPS[:-1])} or '
      f'{_plural(table_audit.GROUPS[-1])} are on two sides; 0 otherwise, whatever else was found; 1 for a '
      'mistake in what was given.',
    ),
  )


def pairs_drawn(found: Mapping | None) -> list[int]:
  """Returns the rows whose pictures the page shows."""
  shown = found['pairs'][:PAIRS] if found else []
  return sorted(set(itertools.chain.from_iterable(pair['rows'] for pair in shown)))

"""The report's section on exclusive classes: figures of the decision and the confusion matrix."""

import math

from medjax.evaluation import wording
from medjax.evaluation.result import ClassesResult, Result
from medjax.report.figures import figure_bar, figure_words, lowest
from medjax.report.markup import Markup, section, small, table, tag

SHADES = 5  # steps of a cell's background, `shade-1` to `shade-5` in the style sheet
SHORT = 6  # letters of a label that fit above a column on any screen
MANY = 8  # columns beyond which long labels stand upright on a wide screen too

MEANING = {
  'accuracy': 'Share of the images that are called what they are. The tick is what always naming '
  'the most common one reaches.',
  'balanced_accuracy': 'Mean of the sensitivities, the framed shares below, each {thing} '
  'counting alike. The tick is what guessing reaches.',
  'kappa': 'Agreement with the reference standard beyond chance: 0 by chance alone, 1 if full.',
  'quadratic_kappa': 'Agreement with the reference standard beyond chance, an error weighing its '
  'distance in grades squared: 0 by chance alone, 1 if full.',
}


def decisions(result: Result) -> Markup | None:
  """Returns the section, None where each label is a question of its own."""
  classes = result.classes
  if classes is None:
    return None
  one, several = wording.things(result)
  return section(
    f'Decision between {several} on the test set',
    table(('Figure', 'Value', 'What it says'), _figures(classes, one), 'cards'),
    tag('h3', 'Confusion matrix'),
    _matrix(classes, one, several, result.unit),
    tag(
      'p',
      f'In brackets the {result.confidence:.0%} interval. Each percentage is a share of its row: '
      'in the frames, where decision and reference standard agree, the sensitivity. '
      f'{classes.decision} The one-against-rest thresholds further down play no part in that.'
      f' They ask of one {one} alone whether it is there.',
      class_='quiet',
    ),
  )


def _figures(classes: ClassesResult, one: str) -> list[list[object]]:
  sizes = [sum(row) for row in classes.confusion]
  guessing = {
    'accuracy': max(sizes) / max(sum(sizes), 1),
    'balanced_accuracy': 1 / len(sizes),
  }
  rows: list[list[object]] = []
  for name, words, figure in wording.class_figures(classes):
    low = lowest([figure], 0)
    rows.append(
      [
        wording.capital(words),
        [
          *figure_words(figure, 3),
          figure_bar(wording.capital(words), figure, low, guessing.get(name, 0)),
        ],
        tag('span', MEANING[name].format(thing=one), class_='quiet'),
      ]
    )
  return rows


def _matrix(classes: ClassesResult, one: str, several: str, unit: str) -> Markup:
  labels = classes.labels
  long = max(map(len, labels)) > SHORT
  kinds = ['matrix', long and 'long', long and len(labels) > MANY and 'many']
  head = [tag('th', tag('span', label), scope='col') for label in labels]
  caption = (
    f'{wording.count(classes.images, f"test {unit}")}: in rows by the {one} that the reference '
    f'standard says, in columns by the {one} that the model decides for'
  )
  rows = []
  for at, (label, counts) in enumerate(zip(labels, classes.confusion)):
    images = sum(counts)
    cells = [_cell(count, images, at == column) for column, count in enumerate(counts)]
    size = wording.count(images, unit) if images else f'no {unit} in the test set'
    rows.append(tag('tr', tag('th', label, small(size), scope='row'), cells))
  matrix = tag(
    'table',
    tag('caption', caption),
    tag(
      'thead',
      tag(
        'tr',
        tag('th', 'Reference standard', scope='col', rowspan=2),
        tag('th', 'Decision of the model', scope='colgroup', colspan=len(labels)),
      ),
      tag('tr', head),
    ),
    tag('tbody', rows),
    class_=' '.join(kind for kind in kinds if kind),
  )
  # Scrolls by itself where many classes are wider than the screen, by keyboard too.
  name = f'Confusion matrix of {len(labels)} {several}'
  return tag('div', matrix, class_='scroll', role='region', aria_label=name, tabindex=0)


def _cell(count: int, images: int, right: bool) -> Markup:
  share = count / images if images else 0
  kinds = [right and 'right', count and f'shade-{math.ceil(share * SHADES)}']
  return tag(
    'td',
    tag('b' if right else 'span', f'{count:,}', class_=None if count else 'quiet'),
    small(wording.percent(share)) if count else None,
    class_=' '.join(kind for kind in kinds if kind) or None,
  )

"""The report's section of pictures: the surest hits and the worst misses, with their heat maps."""

from collections.abc import Sequence

from medjax.evaluation import wording
from medjax.evaluation.surest import KINDS, Example
from medjax.report import markup
from medjax.report.markup import Markup, small, tag

_HEADINGS = {  # kind → heading, and what it means
  'false negative': (
    'Worst misses',
    'The finding is there, and the model was surest that it is not.',
  ),
  'false positive': (
    'Worst false alarms',
    'The finding is not there, and the model was surest that it is.',
  ),
  'true positive': ('Surest hits', 'The finding is there, and the model was surest of it.'),
  'true negative': ('Surest rejections', 'The finding is not there, and the model was surest.'),
}


def section(
  examples: Sequence[Example],
  method: str = 'heat maps',
  unit: str = 'image',
  against_rest: str = '',
) -> Markup:
  """Returns the section.

  Args:
    examples: the images, with what was drawn of them.
    method: of the heat maps, in words.
    unit: what the report is of.
    against_rest: of medjax.evaluation.wording.
  """
  groups = []
  for kind in KINDS:
    heading, meaning = _HEADINGS[kind]
    figures = [_figure(example) for example in examples if example.kind == kind]
    if figures:
      groups.append(tag('h3', heading))
      groups.append(tag('p', meaning, class_='quiet'))
      groups.append(tag('div', figures, class_='examples'))
  heat = any(example.heat for example in examples)
  boxes = any(example.boxes for example in examples)
  return markup.section(
    'Examples from the test set',
    tag(
      'p',
      f'The ones furthest from the {against_rest}threshold, no two of one patient: extremes, not a '
      'fair sample. Click a picture to enlarge it.',
      None
      if unit == 'image'
      else ' They are single images at the thresholds of images, while this report is of '
      f'{wording.plural(unit)}.',
      ' Below each stand its probability and the threshold.',
      f' Beside each picture is what speaks for that label, by {method} of the single best '
      'checkpoint: every map has a scale of its own, one without colour found nothing that does. '
      'That it points there does not say that the network saw what a reader sees.'
      if heat
      else None,
      ' Frames are where the finding is marked.' if boxes else None,
      class_='quiet lead',
    ),
    groups,
  )


def _figure(example: Example) -> Markup:
  label, boxes = example.label, example.boxes
  pictures = [_picture(example.picture, example.image, boxes)]
  if example.heat:
    words = f'Heat map of {label} on {example.image}'
    pictures.append(_picture(example.heat, words, boxes))
  return tag(
    'figure',
    tag('div', pictures, class_='two'),
    tag(
      'figcaption',
      tag('b', label),
      f' {wording.percent(example.probability)}',
      tag('span', f' threshold {wording.percent(example.threshold)}', class_='beside'),
      small(f'patient {example.patient} · {example.image}'),
    ),
  )


def _picture(picture: str | None, words: str, boxes: Sequence[Sequence[float]]) -> Markup:
  # Anything but a data URI would be fetched from somewhere, and the page fetches nothing.
  if picture is None or not picture.startswith('data:image/'):
    return tag('div', small('could not be drawn'), class_='picture')
  frames = [
    tag('rect', x=f'{x:.4f}', y=f'{y:.4f}', width=f'{width:.4f}', height=f'{height:.4f}')
    for x, y, width, height in boxes
  ]
  drawn = frames and tag(
    'svg', frames, viewBox='0 0 1 1', preserveAspectRatio='none', aria_hidden='true', class_='boxes'
  )
  return markup.enlarged(words, tag('img', src=picture, alt=words), drawn or None)

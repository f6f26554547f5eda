"""The report's section on whether heat maps point at what readers marked."""

from medjax.evaluation import wording
from medjax.evaluation.result import Result
from medjax.evaluation.statistics.localisation import Localisation, Score
from medjax.report import markup
from medjax.report.markup import Markup, one_line, small, table, tag

HEADINGS = ('Hottest pixel in a box', 'Heat inside the boxes', 'Overlap with the boxes')
METHODS = {
  'grad_cam': 'Grad-CAM',
  'grad_cam_plus_plus': 'Grad-CAM++',
  'integrated_gradients': 'integrated gradients',
}


def section(localisation: Localisation, result: Result) -> Markup:
  """Returns the section.

  Args:
    localisation: heat maps against boxes.
    result: of the test; says what labels are called.
  """
  one, _ = wording.things(result)
  rows = [
    [
      label,
      [
        f'{scores.images:,}',
        small(wording.count(scores.patients, 'patient')),
        small(f'{wording.count(scores.blank, "map")} without heat') if scores.blank else None,
      ],
      *(_cell(score) for score in (scores.pointing, scores.energy, scores.overlap)),
    ]
    for label, scores in localisation.labels.items()
  ]
  threshold = next(iter(localisation.labels.values())).threshold
  return markup.section(
    'Do heat maps point at the finding?',
    table((wording.capital(one), 'Test images with boxes', *HEADINGS), rows, 'cards'),
    tag(
      'p',
      f'{wording.capital(METHODS[localisation.method])} of the single best checkpoint against the '
      f'boxes of {localisation.file}. By chance is what a map that is as hot everywhere would '
      'score; of others, what the maps of other patients score on the same boxes, which know '
      'only where such findings tend to be. Overlap is intersection over union with pixels of at '
      f'least {threshold:.0%} of the greatest heat. A map that points elsewhere is a warning; '
      'one that points there does not say why.',
      class_='quiet',
    ),
  )


def _cell(score: Score) -> list[object]:
  figure = score.figure
  value = tag('b', wording.number(figure.value, 2))
  interval = f'({wording.bounds(figure.interval, 2)})' if figure.interval else figure.reason
  words = f'by chance {wording.number(score.chance, 2)}'
  if score.other_patients is not None:
    words += f', of others {wording.number(score.other_patients, 2)}'
  return [one_line(value, interval), small(words)]

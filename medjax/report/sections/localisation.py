"""The report's section on whether heat maps point at what readers marked."""

from collections.abc import Mapping

from medjax.evaluation import wording
from medjax.report import markup
from medjax.report.markup import Markup, one_line, small, table, tag

HEADINGS = {
  'pointing': 'Hottest pixel in a box',
  'energy': 'Heat inside the boxes',
  'overlap': 'Overlap with the boxes',
}
METHODS = {
  'grad_cam': 'Grad-CAM',
  'grad_cam_plus_plus': 'Grad-CAM++',
  'integrated_gradients': 'integrated gradients',
}


def section(found: Mapping, summary: Mapping) -> Markup:
  """Returns the section.

  Args:
    found: {'method', 'file', 'labels': {label: what medjax.evaluation.statistics.localisation.score returns}}.
    summary: what `medjax.evaluation.summary.evaluate` returns; says what labels are called.
  """
  one, _ = wording.things(summary)
  rows = [
    [
      label,
      [
        f'{of["images"]:,}',
        small(wording.count(of['patients'], 'patient')),
        small(f'{wording.count(of["blank"], "map")} without heat') if of['blank'] else None,
      ],
      *([*_figure(of[name])] for name in HEADINGS),
    ]
    for label, of in found['labels'].items()
  ]
  some = next(iter(found['labels'].values()))
  return markup.section(
    'Do heat maps point at the finding?',
    table((wording.capital(one), 'Test images with boxes', *HEADINGS.values()), rows, 'cards'),
    tag(
      'p',
      f'{METHODS[found["method"]]} of the single best checkpoint against the boxes of {found["file"]}. By '
      'chance is what a map that is as hot everywhere would score; of others, what the maps of other '
      'patients score on the same boxes, which know only where such findings tend to be. Overlap is '
      f'intersection over union with pixels of at least {some["threshold"]:.0%} of the greatest heat. A map '
      'that points elsewhere is a warning; one that points there does not say why.',
      class_='quiet',
    ),
  )


def _figure(of: Mapping) -> list[object]:
  figure, others = of['figure'], of['other_patients']
  value = tag('b', wording.number(figure['value'], 2))
  beside = f'({wording.bounds(figure["interval"], 2)})' if figure['interval'] else figure['reason']
  words = f'by chance {wording.number(of["chance"], 2)}'
  if others is not None:
    words += f', of others {others:.2f}'
  return [one_line(value, beside), small(words)]

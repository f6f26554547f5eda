"""Sections of a report on whole slides: the slides themselves, and the answer for patients."""

import dataclasses
from collections.abc import Sequence

from medjax.evaluation import wording
from medjax.evaluation.result import Result
from medjax.report.figures import figure_words
from medjax.report.markup import Markup, enlarged, one_line, section, small, table, tag

SHOWN = 4  # slides drawn of each kind; the table below them lists all
KINDS = {  # (truth, decision) → heading, and what it means; what to look at first comes first
  (1, 0): ('Missed', 'The finding is there, and the slide was called negative.'),
  (0, 1): ('False alarms', 'The finding is not there, and the slide was called positive.'),
  (1, 1): ('Found', 'The finding is there, and the slide was called positive.'),
  (0, 0): ('Rightly cleared', 'The finding is not there, and the slide was called negative.'),
}


@dataclasses.dataclass(frozen=True)
class Slide:
  """A slide that was tested, for one label.

  Attributes:
    name: of the slide.
    patient: whose it is.
    label: that is asked for.
    patches: how many of it were read.
    probability: of the slide.
    threshold: of the label; None where there is none, and then there is no decision.
    truth: 1, 0, or None where it is not known.
    outlined: the slide with its patches and outlines, as a data URI; None where there is none.
    heat: the slide under its heat map; likewise.
  """

  name: str
  patient: str
  label: str
  patches: int
  probability: float
  threshold: float | None
  truth: int | None
  outlined: str | None = None
  heat: str | None = None

  @property
  def decision(self) -> int | None:
    """1 where the slide is called positive, 0 where negative; None without a threshold."""
    return None if self.threshold is None else int(self.probability >= self.threshold)


def chosen(slides: Sequence[Slide]) -> list[Slide]:
  """Returns the slides to draw: of each kind those furthest on its side of the threshold."""
  drawn = []
  for truth, decision in KINDS:
    of_kind = [slide for slide in slides if (slide.truth, slide.decision) == (truth, decision)]
    of_kind.sort(key=lambda slide: slide.probability, reverse=decision == 1)
    drawn += of_kind[:SHOWN]
  return drawn


def gallery(slides: Sequence[Slide], drawn: Sequence[Slide], heat: str) -> Markup:
  """Returns the section with pictures of some slides and a row for each.

  Args:
    slides: all that were tested.
    drawn: of `chosen`, with their pictures.
    heat: what the heat maps show, in words.
  """
  groups = []
  for kind, (heading, meaning) in KINDS.items():
    figures = [_figure(slide) for slide in drawn if (slide.truth, slide.decision) == kind]
    if figures:
      groups += [tag('h3', heading), tag('p', meaning, class_='quiet')]
      groups.append(tag('div', figures, class_='slides'))
  labels = list(dict.fromkeys(slide.label for slide in slides))
  header = ('Slide', *(['Label'] if len(labels) > 1 else []), 'Patient', 'Patches', 'Probability',
            'Decision', 'Truth')  # fmt: skip
  rows = [
    [
      slide.name,
      *([slide.label] if len(labels) > 1 else []),
      slide.patient,
      f'{slide.patches:,}',
      one_line(wording.percent(slide.probability), f'threshold {_threshold(slide)}'),
      _called(slide),
      _true(slide),
    ]
    for slide in slides
  ]
  return section(
    'Slides of the test set',
    tag(
      'p',
      f'Of each kind at most {SHOWN}, the furthest from the threshold: extremes, not a fair '
      'sample. Left: the slide with the patches that were read, those of tumour in orange, and '
      f'black outlines where a reader drew any. Right: {heat}. Click a picture to enlarge it.',
      class_='quiet lead',
    )
    if groups
    else tag('p', 'No slide is drawn: the places of the patches are unknown.', class_='quiet'),
    groups,
    tag('details', tag('summary', f'All {len(rows):,} rows'), table(header, rows, 'cards')),
  )


def _figure(slide: Slide) -> Markup:
  pictures = [
    enlarged(f'{words} {slide.name}', tag('img', src=picture, alt=f'{words} {slide.name}'))
    for words, picture in (('Patches and outlines of', slide.outlined), ('Heat map of', slide.heat))
    if picture and picture.startswith('data:image/')
  ]
  return tag(
    'figure',
    tag('div', pictures, class_='two') if pictures else small('could not be drawn'),
    tag(
      'figcaption',
      tag('b', slide.name),
      f' {slide.label} {wording.percent(slide.probability)}',
      tag('span', f' threshold {_threshold(slide)}', class_='beside'),
      small(
        f'truth {_true(slide)}, decision {_called(slide)} · patient {slide.patient} · '
        f'{wording.count(slide.patches, "patch")}'
      ),
    ),
  )


def _threshold(slide: Slide) -> str:
  return 'none' if slide.threshold is None else wording.percent(slide.threshold)


def _called(slide: Slide) -> str:
  return {1: 'positive', 0: 'negative', None: 'none, for want of a threshold'}[slide.decision]


def _true(slide: Slide) -> str:
  return {1: 'positive', 0: 'negative', None: 'not known'}[slide.truth]


def by_patient(result: Result) -> Markup:
  """Returns the section with the figures of patients, each as likely as the likeliest slide."""
  rows = []
  for label, tested in result.labels.items():
    point = tested.decision
    rates: list[object] = [tag('span', 'no operating point', class_='quiet')] * 2
    if point is not None:
      rates = [figure_words(point.sensitivity, 2), figure_words(point.specificity, 2)]
    rows.append(
      [
        [label, small(f'{tested.positives:,} of {wording.count(tested.images, "patient")}')],
        figure_words(tested.auroc, 3),
        figure_words(tested.auprc, 3),
        *rates,
        wording.threshold(point.threshold) if point else wording.DASH,
      ]
    )
  return section(
    'The answer for patients',
    table(
      ('Label', 'AUROC', 'AUPRC', 'Sensitivity', 'Specificity', 'Threshold'), rows, 'cards wide'
    ),
    tag(
      'p',
      'A patient is as likely to have it as the likeliest of the patient’s slides. The threshold '
      'is one of patients, chosen on validation: the highest of more slides is higher by chance. '
      f'In brackets the {result.confidence:.0%} interval.',
      class_='quiet',
    ),
    [tag('p', note, class_='quiet') for note in result.notes],
  )

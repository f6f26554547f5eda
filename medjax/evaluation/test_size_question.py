"""Questions about the size of a test set, and which of them have no answer."""

import dataclasses
import numbers
from collections.abc import Callable

from medjax.errors import InputError
from medjax.evaluation.pilot import Pilot
from medjax.evaluation.statistics import sample_size


@dataclasses.dataclass(frozen=True)
class Question:
  """What is expected of a model, and what its test is to show.

  Attributes:
    prevalence: share with the finding.
    auroc: expected.
    sensitivity: expected at the operating point.
    specificity: expected at the operating point.
    half_width: of the 95 % interval of these three, half of high − low.
    slope_half_width: of the calibration slope's interval.
    oe_half_width: of the interval of O:E, positives observed over expected.
    difference: in AUROC from another model, which is to be shown.
    margin: of non-inferiority to a model of the same AUROC.
    correlation: of the AUROCs of the two models on the same test sets.
    patients: how many there are, where it is asked what they can show.
    images_per_patient: of each patient.
    icc: correlation of two images of one patient in what they tell; 1 by default.
    power: share of studies that show a difference or non-inferiority.
  """

  prevalence: float | None = None
  auroc: float | None = None
  sensitivity: float | None = None
  specificity: float | None = None
  half_width: float | None = None
  slope_half_width: float | None = None
  oe_half_width: float | None = None
  difference: float | None = None
  margin: float | None = None
  correlation: float | None = None
  patients: int | None = None
  images_per_patient: float = 1.0
  icc: float | None = None
  power: float = 0.8


def completed(question: Question, pilot: Pilot | None) -> Question:
  """Returns the question with what a pilot says of it.

  Raises:
    InputError: something is stated that the pilot measures.
  """
  if pilot is None:
    return question
  for name, unset in (('images_per_patient', 1.0), ('icc', None)):
    if getattr(question, name) != unset:
      raise InputError(f'--{name}: is measured from the run of --workdir; leave one of them out')
  if pilot.correlation is not None and question.correlation is not None:
    raise InputError('--correlation: is measured from --against; leave one of them out')
  asks_auroc = question.sensitivity is None and question.specificity is None
  paired = question.difference is not None or question.margin is not None
  calibrated = question.slope_half_width is not None
  wants_auroc = (question.half_width is not None and asks_auroc) or paired or calibrated
  return dataclasses.replace(
    question,
    prevalence=pilot.prevalence if question.prevalence is None else question.prevalence,
    auroc=pilot.auroc
    if question.auroc is None and (wants_auroc or question.patients is not None)
    else question.auroc,
    correlation=question.correlation if pilot.correlation is None else pilot.correlation,
    images_per_patient=pilot.images_per_patient,
  )


_RANGES: dict[str, tuple[Callable[[float], bool], str]] = {
  'prevalence': (lambda x: 0 < x < 1, 'between 0 and 1, such as 0.05: both classes must occur'),
  'auroc': (lambda x: 0.5 < x < 1, 'above 0.5 and below 1, such as 0.85'),
  'sensitivity': (lambda x: 0 < x < 1, 'between 0 and 1, such as 0.9'),
  'specificity': (lambda x: 0 < x < 1, 'between 0 and 1, such as 0.9'),
  'half_width': (lambda x: 0 < x < 0.5, 'above 0 and below 0.5, such as 0.025'),
  'slope_half_width': (lambda x: 0 < x < 1, 'above 0 and below 1, such as 0.15'),
  'oe_half_width': (lambda x: 0 < x < 1, 'above 0 and below 1, such as 0.1'),
  'difference': (lambda x: 0 < abs(x) < 0.5, 'not 0 and within ±0.5, such as 0.03'),
  'margin': (lambda x: 0 < x < 0.5, 'above 0 and below 0.5, such as 0.02'),
  'correlation': (lambda x: 0 <= x < 1, '0 or more and below 1, such as 0.5'),
  'patients': (lambda x: 4 <= x <= sample_size.MOST and x == int(x), 'a whole number from 4'),
  'images_per_patient': (lambda x: 1 <= x < 10_000, '1 or more, such as 2.5'),
  'icc': (lambda x: 0 <= x <= 1, 'from 0 to 1, such as 0.5'),
  'power': (lambda x: 0.5 <= x < 1, '0.5 or more and below 1, such as 0.8'),
}


def check(question: Question) -> None:
  """Raises InputError for what cannot be answered."""
  for name, (is_within, allowed) in _RANGES.items():
    value = getattr(question, name)
    if value is None:
      continue
    if (
      not isinstance(value, numbers.Real) or isinstance(value, bool) or not is_within(float(value))
    ):
      raise InputError(f'--{name}={value}: must be {allowed}')
  asked = [
    name
    for name in ('half_width', 'slope_half_width', 'oe_half_width', 'difference', 'margin')
    if getattr(question, name) is not None
  ]
  rated = [
    name for name in ('auroc', 'sensitivity', 'specificity') if getattr(question, name) is not None
  ]
  if question.patients is not None and asked:
    raise InputError(
      f'--patients={question.patients} asks what so many can show and --{asked[0]} how many are '
      'needed; leave one of them out'
    )
  if question.patients is None and not asked:
    raise InputError(
      'nothing is asked; try --auroc=0.85 --prevalence=0.05 --half_width=0.025, or --patients=500 '
      'for what so many can show'
    )
  if question.prevalence is None:
    raise InputError('--prevalence is missing; give the share with the finding, such as 0.05')
  if question.difference is not None and question.margin is not None:
    raise InputError(
      '--difference asks to show that models differ and --margin that they do not; leave one out'
    )
  if question.half_width is not None and not rated:
    raise InputError('--half_width: of what? add --auroc=0.85, --sensitivity=0.9 or --specificity')
  for name in ('sensitivity', 'specificity'):
    if getattr(question, name) is not None and not (question.half_width or question.patients):
      raise InputError(f'--{name}: add --half_width=0.05, how narrow its interval is to be')
  if question.auroc is None:
    for name in ('slope_half_width', 'difference', 'margin'):
      if getattr(question, name) is not None:
        raise InputError(f'--{name} depends on the AUROC; add --auroc=0.85')
  paired = question.difference is not None or question.margin is not None
  if paired and question.correlation is None:
    raise InputError(
      "--correlation is missing, of the two models' AUROCs; give one, such as 0.5 (0 is safe), or "
      'measure it with --workdir=runs/a --against=runs/b'
    )
  if not paired and question.correlation is not None and question.patients is None:
    raise InputError(
      '--correlation and --against: are for --difference or --margin, which are missing'
    )
  if question.difference is not None and question.auroc is not None:
    other = question.auroc + question.difference
    if not 0.5 < other < 1:
      raise InputError(
        f'--difference={question.difference}: makes the other AUROC {other:.3f}; it must lie '
        'between 0.5 and 1'
      )
  if question.icc is not None and question.images_per_patient == 1:
    raise InputError('--icc: is of several images; add --images_per_patient=3, how many there are')

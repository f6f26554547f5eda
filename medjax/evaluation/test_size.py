"""How many patients a test needs, and what a test of so many patients can show.

docs/test_set_size.md has worked examples; medjax.evaluation.statistics.sample_size the formulas.
"""

import dataclasses
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from medjax.errors import InputError
from medjax.evaluation import test_size_question
from medjax.evaluation.pilot import Pilot
from medjax.evaluation.statistics import sample_size
from medjax.evaluation.test_size_question import Question

SCHEMA = 1  # raised by whoever renames, adds or removes a field
CONFIDENCE = 0.95
FIGURES = ('auroc', 'sensitivity', 'specificity', 'calibration_slope', 'observed_expected')
_REPLICATES = 200
_MOST_IMAGES = 1_000_000  # drawn in a simulation, over all replicates
_ALIKE = 'images of a patient are taken to tell no more than one, since no icc is given'


@dataclasses.dataclass(frozen=True)
class Answer:
  """What one figure needs, or what can be shown of it.

  Attributes:
    figure: 'auroc', 'sensitivity', 'specificity', 'calibration_slope', 'observed_expected',
      'difference' or 'non_inferiority'.
    expected: value of the figure.
    reach: half-width of its 95 % interval; of a difference, the least that is shown with the power
      asked for; of non-inferiority, the least margin.
    patients: of the test set.
    images: of these patients.
    positive_patients: expected among them; to be rounded up where they are recruited.
    design_effect: by how much several images per patient multiply the variance.
    method: how it was computed, in words.
  """

  figure: str
  expected: float
  reach: float
  patients: int
  images: int
  positive_patients: float
  design_effect: float
  method: str


@dataclasses.dataclass(frozen=True)
class Simulated:
  """Half-widths of the AUROC's interval in simulated test sets of the size of its answer.

  Attributes:
    test_sets: how many were simulated.
    without_interval: of these, which have none.
    median: half-width that half of the others do not exceed.
    nine_tenths: half-width that nine tenths of the others do not exceed.
  """

  test_sets: int
  without_interval: int
  median: float
  nine_tenths: float


@dataclasses.dataclass(frozen=True)
class Plan:
  """Answers to a question about the size of a test set.

  Attributes:
    question: as it was asked, with what a pilot run said.
    patients: the most that any answer needs, or those that were given.
    answers: one for each figure.
    simulated: of the AUROC; None where it was not asked for or the test set is too large.
    pilot: what a run's own test says; None without.
    notes: sentences on what the answers rest on.
    confidence: how often the intervals cover.
    schema: number of this schema.
  """

  question: Question
  patients: int
  answers: tuple[Answer, ...]
  simulated: Simulated | None
  pilot: Pilot | None
  notes: tuple[str, ...]
  confidence: float = CONFIDENCE
  schema: int = SCHEMA


class _Figure(NamedTuple):
  """One figure's reach by number of patients, and what of it is wanted."""

  name: str
  expected: float
  wanted: float | None
  reach: Callable[[float], float]
  effect: float
  method: str


def answer(question: Question, pilot: Pilot | None = None, seed: int = 0) -> Plan:
  """Returns how many patients each figure needs, or what `question.patients` can show.

  Args:
    question: what is expected and asked.
    pilot: of a run; it says what the question leaves open.
    seed: of the simulation.

  Raises:
    InputError: nothing is asked, questions that contradict each other, a number out of range.
  """
  question = test_size_question.completed(question, pilot)
  test_size_question.check(question)
  if question.patients is not None:
    question = dataclasses.replace(question, patients=int(question.patients))
  answers = tuple(_answered(figure, question) for figure in _figures(question, pilot))
  by_name = {part.figure: part for part in answers}
  simulated = _simulated(question, by_name['auroc'], seed) if 'auroc' in by_name else None
  patients = max(part.patients for part in answers)
  return Plan(question, patients, answers, simulated, pilot, _notes(question, pilot, by_name))


def _figures(question: Question, pilot: Pilot | None) -> list[_Figure]:
  """Returns the figures that are asked about."""
  prevalence, images = question.prevalence, question.images_per_patient
  assert prevalence is not None
  figures: list[_Figure] = []

  def effect(name: str) -> float:
    if pilot is not None:
      return pilot.design_effects[name if name in FIGURES else 'auroc']
    return 1 + (images - 1) * (1 if question.icc is None else question.icc)

  def add(name: str, expected: float, wanted: float | None, reach, method: str) -> None:
    if wanted is not None or question.patients is not None:
      figures.append(_Figure(name, expected, wanted, reach, effect(name), method))

  auroc = question.auroc
  worth = {name: images / effect(name) for name in FIGURES}
  if auroc is not None:
    add('auroc', auroc, question.half_width,
        lambda n: sample_size.auroc_half_width(auroc, n * prevalence, n * (1 - prevalence),
                                               worth['auroc']),
        "DeLong's variance of normal scores, logit interval by Student's t")  # fmt: skip
  for name, share in (('sensitivity', prevalence), ('specificity', 1 - prevalence)):
    expected = getattr(question, name)
    if expected is not None:
      add(name, expected, question.half_width,
          lambda n, expected=expected, share=share, name=name: sample_size.proportion_half_width(
            expected, n * share, images, effect(name)),
          "Wilson's interval")  # fmt: skip
  if auroc is not None:
    nodes, weights = sample_size.logits(auroc, prevalence)
    add('calibration_slope', 1.0, question.slope_half_width,
        lambda n: sample_size.slope_half_width(nodes, weights, n * worth['calibration_slope']),
        'Riley et al. 2021, log-odds normal in each class')  # fmt: skip
  add('observed_expected', 1.0, question.oe_half_width,
      lambda n: sample_size.observed_expected_half_width(
        prevalence, n * worth['observed_expected']),
      'Riley et al. 2021')  # fmt: skip
  if auroc is not None and question.correlation is not None:
    apart, correlation = question.difference or 0.0, question.correlation
    name = 'difference' if question.margin is None else 'non_inferiority'
    add(name, apart, abs(apart) if question.margin is None else question.margin,
        lambda n: sample_size.errors_apart(question.power) * sample_size.difference_error(
          (auroc, auroc + apart), correlation, n * prevalence, n * (1 - prevalence),
          worth['auroc']),
        f'Hanley & McNeil 1983, correlation {correlation:.2f}, power {question.power:g}',
        )  # fmt: skip
  return figures


def _answered(figure: _Figure, question: Question) -> Answer:
  patients = question.patients
  if patients is None:
    assert figure.wanted is not None
    patients = sample_size.smallest(figure.reach, figure.wanted)
    if patients is None:
      raise InputError(
        f'{figure.name}: more than {sample_size.MOST:,} patients would be needed; ask for less'
      )
  reach, prevalence = figure.reach(patients), question.prevalence
  assert prevalence is not None
  if not np.isfinite(reach):
    raise InputError(
      f'--patients={patients}: of them {patients * prevalence:.1f} have the finding and '
      f'{patients * (1 - prevalence):.1f} have not; an interval needs two of either'
    )
  return Answer(
    figure=figure.name,
    expected=figure.expected,
    reach=float(reach),
    patients=int(patients),
    images=int(np.ceil(patients * question.images_per_patient - 1e-9)),
    positive_patients=float(patients * prevalence),
    design_effect=float(figure.effect),
    method=figure.method,
  )


def _simulated(question: Question, figure: Answer, seed: int) -> Simulated | None:
  """Returns the AUROC's half-widths in simulated test sets; None where these are too large."""
  images = max(1, round(question.images_per_patient))
  replicates = min(_REPLICATES, _MOST_IMAGES // (figure.patients * images))
  if replicates < 50:
    return None
  alike = (figure.design_effect - 1) / (images - 1) if images > 1 else 0.0
  assert question.auroc is not None and question.prevalence is not None
  half_widths = sample_size.simulated_half_widths(
    question.auroc,
    question.prevalence,
    figure.patients,
    images,
    float(np.clip(alike, 0, 1)),
    replicates,
    seed,
  )
  there = half_widths[~np.isnan(half_widths)]
  if not len(there):
    return None
  median, nine_tenths = np.quantile(there, (0.5, 0.9))
  return Simulated(replicates, replicates - len(there), float(median), float(nine_tenths))


def _notes(question: Question, pilot: Pilot | None, answers: dict[str, Answer]) -> tuple[str, ...]:
  notes = []
  if question.images_per_patient > 1 and question.icc is None and pilot is None:
    notes.append(f'Of each patient {question.images_per_patient:g} {_ALIKE}.')
  if 'auroc' in answers and pilot is None:
    notes.append(_of_other_scores(question, answers['auroc']))
  if pilot is not None:
    notes += pilot.notes
  if question.patients is None and not {'difference', 'non_inferiority'} & set(answers):
    notes.append(
      'Half of the test sets of a size have a wider interval than it was planned for, many of them '
      'because chance gives them fewer patients with the finding; add some for both.'
    )
  return tuple(notes)


def _of_other_scores(question: Question, figure: Answer) -> str:
  prevalence, worth = question.prevalence, question.images_per_patient / figure.design_effect
  assert prevalence is not None

  def reach(patients: float) -> float:
    return sample_size.auroc_half_width(
      figure.expected, patients * prevalence, patients * (1 - prevalence), worth,
      sample_size.exponential,
    )  # fmt: skip

  if question.patients is not None:
    return (
      "If the positives' scores are spread wider than the negatives', as Hanley & McNeil (1982) "
      f'have them, the half-width of the AUROC is {reach(figure.patients):.3f}.'
    )
  patients = sample_size.smallest(reach, figure.reach)
  return (
    "If the positives' scores are spread wider than the negatives', as Hanley & McNeil (1982) have "
    f'them, the AUROC needs {"too many" if patients is None else f"{patients:,}"} patients.'
  )

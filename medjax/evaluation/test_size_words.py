"""A plan of a test set in lines of text."""

from collections.abc import Mapping
from typing import Any

from medjax.evaluation.statistics import sample_size
from medjax.evaluation.test_size import Answer, Plan
from medjax.runtime import rounding

_NAMES = {
  'auroc': 'AUROC',
  'sensitivity': 'sensitivity',
  'specificity': 'specificity',
  'calibration_slope': 'calibration slope',
  'observed_expected': 'O:E',
}
_AUROC_OF_SPLIT = 0.8
_LINES = 14  # of labels that are told of a split


def in_words(plan: Plan) -> list[str]:
  """Returns the answers, one a line, then the simulation and the notes."""
  question = plan.question
  head = f'prevalence {question.prevalence:.4g}'
  lines = [f'{head:56}{"patients":>12}{"images":>12}{"with finding":>14}']
  for answer in plan.answers:
    lines.append(
      f'{_asked(answer, question.power):56}{answer.patients:>12,}{answer.images:>12,}'
      f'{answer.positive_patients:>14,.1f}{_effect(answer)}'
    )
  if question.patients is None and len(plan.answers) > 1:
    lines.append(f'all of them: {plan.patients:,} patients')
  if plan.simulated is not None:
    simulated = plan.simulated
    none = simulated.without_interval
    lines.append(
      f'simulated, {simulated.test_sets} test sets: the half-width of the AUROC is at most '
      f'{simulated.median:.3f} in half of them and {simulated.nine_tenths:.3f} in nine tenths'
      + (f'; {none} have no interval' if none else '')
    )
  return [*lines, *(f'note: {note}' for note in plan.notes)]


def _asked(answer: Answer, power: float) -> str:
  reach = rounding.decimal(answer.reach, 3, (0,))
  if answer.figure == 'difference':
    return f'difference in AUROC of {reach}, shown in {power:.0%} of studies'
  if answer.figure == 'non_inferiority':
    return f'non-inferior by {reach} in AUROC, shown in {power:.0%} of studies'
  return f'{_NAMES[answer.figure]} {answer.expected:.4g} ± {reach} (95 % interval)'


def _effect(answer: Answer) -> str:
  return f'  design effect {answer.design_effect:.2f}' if answer.design_effect > 1 else ''


def of_split(proof: Mapping[str, Any]) -> list[str]:
  """Returns what the test set of a split can show, a line for each label.

  Args:
    proof: as split.json holds it.
  """
  test = proof['splits']['test']
  lines = [
    f'what this test set can show, were the AUROC {_AUROC_OF_SPLIT:g} (half-width of the 95 % '
    'interval; images of a patient taken to tell no more than one):'
  ]
  for label, counts in list(test['labels'].items())[:_LINES]:
    positives = counts['positive_patients']
    at_most = min(counts['known'] - counts['positive'], test['patients'] - positives)
    negatives = counts.get('negative_patients', at_most)  # Earlier splits do not say.
    if min(positives, negatives) < 2:
      lines.append(f'  {label:26}nothing: it needs two patients with and two without the finding')
      continue
    reach = sample_size.auroc_half_width(_AUROC_OF_SPLIT, positives, negatives)
    lines.append(
      f'  {label:26}± {reach:.3f}, from {positives:,} patients with and {negatives:,} without'
    )
  if len(test['labels']) > _LINES:
    lines.append(f'  and {len(test["labels"]) - _LINES} labels more, by medjax.plan --patients')
  return lines

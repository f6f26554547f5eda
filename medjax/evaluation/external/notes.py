"""What weakens an external validation, and what forbids trust in it, in plain sentences."""

from collections.abc import Sequence

from medjax.evaluation import wording
from medjax.evaluation.external import sites as by_site
from medjax.evaluation.external.result import ExternalResult
from medjax.evaluation.figure import excludes_zero

_WHOSE = 'Of the\N{NO-BREAK SPACE}external\N{NO-BREAK SPACE}set: '  # as weaknesses.gravity reads it

_WHOSE_OWN = 'Of the\N{NO-BREAK SPACE}own\N{NO-BREAK SPACE}test: '


def warnings(result: ExternalResult) -> list[str]:
  """Returns what stands on the first line: images that the run has seen, scores that look inverted
  or are no better than chance.
  """
  source, sentences = result.source, []
  if source.seen:
    sentences.append(
      f'Not a test on new patients: {wording.count(source.seen, "image")} of the external set '
      'trained or chose this model.'
    )
  return sentences + [label.inverted for label in result.labels.values() if label.inverted]


def notes(result: ExternalResult, of_data: Sequence[str]) -> list[str]:
  """Returns sentences, the gravest first.

  Args:
    result: without notes.
    of_data: what weakens the other set by itself.
  """
  source, external = result.source, result.external
  sentences = []
  if source.namesakes:
    bear = 'bears the name' if source.namesakes == 1 else 'bear names'
    sentences.append(
      f'{source.namesakes:,} of {wording.count(source.patients, "patient")} of the external set '
      f'{bear} of patients who trained or chose this model: if both sets come from one source they '
      'are not new, and the figures flatter.'
    )
  sentences += [f'{_WHOSE}{note}' for note in external.notes]
  unmapped = [entry for entry in result.mapping if not entry.external]
  sentences += [f'Not tested: {entry.label}, because {entry.reason}.' for entry in unmapped]
  if source.tested_before:
    sentences.append(
      f'{wording.count(source.tested_before, "image")} of the external set '
      f'{"is" if source.tested_before == 1 else "are"} in the own test too: the intervals of '
      'differences take the two for independent.'
    )
  if source.unreadable:
    sentences.append(
      f'{wording.count(len(source.unreadable), "image")} of the external set could not be read and '
      'were set aside.'
    )
  sentences += _miscalibrated(result)
  # What its figures are of decides what the difference is of.
  sentences += [f'{_WHOSE_OWN}{note}' for note in result.own.notes if ' enriched ' in note]
  sentences += _unlike(result)
  sentences += _shifted(result)
  sentences += of_data
  if result.sites is not None:
    sentences += by_site.notes(result.sites)
  return list(dict.fromkeys(sentences))


def _miscalibrated(result: ExternalResult) -> list[str]:
  wrong = []
  for label, contrast in result.contrast.labels.items():
    intercept = contrast.calibration_intercept.one
    if intercept.interval and excludes_zero(intercept.interval):
      way = 'low' if intercept.interval[0] > 0 else 'high'
      wrong.append(f'{label} too {way} (intercept {wording.plain(intercept, 2)})')
  if not wrong:
    return []
  return [
    f'Frozen probabilities do not hold in the external set: {"; ".join(wrong)}. What recalibration '
    'would mend stands under Recalibration.'
  ]


def _shifted(result: ExternalResult) -> list[str]:
  shifted = [
    f'{label} {wording.percent(part.prevalence.labelled.other.value)} in the own test and '
    f'{wording.percent(part.prevalence.labelled.one.value)} in the external set'
    for label, part in result.labels.items()
    if part.prevalence.labelled.difference.interval
    and excludes_zero(part.prevalence.labelled.difference.interval)
  ]
  if not shifted:
    return []
  return [
    f'The prevalence differs: {"; ".join(shifted)}. PPV, NPV, AUPRC and the Brier score change '
    'with it alone.'
  ]


def _unlike(result: ExternalResult) -> list[str]:
  """Returns a sentence on the labels whose prevalence by the scores is not the labelled one."""
  apart = []
  for label, part in result.labels.items():
    labelled, estimated = part.prevalence.labelled.one, part.prevalence.estimated
    if labelled.interval is None or estimated.value is None:
      continue
    low, high = estimated.interval or (estimated.value, estimated.value)
    if low > labelled.interval[1] or high < labelled.interval[0]:
      apart.append(
        f'{label} {wording.percent(estimated.value)}, labelled {wording.percent(labelled.value)}'
      )
  if not apart:
    return []
  return [
    f'By the scores alone the prevalence would be another one than the labels say: '
    f'{"; ".join(apart)}. More than the prevalence has changed: pictures, patients or labelling.'
  ]

"""What weakens an answer, the gravest first.

The sentences are made in many rooms, each where something is known; how grave they are beside each
other is said here alone, by what they say.
"""

import itertools
import re
from collections.abc import Iterable, Mapping, Sequence

from medjax.evaluation import wording
from medjax.evaluation.result import Result
from medjax.runtime import rounding

WORSE = 0.01  # of the Brier score: less is noise

# From what makes a figure worthless to what makes it less exact. A sentence is as grave as the
# first line of which it says something, and as the middle where it says nothing of any. These are
# the words of the rooms that make the sentences: a test finds each of them said there.
LADDER: tuple[tuple[str, ...], ...] = (
  (  # Tested on what was trained on, or chosen after looking.
    ' also in ', ' in both ', 'trained or chose', 'not the files that',
    'Set after the training', 'byte for byte', 'same as images of', 'who trained the weights',
    'trained those weights', 'more than one side', r'share \S+ pictures?\.',
    'trained on is not recorded', 'had seen the test set', 'test set was read', 'been tested ',
    'copy of the other',
  ),
  (  # The picture need not be read to know the answer, or the answer is two.
    'decides one answer only', 'tells? .* with an AUROC', 'present and absent',
    'names of several patients',
  ),
  # There is no figure at all.
  (
    '^No (positives|negatives)', '^Not tested: ', 'so no AUROC', 'No operating point',
    'nothing to compare',
  ),
  (  # Who was tested is not known.
    'patient identifiers', 'names? no patients', 'of another patient, by', 'No patients were given',
    'whether thresholds and calibration were chosen on test patients',
  ),
  ('^Calibration made', '^Frozen probabilities', '^By the scores'),  # Probabilities do not hold.
  (  # Too few to say.
    'test patients?:', r'patients on test \(', 'patients, so one more', 'has no interval',
    'replicates in which', 'No intervals', 'No interval of',
  ),
  ('differs by ',),  # Not for everybody.
  (  # The reference standard and the prevalence.
    'enriched', '^The prevalence differs', 'nobody like', 'not mentioned', 'Left out of each label',
    '[Tt]ruth not known', 'set aside',
  ),
)  # fmt: skip
_WHOSE = re.compile(r'^Of (?:\S|\xa0)+: ')  # of `of_both`
_EXAMPLE = re.compile(
  r""",? such as (patient )?('[^']*'( and '[^']*')?|\S+?)(?=[,;:)\s]|\.\s|\.?$)"""
)
_MIDDLE = len(LADDER)
LEAST: tuple[tuple[str, ...], ...] = (
  (
    r'patients on validation \(', 'Validation has fewer', 'rationed', 'on very little',
    'luck of the training sets',
  ),
  (
    'comparisons? between subgroups', 'reported together as', 'Not calibrated', 'No heat maps',
    'boxes beside',
  ),
)  # fmt: skip


def gravity(sentence: str) -> int:
  """Returns the place of a sentence among all, 0 for the gravest."""
  sentence = _WHOSE.sub('', sentence)
  for place, phrases in (*enumerate(LADDER), *enumerate(LEAST, _MIDDLE + 1)):
    if any(re.search(phrase, sentence) for phrase in phrases):
      return place
  return _MIDDLE


def ranked(sentences: Iterable[str]) -> list[str]:
  """Returns sentences, each once, the gravest first; of equally grave ones the earlier first."""
  return sorted(dict.fromkeys(map(str, sentences)), key=gravity)


def without_example(note: str) -> str:
  """Returns a note without the example of the images or patients that it counts."""
  return _EXAMPLE.sub('', note)


def of_run(result: Result, proof: Mapping, facts: Mapping) -> list[str]:
  """Returns what weakens the answer of one run; arguments as `medjax.report.run_page.render`."""
  sentences = []
  overlap = proof.get('patient_overlap', {})
  for one, other in itertools.combinations(overlap, 2):
    # The result has counted those that validation and test share in the predictions themselves.
    if {one, other} != {'validation', 'test'} and overlap[one].get(other):
      sentences.append(
        f'{wording.count(overlap[one][other], "patient")} in both {one} and {other}.'
      )
  notes = [*facts.get('notes', ()), *result.notes, *proof.get('notes', ())]
  aside = str(facts.get('images set aside', '0')).strip()
  if aside not in ('', '0', 'none') and not any('set aside' in note for note in notes):
    sentences.append(f'Images set aside because they could not be read: {aside}.')
  return ranked([*sentences, *calibrated_worse(result), *notes])


def of_both(between: tuple[str, str], one: Sequence[str], other: Sequence[str]) -> list[str]:
  """Returns what weakens each of two runs, told whose it is; what weakens both once."""
  names = [name.replace(' ', '\N{NO-BREAK SPACE}') for name in between]
  return ranked(
    [
      *(f'Of both: {sentence}' for sentence in one if sentence in other),
      *(f'Of {names[0]}: {sentence}' for sentence in one if sentence not in other),
      *(f'Of {names[1]}: {sentence}' for sentence in other if sentence not in one),
    ]
  )


def is_anyone_unnamed(sentences: Iterable[str]) -> bool:
  """Whether what weakens a study says that some patients are not named."""
  said = ('patient identifiers', 'names no patients', 'No patients were given')
  return any(phrase in text for text in sentences for phrase in said)


def calibrated_worse(result: Result) -> list[str]:
  """Returns a sentence on the labels whose probabilities calibration made worse on test.

  By the Brier score, the mean squared error of probabilities, which neither timid nor extreme ones
  can lower: unlike the calibration error it does not depend on bins.
  """
  worse = []
  for label, tested in result.labels.items():
    before = tested.uncalibrated.test.brier if tested.uncalibrated else None
    after = tested.brier.value
    if before is not None and after is not None and after > (1 + WORSE) * before:
      said = rounding.decimal(after, 3, (before,))
      worse.append(f'{label} {rounding.decimal(before, 3, (after,))} before, {said} after')
  if not worse:
    return []
  return [
    f'Calibration made probabilities worse on test, the Brier score (lower is better) rising by '
    f'more than {WORSE:.0%}: {"; ".join(worse)}.'
  ]

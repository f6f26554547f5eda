"""What weakens a comparison with readers, in plain sentences."""

from collections.abc import Sequence

import numpy as np

from medjax.evaluation import notes as evaluation_notes
from medjax.evaluation import wording
from medjax.evaluation.readers.figures import Question, majority

NAMED = 3  # of many, then a count


def notes(study: dict, questions: Sequence[Question]) -> list[str]:
  """Returns sentences, the gravest first, on what `medjax.evaluation.readers.comparison.compare` has found."""
  return [
    *_judges(study, questions),
    *_few(study),
    *_certain(study),
    *_unanswered(study),
    *_without(study),
  ]


def passed_over(
  images: Sequence[str], readers: Sequence[str], unread: Sequence[str], labels: Sequence[str]
) -> list[str]:
  """Returns sentences on what did not enter.

  Args:
    images: that readers read and the predictions lack.
    readers: who answered no image of the predictions.
    unread: labels of the predictions that no reader answered.
    labels: that readers answered and the predictions lack.
  """
  found = []
  if images:
    found.append(
      f'{wording.count(len(images), "image")} that readers read, but not among those tested, passed '
      f'over: {_some(images)}.'
    )
  if readers:
    found.append(f'Without any answer on the images tested, and left out: {_some(readers)}.')
  if unread:
    found.append(f'No reader answered {_some(unread)}.')
  if labels:
    found.append(f'Readers answered what is not predicted, passed over: {_some(labels)}.')
  return found


def _judges(study: dict, questions: Sequence[Question]) -> list[str]:
  """Says where readers are measured against answers of readers."""
  if study['truth'] == 'other readers':
    return [
      'No truth was given: each reader is measured against the majority of the other readers, the curve '
      'against the majority of all, ties left out. Errors that readers share count as right.'
    ]
  found = []
  own: dict[str, list[str]] = {}
  for question in questions:
    vote = majority(question.answers)
    both = ~np.isnan(vote) & ~np.isnan(question.truth)
    if _same(vote[both], question.truth[both]) and len(question.readers) > 1:
      own.setdefault('', []).append(question.label)
      continue
    for party in question.readers:
      if _same(party.answer, party.truth):
        own.setdefault(party.name, []).append(question.label)
  for reader, labels in own.items():
    if reader:
      found.append(
        f'The answers of {reader} equal the truth on every image ({_some(labels)}): if the truth was '
        'made from them, they say nothing about this reader.'
      )
    else:
      found.append(
        f"The truth equals the readers' majority on every image ({_some(labels)}): if it was made from "
        "their answers, each reader's own counts in it, and readers look better than they are."
      )
  return found


def _same(answers: np.ndarray, truth: np.ndarray) -> bool:
  return bool(np.array_equal(answers, truth) and len(np.unique(truth)) > 1)


def _few(study: dict) -> list[str]:
  if 1 < study['patients'] < evaluation_notes.FEW_PATIENTS:
    return [
      f'Readers read only {study["patients"]} patients: intervals from so few tend to be too narrow.'
    ]
  return []


def _certain(study: dict) -> list[str]:
  """Names the rates whose interval has no width."""
  names = [
    f'{label}, {reader["reader"]}: {name}'
    for label, of in study['labels'].items()
    for reader in (*of['readers'], *([of['majority']] if of['majority'] else []))
    for name in ('sensitivity', 'specificity')
    if reader[name]['interval'] and reader[name]['interval'][0] == reader[name]['interval'][1]
  ]
  if not names:
    return []
  return [
    f'Intervals without width ({_some(names, "; ")}): no replicate differs because no error was seen, '
    'which is not certainty.'
  ]


def _unanswered(study: dict) -> list[str]:
  missing: dict[str, int] = {}
  for of in study['labels'].values():
    for reader in of['readers']:
      missing[reader['reader']] = missing.get(reader['reader'], 0) + reader['unanswered']
  named = [f'{reader} {number:,}' for reader, number in missing.items() if number]
  if not named:
    return []
  return [
    f'Not every reader answered every image; answers missing: {_some(named)}. Each is compared with the '
    'model on the images they answered, so their point may lie on the other side of the curve drawn.'
  ]


def _without(study: dict) -> list[str]:
  found = []
  for words, lacks in (
    (
      'Without both positives and negatives among the images read, so no curve: {}.',
      lambda of: of['roc'] is None,
    ),
    (
      'No frozen threshold, so no decisions of the model beside the readers: {}.',
      lambda of: of['model'] is None,
    ),
    (
      'Fewer than three readers, so no majority: {}.',
      lambda of: of['majority'] is None and study['truth'] == 'given',
    ),
  ):
    labels = [label for label, of in study['labels'].items() if lacks(of)]
    if labels:
      found.append(words.format(_some(labels)))
  return found


def _some(names: Sequence[str], between: str = ', ') -> str:
  """Names the first few of many."""
  more = len(names) - NAMED
  return between.join(names[:NAMED]) + (f' and {more:,} more' if more > 0 else '')

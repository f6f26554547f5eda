"""What weakens a comparison with readers, in plain sentences."""

from collections.abc import Sequence

import numpy as np

from medjax.evaluation import notes as evaluation_notes
from medjax.evaluation import wording
from medjax.evaluation.readers.figures import Question, majority
from medjax.evaluation.readers.study import ReaderStudy


def notes(study: ReaderStudy, questions: Sequence[Question]) -> list[str]:
  """Returns sentences on what weakens a study, the gravest first."""
  return [
    *_judges(study, questions),
    *_few(study),
    *_unanswered(study),
    *_without(study),
  ]


def left_out(
  images: Sequence[str], readers: Sequence[str], unread: Sequence[str], labels: Sequence[str]
) -> list[str]:
  """Returns sentences on what did not enter.

  Args:
    images: that readers read and the predictions lack.
    readers: who answered no image of the predictions.
    unread: labels of the predictions that no reader answered.
    labels: that readers answered and the predictions lack.
  """
  sentences = []
  if images:
    sentences.append(
      f'{wording.count(len(images), "image")} that readers read, but not among those tested, '
      f'ignored: {wording.some(images)}.'
    )
  if readers:
    sentences.append(
      f'Without any answer on the images tested, and left out: {wording.some(readers)}.'
    )
  if unread:
    sentences.append(f'No reader answered {wording.some(unread)}.')
  if labels:
    sentences.append(f'Readers answered what is not predicted, ignored: {wording.some(labels)}.')
  return sentences


def _judges(study: ReaderStudy, questions: Sequence[Question]) -> list[str]:
  """Says where readers are measured against answers of readers."""
  if study.truth == 'other readers':
    return [
      'No truth was given: each reader is measured against the majority of the other readers, the '
      'curve against the majority of all, ties left out. Errors that readers share count as right.'
    ]
  sentences = []
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
      sentences.append(
        f'The answers of {reader} equal the truth on every image ({wording.some(labels)}): if '
        'the truth was made from them, they say nothing about this reader.'
      )
    else:
      sentences.append(
        f"The truth equals the readers' majority on every image ({wording.some(labels)}): if "
        "it was made from their answers, each reader's own counts in it, and readers look better "
        'than they are.'
      )
  return sentences


def _same(answers: np.ndarray, truth: np.ndarray) -> bool:
  return bool(np.array_equal(answers, truth) and len(np.unique(truth)) > 1)


def _few(study: ReaderStudy) -> list[str]:
  if 1 < study.patients < evaluation_notes.FEW_PATIENTS:
    return [
      f'Readers read only {study.patients} patients: intervals from so few tend to be too narrow.'
    ]
  return []


def _unanswered(study: ReaderStudy) -> list[str]:
  missing: dict[str, int] = {}
  for read in study.labels.values():
    for reader in read.readers:
      missing[reader.reader] = missing.get(reader.reader, 0) + reader.unanswered
  named = [f'{reader} {number:,}' for reader, number in missing.items() if number]
  if not named:
    return []
  return [
    f'Not every reader answered every image; answers missing: {wording.some(named)}. Each is '
    'compared with the model on the images they answered, so their point may lie on the other '
    'side of the curve drawn.'
  ]


def _without(study: ReaderStudy) -> list[str]:
  sentences = []
  for words, lacks in (
    (
      'Without both positives and negatives among the images read, so no curve: {}.',
      lambda read: read.roc is None,
    ),
    (
      'No frozen threshold, so no decisions of the model next to the readers: {}.',
      lambda read: read.model is None,
    ),
    (
      'Fewer than three readers, so no majority: {}.',
      lambda read: read.majority is None and study.truth == 'given',
    ),
  ):
    labels = [label for label, read in study.labels.items() if lacks(read)]
    if labels:
      sentences.append(words.format(wording.some(labels)))
  return sentences

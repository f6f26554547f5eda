"""What the labels of a trained run are called in another data set.

By what the user says; else by the same name; else by the common vocabulary of the chest sets, in
which the labels of both sources stand for one finding.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from medjax.data.datasets import several
from medjax.data.datasets.vocabulary import CHEST
from medjax.errors import InputError, nearest

BY_NAME, BY_VOCABULARY, BY_USER = 'name', 'vocabulary', '--labels'


class Entry(NamedTuple):
  """A label of the run and the labels of the other set of which any makes it.

  Attributes:
    label: of the run.
    terms: of the other set; none where it cannot be mapped.
    by: `BY_NAME`, `BY_VOCABULARY` or `BY_USER`; '' where it cannot be mapped.
    reason: why it cannot, else ''.
  """

  label: str
  terms: tuple[str, ...]
  by: str = ''
  reason: str = ''


def pairs(text: str) -> list[str]:
  """Returns the pairs of 'a=b,c=d'; a comma inside a label parts nothing."""
  parts = text.split(',')
  return parts if all('=' in part for part in parts) else [text]


def parse(pairs: Sequence[str], labels: Sequence[str]) -> dict[str, tuple[str, ...]]:
  """Returns label of the run → labels of the other set, of 'other=own' each.

  Args:
    pairs: such as 'Effusion=Pleural Effusion'. One label of the run may be made of several.
    labels: those of the run.

  Raises:
    InputError: not of this form, no such label of the run, or a pair given twice.
  """
  given: dict[str, tuple[str, ...]] = {}
  for pair in pairs:
    term, separator, label = (part.strip() for part in pair.partition('='))
    if not (term and separator and label):
      raise InputError(
        f"--labels: '{pair}' is no pair; write LABEL OF THE OTHER SET=LABEL OF THE RUN, such as "
        "--labels='Effusion=Pleural Effusion'"
      )
    if label not in labels:
      turned = f"; did you mean '{label}={term}'?" if term in labels else nearest(label, labels)
      raise InputError(
        f"--labels='{pair}': the run has no label '{label}'{turned or '.'} Right of = stands the "
        f'label of the run: {", ".join(labels)}'
      )
    if term in given.get(label, ()):
      raise InputError(f"--labels='{pair}': is given twice")
    given[label] = (*given.get(label, ()), term)
  return given


def make(
  labels: Sequence[str],
  source: str,
  other_labels: Sequence[str],
  other_source: str,
  given: Mapping[str, Sequence[str]],
) -> tuple[Entry, ...]:
  """Returns an entry for each label of the run.

  Args:
    labels: of the run.
    source: config.data.source of the run.
    other_labels: those that the config of the other set lists.
    other_source: its config.data.source.
    given: from `parse`.
  """
  return tuple(
    Entry(label, tuple(given[label]), BY_USER)
    if label in given
    else _entry(label, source, other_labels, other_source)
    for label in labels
  )


def _entry(label: str, source: str, other_labels: Sequence[str], other_source: str) -> Entry:
  if label in other_labels:
    return Entry(label, (label,), BY_NAME)
  finding, reason = _finding(label, source)
  if reason:
    return Entry(label, (), reason=reason)
  if other_source not in CHEST:
    if finding in other_labels:
      return Entry(label, (finding,), BY_VOCABULARY)
    return Entry(
      label,
      (),
      reason=f'config.data.labels of the other set does not list it ({", ".join(other_labels)})',
    )
  terms = CHEST[other_source].get(finding)
  if terms is None:
    said = f"'{finding}'" if finding != label else 'it'
    return Entry(label, (), reason=f"'{other_source}' has no label for {said}")
  return Entry(label, tuple(several.terms(terms)), BY_VOCABULARY)


def _finding(label: str, source: str) -> tuple[str, str]:
  """Returns the common name of a label, or why there is none."""
  if source not in CHEST:  # Of several sets, or of anybody's table, the name is taken as common.
    return label, ''
  for finding, terms in CHEST[source].items():
    names = several.terms(terms)
    if names == [label]:
      return finding, ''
    if label in names:
      return (
        '',
        f"it is a part of '{finding}' ({' or '.join(names)}), which other sets do not divide",
      )
  return '', f"the common vocabulary has no '{label}' of '{source}'"


def apply(
  entries: Sequence[Entry], terms: Sequence[str], truth: np.ndarray, known: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
  """Returns truth f32[N, L] and known bool[N, L] of the mapped labels of the run.

  Positive if any of its terms is, negative if none is, unknown if any of its terms is: the rule of
  medjax.evaluation.levels. To keep the positives among those of an unknown term, and to lose those
  that may be negative, would raise the prevalence. `several.either` keeps them, for its codes train
  as well, where every positive is worth having.

  Args:
    entries: those that are mapped.
    terms: T labels of the other set, all that the entries name.
    truth: [N, T] of 0 and 1, read only where known.
    known: bool[N, T].
  """
  mapped_truth, mapped_known = [], []
  for entry in entries:
    columns = [list(terms).index(term) for term in entry.terms]
    whole = known[:, columns].all(axis=1)
    mapped_truth.append(whole & (truth[:, columns] == 1).any(axis=1))
    mapped_known.append(whole)
  return np.stack(mapped_truth, axis=1).astype(np.float32), np.stack(mapped_known, axis=1)


def partly_known(
  entries: Sequence[Entry], terms: Sequence[str], truth: np.ndarray, known: np.ndarray
) -> list[str]:
  """Returns a sentence on the images that `apply` leaves unknown though some terms are known.

  Arguments as of `apply`.
  """
  lost = []
  for entry in entries:
    columns = [list(terms).index(term) for term in entry.terms]
    partly = known[:, columns].any(axis=1) & ~known[:, columns].all(axis=1)
    positive = partly & ((truth[:, columns] == 1) & known[:, columns]).any(axis=1)
    if partly.any():
      others = partly & ~positive
      lost.append(f'{entry.label} {positive.sum():,} with the finding and {others.sum():,} others')
  if not lost:
    return []
  return [
    'Left out of each label that several labels of the external set make, because one of these is '
    f'not known: {"; ".join(lost)} (images). Were only those with the finding kept, the prevalence '
    'would be too high.'
  ]


def nothing_in_common(entries: Sequence[Entry], other_labels: Sequence[str]) -> InputError:
  """Returns the error where no label of the run is in the other set."""
  labels = ', '.join(entry.label for entry in entries)
  return InputError(
    f'no label in common: the run has {labels}, the other set {", ".join(other_labels)}; say which '
    "is which with --labels='LABEL OF THE OTHER SET=LABEL OF THE RUN'"
  )

"""Another data set as a run reads it: its images, its labels by the run's names, its patients."""

import dataclasses
import hashlib
import os
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.config import Config
from medjax.data import datasets, labels, missing_files, study
from medjax.data import table as study_table
from medjax.data.datasets import label_map
from medjax.data.datasets.label_map import Entry
from medjax.data.images import decoding
from medjax.data.leakage import other_set
from medjax.data.leakage.other_set import Met
from medjax.data.split import characteristics
from medjax.errors import InputError, check_option, count
from medjax.runs import seen_by_run
from medjax.runs.finished import Run
from medjax.runtime import progress, remote_path, rounding

PARTS = ('all', 'train', 'validation', 'test', 'unused')


class ExternalSet(NamedTuple):
  """Another data set, N images of it, with L labels of the run.

  Attributes:
    table: the study table.
    paths: N files, or `container#key`.
    entries: what each label of the run is there, those that cannot be mapped too.
    truth: f32[N, L] of 0 and 1, of the labels that are mapped.
    known: bool[N, L].
    notes: sentences on what weakens it.
    sha256: of image, patient and truth.
  """

  table: pd.DataFrame
  paths: list[str]
  entries: tuple[Entry, ...]
  truth: np.ndarray
  known: np.ndarray
  notes: tuple[str, ...]
  sha256: str

  @property
  def labels(self) -> list[str]:
    """The labels of the run that are mapped."""
    return [entry.label for entry in self.entries if entry.terms]


def read(run: Run, config: Config, given: Sequence[str], part: str) -> ExternalSet:
  """Reads the table of another set; no image is opened.

  Args:
    run: a finished run.
    config: of the other set: its data, and its split where a part is asked for.
    given: 'label there=label of the run' each.
    part: 'all', or a split that the config draws.

  Raises:
    InputError: labels that cannot be mapped, of exclusive classes each of them; anything about the
      source, or the part.
  """
  check_option('--part', part, PARTS)
  own, data = run.config, config.data
  entries = label_map.make(
    own.data.labels,
    own.data.source,
    data.labels,
    data.source,
    label_map.parse(given, own.data.labels),
  )
  mapped = [entry for entry in entries if entry.terms]
  if not mapped:
    raise label_map.nothing_in_common(entries, data.labels)
  missing = [entry for entry in entries if not entry.terms]
  if missing and own.model.head != 'sigmoid':
    raise InputError(
      f"the run tells exclusive classes apart, and its '{missing[0].label}' cannot be mapped "
      f'({missing[0].reason}); name it with --labels, or take a set that has every class'
    )
  terms = tuple(dict.fromkeys(term for entry in mapped for term in entry.terms))
  asked = dataclasses.replace(data, labels=terms)
  with progress.waiting(f'reading the table of images and their labels in {data.root}'):
    table = datasets.read_all(asked)
    notes = missing_files.check(table, remote_path.path(data.root), data.broken, data.source)
    table, view_notes = datasets.keep_views(table, asked)
    if part != 'all':
      table = _of_part(config, table, part)
  of_terms = labels.reference(table, terms, data.blank)
  truth, known = label_map.apply(mapped, terms, *of_terms)
  table = table.reset_index(drop=True)
  notes += [*view_notes, *study_table.note_on_identifiers(table)]
  notes += characteristics.note_on_sexes(table)
  notes += _assumed(table, mapped, truth, known)
  notes += label_map.partly_known(mapped, terms, *of_terms)
  return ExternalSet(
    table,
    study.paths(config, table['image']),
    entries,
    truth,
    known,
    tuple(notes),
    _digest(table, truth, known),
  )


def _of_part(config: Config, table: pd.DataFrame, part: str) -> pd.DataFrame:
  """Returns the rows of one split that the config draws, by its own labels."""
  drawn, _ = study.make(config)
  names = set(drawn.table['image'][drawn.split == part])
  kept = table[table['image'].isin(names)]
  if not len(kept):
    raise InputError(f'--part={part}: the split of the config has no image there')
  return kept


def _assumed(
  table: pd.DataFrame, mapped: Sequence[Entry], truth: np.ndarray, known: np.ndarray
) -> list[str]:
  """Returns a note on negatives that nobody has ruled out, if data.blank makes such."""
  blank = [table[list(entry.terms)].isna().to_numpy().any(axis=1) for entry in mapped]
  negative = known & (truth == 0)
  assumed = (negative & np.stack(blank, axis=1)).sum()
  if not assumed:
    return []
  return [
    f'Of the negatives of the external set, {rounding.percent(assumed / negative.sum(), 0)} are '
    'findings that were not mentioned, not findings that were ruled out (data.blank).'
  ]


def _digest(table: pd.DataFrame, truth: np.ndarray, known: np.ndarray) -> str:
  digest = hashlib.sha256()
  answers = np.where(known, np.where(truth == 1, '1', '0'), '')
  for image, patient, row in zip(table['image'], table['patient'], answers):
    digest.update(os.fsencode('\0'.join((image, patient, *row)) + '\n'))
  return digest.hexdigest()


def check_apart(
  run: Run,
  other: ExternalSet,
  root: str,
  *,
  pixels: bool,
  allowed: bool,
  broken: str = 'set_aside',
) -> Met:
  """Returns which of the images the run has seen, and those it was averaged with and started from.

  Args:
    run: a finished run.
    other: from `read`.
    root: the folder of its images.
    pixels: whether images are compared by what they show, too.
    allowed: whether images that trained or chose the network are.
    broken: config.data.broken of the other set.

  Raises:
    InputError: the other set is the run's own; some of it trained or chose the network, unless that
      is allowed; or with broken='stop', the first image that turns out to be unreadable.
  """
  layouts = [member.layout for member in (run, *run.members)]
  seen = pd.concat(
    [*map(seen_by_run.seen_by, layouts), *map(seen_by_run.tested_by, layouts)], ignore_index=True
  ).drop_duplicates()
  formats = {member.network.learner.image_format for member in (run, *run.members)}

  def check(path: str) -> None:
    # The look decodes more of a file than the network needs.
    if broken == 'stop':
      try:
        for image_format in formats:
          decoding.decode(path, image_format)
      except InputError as error:
        raise unreadable(str(error)) from None

  with progress.waiting('comparing the images with those that the run has seen'):
    met = other_set.find(other.table, other.paths, root, seen, pixels=pixels, check=check)
  total, own = len(met.split), int((met.split != '').sum())
  grave = int(np.isin(met.split, ('train', 'validation')).sum())
  if own > total / 2 and not allowed:
    raise InputError(
      f'{root}: is the set that {run.workdir} was trained and tested on ({own:,} of its '
      f'{count(total, "image")}); its own test is in {run.layout.report}. Take a set of other '
      'patients'
    )
  if grave and not allowed:
    raise InputError(
      f'{met.first} ({grave:,} of {count(total, "image")} trained or chose this model): figures on '
      'them say nothing of new patients; leave out all images of their patients, or insist with '
      '--allow_training_images'
    )
  return met


def unreadable(reason: str) -> InputError:
  """Returns the error of an image that cannot be read where config.data.broken='stop'."""
  return InputError(
    f'{reason}; mend it, or set config.data.broken=set_aside to go on without such images'
  )

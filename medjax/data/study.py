"""From a config to the study: the table, the reference labels, and who trains and who is tested."""

import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence, Set
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.config import Config, Evaluation
from medjax.config import protocol as protocols
from medjax.data import (
  datasets,
  labels,
  missing_files,
  pipeline,
  prepared,
  targets,
  units,
)
from medjax.data import table as study_table
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.leakage import table_audit
from medjax.data.prepared import Prepared
from medjax.data.split import (
  by_patient,
  characteristics,
  folds,
  given,
  source_weights,
  split_files,
)
from medjax.errors import InputError, check_option
from medjax.runtime import remote_path, remote_work, rounding


@dataclasses.dataclass(frozen=True)
class Study:
  """A study table of N images with its split.

  Attributes:
    table: the study table.
    values: f32[N, L], the training targets in [0, 1].
    mask: f32[N, L], where a target counts.
    truth: f32[N, L], 0 or 1 where known: what evaluation compares with.
    known: bool[N, L], where evaluation counts it: no uncertain label, and a blank one by its
      policy.
    split: str[N], train, validation, test or unused.
    proof: what split.json holds.
    decoded: where its images lie decoded; None decodes the files.
  """

  table: pd.DataFrame
  values: np.ndarray
  mask: np.ndarray
  truth: np.ndarray
  known: np.ndarray
  split: np.ndarray
  proof: dict[str, Any]
  decoded: Prepared | None = None

  def rows(self, part: str, broken: Set[str] = frozenset()) -> np.ndarray:
    """Returns the positions, int64, of a split's images without those set aside."""
    kept = (self.split == part) & ~self.table['image'].isin(broken).to_numpy()
    if not kept.any():
      raise InputError(
        f'the {part} split has no image left; {len(broken):,} images could not be read'
      )
    return np.flatnonzero(kept)

  def source_weights(self, labels: Sequence[str], part: str) -> np.ndarray | None:
    """Returns `medjax.data.split.source_weights.to_source` of a split, f64[N] or None."""
    drawn = self.table, self.split, self.truth, self.known, labels
    return source_weights.to_source(*drawn, how=self.proof['how'], part=part)

  def absent(self, labels: Sequence[str], part: str) -> dict[str, int]:
    """Returns `medjax.data.split.source_weights.absent` of a split."""
    drawn = self.table, self.split, self.truth, self.known, labels
    return source_weights.absent(*drawn, how=self.proof['how'], part=part)


class Source(NamedTuple):
  """A source before its patients are split: what `read_source` returns.

  Attributes:
    every_image: the study table of all views.
    table: that of those views that config.data.views keeps, N rows.
    values, mask, truth, known: as of `Study`.
    notes: sentences on what weakens them.
  """

  every_image: pd.DataFrame
  table: pd.DataFrame
  values: np.ndarray
  mask: np.ndarray
  truth: np.ndarray
  known: np.ndarray
  notes: list[str]


def make(config: Config) -> tuple[Study, str]:
  """Reads the source and draws the split; returns the study and the text of split.csv.

  Raises:
    InputError: anything about the source, its labels or the split, a row whose image is missing, or
      no column for config.evaluation.level or one of its subgroups.
  """
  source = read_source(config)
  split, how, split_notes = draw(config, source)
  table, truth, known, names = source.table, source.truth, source.known, config.data.labels
  check_evaluation(config, table, split)
  settings = dataclasses.asdict(config.split)
  text = split_files.to_csv(table, split)
  proof = split_files.proof(
    table, split, truth, known, names, settings=settings, how=how, csv_text=text
  )
  every_image, notes = source.every_image, source.notes + split_notes
  notes += study_table.note_on_identifiers(table) + characteristics.note_on_sexes(table)
  notes += _assumed_negatives(table, split, names, truth, known)
  proof['source'] = {
    'images': len(every_image),
    'patients': every_image['patient'].nunique(),
    'of_other_views': len(every_image) - len(table),
    'patients_of_other_views': every_image['patient'].nunique() - table['patient'].nunique(),
  }
  proof['notes'] += notes
  study = Study(table, source.values, source.mask, truth, known, split, proof)
  return study, text


def read_source(config: Config) -> Source:
  """Reads the source; raises as `make`."""
  every_image = datasets.read_all(config.data)
  data = config.data
  notes = missing_files.check(every_image, remote_path.path(data.root), data.broken, data.source)
  table, view_notes = datasets.keep_views(every_image, config.data)
  return Source(every_image, table, *_labels(config, table), notes + view_notes)


def draw(config: Config, source: Source) -> tuple[np.ndarray, dict, list[str]]:
  """Returns the split str[N] that the config asks for, how it was made, and notes on it.

  Raises:
    InputError: anything about the split.
  """
  with_official, notes = given.with_official(
    source.table, remote_path.path(config.data.root), config.split
  )
  split, how = folds.split(
    with_official, source.truth, source.known, config.data.labels, config.split
  )
  by_patient.check_overlap(source.table, split)
  return split, how, notes


def findings(
  config: Config, data: Study, metadata: Mapping[str, pd.Series] | None = None
) -> list[str]:
  """Returns what makes the test of a study flatter, as an audit finds it, in sentences.

  Args:
    config: that it was made by.
    data: N images.
    metadata: name → N values, '' where unknown, of what the files say of the images.
  """
  return table_audit.table_findings(
    data.table, data.split, config.data.labels, data.truth, data.known, metadata
  )


def check_evaluation(config: Config, table: pd.DataFrame, split: np.ndarray) -> None:
  """Raises InputError where the table lacks what the test will ask of it, after the training."""
  tested = table[np.isin(split, ('validation', 'test'))]
  level, subgroups = (protocols.IN_CONFIG[name] for name in ('level', 'subgroups'))
  units.keys(
    config.evaluation.level, tested['image'].tolist(), tested['patient'].tolist(), tested, level
  )
  if config.evaluation.subgroups == Evaluation().subgroups:
    return  # Those are taken where a table has them.
  for name in config.evaluation.subgroups:
    check_option(f'a column of {subgroups}', name, list(study_table.subgroup_columns(table)))


def _assumed_negatives(
  table: pd.DataFrame, split: np.ndarray, names: Sequence[str], truth: np.ndarray, known: np.ndarray
) -> list[str]:
  """Returns a note on the test's negatives that nobody has ruled out, if data.blank makes such."""
  tested = split == 'test'
  negative = tested[:, None] & known & (truth == 0)
  assumed = negative & table[list(names)].isna().to_numpy()
  if not assumed.any():
    return []
  shares = assumed.sum(axis=0) / np.maximum(negative.sum(axis=0), 1)
  worst = int(np.argmax(shares))
  share = rounding.percent(assumed.sum() / negative.sum(), 0)
  return [
    f'Of the negatives of the test, {share} are findings that were '
    f'not mentioned, not findings that were ruled out (data.blank); the most for {names[worst]}, '
    f'{rounding.percent(shares[worst], 0)}.'
  ]


def read(config: Config, directory: pathlib.Path) -> Study:
  """Reads the source and the split that `directory` holds, refusing it if either has changed."""
  table = datasets.read(config.data)
  values, mask, truth, known = _labels(config, table)
  split, proof = split_files.read(directory, table)
  return Study(table, values, mask, truth, known, split, proof)


def _labels(
  config: Config, table: pd.DataFrame
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
  """Returns the training targets with their mask, and the truth with where it is known."""
  data = config.data
  values, mask = labels.resolve(table, data.labels, data.uncertain, data.blank)
  truth, known = labels.reference(table, data.labels, data.blank)
  if config.model.head != 'sigmoid':
    targets.check_one_label_each(table, data.labels, values, mask)
    targets.check_one_label_each(table, data.labels, truth, known)
  return values, mask, truth, known


def paths(config: Config, images: pd.Series) -> list[str]:
  """Returns the files of these images."""
  return [os.path.join(config.data.root, image) for image in images]


def records(
  config: Config, image_format: ImageFormat, study: Study, rows: np.ndarray
) -> pipeline.Records:
  """Returns what batches of these rows are made of."""
  values, mask = targets.targets(config.model.head, study.values[rows], study.mask[rows])
  images, mapped = study.table['image'].iloc[rows], None
  # What another network of an average is given may differ in size.
  if study.decoded is not None and study.decoded.image_format == image_format:
    mapped = study.decoded.select(images.tolist())
  return pipeline.Records(paths(config, images), values, mask, image_format, mapped)


def with_decoded(config: Config, study: Study, image_format: ImageFormat) -> Study:
  """Returns the study with its images decoded before, where config.data.prepared says so.

  Raises:
    InputError: config.data.prepared is no folder of these images, or one has changed since.
  """
  data = config.data
  if not data.prepared:
    return study
  decoded = prepared.load(remote_work.local_copy(data.prepared), data.root, image_format)
  return dataclasses.replace(study, decoded=decoded)


def describe(study: Study) -> list[str]:
  """Returns the split in plain lines: patients and images, and the positives of each label."""
  parts = [study.proof['splits'][name] for name in ('train', 'validation', 'test')]
  lines = [f'{"":28}{"train":>23}{"validation":>23}{"test":>23}']
  for unit in ('patients', 'images'):
    lines.append(f'{unit:28}' + ''.join(f'{part[unit]:>23,}' for part in parts))
  for label in parts[0]['labels']:
    counts = [part['labels'][label] for part in parts]
    lines.append(f'{label:28}' + ''.join(f'{_positives(count):>23}' for count in counts))
  return lines


def _positives(count: dict[str, Any]) -> str:
  if count['prevalence'] is None:
    return 'none known'
  return f'{count["positive"]:,} positive {count["prevalence"]:5.1%}'

"""Readers' answers become a reference standard, and how far the readers agree."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from medjax.data.reference import consensus, reader_table
from medjax.evaluation import results_file
from medjax.evaluation.statistics import agreement
from medjax.runtime import files

CONSENSUS, READERS, AGREEMENT = 'consensus.csv', 'readers.csv', 'agreement.json'


class Reference(NamedTuple):
  """A reference standard and what it was made of.

  Attributes:
    readings: as medjax.data.reference.reader_table describes them.
    definitive: a more definitive test, or None.
    standard: the labels of images, and how good the readers are.
    agreement: of the readers.
    method: of the consensus.
    ties: what a tie is called.
    classes: where readers choose one of several; empty for labels.
  """

  readings: pd.DataFrame
  definitive: pd.DataFrame | None
  standard: consensus.Standard
  agreement: agreement.Agreement
  method: str
  ties: str
  classes: tuple[str, ...]


def make(
  readers: Sequence[pathlib.Path],
  definitive: pathlib.Path | None = None,
  *,
  method: str = 'majority',
  ties: str = 'uncertain',
  classes: Sequence[str] = (),
) -> Reference:
  """Makes a reference standard of files.

  Args:
    readers: CSVs of image, reader and labels, see medjax.data.reference.reader_table.read_files.
    definitive: CSV of image, labels and test, which outranks the readers; None for none.
    method, ties, classes: see medjax.data.reference.consensus.estimate.

  Raises:
    InputError: files that are not as described, or an unknown method or rule.
  """
  readings = reader_table.read_files(readers, classes)
  labels = reader_table.labels_of(readings)
  test = None
  if definitive is not None:
    test = reader_table.read_definitive(definitive, labels, classes)
  standard = consensus.estimate(
    readings, method=method, ties=ties, definitive=test, classes=classes
  )
  agreed = agreement.summarise(readings, classes=classes)
  return Reference(readings, test, standard, agreed, method, ties, tuple(classes))


def write(directory: pathlib.Path, reference: Reference) -> None:
  """Writes consensus.csv, readers.csv and agreement.json; grades by their names."""
  directory.mkdir(parents=True, exist_ok=True)
  labels, classes = reference.standard.labels, reference.classes
  if classes:
    (grade,) = reader_table.labels_of(reference.readings)
    codes = labels[grade].fillna(-1).astype(int)
    labels = labels.assign(**{grade: ['' if code < 0 else classes[code] for code in codes]})
  for name, frame in ((CONSENSUS, labels), (READERS, reference.standard.readers)):
    files.write_whole(directory / name, frame.to_csv(index=False, float_format='%.6g'))
  results_file.save(directory / AGREEMENT, reference.agreement)

"""The reference standard: from what several readers say, or a more definitive test, to labels.

Readers disagree. Their consensus is a majority, a share, or an estimate of the truth that weighs
each reader by the errors that the readings themselves show. A more definitive test (histopathology
for a skin lesion, CT for a mass) outranks any number of readers wherever it has been done.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.data.reference import reader_errors, reader_table
from medjax.errors import InputError, check_option

METHODS = {
  'majority': 'majority',
  'share': 'share',
  'dawid_skene': 'Dawid-Skene',
  'staple': 'STAPLE',
}
ESTIMATED = ('dawid_skene', 'staple')  # which weigh each reader by estimated errors
TIES = ('uncertain', 'positive', 'negative')
FEW = 10  # images, with fewer of which an error rate of a reader is hardly told


class Standard(NamedTuple):
  """The labels of images, and how good those are who read them; see `estimate`."""

  labels: pd.DataFrame
  readers: pd.DataFrame
  notes: tuple[str, ...]


def consensus(
  readings: pd.DataFrame,
  *,
  method: str = 'majority',
  ties: str = 'uncertain',
  definitive: pd.DataFrame | None = None,
  classes: Sequence[str] = (),
) -> pd.DataFrame:
  """Returns one row per image: `image`, each label and `reference`. See `estimate`."""
  return estimate(readings, method=method, ties=ties, definitive=definitive, classes=classes).labels


def estimate(
  readings: pd.DataFrame,
  *,
  method: str = 'majority',
  ties: str = 'uncertain',
  definitive: pd.DataFrame | None = None,
  classes: Sequence[str] = (),
) -> Standard:
  """Estimates the truth of each image and the errors of each reader, one label at a time.

  Args:
    readings: columns `image`, `reader` and one float32 column per label: 1, 0, NaN where the reader
      did not read; see medjax.data.reference.reader_table.
    method: 'majority': what most readers of the image say. 'share': the share of them who say 1, a
      soft label. 'dawid_skene' and 'staple': the likelier truth, see
      medjax.data.reference.reader_errors.
    ties: what an image is called for which two answers have as much behind them: 'uncertain' (-1),
      'positive' (of classes: the highest) or 'negative' (the lowest). A share needs no such rule.
    definitive: columns `image`, any of the labels (1, 0, NaN where the test says nothing) and,
      where it is to be named, `test`, the test's name. It outranks the readers wherever it has a
      value; with 'dawid_skene' and 'staple' the readers' errors are estimated with those truths
      held fixed. Images that nobody read are added.
    classes: where an answer is one of K > 2 classes, their names, grades in rising order; readings
      and the result then have one label column of 0 … K - 1.

  Returns:
    labels: `image`, each label f32 (NaN where neither reader nor test says anything) and
      `reference`, in words how the labels came to be: 'majority of 3 readers', 'tie of 2 readers',
      'histopathology'; where labels differ in it, 'Mass: CT; Edema: majority of 3 readers'. Images
      are in the order of the readings, so that it joins a study table on `image`.
    readers: `reader`, `label` (with classes: the class, against all others), `reads`,
      `sensitivity`, `specificity`; NaN where no image that this reader read is (not) of the label.
      Against a majority, which contains the reader's own answer and leaves out ties, both look
      better than they are; the other methods estimate them together with the truth.
    notes: sentences on readers who would have been overruled, or whose errors the readings do not
      tell.

  Raises:
    InputError: readings or definitive that are not as described, an unknown method or rule.
  """
  check_option('consensus', method, METHODS)
  check_option('ties', ties, TIES)
  number = max(len(classes), 2)
  if classes and method == 'share':
    raise InputError("consensus is 'share', which needs questions of yes or no, not classes")
  readings = reader_table.check(readings, 'readings', classes)
  labels = reader_table.labels_of(readings)
  at_image, images = pd.factorize(readings['image'])
  at_reader, names = pd.factorize(readings['reader'])
  if definitive is None:
    definitive = pd.DataFrame({'image': []})
  known = reader_table.check_definitive(definitive, labels, 'definitive', classes)
  known = known.set_index('image')
  images = pd.Index(images).append(known.index.difference(images, sort=False))
  tests = known.reindex(images)
  tests = tests[reader_table.TEST] if reader_table.TEST in tests else pd.Series('', images)
  tests = tests.fillna('').replace('', 'definitive test').to_numpy(object)
  columns, origins, rates = {}, [], []
  notes: list[str] = []
  for label in labels:
    answers = readings[label].to_numpy(np.float64)
    read = ~np.isnan(answers)
    reads = reader_errors.Reads(
      at_image[read], at_reader[read], answers[read].astype(int), len(images), len(names), number
    )
    definite = np.full(len(images), np.nan)
    if label in known:
      definite = known[label].reindex(images).to_numpy(np.float64)
    fixed = np.where(np.isnan(definite), -1, definite).astype(int)
    truth = _ESTIMATORS[method](reads, fixed)
    values, tied = _decided(truth.probability, ties)
    if method == 'share':
      values, tied = truth.probability[:, 1], np.zeros_like(tied)
    columns[label] = values.astype(np.float32)
    number_of = np.bincount(reads.image, minlength=len(images))
    origins.append(_origins(number_of, tied, np.where(fixed >= 0, tests, ''), method, ties))
    read_by = np.bincount(reads.reader, minlength=len(names))
    rates.append(_rates(truth.confusion, names, read_by, classes, label))
    if method in ESTIMATED:
      telling = ((number_of >= 3) | (fixed >= 0))[reads.image]
      told_by = np.bincount(reads.reader, telling, len(names))
      notes += _notes(method, label, truth.held, rates[-1], told_by)
  frame = pd.DataFrame({'image': images.astype(object), **columns})
  frame['reference'] = _in_words(labels, np.stack(origins, axis=1))
  readers = pd.concat(rates, ignore_index=True).drop(columns=['with', 'without'])
  return Standard(frame, readers, tuple(notes))


def _notes(
  method: str, label: str, held: np.ndarray, rates: pd.DataFrame, told_by: np.ndarray
) -> list[str]:
  """Returns sentences on what the readings alone do not say, where the errors are estimated.

  Args:
    method: one of `ESTIMATED`.
    label: that was read.
    held: bool[N], images whose readers would have been overruled.
    rates: of the readers, with the images `with` and `without` the label that each rate rests on.
    told_by: f[R], the images of each reader that at least three read, or a test has settled.
  """
  notes = []
  if held.any():
    notes.append(
      f'{label}: {METHODS[method]} alone would have overruled all readers of {held.sum():,} '
      'images; their answer was kept, and the readers were measured with it.'
    )
  every = rates.drop_duplicates('reader')
  if len(lone := every['reader'][(every['reads'].to_numpy() > 0) & (told_by < FEW)]):
    notes.append(
      f'{label}: the errors of {_names(lone)} are not identified: fewer than {FEW} of the images '
      'that they read have three readers or a definitive test.'
    )
  read = rates[rates['reads'] > 0]
  for rate, needed in (('sensitivity', 'with'), ('specificity', 'without')):
    few = (read[needed] < FEW) & read[rate].notna()
    for name, rows in read[read[rate].isna()].groupby('label', sort=False):
      readers = _names(rows['reader'])
      notes.append(f'The {rate} of {readers} is unknown: they read no image {needed} {name}.')
    for name, rows in read[few].groupby('label', sort=False):
      readers = _names(rows['reader'])
      notes.append(f'The {rate} of {readers} rests on fewer than {FEW} images {needed} {name}.')
  return notes


def _names(readers: pd.Series) -> str:
  return ', '.join(readers.astype(str))


def _decided(probability: np.ndarray, ties: str) -> tuple[np.ndarray, np.ndarray]:
  """Returns each image's class f64[N], NaN where there is no evidence, and whether it is a tie."""
  leading = reader_errors.leading(probability)
  lowest, highest = leading.argmax(axis=1), leading.shape[1] - 1 - leading[:, ::-1].argmax(axis=1)
  tied = leading.sum(axis=1) > 1
  called = {'uncertain': np.full(len(tied), -1), 'positive': highest, 'negative': lowest}[ties]
  return np.where(leading.any(axis=1), np.where(tied, called, lowest), np.nan), tied


def _origins(
  reads: np.ndarray, tied: np.ndarray, tests: np.ndarray, method: str, ties: str
) -> np.ndarray:
  """Returns str[N]: how one label of each image came to be, '' where it did not."""
  counts = range(reads.max() + 1)
  readers = np.array([f'{n} reader' if n == 1 else f'{n} readers' for n in counts])[reads]
  called = '' if ties == 'uncertain' else f', called {ties}'
  words = np.where(
    tied,
    np.char.add(np.char.add('tie of ', readers), called),
    np.char.add(f'{METHODS[method]} of ', readers),
  ).astype(object)
  return np.where(tests != '', tests, np.where(reads > 0, words, ''))


def _in_words(labels: Sequence[str], origins: np.ndarray) -> list[str]:
  """Returns one text for each row of str[N, L], naming the labels only where they differ."""
  codes, texts = pd.factorize(origins.ravel())
  rows, place = np.unique(codes.reshape(origins.shape), axis=0, return_inverse=True)
  composed = []
  for row in rows:
    labels_of: dict[str, list[str]] = {}
    for label, code in zip(labels, row):
      labels_of.setdefault(texts[code], []).append(label)
    labels_of.pop('', None)
    named = [f'{", ".join(names)}: {text}' for text, names in labels_of.items()]
    same = len(named) == 1 and len(labels_of[next(iter(labels_of))]) == len(labels)
    composed.append(next(iter(labels_of)) if same else '; '.join(named))
  return [composed[at] for at in place.ravel()]


def _rates(
  confusion: np.ndarray,
  names: Sequence[str],
  reads: np.ndarray,
  classes: Sequence[str],
  label: str,
) -> pd.DataFrame:
  parts = []
  total = confusion.sum(axis=2)
  for positive, name in enumerate(classes) if classes else ((1, label),):
    sensitivity, specificity = reader_errors.sensitivity_specificity(confusion, positive)
    parts.append(
      pd.DataFrame(
        {
          'reader': names,
          'label': name,
          'reads': reads,
          'sensitivity': sensitivity,
          'specificity': specificity,
          'with': total[:, positive],
          'without': total.sum(axis=1) - total[:, positive],
        }
      )
    )
  return pd.concat(parts, ignore_index=True)


_ESTIMATORS = {
  'majority': reader_errors.vote,
  'share': reader_errors.vote,
  'dawid_skene': reader_errors.dawid_skene,
  'staple': reader_errors.staple,
}

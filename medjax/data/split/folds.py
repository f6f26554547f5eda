"""Patients in folds: each is tested once, by a network that the others have trained.

The draw is that of a validation set: a fold takes of each pattern of positive labels its share of
the patients that are left, so that all folds have about as many positives of every label. By site a
fold is whoever was imaged there, and validation is drawn to resemble the other sites: nobody has
the labels of a site that was never seen.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.config import Split
from medjax.data.split import by_patient
from medjax.data.split.draws import draw_validation
from medjax.errors import InputError, count

SITE = 'site'


class Folds(NamedTuple):
  """Who is tested in which fold.

  Attributes:
    names: of the folds: '0', '1', … or the sites, sorted.
    fold: int[N], of each row of the study table.
    notes: sentences on whatever weakens them.
  """

  names: tuple[str, ...]
  fold: np.ndarray
  notes: tuple[str, ...] = ()


class Lacking(NamedTuple):
  """A class of a label that a part of a split does not have.

  Attributes:
    part: 'test', 'validation' or 'train'.
    label: its name.
    kind: 'positive' or 'negative'.
  """

  part: str
  label: str
  kind: str


def make(
  table: pd.DataFrame, truth: np.ndarray, known: np.ndarray, *, folds: int | str, seed: int
) -> Folds:
  """Puts every patient of a study table into one fold.

  Args:
    table: a checked study table of N rows.
    truth: f32[N, L], 1 where positive.
    known: bool[N, L], where the truth is known.
    folds: how many, 2 or more; or 'site' for one of each value of the column of that name. A
      patient of several sites is of the one with most of his or her images.
    seed: of the draw; the same order of patients as that of a single test set.

  Raises:
    InputError: more folds than patients; no column site, a row without one, or a single site.
  """
  patients, names = pd.factorize(table['patient'].to_numpy(object), sort=True)
  if isinstance(folds, str):
    return _by_site(table, patients, len(names))
  if folds > len(names):
    raise InputError(
      f'config.split.folds={folds}: there are {count(len(names), "patient")}, and each fold tests '
      'some of them; ask for fewer folds'
    )
  positive = by_patient.by_patient(patients, len(names), known & (truth > 0.5))
  drawn = draw(positive, np.random.default_rng(seed).permutation(len(names)), folds)
  return Folds(tuple(map(str, range(folds))), drawn[patients])


def draw(positive: np.ndarray, rank: np.ndarray, folds: int) -> np.ndarray:
  """Returns int[patients], the fold of each, of sizes that differ by one at most.

  Args:
    positive: bool[patients, L].
    rank: int[patients], each patient's place in the random order.
    folds: how many.
  """
  fold, left = np.full(len(rank), folds - 1), np.ones(len(rank), bool)
  for number in range(folds - 1):
    size = int(left.sum()) // (folds - number)
    chosen, _, _ = draw_validation(positive, left, left, rank, size)
    fold[chosen] = number
    left &= ~chosen
  return fold


def split(
  table: pd.DataFrame,
  truth: np.ndarray,
  known: np.ndarray,
  labels: Sequence[str],
  settings: Split,
) -> tuple[np.ndarray, dict]:
  """Returns the split that the settings ask for, of one fold where there are folds, and how.

  Arguments and result are those of `medjax.data.split.by_patient.make`; of a fold `how['test']`
  says 'folds', 'fold' and its 'name'. Validation is drawn of the other patients, to resemble
  the fold, or by site all who are not tested.

  Raises:
    InputError: as there and as `make`; folds of which none is named, or one that is not there.
  """
  if not settings.folds:
    return by_patient.make(
      table,
      truth,
      known,
      labels,
      test=settings.test,
      validation=settings.validation,
      test_floor=settings.test_floor,
      seed=settings.seed,
    )
  where = f'config.split.folds={settings.folds}'
  if settings.fold < 0:
    raise InputError(
      f'{where}: here one of them must be named, such as config.split.fold=0; medjax.main runs '
      'them all'
    )
  made = make(table, truth, known, folds=settings.folds, seed=settings.seed)
  return of_fold(table, truth, known, labels, settings, made)


def of_fold(
  table: pd.DataFrame,
  truth: np.ndarray,
  known: np.ndarray,
  labels: Sequence[str],
  settings: Split,
  made: Folds,
) -> tuple[np.ndarray, dict]:
  """As `split`, of folds that `make` has made."""
  where = f'config.split.folds={settings.folds}'
  if settings.fold >= len(made.names):
    raise InputError(
      f'{where}: config.split.fold={settings.fold}: must be from 0 to {len(made.names) - 1}'
    )
  official = np.where(made.fold == settings.fold, 'test', 'train')
  sides, how = by_patient.make(
    table.assign(official_split=official),
    truth,
    known,
    labels,
    test='official',
    validation=settings.validation,
    test_floor={},
    seed=settings.seed,
    validation_like='rest' if settings.folds == SITE else 'test',
  )
  how['test'] = {
    'from': 'folds',
    'folds': len(made.names),
    'fold': settings.fold,
    'name': made.names[settings.fold],
    'notes': list(made.notes),
  }
  return sides, how


def _by_site(table: pd.DataFrame, patients: np.ndarray, number: int) -> Folds:
  where = 'config.split.folds=site'
  if SITE not in table.columns:
    raise InputError(
      f"{where}: the table has no column 'site'; name it in config.data.settings.columns="
      "{'site': …}, or give a number of folds"
    )
  sites = table[SITE].fillna('').astype(str).str.strip().to_numpy(object)
  unnamed = int((sites == '').sum())
  if unnamed:
    raise InputError(
      f"{where}: column 'site' is empty for {count(unnamed, 'image')}, such as "
      f"'{table['image'].to_numpy(object)[sites == ''][0]}'; fill it in, or leave them out"
    )
  site, names = pd.factorize(sites, sort=True)
  if len(names) < 2:
    raise InputError(
      f"{where}: all images are of the site '{names[0]}', and nothing is left to train on while it "
      'is tested; give a number of folds'
    )
  images = np.zeros((number, len(names)), np.int64)
  np.add.at(images, (patients, site), 1)
  fold, several = images.argmax(axis=1), int(((images > 0).sum(axis=1) > 1).sum())
  notes = []
  if several:
    notes.append(
      f'{count(several, "patient")} with images of several sites: each is tested with the site '
      'that has most of them, all images together.'
    )
  absent = [str(name) for at, name in enumerate(names) if not (fold == at).any()]
  if absent:
    raise InputError(
      f"{where}: every patient of '{absent[0]}' has more images at another site, so that it would "
      'test nobody; give a number of folds'
    )
  return Folds(tuple(map(str, names)), fold[patients], tuple(notes))


def lacking(
  split: np.ndarray,
  truth: np.ndarray,
  known: np.ndarray,
  labels: Sequence[str],
) -> list[Lacking]:
  """Returns which class of which label has no patient in a part of one fold's split.

  Args:
    split: [N], of each row.
    truth, known: [N, L].
    labels: the L labels.
  """
  classes = []
  for part in ('test', 'validation', 'train'):
    rows = np.asarray(split) == part
    positive = known[rows] & (truth[rows] > 0.5)
    for kind, there in (('positive', positive), ('negative', known[rows] & ~positive)):
      classes += [
        Lacking(part, label, kind) for label, has in zip(labels, there.any(axis=0)) if not has
      ]
  return classes

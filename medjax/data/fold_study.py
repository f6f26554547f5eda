"""All folds of a study, drawn and looked at before the first of them is trained."""

import dataclasses

import numpy as np

from medjax.config import Config
from medjax.data import study
from medjax.data.split import by_patient, folds
from medjax.data.split.folds import Folds, Lacking
from medjax.data.study import Source
from medjax.errors import InputError, count

_TRIED = 50  # folds at most, to say how many would do


def configs_of(config: Config, source: Source) -> list[Config]:
  """Returns the config of every fold's run, after looking at the split of each.

  Args:
    config: with config.split.folds, and config.split.fold -1.
    source: of it.

  Raises:
    InputError: a fold whose test, validation or training set has no positives, or no negatives, of
      some label; the message says how many folds would do. Whatever else is wrong with the splits.
  """
  made = _made(config, source)
  every = [with_fold(config, number) for number in range(len(made.names))]
  for number, of_fold in enumerate(every):
    split = _split(of_fold, source, made)
    study.check_evaluation(of_fold, source.table, split)
    if lacking := _lacking(config, source, split):
      name = made.names[number]
      whose = f'fold {number}' if name == str(number) else f"fold {number}, the site '{name}',"
      raise InputError(_refusal(config, source, whose, lacking[0]))
  return every


def with_fold(config: Config, fold: int) -> Config:
  """Returns the config of one fold's run."""
  return dataclasses.replace(config, split=dataclasses.replace(config.split, fold=fold))


def _made(config: Config, source: Source) -> Folds:
  split = config.split
  return folds.make(source.table, source.truth, source.known, folds=split.folds, seed=split.seed)


def _split(config: Config, source: Source, made: Folds) -> np.ndarray:
  settings, labels = config.split, config.data.labels
  return folds.of_fold(source.table, source.truth, source.known, labels, settings, made)[0]


def _lacking(config: Config, source: Source, split: np.ndarray) -> list[Lacking]:
  return folds.lacking(split, source.truth, source.known, config.data.labels)


def _refusal(config: Config, source: Source, whose: str, lacking: Lacking) -> str:
  """Returns the message on a class that a fold does not have."""
  part, label, kind = lacking
  column = config.data.labels.index(label)
  _, patient = np.unique(source.table['patient'].to_numpy(object), return_inverse=True)
  wanted = source.truth[:, column] > 0.5 if kind == 'positive' else source.truth[:, column] < 0.5
  has = by_patient.by_patient(
    patient, int(patient.max()) + 1, (source.known[:, column] & wanted)[:, None]
  )
  where, part_name = f'config.split.folds={config.split.folds}', part.replace('train', 'training')
  said = (
    f"{where}: the {part_name} set of {whose} has no {kind} of '{label}', which "
    f'{count(int(has.sum()), "patient")} of all {len(has):,} {"has" if has.sum() == 1 else "have"}'
  )
  if isinstance(config.split.folds, str):
    return f'{said}; leave the label or the site out, or give a number of folds'
  number = _most(config, source)
  if number:
    return f'{said}; {number} folds would do'
  return (
    f'{said}; no number of folds would do: leave the label out, or set a larger '
    'config.split.validation'
  )


def _most(config: Config, source: Source) -> int:
  """Returns the most folds, below those asked for, of which all have all classes; 0 for none."""
  positive = source.known & (source.truth > 0.5)
  rarest = min(
    source.table['patient'][has[:, column]].nunique()
    for has in (positive, source.known & ~positive)
    for column in range(has.shape[1])
  )
  for number in range(min(int(config.split.folds) - 1, rarest, _TRIED), 1, -1):
    asked = dataclasses.replace(config, split=dataclasses.replace(config.split, folds=number))
    try:
      made = _made(asked, source)
      splits = [_split(with_fold(asked, fold), source, made) for fold in range(number)]
    except InputError:  # Too few to validate, or none left to train on.
      continue
    if not any(_lacking(asked, source, split) for split in splits):
      return number
  return 0

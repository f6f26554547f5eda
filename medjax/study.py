"""From a config to the study: the table, the reference labels, and who trains and who is tested."""

import dataclasses
import os
import pathlib
from typing import Any

import numpy as np
import pandas as pd

from medjax.config import Config
from medjax.data import datasets, labels, splits


@dataclasses.dataclass(frozen=True)
class Study:
  """A study table of N images with its split.

  Attributes:
    table: the study table.
    truth: f32[N, L], 0 or 1 where known.
    known: bool[N, L], where a label is definite.
    split: str[N], train, validation, test or unused.
    proof: what split.json holds.
  """

  table: pd.DataFrame
  truth: np.ndarray
  known: np.ndarray
  split: np.ndarray
  proof: dict[str, Any]

  def rows(self, part: str, broken: set[str] = frozenset()) -> np.ndarray:
    """Returns the positions, int64, of a split's images without those set aside."""
    return np.flatnonzero((self.split == part) & ~self.table['image'].isin(broken).to_numpy())


def make(config: Config) -> tuple[Study, str]:
  """Reads the source and draws the split; returns the study and the text of split.csv."""
  table, truth, known = _read(config)
  drawn, how = splits.make(
    table,
    truth,
    known,
    config.data.labels,
    test=config.split.test,
    validation=config.split.validation,
    test_floor=config.split.test_floor,
    seed=config.split.seed,
  )
  splits.check_overlap(table, drawn)
  settings = dataclasses.asdict(config.split)
  proof = splits.proof(table, drawn, truth, known, config.data.labels, settings=settings, how=how)
  return Study(table, truth, known, drawn, proof), splits.to_csv(table, drawn)


def read(config: Config, directory: pathlib.Path) -> Study:
  """Reads the source and the split that `directory` holds, refusing it if either has changed."""
  table, truth, known = _read(config)
  drawn, proof = splits.read(directory, table)
  splits.check_overlap(table, drawn)
  return Study(table, truth, known, drawn, proof)


def _read(config: Config) -> tuple[pd.DataFrame, np.ndarray, np.ndarray]:
  table = datasets.read(config.data)
  labels.resolve(table, config.data.labels, config.data.uncertain, config.data.blank)
  truth, known = labels.reference(table, config.data.labels, config.data.blank)
  return table, truth, known


def paths(config: Config, images: pd.Series) -> list[str]:
  """Returns the files of these images."""
  return [os.path.join(config.data.root, image) for image in images]


def describe(study: Study) -> list[str]:
  """Returns the split in plain lines: patients and images, and the positives of each label."""
  parts = [study.proof['splits'][name] for name in ('train', 'validation', 'test')]
  lines = [f'{"":28}{"train":>20}{"validation":>20}{"test":>20}']
  for unit in ('patients', 'images'):
    lines.append(f'{unit:28}' + ''.join(f'{part[unit]:>20,}' for part in parts))
  for label in parts[0]['labels']:
    counts = [part['labels'][label] for part in parts]
    lines.append(f'{label:28}' + ''.join(f'{_positives(count):>20}' for count in counts))
  return lines


def _positives(count: dict[str, Any]) -> str:
  if count['prevalence'] is None:
    return 'none known'
  return f'{count["positive"]:,} positive {count["prevalence"]:5.1%}'

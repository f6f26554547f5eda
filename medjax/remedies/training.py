"""The network that every experiment trains, by the public calls alone."""

import dataclasses
import math
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

import medjax
from medjax.api.runs import Run
from medjax.config import Data, Evaluation, Loss, Model, Optimizer, Split
from medjax.evaluation.result import Mean
from medjax.remedies import films

BY_TABLE = Split(test='official', validation='official')  # as the table's official_split says


def config(
  root: pathlib.Path,
  labels: Sequence[str],
  *,
  steps: int,
  seed: int,
  table: str = 'films.csv',
  test: float = 0.2,
  **changes: Any,
) -> medjax.Config:
  """Returns the config of a small network on generated films.

  Args:
    root: folder of the films and their table.
    labels: columns of the table to learn.
    steps: optimizer steps, of 32 films each.
    seed: of the split, the parameters and the order of films.
    table: file of `root`.
    test: share of patients who are tested.
    **changes: fields of the config to set otherwise.
  """
  chosen = medjax.Config(
    data=Data(
      source='csv',
      root=str(root),
      labels=tuple(labels),
      image_size=films.SIZE,
      modality='chest',
      settings={'table_file': table},
    ),
    split=Split(test=test, validation=0.2, seed=seed),
    model=Model('resnet_tiny', {'width': 8}),
    loss=Loss('binary_cross_entropy'),
    optimizer=Optimizer('adamw', learning_rate=3e-3, weight_decay=1e-2, warmup_steps=20, ema=0.98),
    batch_size=32,
    steps=steps,
    evaluate_every=max(1, steps // 4),
    replicates=0,
    seed=seed,
    evaluation=Evaluation(saliency='none', subgroups=()),
  )
  return dataclasses.replace(chosen, **changes)


def train(settings: medjax.Config, workdir: pathlib.Path) -> Run:
  """Trains and tests one network, as `medjax.train` does."""
  run = medjax.train(settings, workdir)
  assert isinstance(run, Run)  # No folds, no seeds.
  return run


def auroc_of_test(run: Run) -> float | None:
  """Returns the mean AUROC that the run's own test says."""
  result = run.result
  assert isinstance(result.mean, Mean)
  return result.mean.auroc.value


def parted(
  table: pd.DataFrame, counts: Mapping[str, int], seed: int, label: str = ''
) -> pd.DataFrame:
  """Returns a table with a column official_split, for `BY_TABLE`, of exactly so many rows a part.

  Args:
    table: a row per patient, as `films.draw` returns it with one film of each.
    counts: of 'train', 'validation' and 'test', together as many as there are rows.
    seed: of the draw.
    label: whose positives are spread over the parts in proportion; '' draws from all alike.
  """
  chance = np.random.default_rng([9, seed])
  order = chance.permutation(len(table))
  parts = np.empty(len(table), object)
  strata = table[label].to_numpy() if label else np.zeros(len(table))
  ends = np.cumsum(list(counts.values())) / len(table)
  # The last stratum takes what rounding left of each part, so that the counts are met.
  free = dict(counts)
  for stratum in sorted(set(strata), reverse=True):
    rows = order[strata[order] == stratum]
    sizes = np.diff(np.round(ends * len(rows)).astype(int), prepend=0)
    if stratum == min(strata):
      sizes = np.array(list(free.values()))
    for part, some in zip(counts, np.split(rows, np.cumsum(sizes)[:-1])):
      parts[some] = part
      free[part] -= len(some)
  return table.assign(official_split=parts)


def auroc_of_new_patients(
  run: Run, root: pathlib.Path, table: pd.DataFrame, labels: Sequence[str]
) -> float | None:
  """Returns the mean AUROC of a run on films of patients that nobody has seen: the truth.

  Args:
    run: finished.
    root: folder of the films.
    table: of them, as `films.draw` returns it.
    labels: whose AUROCs are averaged.
  """
  return auroc(run.predict(root / 'films.csv'), table, labels)


def auroc(
  predicted: pd.DataFrame, table: pd.DataFrame, labels: Sequence[str], prefix: str = 'prob_'
) -> float | None:
  """Returns the mean AUROC of predictions, a row per film of the table.

  Args:
    predicted: as `medjax.Run.predict` returns it.
    table: with the truth.
    labels: whose AUROCs are averaged.
    prefix: 'prob_' for calibrated probabilities, 'raw_' for the network's own.
  """
  return medjax.assess(
    table[list(labels)].to_numpy(float),
    predicted[[f'{prefix}{label}' for label in labels]].to_numpy(float),
    patients=table['patient'].to_numpy(),
    labels=list(labels),
    replicates=0,
    calibration='none',
    operating_points=('threshold=0.5',),
  ).mean.auroc.value


def excess(
  predicted: pd.DataFrame, table: pd.DataFrame, labels: Sequence[str], prefix: str = 'prob_'
) -> float:
  """Returns the mean over labels of log2(mean probability / share of positives).

  That is calibration in the large: 0 where as many are expected as there are, 1 where twice as many
  are, -1 where half as many are. Arguments as of `auroc`.
  """
  return float(
    np.mean(
      [math.log2(predicted[f'{prefix}{label}'].mean() / table[label].mean()) for label in labels]
    )
  )

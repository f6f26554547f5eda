"""Networks that have scored many new patients: test sets are drawn from these, the truth is all."""

import functools
import os
import pathlib
from collections.abc import Sequence

import numpy as np
import pandas as pd

import medjax
from medjax.api.evaluations import Assessment
from medjax.evaluation.figure import Interval
from medjax.remedies import films, training
from medjax.remedies.experiment import Repetition

LABEL = 'Edema'
SEED = 2_000_000  # of the new patients; training patients have seeds from 0


def scored(repetition: Repetition, networks: int = 1) -> pd.DataFrame:
  """Returns new patients' films with the scores of networks that were trained on the same films.

  The networks of a repetition differ in their seed alone. Trained once, kept in the shared folder.

  Args:
    repetition: its sizes are `patients` and `films` of each that train, `steps`, `new_patients` and
      `new_films` of each.
    networks: how many.

  Returns:
    A row per film: image, patient, truth (0 or 1, of `LABEL`), score0, score1, …: probabilities of
    the network as it is, before calibration.
  """
  sizes = repetition.sizes
  patients, of_each = sizes['new_patients'], sizes['new_films']
  root = repetition.shared / f'new_{patients}_{of_each}'
  table = films.draw(root, patients=patients, films=of_each, seed=SEED)
  scores = pd.DataFrame({
    'image': table['image'], 'patient': table['patient'], 'truth': table[LABEL].astype(float)
  })  # fmt: skip
  for network in range(networks):
    scores[f'score{network}'] = _scores(repetition, root, network)
  return scores


def _scores(repetition: Repetition, root: pathlib.Path, network: int) -> np.ndarray:
  sizes = repetition.sizes
  settings = [repetition.seed, network, *(sizes[name] for name in ('patients', 'films', 'steps'))]
  path = root.with_name(f'{root.name}_scores_{"_".join(map(str, settings))}.npy')
  if not path.exists():
    trained_on = repetition.folder / 'films'
    films.draw(trained_on, patients=sizes['patients'], films=sizes['films'], seed=repetition.seed)
    config = training.config(
      trained_on, [LABEL], steps=sizes['steps'], seed=1_000 * repetition.seed + network
    )
    # The networks of a repetition learn from the same patients.
    config.split.seed = repetition.seed
    run = training.train(config, repetition.folder / f'network{network}')
    predicted = run.predict(root / 'films.csv')
    part = path.with_suffix(f'.{os.getpid()}.part')
    with open(part, 'wb') as file:
      np.save(file, predicted[f'raw_{LABEL}'].to_numpy(float))
    part.replace(path)
  return np.load(path)


def clinic(
  scores: pd.DataFrame, prevalence: float, patients: int, rng: np.random.Generator
) -> pd.DataFrame:
  """Returns one film of each of so many patients, drawn so that this share has the finding."""
  first = scores.drop_duplicates('patient')
  positive = round(prevalence * patients)
  parts = [
    rng.choice(np.flatnonzero(first['truth'] == truth), count, replace=False)
    for truth, count in ((1, positive), (0, patients - positive))
  ]
  return first.iloc[np.concatenate(parts)].reset_index(drop=True)


def patients_of(scores: pd.DataFrame, rng: np.random.Generator, *counts: int) -> list[pd.DataFrame]:
  """Returns all films of so many patients each, drawn without replacement."""
  people = rng.permutation(scores['patient'].unique())[: sum(counts)]
  parts = np.split(people, np.cumsum(counts)[:-1])
  by_patient = _rows(tuple(scores['patient']))
  return [scores.iloc[np.concatenate([by_patient[name] for name in part])] for part in parts]


@functools.lru_cache(maxsize=2)
def _rows(patients: tuple[str, ...]) -> dict[str, np.ndarray]:
  rows: dict[str, np.ndarray] = pd.Series(patients).groupby(list(patients)).indices
  return rows


def assess(
  test: pd.DataFrame,
  *,
  validation: pd.DataFrame | None = None,
  scores: Sequence[str] = ('score0',),
  by_image: bool = False,
  **protocol: object,
) -> Assessment:
  """Evaluates scores, each as a label of its own, without the bootstrap: AUROCs need none.

  Args:
    test: rows of `scored`.
    validation: likewise, of other patients; None chooses nothing.
    scores: columns.
    by_image: counts every film as a patient of its own.
    **protocol: as of `medjax.assess`.
  """
  settings: dict = {'operating_points': ('threshold=0.5',), 'replicates': 2, **protocol}
  chosen_on = None
  if validation is not None:
    chosen_on = (*_arrays(validation, scores), validation['patient'].to_numpy())
  who = test['image' if by_image else 'patient'].to_numpy()
  truth, probabilities = _arrays(test, scores)
  return medjax.assess(
    truth, probabilities, who, labels=list(scores), validation=chosen_on, **settings
  )


def _arrays(table: pd.DataFrame, scores: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
  truth = np.repeat(table['truth'].to_numpy()[:, None], len(scores), axis=1)
  return truth, table[list(scores)].to_numpy()


def average(values: Sequence[float | None]) -> float | None:
  """Returns the mean of those that exist, or None."""
  known = [value for value in values if value is not None]
  return float(np.mean(known)) if known else None


def coverage(intervals: Sequence[Interval | None], true: float) -> dict[str, float | None]:
  """Returns `excess`, the share of 95 % intervals that miss the truth less 0.05, and `width`."""
  known = [interval for interval in intervals if interval is not None]
  share = average([float(not low <= true <= high) for low, high in known])
  return {
    'excess': None if share is None else share - 0.05,
    'width': average([high - low for low, high in known]),
  }

"""Ground truth: readers err, and a network is trained and tested by what they say.

Five readers of known sensitivity and specificity read every film. A network is trained and tested
by one of them, by their majority, by Dawid and Skene's estimate, or by a definitive test; its AUROC
on new patients, whose truth is known, is what it can do.
"""

import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from medjax.evaluation.readers import reference
from medjax.remedies import films, training
from medjax.remedies.experiment import Experiment, Measure, Plan, Problem, Repetition, Values
from medjax.remedies.overlap import NEW_PATIENTS_SEED

LABEL = 'Edema'


class Readers(NamedTuple):
  """Five readers.

  Attributes:
    sensitivity, specificity: of each.
    together: share of films whose errors they make together, as where the finding is faint.
  """

  sensitivity: Sequence[float]
  specificity: Sequence[float]
  together: float = 0.0


def readings(table: pd.DataFrame, readers: Readers, rng: np.random.Generator) -> pd.DataFrame:
  """Returns what each reader says of each film: image, reader and `LABEL`."""
  truth = table[LABEL].to_numpy()
  shared = rng.random(len(table))
  is_shared = rng.random(len(table)) < readers.together
  parts = []
  for number, (sensitivity, specificity) in enumerate(
    zip(readers.sensitivity, readers.specificity), start=1
  ):
    luck = np.where(is_shared, shared, rng.random(len(table)))
    is_right = luck < np.where(truth == 1, sensitivity, specificity)
    says = np.where(is_right, truth, 1 - truth)
    parts.append(pd.DataFrame({'image': table['image'], 'reader': f'reader {number}', LABEL: says}))
  return pd.concat(parts, ignore_index=True)


def _measure(repetition: Repetition) -> Values:
  sizes = repetition.sizes
  new = repetition.shared / f'new_{sizes["new_patients"]}'
  new_films = films.draw(new, patients=sizes['new_patients'], films=1, seed=NEW_PATIENTS_SEED)
  root = repetition.folder / 'films'
  table = films.draw(root, patients=sizes['patients'], films=sizes['films'], seed=repetition.seed)
  said = readings(table, Readers(*repetition.level), np.random.default_rng([31, repetition.seed]))
  # Which of the readers is alone is chance, too.
  alone = f'reader {repetition.seed % 5 + 1}'
  said[said['reader'] == alone].to_csv(root / 'one.csv', index=False)
  said.to_csv(root / 'all.csv', index=False)
  definitive = table[['image', LABEL]].assign(test='CT')
  definitive.to_csv(root / 'definitive.csv', index=False)
  settings: dict[str, dict[str, Any]] = {
    'one reader': {'readers_file': 'one.csv'},
    'majority of five': {'readers_file': 'all.csv'},
    'Dawid and Skene': {'readers_file': 'all.csv', 'consensus': 'dawid_skene'},
    'definitive test': {'readers_file': 'all.csv', 'definitive_file': 'definitive.csv'},
  }
  values: Values = {}
  for condition, chosen in settings.items():
    config = training.config(root, [LABEL], steps=sizes['steps'], seed=repetition.seed, test=0.5)
    data = dataclasses.replace(config.data, settings=config.data.settings | chosen)
    run = training.train(
      dataclasses.replace(config, data=data), repetition.folder / condition.replace(' ', '_')
    )
    measured = training.auroc_of_test(run)
    true = training.auroc_of_new_patients(run, new, new_films, [LABEL])
    values[condition] = {
      'labels': _share_wrong(root, table, chosen),
      'true': true,
      'error': None if measured is None or true is None else measured - true,
    }
  return values


def _share_wrong(root: pathlib.Path, table: pd.DataFrame, chosen: dict[str, Any]) -> float:
  """Returns the share of films whose label differs from the truth; an unknown one does."""
  definitive = chosen.get('definitive_file')
  standard = reference.make(
    [root / chosen['readers_file']],
    None if definitive is None else root / definitive,
    method=chosen.get('consensus', 'majority'),
  ).standard.labels.set_index('image')
  labels = standard.loc[table['image'], LABEL].to_numpy()
  return float((labels != table[LABEL].to_numpy()).mean())


_LEVELS = {
  'five good': Readers([0.9] * 5, [0.95] * 5),
  'five poor': Readers([0.7] * 5, [0.85] * 5),
  'two good, three poor': Readers([0.95, 0.95, 0.65, 0.65, 0.65], [0.95, 0.95, 0.8, 0.8, 0.8]),
  'five poor who err together': Readers([0.7] * 5, [0.85] * 5, together=0.8),
}

PROBLEM = Problem(
  name='ground_truth',
  title='Ground truth',
  wrong='A reader who errs teaches a network wrong answers and then marks its right ones as wrong.',
  remedy='Several readers, weighed by how good they are, or a test that is more definitive than '
  'any reading.',
  limits='A consensus removes little of an error that the readers make together; a definitive '
  'test sees it. Where few patients had one, they belong in the test set, for there labels are '
  'believed.',
  config="data.settings={'readers_file': 'reads.csv', 'consensus': 'dawid_skene', "
  "'definitive_file': 'ct.csv'}",
  literature=(
    'Dawid & Skene 1979, Maximum likelihood estimation of observer error-rates using the EM '
    'algorithm, Applied Statistics 28(1), doi 10.2307/2346806',
    'Warfield, Zou & Wells 2004, Simultaneous truth and performance level estimation (STAPLE), '
    'IEEE Transactions on Medical Imaging 23(7), doi 10.1109/TMI.2004.828354',
  ),
  experiments=(
    Experiment(
      name='labels',
      title='Labels by readers, the network trained by them, and the test marked by them',
      level_title='readers',
      conditions=('one reader', 'majority of five', 'Dawid and Skene', 'definitive test'),
      measures=(
        Measure('labels', 'share of labels that are wrong', 'lower'),
        Measure('true', 'AUROC of new patients, by the truth', 'higher'),
        Measure('error', 'AUROC of the test less that of new patients', 'zero'),
      ),
      measure=_measure,
      full=Plan(
        _LEVELS,
        repetitions=5,
        sizes={'patients': 600, 'films': 2, 'steps': 400, 'new_patients': 5_000},
      ),
      quick=Plan(
        {'five poor': _LEVELS['five poor']},
        repetitions=3,
        sizes={'patients': 160, 'films': 2, 'steps': 150, 'new_patients': 1_000},
      ),
    ),
  ),
)

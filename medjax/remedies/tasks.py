"""Many tasks: findings learned together, by labels that are unknown or uncertain for some films.

Three experiments, each with three findings and tested on 5,000 new patients whose truth is known.
One network per finding or one for all, as the patients who train grow more. Labels that are unknown
for a share of films, at random, whether they are masked or taken for negative. Labels that a report
calls uncertain, half again as often where the finding is there as where it is not, under each
policy. Validation and its calibration go by the same imperfect labels as training.
"""

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from medjax.api.runs import Run
from medjax.remedies import films, training
from medjax.remedies.experiment import Experiment, Measure, Plan, Problem, Repetition, Values
from medjax.remedies.overlap import NEW_PATIENTS_SEED

LABELS = films.FINDINGS
_TEST = 40  # patients of the test set that every run must have; what counts is new patients
_MORE_LIKELY = 1.5  # that a positive is called uncertain than that a negative is
_AUROC = Measure('auroc', 'mean AUROC of new patients', 'higher')
_EXCESS = (
  Measure('excess_raw', 'log2 of expected to observed findings, before calibration', 'zero'),
  Measure('excess', 'log2 of expected to observed findings, calibrated on validation', 'zero'),
)


def unknown(table: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
  """Returns a table in which the share of each label's values is empty, whatever they are."""
  chance = np.random.default_rng([41, seed])
  changed = table.assign(**{label: table[label].astype(float) for label in LABELS})
  for label in LABELS:
    rows = chance.permutation(len(table))[: round(share * len(table))]
    changed.loc[changed.index[rows], label] = np.nan
  return changed


def uncertain(table: pd.DataFrame, share: float, seed: int) -> pd.DataFrame:
  """Returns a table in which the share of each label's values is -1, uncertain.

  It is half again as likely of a positive as of a negative.
  """
  chance = np.random.default_rng([42, seed])
  changed = table.copy()
  for label in LABELS:
    positives, negatives = (np.flatnonzero(table[label] == value) for value in (1, 0))
    total = round(share * len(table))
    of_positives = round(
      total * _MORE_LIKELY * len(positives) / (_MORE_LIKELY * len(positives) + len(negatives))
    )
    rows = np.concatenate(
      [
        chance.permutation(positives)[:of_positives],
        chance.permutation(negatives)[: total - of_positives],
      ]
    )
    changed.loc[changed.index[rows], label] = -1
  return changed


def _new(repetition: Repetition) -> tuple[Any, pd.DataFrame]:
  """Returns the folder and the table of the new patients."""
  patients = repetition.sizes['new_patients']
  new = repetition.shared / f'new_{patients}'
  return new, films.draw(new, patients=patients, films=1, seed=NEW_PATIENTS_SEED)


def _drawn(repetition: Repetition, train: int, validation: int) -> pd.DataFrame:
  """Returns the table of films in repetition.folder / 'films', in parts."""
  counts = {'train': train, 'validation': validation, 'test': _TEST}
  table = films.draw(
    repetition.folder / 'films', patients=sum(counts.values()), films=1, seed=repetition.seed
  )
  return training.parted(table, counts, repetition.seed)


def _train(
  repetition: Repetition,
  table: pd.DataFrame,
  name: str,
  labels: tuple[str, ...],
  data: Mapping[str, Any],
) -> Run:
  """Returns a run on the films by a table of their labels; `data` are fields of config.data."""
  root = repetition.folder / 'films'
  table.to_csv(root / f'{name}.csv', index=False)
  config = training.config(
    root,
    labels,
    steps=repetition.sizes['steps'],
    seed=repetition.seed,
    table=f'{name}.csv',
    split=training.BY_TABLE,
  )
  config = dataclasses.replace(config, data=dataclasses.replace(config.data, **data))
  return training.train(config, repetition.folder / name)


def _one_or_many(repetition: Repetition) -> Values:
  new, truth = _new(repetition)
  table = _drawn(repetition, repetition.level, repetition.level // 2)
  alone = [
    training.auroc_of_new_patients(
      _train(repetition, table, f'alone{number}', (label,), {}), new, truth, (label,)
    )
    for number, label in enumerate(LABELS)
  ]
  together = training.auroc_of_new_patients(
    _train(repetition, table, 'together', LABELS, {}), new, truth, LABELS
  )
  return {
    'one network per finding': {'auroc': _mean(alone)},
    'one for all': {'auroc': together},
  }


def _mean(values: list[float | None]) -> float | None:
  known = [value for value in values if value is not None]
  return float(np.mean(known)) if len(known) == len(values) else None


def _masked(repetition: Repetition) -> Values:
  table = _drawn(repetition, *(repetition.sizes[part] for part in ('train', 'validation')))
  table = unknown(table, repetition.level, repetition.seed)
  conditions = {'unknown = negative': {'blank': 'zeros'}, 'masked': {'blank': 'ignore'}}
  return _by_policy(repetition, table, conditions)


def _policies(repetition: Repetition) -> Values:
  table = _drawn(repetition, *(repetition.sizes[part] for part in ('train', 'validation')))
  table = uncertain(table, repetition.level, repetition.seed)
  return _by_policy(repetition, table, {name: {'uncertain': name} for name in _UNCERTAIN})


def _by_policy(
  repetition: Repetition, table: pd.DataFrame, conditions: Mapping[str, Mapping[str, Any]]
) -> Values:
  new, truth = _new(repetition)
  values: Values = {}
  for number, (condition, data) in enumerate(conditions.items()):
    run = _train(repetition, table, f'run{number}', LABELS, data)
    predicted = run.predict(new / 'films.csv')
    values[condition] = {
      'auroc': training.auroc(predicted, truth, LABELS),
      'excess_raw': training.excess(predicted, truth, LABELS, 'raw_'),
      'excess': training.excess(predicted, truth, LABELS),
    }
  return values


_UNCERTAIN = ('ignore', 'zeros', 'ones', '0.55..0.85')
# Of 600 patients 60 have a lesion, and with 80 % of labels unknown 12 are known to: a calibration
# needs five.
_FULL = {'train': 600, 'validation': 600, 'steps': 300, 'new_patients': 5_000}
_QUICK = {'train': 300, 'validation': 300, 'steps': 100, 'new_patients': 1_000}
_NOT_QUICK = Plan({}, repetitions=0, sizes={})

_TOGETHER = Experiment(
  name='together',
  title='One network per finding, three times the steps in all, or one for all',
  level_title='patients who train',
  conditions=('one network per finding', 'one for all'),
  measures=(_AUROC,),
  measure=_one_or_many,
  full=Plan(
    {'100': 100, '300': 300, '900': 900},
    repetitions=4,
    sizes={'steps': 300, 'new_patients': 5_000},
  ),
  quick=_NOT_QUICK,
)
_UNKNOWN = Experiment(
  name='unknown',
  title='Labels that are unknown for some films',
  level_title='share of labels that are unknown',
  conditions=('unknown = negative', 'masked'),
  measures=(_AUROC, *_EXCESS),
  measure=_masked,
  full=Plan({'20 %': 0.2, '50 %': 0.5, '80 %': 0.8}, repetitions=4, sizes=_FULL),
  quick=Plan({'50 %': 0.5}, repetitions=3, sizes=_QUICK),
)
_UNCERTAIN_LABELS = Experiment(
  name='uncertain',
  title='Labels that are uncertain for some films',
  level_title='share of labels that are uncertain',
  conditions=_UNCERTAIN,
  measures=(_AUROC, *_EXCESS),
  measure=_policies,
  full=Plan({'10 %': 0.1, '30 %': 0.3, '50 %': 0.5}, repetitions=4, sizes=_FULL),
  quick=_NOT_QUICK,
)

PROBLEM = Problem(
  name='tasks',
  title='Many tasks',
  wrong='Findings are many and labels incomplete: what nobody looked for is taken for absent, and '
  'what a report calls uncertain for whatever is convenient.',
  remedy='One network with an output per finding, whose unknown labels are masked in loss and '
  'validation, and a stated policy for the uncertain ones.',
  limits='A mask assumes that who was not labelled is like who was; no policy for uncertain labels '
  'is best in general, and where mostly positives are called uncertain, too few positives are '
  'left whatever the policy.',
  config="data.labels=('Edema', …), data.blank='ignore', data.uncertain='ignore' | 'zeros' | "
  "'ones' | '0.55..0.85', for all findings or each by its own",
  literature=(
    'Caruana 1997, Multitask learning, Machine Learning 28, doi 10.1023/A:1007379606734',
    'Irvin et al. 2019, CheXpert: a large chest radiograph dataset with uncertainty labels and '
    'expert comparison, AAAI, arXiv 1901.07031',
    'Pham et al. 2021, Interpreting chest X-rays via CNNs that exploit hierarchical disease '
    'dependencies and uncertainty labels, Neurocomputing 437, arXiv 1911.06475',
    'Elkan & Noto 2008, Learning classifiers from only positive and unlabeled data, KDD, doi '
    '10.1145/1401890.1401920',
  ),
  experiments=(_TOGETHER, _UNKNOWN, _UNCERTAIN_LABELS),
)

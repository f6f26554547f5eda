"""Overlap and intervals on films of a config: real ones, whose truth in new patients is not drawn.

For the overlap a third of the patients is put aside, another third in each repetition, and stands
for new patients. For the intervals half of the patients train a network; those of the other half
are the population, and test sets are drawn from it with replacement.
"""

import dataclasses
import hashlib
import json

import numpy as np
import pandas as pd

import medjax
from medjax.api.evaluations import Assessment
from medjax.api.runs import Run
from medjax.config import Evaluation, Split
from medjax.data import study
from medjax.remedies import overlap, population, training
from medjax.remedies.experiment import Experiment, Measure, Plan, Problem, Repetition, Values
from medjax.remedies.population import average
from medjax.runtime import remote

NAME = 'own_films'


def problem(config: medjax.Config) -> Problem:
  """Returns the two experiments on the films of a config."""
  source = study.read_source(config)
  values = np.where(source.known, source.truth.astype(float), np.nan)
  table = source.table[['image', 'patient']].assign(
    **dict(zip(config.data.labels, values.T, strict=True))
  )
  films = _Films(config, table.reset_index(drop=True))
  settings = json.dumps([dataclasses.asdict(config), table.to_csv()], sort_keys=True, default=str)
  level = hashlib.sha256(settings.encode()).hexdigest()[:12]
  patients = table['patient'].nunique()
  name = f'{len(table):,} films of {patients:,} patients'
  sizes = {'films': len(table), 'patients': patients}
  return Problem(
    name=NAME,
    title=f'On films of {config.data.source}',
    wrong=overlap.PROBLEM.wrong,
    remedy='Patients, not films, are drawn into training, validation and test, and into the '
    'replicates of an interval.',
    limits='New patients are here a third or half of the same source, so that nothing is said of '
    'another hospital; labels are as the source has them.',
    config=overlap.PROBLEM.config,
    literature=overlap.PROBLEM.literature,
    experiments=(
      Experiment(
        name='flattery',
        title=overlap.PROBLEM.experiments[0].title,
        level_title='source',
        conditions=tuple(overlap.GROUPED_BY),
        measures=overlap.PROBLEM.experiments[0].measures,
        measure=films.flattery,
        full=Plan({name: level}, repetitions=6, sizes=sizes),
        quick=Plan({name: level}, repetitions=3, sizes=sizes),
      ),
      Experiment(
        name='interval',
        title='Intervals of several films of each patient',
        level_title='source',
        conditions=('interval by image', 'interval by patient'),
        measures=(
          Measure('excess', 'share of 95 % intervals that miss the truth, less 0.05', 'zero'),
          Measure('width', 'width of the interval', ''),
        ),
        measure=films.interval,
        full=Plan({name: level}, repetitions=6, sizes=sizes | {'tested': 60, 'draws': 25}),
        quick=Plan({name: level}, repetitions=3, sizes=sizes | {'tested': 60, 'draws': 40}),
      ),
    ),
  )


@dataclasses.dataclass(frozen=True)
class _Films:
  """Attributes:
  config: of the source and of the training.
  table: image, patient, and 1, 0 or NaN for each label.
  """

  config: medjax.Config
  table: pd.DataFrame

  def flattery(self, repetition: Repetition) -> Values:
    new, others = self._apart(np.random.default_rng([51, repetition.seed]), 1 / 3)
    values: Values = {}
    for condition, grouped_by in overlap.GROUPED_BY.items():
      run = self._train(repetition, others, f'by_{grouped_by}', grouped_by)
      tested = {name: label.auroc.value for name, label in run.result.labels.items()}
      predicted = self._assess(new, self._predict(repetition, run, new)).labels
      both = [(tested[name], predicted[name].auroc.value) for name in self.config.data.labels]
      known = [(one, other) for one, other in both if one is not None and other is not None]
      values[condition] = {
        'flattery': average([one - other for one, other in known]),
        'tested': average([one for one, _ in known]),
        'true': average([other for _, other in known]),
      }
    return values

  def interval(self, repetition: Repetition) -> Values:
    rng = np.random.default_rng([52, repetition.seed])
    new, others = self._apart(rng, 1 / 2)
    run = self._train(repetition, others, 'run', 'patient')
    scores = self._predict(repetition, run, new)
    true = self._assess(new, scores).mean.auroc.value
    assert true is not None
    rows = list(new.groupby('patient').indices.values())
    tests = []
    for _ in range(repetition.sizes['draws']):
      drawn = rng.integers(len(rows), size=repetition.sizes['tested'])
      # A patient who is drawn twice counts as two.
      who = np.repeat(np.arange(len(drawn)), [len(rows[patient]) for patient in drawn])
      tests.append((np.concatenate([rows[patient] for patient in drawn]), who))
    values: Values = {}
    for condition in ('interval by image', 'interval by patient'):
      intervals = []
      for chosen, who in tests:
        people = np.arange(len(who)) if condition == 'interval by image' else who
        test = new.iloc[chosen].assign(patient=people)
        intervals.append(self._assess(test, scores[chosen]).mean.auroc.interval)
      values[condition] = population.coverage(intervals, true)
    return values

  def _apart(self, rng: np.random.Generator, share: float) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Returns the films of this share of the patients, and those of the others."""
    people = rng.permutation(sorted(self.table['patient'].unique()))
    is_new = self.table['patient'].isin(people[: round(share * len(people))])
    return (
      self.table[is_new].reset_index(drop=True),
      self.table[~is_new].reset_index(drop=True),
    )

  def _train(self, repetition: Repetition, table: pd.DataFrame, name: str, grouped_by: str) -> Run:
    table_file = (repetition.folder / f'{name}.csv').resolve()
    table.to_csv(table_file, index=False)
    data = dataclasses.replace(
      self.config.data,
      source='csv',
      root=remote.real(self.config.data.root),
      settings={'table_file': str(table_file), 'grouped_by': grouped_by},
      blank='ignore',
      views=(),
    )
    config = dataclasses.replace(
      self.config,
      data=data,
      split=Split(test=0.3, validation=0.2, seed=repetition.seed),
      seed=repetition.seed,
      replicates=0,
      evaluation=Evaluation(saliency='none', subgroups=()),
    )
    return training.train(config, repetition.folder / name)

  def _predict(self, repetition: Repetition, run: Run, table: pd.DataFrame) -> np.ndarray:
    """Returns the probabilities of a table's films, f[N, L]."""
    new = repetition.folder / 'new.csv'
    table[['image', 'patient']].to_csv(new, index=False)
    predicted = run.predict(new, root=self.config.data.root)
    return predicted[[f'prob_{label}' for label in self.config.data.labels]].to_numpy(float)

  def _assess(self, table: pd.DataFrame, scores: np.ndarray) -> Assessment:
    return medjax.assess(
      table[list(self.config.data.labels)].to_numpy(float),
      scores,
      patients=table['patient'].to_numpy(),
      labels=list(self.config.data.labels),
      replicates=2,
      operating_points=('threshold=0.5',),
    )

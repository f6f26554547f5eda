"""One number is not a result: what a figure of one test set, one run or one choice is worth.

Test sets are drawn many times from new patients, for whom the scores of trained networks are known;
the truth is the figure of all of them.
"""

import dataclasses

import numpy as np
import pandas as pd

from medjax.evaluation import comparison, operating_points
from medjax.evaluation.figure import excludes_zero
from medjax.evaluation.predictions import Predictions
from medjax.remedies import population
from medjax.remedies.experiment import Experiment, Measure, Plan, Problem, Repetition, Values
from medjax.remedies.population import average

_SIZES = {
  'patients': 300, 'films': 2, 'steps': 400, 'new_patients': 5_000, 'new_films': 3,
  'draws': 100, 'networks': 10,
}  # fmt: skip
_QUICK = _SIZES | {
  'patients': 120, 'steps': 150, 'new_patients': 2_500, 'draws': 60, 'networks': 3,
}  # fmt: skip
_PATIENTS = {'50': 50, '100': 100, '300': 300}
_BY_IMAGE, _BY_PATIENT = 'interval by image', 'interval by patient'


def _interval(repetition: Repetition) -> Values:
  scores = population.scored(repetition)
  true = population.assess(scores).mean.auroc.value
  assert true is not None
  rng = np.random.default_rng([21, repetition.seed])
  tests = [
    population.patients_of(scores, rng, repetition.level)[0]
    for _ in range(repetition.sizes['draws'])
  ]
  values: Values = {}
  for condition in (_BY_IMAGE, _BY_PATIENT):
    intervals = [
      population.assess(test, by_image=condition == _BY_IMAGE).mean.auroc.interval for test in tests
    ]
    values[condition] = population.coverage(intervals, true)
  return values


def _figure(repetition: Repetition) -> Values:
  scores = population.scored(repetition)
  true = population.assess(scores).mean.auroc.value
  assert true is not None
  rng = np.random.default_rng([22, repetition.seed])
  off, missed = [], []
  for _ in range(repetition.sizes['draws']):
    auroc = population.assess(population.patients_of(scores, rng, repetition.level)[0]).mean.auroc
    if auroc.value is not None and auroc.interval is not None:
      off.append(float(abs(auroc.value - true) > 0.02))
      missed.append(float(not auroc.interval[0] <= true <= auroc.interval[1]))
  return {
    'the figure, taken as true to 0.02': {'wrong': average(off)},
    _BY_PATIENT: {'wrong': average(missed)},
  }


def _threshold(repetition: Repetition) -> Values:
  scores, patients = population.scored(repetition), repetition.level
  rng = np.random.default_rng([23, repetition.seed])
  optimism: dict[str, list[float]] = {
    'threshold chosen on the test': [],
    'frozen on validation': [],
  }
  for _ in range(repetition.sizes['draws']):
    test, validation = population.patients_of(scores, rng, patients, patients)
    for condition, chosen_on in zip(optimism, (test, validation)):
      threshold = operating_points.choose(
        'youden', chosen_on['score0'].to_numpy(), chosen_on['truth'].to_numpy()
      )
      optimism[condition].append(_youden(test, threshold) - _youden(scores, threshold))
  return {name: {'optimism': average(values)} for name, values in optimism.items()}


def _youden(table: pd.DataFrame, threshold: float) -> float:
  is_called = table['score0'] >= threshold
  is_positive = table['truth'] == 1
  return float(is_called[is_positive].mean() - is_called[~is_positive].mean())


def _best_run(repetition: Repetition) -> Values:
  networks, patients = repetition.sizes['networks'], repetition.level
  scores = population.scored(repetition, networks)
  names = [f'score{network}' for network in range(networks)]
  true = _aurocs(scores, names)
  rng = np.random.default_rng([24, repetition.seed])
  optimism: dict[str, list[float]] = {
    'best run on the test': [],
    'best run on validation': [],
  }
  for _ in range(repetition.sizes['draws']):
    test, validation = population.patients_of(scores, rng, patients, patients)
    tested = _aurocs(test, names)
    for condition, chosen_by in zip(optimism, (tested, _aurocs(validation, names))):
      best = int(np.argmax(chosen_by))
      optimism[condition].append(tested[best] - true[best])
  return {name: {'optimism': average(values)} for name, values in optimism.items()}


def _aurocs(table: pd.DataFrame, names: list[str]) -> list[float]:
  labels = population.assess(table, scores=names, replicates=0).labels
  return [float(labels[name].auroc.value or 0.0) for name in names]


def _equal(repetition: Repetition) -> Values:
  """Two models that are equal by construction: a coin decides whose score is whose, by patient."""
  scores, patients = population.scored(repetition, 2), repetition.level
  rng = np.random.default_rng([25, repetition.seed])
  higher, shown = [], []
  for _ in range(repetition.sizes['draws']):
    (test,) = population.patients_of(scores, rng, patients)
    people, who = np.unique(test['patient'], return_inverse=True)
    is_swapped = rng.random(len(people))[who] < 0.5
    pair = test[['score0', 'score1']].to_numpy()
    pair[is_swapped] = pair[is_swapped, ::-1]
    one, other = (_predictions(test, pair[:, [column]]) for column in (0, 1))
    contrast = comparison.compare(one, other, margin=0.02, replicates=2).mean.auroc
    difference = contrast.difference
    if difference.value is None or difference.interval is None:
      continue
    higher.append(float(abs(difference.value) > 0.01))
    shown.append(float(excludes_zero(difference.interval)))
  return {
    'the figure higher by 0.01 is better': {'called': average(higher)},
    'paired interval without 0': {'called': average(shown)},
  }


def _predictions(table: pd.DataFrame, scores: np.ndarray) -> Predictions:
  truth = table['truth'].to_numpy(np.float32)[:, None]
  return Predictions(
    images=list(table['image']),
    patients=list(table['patient']),
    labels=[population.LABEL],
    probabilities=scores,
    truth=truth,
    known=np.ones(truth.shape, bool),
  )


_QUICK_PLAN = Plan({'100': 100}, repetitions=3, sizes=_QUICK)
_FULL_PLAN = Plan(_PATIENTS, repetitions=6, sizes=_SIZES)

PROBLEM = Problem(
  name='one_number',
  title='One number is not a result',
  wrong='A figure of one test set differs from the truth by chance, the more so if a threshold or '
  'a run was chosen where it is tested.',
  remedy='Every figure has an interval by patient; thresholds and runs are chosen on validation; '
  'two models are compared pair by pair.',
  limits='An interval says nothing of other hospitals or of labels that are wrong, and 1 in 20 '
  'of them misses the truth.',
  config='config.evaluation.operating_points; python -m medjax.evaluate --against=…',
  literature=(
    'DeLong et al. 1988, Comparing the areas under two or more correlated receiver operating '
    'characteristic curves, Biometrics 44(3), doi 10.2307/2531595',
    'Obuchowski 1997, Nonparametric analysis of clustered ROC curve data, Biometrics 53(2), '
    'doi 10.2307/2533958',
    'Varoquaux & Cheplygina 2022, Machine learning for medical imaging: methodological failures '
    'and recommendations for the future, npj Digital Medicine 5, doi 10.1038/s41746-022-00592-y',
  ),
  experiments=(
    Experiment(
      name='figure',
      title='A figure alone, and its interval',
      level_title='patients tested',
      conditions=('the figure, taken as true to 0.02', _BY_PATIENT),
      measures=(Measure('wrong', 'share of test sets of which it is wrong', 'lower'),),
      measure=_figure,
      full=_FULL_PLAN,
      quick=_QUICK_PLAN,
    ),
    Experiment(
      name='interval',
      title='Intervals of three films of each patient',
      level_title='patients tested',
      conditions=(_BY_IMAGE, _BY_PATIENT),
      measures=(
        Measure('excess', 'share of 95 % intervals that miss the truth, less 0.05', 'zero'),
        Measure('width', 'width of the interval', ''),
      ),
      measure=_interval,
      full=_FULL_PLAN,
      quick=_QUICK_PLAN,
    ),
    Experiment(
      name='threshold',
      title="What Youden's index is said to be beyond the truth",
      level_title='patients tested',
      conditions=('threshold chosen on the test', 'frozen on validation'),
      measures=(Measure('optimism', "Youden's index of the test less the truth", 'zero'),),
      measure=_threshold,
      full=_FULL_PLAN,
      quick=_QUICK_PLAN,
    ),
    Experiment(
      name='best_run',
      title='What the best of equal runs is said to reach beyond the truth',
      level_title='patients tested',
      conditions=('best run on the test', 'best run on validation'),
      measures=(Measure('optimism', 'AUROC of the test less the truth', 'zero'),),
      measure=_best_run,
      full=dataclasses.replace(_FULL_PLAN, repetitions=4),
      quick=Plan({'100': 100}, repetitions=1, sizes=_QUICK),
    ),
    Experiment(
      name='equal',
      title='Two equal models of which one is called better',
      level_title='patients tested',
      conditions=('the figure higher by 0.01 is better', 'paired interval without 0'),
      measures=(
        Measure(
          'called', 'share of test sets in which one of two equal models is called better', 'lower'
        ),
      ),
      measure=_equal,
      full=_FULL_PLAN,
      quick=_QUICK_PLAN,
    ),
  ),
)

"""Set sampling: a rare finding is missing from a random test set.

Test and validation sets are drawn many times from the patients of a clinic, for whom the scores
of a trained network are known.
"""

import numpy as np
import pandas as pd

import medjax
from medjax.remedies import population
from medjax.remedies.experiment import Experiment, Measure, Plan, Problem, Repetition, Values
from medjax.remedies.population import LABEL, average

_SIZES = {
  'patients': 300, 'films': 2, 'steps': 400, 'new_patients': 5_000, 'new_films': 3,
  'clinic': 3_000, 'draws': 40, 'floor': 20,
}  # fmt: skip
_QUICK = _SIZES | {
  'patients': 120, 'steps': 150, 'new_patients': 2_500, 'clinic': 1_500, 'draws': 20,
}  # fmt: skip
_PREVALENCES = {'1 %': 0.01, '3 %': 0.03, '10 %': 0.1}


def _split(
  clinic: pd.DataFrame, patients: int, floor: int, seed: int
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
  """Returns test, validation and the rest, as the command `split` draws them."""
  table = clinic.rename(columns={'truth': LABEL})
  split = medjax.split_patients(
    table,
    [LABEL],
    test=patients,
    validation=patients,
    test_floor={LABEL: floor} if floor else None,
    seed=seed,
  )
  sides = split.sides.to_numpy()
  test, validation, rest = (
    clinic[sides == side].reset_index(drop=True) for side in ('test', 'validation', 'train')
  )
  return test, validation, rest


def _floor(repetition: Repetition) -> Values:
  patients, prevalence = repetition.level
  sizes, scores = repetition.sizes, population.scored(repetition)
  values: Values = {}
  for condition, floor in (('random', 0), ('floor of positives', sizes['floor'])):
    rng = np.random.default_rng([11, repetition.seed])
    none, widths = [], []
    for draw in range(sizes['draws']):
      clinic = population.clinic(scores, prevalence, sizes['clinic'], rng)
      test, _, _ = _split(clinic, patients, floor, draw)
      is_empty = not test['truth'].any()
      none.append(float(is_empty))
      # A test set without positives is refused.
      interval = None if is_empty else population.assess(test).mean.auroc.interval
      widths.append(1.0 if interval is None else interval[1] - interval[0])
    values[condition] = {'none': average(none), 'width': average(widths)}
  return values


def _predictive_value(repetition: Repetition) -> Values:
  """The PPV of an enriched test, as counted and restated, less that counted in the clinic."""
  prevalence, sizes = repetition.level, repetition.sizes
  scores = population.scored(repetition)
  rng = np.random.default_rng([12, repetition.seed])
  counted, restated = [], []
  for draw in range(sizes['draws']):
    clinic = population.clinic(scores, prevalence, sizes['clinic'], rng)
    test, validation, _ = _split(clinic, 100, sizes['floor'], draw)
    result = population.assess(
      test,
      validation=validation,
      operating_points=('specificity=0.9',),
      prevalence={'score0': prevalence},
    )
    point = result.labels['score0'].operating_points[0]
    if point.threshold is None or point.ppv.value is None or point.at_prevalence is None:
      continue
    everyone = population.clinic(scores, prevalence, sizes['clinic'], rng)
    flagged = everyone[everyone['score0'] >= point.threshold]
    if len(flagged) and point.at_prevalence.ppv.value is not None:
      true = float(flagged['truth'].mean())
      counted.append(point.ppv.value - true)
      restated.append(point.at_prevalence.ppv.value - true)
  return {
    'as counted in the enriched test': {'error': average(counted)},
    "restated at the clinic's prevalence": {'error': average(restated)},
  }


def _validation(repetition: Repetition) -> Values:
  """What is chosen on a validation set like the test, and on one drawn from what is left."""
  prevalence, sizes = repetition.level, repetition.sizes
  scores = population.scored(repetition)
  values: Values = {}
  for condition in ('validation from what is left', 'validation like the test'):
    rng = np.random.default_rng([13, repetition.seed])
    off, intercepts, absent = [], [], []
    for draw in range(sizes['draws']):
      clinic = population.clinic(scores, prevalence, sizes['clinic'], rng)
      test, like, rest = _split(clinic, 100, sizes['floor'], draw)
      others = pd.concat([like, rest], ignore_index=True)
      chance = np.random.default_rng([14, repetition.seed, draw])
      left = others.iloc[chance.permutation(len(others))[: len(like)]]
      chosen_on = like if condition == 'validation like the test' else left
      result = population.assess(
        test,
        validation=chosen_on,
        calibration='platt',
        operating_points=('sensitivity=0.9',),
      )
      label = result.labels['score0']
      sensitivity = label.operating_points[0].sensitivity.value
      absent.append(float(label.operating_points[0].threshold is None))
      off.append(None if sensitivity is None else abs(sensitivity - 0.9))
      intercept = label.calibration_intercept.value
      intercepts.append(None if intercept is None else abs(intercept))
    values[condition] = {
      'absent': average(absent),
      'sensitivity': average(off),
      'intercept': average(intercepts),
    }
  return values


PROBLEM = Problem(
  name='set_sampling',
  title='Set sampling',
  wrong='Of a rare finding a random test set holds a handful of positives or none, and what it '
  'says is as wide as the scale or does not exist.',
  remedy='The test set is drawn first, with a floor of positive patients, then a validation set '
  'that resembles it; the rest trains.',
  limits='A floor takes positives from training and makes the test richer than the clinic: PPV, '
  'NPV and calibration must be restated at the prevalence of the clinic.',
  config="config.split.test_floor={'Edema': 20}; config.evaluation.prevalence={'Edema': 0.01}",
  literature=(
    'Riley et al. 2021, Minimum sample size for external validation of a clinical prediction '
    'model with a binary outcome, Statistics in Medicine 40(19), doi 10.1002/sim.9025',
    'Collins et al. 2016, Sample size considerations for the external validation of a '
    'multivariable prognostic model, Statistics in Medicine 35(2), doi 10.1002/sim.6787',
  ),
  experiments=(
    Experiment(
      name='floor',
      title='What a test set can say of a rare finding',
      level_title='patients tested, prevalence in the clinic',
      conditions=('random', 'floor of positives'),
      measures=(
        Measure('none', 'share of test sets without a positive', 'lower'),
        Measure('width', "width of AUROC's 95 % interval (1 where there is none)", 'lower'),
      ),
      measure=_floor,
      full=Plan(
        {
          f'{patients:,}, {name}': (patients, prevalence)
          for name, prevalence in _PREVALENCES.items()
          for patients in (100, 300, 1_000)
        },
        repetitions=6,
        sizes=_SIZES,
      ),
      quick=Plan({'100, 2 %': (100, 0.02)}, repetitions=3, sizes=_QUICK),
    ),
    Experiment(
      name='predictive_value',
      title='PPV of an enriched test',
      level_title='prevalence in the clinic',
      conditions=('as counted in the enriched test', "restated at the clinic's prevalence"),
      measures=(Measure('error', "PPV of the test less the clinic's", 'zero'),),
      measure=_predictive_value,
      full=Plan(_PREVALENCES, repetitions=6, sizes=_SIZES),
      quick=Plan({'2 %': 0.02}, repetitions=3, sizes=_QUICK),
    ),
    Experiment(
      name='validation',
      title='What is chosen on validation, in the test',
      level_title='prevalence in the clinic',
      conditions=('validation from what is left', 'validation like the test'),
      measures=(
        Measure('absent', 'share without a threshold', 'lower'),
        Measure(
          'sensitivity', 'distance of the sensitivity from 0.9, where there is a threshold', 'lower'
        ),
        Measure(
          'intercept', 'size of the calibration intercept in log-odds, where it exists', 'lower'
        ),
      ),
      measure=_validation,
      full=Plan(_PREVALENCES, repetitions=6, sizes=_SIZES),
      quick=Plan({'2 %': 0.02}, repetitions=3, sizes=_QUICK),
    ),
  ),
)

"""Effects over repetitions: intervals, verdicts that follow them, and the words of the page."""

import numpy as np
import pytest
from scipy import stats

from medjax.remedies import effects, page
from medjax.remedies.experiment import Experiment, Measure, Measured, Plan
from medjax.remedies.result import ExperimentResult

LEVELS = ['low', 'high']


def experiment(better):
  plan = Plan({level: level for level in LEVELS}, repetitions=4, sizes={})
  measures = (Measure('m', 'AUROC', better),)
  return Experiment('e', 'E', 'level', ('without', 'with'), measures, lambda _: {}, plan, plan)


def measured(without, with_, level='low'):
  return [
    Measured(level, number, {'without': {'m': one}, 'with': {'m': other}}, 1.0)
    for number, (one, other) in enumerate(zip(without, with_))
  ]


def test_a_difference_has_the_interval_of_the_paired_t_test():
  rng = np.random.default_rng(1)
  without = rng.normal(0.7, 0.05, 6)
  with_ = without + rng.normal(0.05, 0.02, 6)
  (effect,) = effects.effects(experiment('higher'), ['low'], measured(without, with_))
  expected = stats.ttest_rel(with_, without).confidence_interval(0.95)
  np.testing.assert_allclose(effect.difference.interval, expected, rtol=1e-9)
  assert effect.verdict == 'helps'
  first, second = effects.cells(experiment('higher'), ['low'], measured(without, with_))
  assert (first.condition, second.condition) == ('without', 'with')
  np.testing.assert_allclose(first.mean.value, without.mean())


@pytest.mark.parametrize(
  'better, without, with_, verdict',
  [
    ('higher', [0.5, 0.6, 0.7], [0.4, 0.51, 0.6], 'harms'),
    ('lower', [0.5, 0.6, 0.7], [0.4, 0.51, 0.6], 'helps'),
    ('higher', [0.5, 0.6, 0.7], [0.7, 0.5, 0.7], 'no difference seen'),
    ('zero', [0.2, 0.21, 0.19], [-0.1, -0.1, -0.11], 'helps'),
    ('zero', [0.1, 0.1, 0.11], [-0.2, -0.21, -0.19], 'harms'),
    ('', [0.5, 0.6, 0.7], [0.4, 0.51, 0.6], ''),
    ('higher', [0.5, None, 0.7], [0.4, 0.51, None], 'not known'),
    ('higher', [0.5, 0.6], [0.4, 0.5], 'not known'),
  ],
)
def test_a_verdict_follows_from_the_interval_alone(better, without, with_, verdict):
  (effect,) = effects.effects(experiment(better), ['low'], measured(without, with_))
  assert effect.verdict == verdict


def test_the_page_says_where_it_helps_and_where_nothing_was_seen():
  plan = experiment('higher')
  rows = [
    *measured([0.5, 0.6, 0.7], [0.6, 0.71, 0.8]),
    *measured([0.5, 0.6, 0.7], [0.7, 0.5, 0.7], 'high'),
  ]
  result = ExperimentResult(
    'E', 'level', LEVELS, ['without', 'with'], {'m': 'AUROC'}, {'m': 'higher'}, 6, 6, 3, {},
    effects.cells(plan, LEVELS, rows), effects.effects(plan, LEVELS, rows),
  )  # fmt: skip
  ((condition, words),) = page.in_words(result)
  assert condition == 'with'
  assert words.startswith('helps at 1 of 2 levels, most at low (level): +0.103, 95 % interval')
  assert words.endswith('; no difference seen at 1 of 2 levels')

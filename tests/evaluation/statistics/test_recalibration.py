"""Logistic recalibration against statsmodels' GLM with an offset."""

import numpy as np
import pytest
import statsmodels.api as sm
from scipy import special

from medjax.evaluation.statistics import recalibration


def drawn(kind, seed=0):
  rng = np.random.default_rng(seed)
  z = rng.normal(-1, 1.5, 600)
  if kind == 'tied':
    z = z.round()
  if kind == 'clustered':
    z = np.repeat(z[:150], 4)
  return z, rng.random(len(z)) < special.expit(0.7 + 0.6 * z)


@pytest.mark.parametrize('kind', ['random', 'tied', 'clustered'])
def test_it_is_the_regression_of_statsmodels(kind):
  z, truth = drawn(kind)
  binomial, y = sm.families.Binomial(), truth.astype(float)
  both = sm.GLM(y, sm.add_constant(z), family=binomial).fit().params
  alone = sm.GLM(y, np.ones(len(z)), offset=z, family=binomial).fit().params
  found = recalibration.logistic(z, truth)
  assert (found.intercept, found.slope) == pytest.approx(tuple(both), abs=1e-7)
  assert found.reason == ''
  large = recalibration.in_the_large(z, truth)
  assert (large.intercept, large.slope) == (pytest.approx(alone[0], abs=1e-7), 1)


def test_recalibrated_probabilities_are_calibrated_where_they_were_fitted():
  z, truth = drawn('random')
  line = recalibration.logistic(z, truth)
  again = recalibration.logistic(line.intercept + line.slope * z, truth)
  assert (again.intercept, again.slope) == pytest.approx((0, 1), abs=1e-6)
  large = recalibration.in_the_large(z, truth)
  assert special.expit(large.intercept + z).sum() == pytest.approx(truth.sum())


@pytest.mark.parametrize(
  ('z', 'truth', 'said'),
  [
    ([-1.0, 0, 1, 2], [0, 0, 0, 0], 'no positives'),
    ([-1.0, 0, 1, 2], [1, 1, 1, 1], 'no negatives'),
    ([1.0, 1, 1, 1], [0, 1, 0, 1], 'alike'),
    ([-2.0, -1, 1, 2], [0, 0, 1, 1], 'separate the classes'),
    ([2.0, 1, 0.5, -0.5, -1, -2], [0, 0, 1, 0, 1, 1], 'slope is below 0'),
  ],
)
def test_what_cannot_be_fitted_says_why(z, truth, said):
  found = recalibration.logistic(np.array(z), np.array(truth))
  assert said in found.reason and np.isnan(found.slope)

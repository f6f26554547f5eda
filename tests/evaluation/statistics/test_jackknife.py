"""The jackknife's interval: of a mean it is Student's, of a ratio what the textbook computes."""

import numpy as np
import pytest
from scipy import stats

from medjax.evaluation.statistics import jackknife


def test_of_a_mean_it_is_students():
  values = np.random.default_rng(0).normal(size=30)
  left_out = (values.sum() - values) / 29
  found = jackknife.figure(values.mean(), left_out)
  expected = stats.t.interval(0.95, 29, values.mean(), stats.sem(values))
  assert found.interval == pytest.approx(expected)


def test_of_a_ratio_it_is_the_textbooks():
  # Efron & Tibshirani 1993, table 10.1 (patch data), and equation 11.5.
  z = np.array([8406, 2342, 8187, 8459, 4795, 3516, 4796, 10238.0])
  y = np.array([-1200, 2601, -2705, 1982, -1290, 351, -638, -2719.0])
  left_out = (y.sum() - y) / (z.sum() - z)
  found = jackknife.figure(y.sum() / z.sum(), left_out)
  reach = stats.t.ppf(0.975, 7) * 0.106  # Its standard error, as the book prints it.
  assert found.value == pytest.approx(-0.0713, abs=5e-5)
  assert found.interval == pytest.approx((-0.0713 - reach, -0.0713 + reach), abs=2e-3)


@pytest.mark.parametrize(
  ('value', 'left_out', 'reason', 'said'),
  [
    (np.nan, np.ones(4), 'no positives', 'no positives'),
    (0.5, np.ones(4), 'too few', 'too few'),
    (0.5, np.array([0.5, np.nan]), '', 'does not exist without some'),
    (0.5, np.array([0.5]), '', 'does not exist without some'),
    (0.5, np.full(4, 0.5), '', 'not certainty'),
  ],
)
def test_what_has_no_interval_says_why(value, left_out, reason, said):
  found = jackknife.figure(value, left_out, reason)
  assert found.interval is None and said in found.reason

"""Adjusted p values and ranks, against scipy's."""

import numpy as np
from scipy import stats

from medjax.evaluation.statistics import delong, multiplicity


def test_false_discoveries_are_held_as_scipy_holds_them():
  rng = np.random.default_rng(0)
  for size in range(1, 40):
    p = rng.random(size) ** 3
    p[rng.random(size) < 0.2] = 0.01  # equal ones
    expected = stats.false_discovery_control(p)
    np.testing.assert_allclose(multiplicity.benjamini_hochberg(p), expected, rtol=1e-13)
    with_unknown = np.insert(p, size // 2, np.nan)
    adjusted = multiplicity.benjamini_hochberg(with_unknown)
    np.testing.assert_allclose(np.delete(adjusted, size // 2), expected, rtol=1e-13)
    assert np.isnan(adjusted[size // 2])
  assert not len(multiplicity.benjamini_hochberg(np.zeros(0)))


def test_equal_scores_share_their_mean_rank():
  scores = np.random.default_rng(0).normal(size=(3, 400)).round(1)
  scores[0, :3], scores[1, 7] = np.inf, -np.inf
  np.testing.assert_array_equal(delong._midranks(scores), stats.rankdata(scores, axis=1))

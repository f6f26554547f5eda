"""Intervals of proportions: scipy's where every patient has one image, and how often they cover."""

import numpy as np
import pytest
from scipy import stats

from medjax.evaluation.statistics import proportions


@pytest.mark.parametrize(('hits', 'patients'), [(0, 3), (3, 3), (14, 15), (40, 60), (1, 2)])
def test_equals_scipys_with_one_image_each(hits, patients):
  expected = stats.binomtest(hits, patients).proportion_ci(0.95, method='wilson')
  interval = proportions.wilson(np.arange(patients) < hits, np.ones(patients))
  np.testing.assert_allclose(interval, expected, atol=1e-12)


def test_images_that_are_all_alike_count_as_one_patient_each():
  right = np.array([5, 5, 0, 5, 5, 0, 5, 5])
  low, high = proportions.wilson(right, np.full(8, 5))
  one_each = proportions.wilson(right > 0, np.ones(8))
  assert low < one_each[0] and high > one_each[1]  # Student's t makes it a little wider.
  # Of patients who show no error nothing is known of how alike their images are.
  whole = stats.binomtest(8, 8).proportion_ci(0.95, method='wilson')
  assert proportions.wilson(np.full(8, 5), np.full(8, 5))[0] <= whole.low


def test_patients_without_images_do_not_count():
  some = proportions.wilson([1, 0, 2], [1, 1, 2])
  assert proportions.wilson([1, 0, 0, 2, 0], [1, 1, 0, 2, 0]) == some
  assert proportions.wilson([2], [3]) is None and proportions.wilson([2, 0], [3, 0]) is None


@pytest.mark.parametrize('patients', [15, 30])
@pytest.mark.parametrize(('images', 'alike'), [(1, 0.0), (3, 0.3), (3, 0.7), (10, 0.8)])
@pytest.mark.parametrize('share', [0.8, 0.9, 0.95])
def test_they_cover_where_patients_are_few(patients, images, alike, share):
  rng = np.random.default_rng(0)
  covered = []
  for _ in range(1000):
    of_patient = rng.integers(1, images + 1, patients)
    shares = np.full(patients, share)
    if alike:  # Beta-binomial, its correlation within a patient being `alike`.
      shares = rng.beta(*(np.array([share, 1 - share]) * (1 - alike) / alike), patients)
    low, high = proportions.wilson(rng.binomial(of_patient, shares), of_patient)
    covered.append(low <= share <= high)
  assert 0.93 <= np.mean(covered) <= 0.995

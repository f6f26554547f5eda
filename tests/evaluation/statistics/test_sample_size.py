"""Sizes of test sets against published examples, other programs and the intervals themselves."""

import numpy as np
import pytest
from scipy import special, stats
from statsmodels.stats.proportion import proportion_confint

from medjax.evaluation.statistics import calibration_metrics, delong, proportions, sample_size


def test_equals_Hanley_and_McNeil_on_their_own_example():
  # Radiology 143:29, 1982: 51 abnormal and 58 normal scans, an area of 0.893.
  exponential = sample_size.exponential(0.893)
  assert sample_size.auroc_variance(0.893, 51, 58, exponential) ** 0.5 == pytest.approx(
    0.032, abs=6e-4
  )


def test_equals_Riley_and_pmvalsampsize_on_their_worked_example():
  # Mechanical heart valves, Stat. Med. 40:4230, 2021: 1.8 % fail, C is 0.8. The sizes are those of
  # pmvalsampsize 0.2.1, which searches O:E in steps and draws the log-odds, a million of them.
  wanted = sample_size.smallest
  assert wanted(lambda n: sample_size.observed_expected_half_width(0.018, n), 0.5) == pytest.approx(
    905, rel=0.002
  )
  nodes, weights = np.polynomial.hermite_e.hermegauss(200)
  weights = weights / weights.sum()
  assert wanted(
    lambda n: sample_size.slope_half_width(-5 + 2.5 * nodes, weights, n), 0.1
  ) == pytest.approx(4544, rel=0.005)
  assert wanted(
    lambda n: sample_size.slope_half_width(*sample_size.logits(0.8, 0.018), n), 0.1
  ) == pytest.approx(17080, rel=0.005)
  # It has Newcombe's variance and an interval that is symmetric.
  assert wanted(
    lambda n: sample_size.auroc_half_width(0.8, 0.018 * n, 0.982 * n), 0.05
  ) == pytest.approx(4252, rel=0.01)


@pytest.mark.parametrize('auroc', [0.6, 0.85, 0.97])
def test_placements_of_normal_scores_are_those_of_two_correlated_normals(auroc):
  both = stats.multivariate_normal([0, 0], [[1, 0.5], [0.5, 1]]).cdf([special.ndtri(auroc)] * 2)
  assert sample_size.normal(auroc) == pytest.approx([both - auroc**2] * 2, abs=1e-6)


@pytest.mark.parametrize(
  ('auroc', 'prevalence', 'patients'), [(0.75, 0.3, 100), (0.85, 0.1, 400), (0.95, 0.3, 200)]
)
def test_an_auroc_has_the_half_width_that_was_planned(auroc, prevalence, patients):
  planned = sample_size.auroc_half_width(auroc, patients * prevalence, patients * (1 - prevalence))
  simulated = sample_size.simulated_half_widths(auroc, prevalence, patients)
  assert np.median(simulated) == pytest.approx(planned, rel=0.06)
  assert np.nanquantile(simulated, 0.9) > 1.02 * planned


def test_images_of_one_patient_count_for_less():
  worth = 4 / (1 + 3 * 0.5)
  planned = sample_size.auroc_half_width(0.85, 40, 160, worth)
  simulated = np.median(sample_size.simulated_half_widths(0.85, 0.2, 200, 4, 0.5))
  alone = np.median(sample_size.simulated_half_widths(0.85, 0.2, 200))
  assert 0.93 * planned < simulated < planned < 0.9 * alone


def test_proportions_have_the_interval_of_the_report():
  low, high = proportion_confint(45, 50, method='wilson')
  assert sample_size.proportion_half_width(0.9, 50) == pytest.approx((high - low) / 2, rel=1e-12)
  # 40 patients of three images, in four of them all wrong.
  hits, images = np.repeat([3.0, 0.0], [36, 4]), np.full(40, 3.0)
  low, high = proportions.wilson(hits, images)
  effect = proportions.design_effect(hits, images)
  assert effect == 3
  assert sample_size.proportion_half_width(0.9, 40, 3, effect) == pytest.approx((high - low) / 2)


def test_a_calibration_slope_and_observed_expected_vary_as_planned():
  rng, size, prevalence, auroc = np.random.default_rng(0), 1500, 0.2, 0.8
  apart, middle = np.sqrt(2) * special.ndtri(auroc), special.logit(prevalence)
  slopes, ratios = [], []
  for _ in range(300):
    ill = rng.random(size) < prevalence
    logits = middle + np.where(ill, 1, -1) * apart**2 / 2 + rng.normal(0, apart, size)
    sums = np.array([[ill.sum(), logits @ ill]])
    slopes.append(calibration_metrics.fits(logits, sums, np.ones((1, size)))[0][0])
    ratios.append(np.log(ill.sum() / (size * prevalence)))
  planned = sample_size.slope_half_width(*sample_size.logits(auroc, prevalence), size)
  assert 1.96 * np.std(slopes) == pytest.approx(planned, rel=0.1)
  within = np.abs(ratios) <= np.arcsinh(sample_size.observed_expected_half_width(prevalence, size))
  assert 0.92 <= within.mean() <= 0.98


def test_a_difference_is_shown_in_the_share_of_studies_asked_for():
  aurocs, positives, negatives = (0.80, 0.86), 120, 240
  rng, ill = np.random.default_rng(0), np.arange(360) < 120
  apart = np.sqrt(2) * special.ndtri(aurocs)
  tests, correlations = [], []
  for _ in range(500):
    shared = rng.normal(size=360)
    scores = np.stack(
      [np.sqrt(0.6) * shared + np.sqrt(0.4) * rng.normal(size=360) + shift * ill for shift in apart]
    )
    parts = delong.contributions(scores, ill, np.arange(360), 360)
    covariance = delong.covariance(parts)
    correlations.append(covariance[0, 1] / np.sqrt(covariance[0, 0] * covariance[1, 1]))
    test = delong.paired_test(parts.aurocs, covariance)
    tests.append(delong.difference_interval(test)[1] < 0)
  error = sample_size.difference_error(aurocs, np.mean(correlations), positives, negatives)
  planned = stats.norm.cdf(0.06 / error - 1.96)
  assert 0.6 < planned < 0.95
  assert np.mean(tests) == pytest.approx(planned, abs=0.05)
  assert sample_size.errors_apart(0.8) == pytest.approx(1.959964 + 0.841621, abs=1e-6)


def test_the_smallest_is_the_smallest():
  def half_width(patients):
    return sample_size.proportion_half_width(0.9, patients)

  patients = sample_size.smallest(half_width, 0.05)
  assert half_width(patients) <= 0.05 < half_width(patients - 1)
  assert sample_size.smallest(lambda patients: 1.0, 0.5) is None
  assert sample_size.auroc_half_width(0.8, 1.9, 100) == np.inf

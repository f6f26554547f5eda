"""The Youden threshold against a search over every threshold, scikit-learn's curve and by hand."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from medjax.evaluation import metrics, operating_points


@pytest.mark.parametrize('digits', [1, 2, 8])
@pytest.mark.parametrize('seed', range(5))
def test_no_threshold_is_better(seed, digits):
  rng = np.random.default_rng(seed)
  truth = (rng.random(300) < 0.2).astype(int)
  scores = np.round(rng.normal(0.4 + 0.1 * truth, 0.2), digits)
  threshold = operating_points.youden(scores, truth)
  false_positive_rate, sensitivity, _ = sklearn_metrics.roc_curve(truth, scores)
  reached = sum(metrics.sensitivity_specificity(scores, truth, threshold)) - 1
  assert reached == pytest.approx((sensitivity - false_positive_rate).max(), abs=1e-12)


def test_lies_midway_between_the_scores():
  assert operating_points.youden([0.1, 0.3, 0.7, 0.9], [0, 0, 1, 1]) == pytest.approx(0.5)


def test_ties_go_to_the_higher_sensitivity():
  # Calling 0.9 positive, or 0.9 to 0.5, both give an index of 1/2.
  assert operating_points.youden([0.9, 0.7, 0.5, 0.1], [1, 0, 1, 0]) == pytest.approx(0.3)


def test_useless_scores_call_everything_positive():
  assert operating_points.youden([0.5, 0.5, 0.5], [0, 1, 1]) == 0.5
  assert operating_points.youden([0.9, 0.2], [0, 1]) == 0.2


def test_neighbouring_numbers_have_no_middle():
  low = 0.5
  high = np.nextafter(low, 1)
  threshold = operating_points.youden([low, high], [0, 1])
  assert metrics.sensitivity_specificity([low, high], [0, 1], threshold) == (1, 1)


@pytest.mark.parametrize('truth', [[0, 0], [1, 1]])
def test_one_class_has_no_threshold(truth):
  assert np.isnan(operating_points.youden([0.1, 0.9], truth))
  assert np.isnan(operating_points.youden([], []))

"""Discrimination figures against scikit-learn, hand-worked values and a definition by pairs."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from medjax.evaluation.statistics import metrics


def cases():
  """Yields (scores, truth) that are random, heavily tied, rare, common and separable."""
  rng = np.random.default_rng(0)
  for size, share, digits in (
    (2, 0.5, 1), (50, 0.5, 1), (500, 0.03, 8), (500, 0.3, 2), (500, 0.97, 1), (2000, 0.1, 2),
    (2000, 0.1, 0),
  ):  # fmt: skip
    truth = (rng.random(size) < share).astype(np.int64)
    truth[:2] = 0, 1
    yield np.round(np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1), digits), truth
  yield np.arange(20) / 20, (np.arange(20) >= 12).astype(int)
  yield np.arange(20) / 20, (np.arange(20) < 12).astype(int)


@pytest.mark.parametrize('scores, truth', list(cases()))
def test_areas_equal_sklearn(scores, truth):
  assert metrics.auroc(scores, truth) == pytest.approx(
    sklearn_metrics.roc_auc_score(truth, scores), abs=1e-12
  )
  assert metrics.average_precision(scores, truth) == pytest.approx(
    sklearn_metrics.average_precision_score(truth, scores), abs=1e-12
  )


@pytest.mark.parametrize('integer', [True, False])
@pytest.mark.parametrize('scores, truth', list(cases()))
def test_weighted_areas_equal_sklearn(scores, truth, integer):
  rng = np.random.default_rng(1)
  shape = (7, len(scores))
  weights = rng.integers(0, 4, shape).astype(float) if integer else rng.random(shape)
  weights[:, :2] += 1
  aurocs = metrics.auroc(scores, truth, weights)
  precisions = metrics.average_precision(scores, truth, weights)
  for row, area, precision in zip(weights, aurocs, precisions):
    oracle = sklearn_metrics.roc_auc_score(truth, scores, sample_weight=row)
    assert area == pytest.approx(oracle, abs=1e-12)
    oracle = sklearn_metrics.average_precision_score(truth, scores, sample_weight=row)
    assert precision == pytest.approx(oracle, abs=1e-12)


def test_areas_by_hand():
  # Pairs won: 0.35 beats 0.1; 0.8 beats 0.1 and 0.4: 3 of 4. Steps: 1/1 * 1/2 + 2/3 * 1/2.
  scores, truth = [0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]
  assert metrics.auroc(scores, truth) == 0.75
  assert metrics.average_precision(scores, truth) == pytest.approx(0.5 + 1 / 3)
  assert metrics.auroc([0.5, 0.5, 0.5], [0, 1, 1]) == 0.5
  assert metrics.average_precision([0.5, 0.5, 0.5], [0, 1, 1]) == pytest.approx(2 / 3)


def test_hanley_mcneil_published_rating_table():
  # Hanley & McNeil, Radiology 143:29 (1982), Table I: 109 CT images rated 1 to 5, W = 0.893.
  normal, abnormal = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
  scores = np.concatenate(
    (np.repeat(np.arange(1, 6), normal), np.repeat(np.arange(1, 6), abnormal))
  )
  truth = np.repeat([0, 1], [sum(normal), sum(abnormal)])
  assert metrics.auroc(scores, truth) == pytest.approx(0.893, abs=5e-4)


def test_one_class_is_nan_not_half():
  assert np.isnan(metrics.auroc([0.1, 0.2], [0, 0]))
  assert np.isnan(metrics.auroc([0.1, 0.2], [1, 1]))
  assert np.isnan(metrics.auroc([], []))
  assert np.isnan(metrics.average_precision([0.1, 0.2], [0, 0]))
  assert np.isnan(metrics.average_precision([0.1, 0.2], [1, 1]))  # 1 whatever the scores
  weights = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 0.0]])
  values = metrics.auroc([0.1, 0.2, 0.3], [0, 1, 0], weights)
  np.testing.assert_array_equal(values, [0.5, np.nan, np.nan])
  values = metrics.average_precision([0.1, 0.2, 0.3], [0, 1, 0], weights)
  np.testing.assert_array_equal(values, [0.5, np.nan, np.nan])


@pytest.mark.parametrize('scores, truth', list(cases()))
def test_roc_curve_equals_sklearn_and_holds_the_area(scores, truth):
  oracle = sklearn_metrics.roc_curve(truth, scores, drop_intermediate=False)
  curve = metrics.roc_curve(scores, truth)
  for ours, sklearns in zip(curve, oracle):
    np.testing.assert_allclose(ours, sklearns, rtol=0, atol=1e-15)
  assert np.trapezoid(curve[1], curve[0]) == pytest.approx(metrics.auroc(scores, truth), abs=1e-12)


def test_roc_curve_without_a_class_is_nan():
  false_positive_rate, sensitivity, thresholds = metrics.roc_curve([0.2, 0.7], [0, 0])
  assert np.isnan(sensitivity).all()
  np.testing.assert_array_equal(false_positive_rate, [0, 0.5, 1])
  np.testing.assert_array_equal(thresholds, [np.inf, 0.7, 0.2])


def test_sensitivity_specificity():
  scores, truth = np.array([0.1, 0.5, 0.5, 0.9]), np.array([0, 0, 1, 1])
  assert metrics.sensitivity_specificity(scores, truth, 0.5) == (1.0, 0.5)
  assert metrics.sensitivity_specificity(scores, truth, 0.6) == (0.5, 1.0)
  sensitivity, specificity = metrics.sensitivity_specificity(
    scores, truth, 0.6, np.array([[1, 1, 1, 3], [1, 1, 0, 0]])
  )
  np.testing.assert_array_equal(sensitivity, [0.75, np.nan])
  np.testing.assert_array_equal(specificity, [1, 1])
  assert np.isnan(metrics.sensitivity_specificity(scores, truth, np.nan)).all()
  assert np.isnan(metrics.sensitivity_specificity([0.2], [0], 0.5)[0])


def test_sensitivity_specificity_equals_sklearn():
  for scores, truth in cases():
    called = scores >= 0.5
    oracle = [sklearn_metrics.recall_score(truth, called, pos_label=label) for label in (1, 0)]
    assert metrics.sensitivity_specificity(scores, truth, 0.5) == pytest.approx(oracle, abs=1e-15)


def test_prevalence():
  assert metrics.prevalence(np.array([0, 1, 0, 0])) == 0.25
  assert np.isnan(metrics.prevalence(np.array([])))


@pytest.mark.parametrize(
  'scores, truth, message',
  [
    ([0.1, np.nan], [0, 1], 'NaN'),
    ([0.1, 0.2], [0, -1], 'truth must be 0 or 1'),
    ([0.1, 0.2], [0, np.nan], 'truth must be 0 or 1'),
    ([0.1, 0.2], [0], 'equal'),
  ],
)
def test_bad_input_is_refused(scores, truth, message):
  for function in (metrics.auroc, metrics.average_precision, metrics.roc_curve):
    with pytest.raises(ValueError, match=message):
      function(scores, truth)


def test_whole_numbers_of_half_the_size_give_the_same_bits():
  rng = np.random.default_rng(0)
  counts = rng.poisson(1, (2000, 9)).astype(np.float64)
  for scores, truth in cases():
    drawn = counts[: len(truth)]
    whole = metrics.whole_numbers(drawn, len(truth))
    assert whole.dtype == np.float32
    ranking = metrics.rank(scores, truth)
    for one, other in zip(metrics.areas(ranking, drawn), metrics.areas(ranking, whole)):
      np.testing.assert_array_equal(one, other)
  # What float32 would round stays as it is.
  assert metrics.whole_numbers(counts + 0.1, 10).dtype == np.float64
  assert metrics.whole_numbers(counts, 2**24).dtype == np.float64

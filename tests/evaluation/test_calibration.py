"""Calibration against scikit-learn, scipy's minimum of its log loss, and statsmodels."""

import json

import numpy as np
import pytest
from scipy import optimize, special
from sklearn import calibration as sklearn_calibration
from sklearn import metrics as sklearn_metrics
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression
from statsmodels.stats.proportion import proportion_confint

from medjax.config import vocabulary
from medjax.errors import InputError
from medjax.evaluation import calibration, results_file
from medjax.evaluation.statistics import calibration_metrics

FITTED = ('temperature', 'platt', 'isotonic')


def off(seed, images=400, share=0.15, slope=0.6, shift=1.5, digits=None):
  """Scores of one label as class weights leave them: too high by `shift`, too flat by `slope`."""
  rng = np.random.default_rng(seed)
  truth = (rng.random(images) < share).astype(np.float32)
  z = special.logit(share) + rng.normal(truth * 2 - 0.5, 1.2)
  scores = special.expit(slope * z + shift).astype(np.float32)
  return scores if digits is None else np.round(scores, digits), truth


def fit_one(method, scores, truth):
  known = np.ones((len(scores), 1), bool)
  fitted = calibration.fit(method, scores[:, None], truth[:, None], known, ['Mass'], 'sigmoid')
  return fitted.labels['Mass'], lambda new: calibration.apply(
    fitted, np.asarray(new)[:, None], ['Mass']
  )[:, 0]


def classes(seed, images=600, shares=(0.6, 0.3, 0.1), slope=2.5):
  """Probabilities of exclusive classes that are too sure, and the class of each image."""
  rng = np.random.default_rng(seed)
  truth = rng.choice(len(shares), images, p=shares)
  logits = np.log(shares) + rng.normal(0, 1, (images, len(shares)))
  logits[np.arange(images), truth] += 1.5
  return special.softmax(slope * logits, axis=1).astype(np.float32), truth


def fit_classes(method, probabilities, truth, names, head='softmax'):
  one_hot = np.eye(len(names))[truth]
  fitted = calibration.fit(
    method, probabilities, one_hot, np.ones(one_hot.shape, bool), names, head
  )
  return fitted, calibration.apply(fitted, probabilities, names)


@pytest.mark.parametrize('digits', [None, 2])
@pytest.mark.parametrize('seed', range(3))
def test_platt_is_scikit_learns(seed, digits):
  scores, truth = off(seed, digits=digits)
  fitted, apply = fit_one('platt', scores, truth)
  # Its arithmetic is of the type of its input; it fits sigmoid(-(a z + b)).
  z = special.logit(scores.astype(np.float64))
  a, b = sklearn_calibration._sigmoid_calibration(z, truth.astype(np.float64))
  assert (fitted.slope, fitted.intercept) == pytest.approx((-a, -b), rel=1e-5)
  assert apply(scores) == pytest.approx(special.expit(-(a * z + b)), abs=1e-6)


def test_platt_stays_finite_where_the_classes_are_parted():
  scores, truth = np.linspace(0.05, 0.95, 20), np.repeat([0, 1], 10)
  fitted, apply = fit_one('platt', scores, truth)
  a, b = sklearn_calibration._sigmoid_calibration(special.logit(scores), truth)
  assert (fitted.slope, fitted.intercept) == pytest.approx((-a, -b), rel=1e-4)
  # Platt's targets hold on average: (10 + 1) / (10 + 2) for positives, 1 / (10 + 2) for negatives.
  assert apply(scores).mean() == pytest.approx(0.5)


@pytest.mark.parametrize('seed', range(3))
def test_temperature_is_the_least_log_loss(seed):
  scores, truth = off(seed, share=0.4, slope=2.5, shift=0)
  fitted, apply = fit_one('temperature', scores, truth)
  z = special.logit(scores.astype(np.float64))
  least = optimize.minimize_scalar(
    lambda log_t: sklearn_metrics.log_loss(truth, special.expit(z / np.exp(log_t))),
    bounds=(-3, 3),
    options={'xatol': 1e-10},
  )
  assert fitted.temperature == pytest.approx(np.exp(least.x), rel=1e-5)
  assert apply(scores) == pytest.approx(special.expit(z / fitted.temperature), abs=1e-12)
  assert ((apply(scores) > 0.5) == (scores > 0.5)).all()


@pytest.mark.parametrize('digits', [None, 2, 1])
@pytest.mark.parametrize('seed', range(3))
def test_isotonic_is_scikit_learns_kept_off_0_and_1(seed, digits):
  scores, truth = off(seed, digits=digits)
  _, apply = fit_one('isotonic', scores, truth)
  positives = int(truth.sum())
  oracle = IsotonicRegression(
    y_min=1 / (len(truth) - positives + 2),
    y_max=(positives + 1) / (positives + 2),
    out_of_bounds='clip',
  ).fit(scores.astype(np.float64), truth.astype(np.float64))
  new = np.concatenate([scores, np.linspace(0, 1, 501)]).astype(np.float64)
  assert apply(new) == pytest.approx(oracle.predict(new), abs=1e-9)
  assert (np.diff(apply(np.sort(new))) >= 0).all()
  assert 0 < apply([0.0])[0] < apply([1.0])[0] < 1


@pytest.mark.parametrize('method', FITTED)
def test_ranks_stay(method):
  scores, truth = off(7)
  fitted, apply = fit_one(method, scores, truth)
  assert fitted.reason == ''
  calibrated, order = apply(scores), np.argsort(scores, kind='stable')
  assert (np.diff(calibrated[order]) >= 0).all()
  if method != 'isotonic':
    assert len(set(calibrated)) == len(set(scores))
    assert sklearn_metrics.roc_auc_score(truth, calibrated) == pytest.approx(
      sklearn_metrics.roc_auc_score(truth, scores), abs=1e-12
    )


@pytest.mark.parametrize('method', ['platt', 'isotonic'])
def test_helps_on_other_images(method):
  _, apply = fit_one(method, *off(0, images=2000))
  scores, truth = off(1, images=2000)
  calibrated = apply(scores)
  assert abs(calibrated.mean() - truth.mean()) < 0.02 < abs(scores.mean() - truth.mean())
  assert sklearn_metrics.brier_score_loss(truth, calibrated) < sklearn_metrics.brier_score_loss(
    truth, scores
  )


@pytest.mark.parametrize('method', FITTED)
def test_exact_0_and_1_are_taken(method):
  scores, truth = off(3, share=0.5, slope=2, shift=0)
  scores[:4], truth[:4] = (0, 1, 0, 1), (0, 1, 1, 0)
  fitted, apply = fit_one(method, scores, truth)
  assert fitted.reason == '' and np.isfinite(special.logit(apply(scores))).all()
  smallest = np.array([0, 1e-30, 1e-11, 1e-10, 1 - 2.0**-24, 1], np.float32)
  ends = apply(smallest)
  assert (np.diff(ends) >= 0).all()
  if method != 'isotonic':
    # What float32 tells apart stays told apart, down to 1e-12 and up to 1.
    assert (np.diff(ends[1:]) > 0).all()


@pytest.mark.parametrize('method', FITTED)
def test_worse_than_chance_is_never_turned_round(method):
  scores, truth = off(4)
  scores, truth = np.sort(scores), np.sort(truth)[::-1]
  fitted, apply = fit_one(method, scores, truth)
  assert fitted == calibration.LabelCalibration(reason=fitted.reason)
  assert ('no temperature' if method == 'temperature' else 'more positives') in fitted.reason
  assert (apply(scores) == scores).all()


@pytest.mark.parametrize('method', FITTED)
@pytest.mark.parametrize(
  ('truth', 'words'),
  [
    ([0] * 20, 'no positives on validation'),
    ([1] * 20, 'no negatives on validation'),
    ([], 'no positives on validation'),
    ([0] * 19 + [1], 'only 1 positive on validation; 5 are needed'),
    ([1] * 16 + [0] * 4, 'only 4 negatives on validation; 5 are needed'),
  ],
)
def test_too_few_keep_their_probabilities(method, truth, words):
  scores = np.linspace(0.1, 0.9, len(truth))
  fitted, apply = fit_one(method, scores, np.array(truth))
  assert fitted == calibration.LabelCalibration(reason=words)
  assert (apply(scores) == scores).all()


@pytest.mark.parametrize('method', FITTED)
def test_equal_probabilities_stay(method):
  fitted, _ = fit_one(method, np.full(20, 0.3), np.repeat([0, 1], 10))
  assert fitted.reason == 'all validation images have the same probability'
  assert fitted == calibration.LabelCalibration(reason=fitted.reason)


def test_a_temperature_out_of_reach_is_neither_separation_nor_chance():
  positive = np.arange(40) % 2 == 1
  for right, low, high, words in (
    (36, 0.4999, 0.5001, 'the temperature that fits is below 0.01, the lowest that is tried'),
    (22, 0.0, 1.0, 'the temperature that fits is above 100, the highest that is tried'),
  ):
    scores = np.where(positive == (np.arange(40) < right), high, low)
    # Of answers ±z of which a share is right the least log loss has T = z / logit(share).
    fitted, _ = fit_one('temperature', scores, positive)
    assert fitted.reason == words


def test_no_temperature_where_all_is_right():
  fitted, _ = fit_one('temperature', np.repeat([0.2, 0.8], 10), np.repeat([0, 1], 10))
  assert (
    fitted == calibration.LabelCalibration(reason=fitted.reason)
    and 'without error' in fitted.reason
  )


@pytest.mark.parametrize('method', vocabulary.CALIBRATIONS)
def test_labels_are_calibrated_one_by_one_where_known_and_joined_by_name(method):
  names = ['Mass', 'Edema', 'Hernia']
  columns = [off(0), off(1, share=0.4, shift=-1), off(2, share=0)]
  scores, truth = (np.stack(arrays, axis=1) for arrays in zip(*columns))
  known = np.random.default_rng(0).random(truth.shape) < 0.8
  given = np.where(known, truth, np.nan)
  fitted = calibration.fit(method, scores, given, known, names, 'sigmoid')
  plain = json.loads(json.dumps(results_file.to_plain(fitted), allow_nan=False))
  assert results_file.from_plain(plain, calibration.Calibration) == fitted
  assert fitted == calibration.fit(method, scores, given, known, names, 'sigmoid')
  calibrated = calibration.apply(fitted, scores, names)
  assert calibrated.dtype == np.float64
  for column in (0, 1):
    rows = known[:, column]
    _, apply = fit_one(method, scores[rows, column], truth[rows, column])
    assert (calibrated[:, column] == apply(scores[:, column])).all()
  assert (calibrated[:, 2] == scores[:, 2]).all()
  assert (fitted.labels['Hernia'].reason == '') == (method == 'none')
  order = [2, 0, 1]
  again = calibration.apply(fitted, scores[:, order], [names[i] for i in order])
  assert (again == calibrated[:, order]).all()


@pytest.mark.parametrize('head', ['softmax', 'ordinal'])
@pytest.mark.parametrize('method', vocabulary.CALIBRATIONS)
def test_classes_sum_to_1_and_fit_no_worse(method, head):
  names = ['none', 'mild', 'severe']
  probabilities, truth = classes(0)
  fitted, calibrated = fit_classes(method, probabilities, truth, names, head)
  plain = json.loads(json.dumps(results_file.to_plain(fitted), allow_nan=False))
  assert results_file.from_plain(plain, calibration.Calibration) == fitted
  assert fitted.classes.reason == ''
  assert calibrated.sum(axis=1) == pytest.approx(np.ones(len(truth)), abs=1e-6)
  before, after = (
    sklearn_metrics.log_loss(truth, p / p.sum(axis=1, keepdims=True))
    for p in (probabilities.astype(np.float64), calibrated)
  )
  assert after == before if method == 'none' else after < before
  order = [1, 2, 0]
  again = calibration.apply(fitted, probabilities[:, order], [names[i] for i in order])
  assert again == pytest.approx(calibrated[:, order], abs=1e-15)


@pytest.mark.parametrize('seed', range(3))
def test_one_temperature_of_all_classes(seed):
  probabilities, truth = classes(seed)
  fitted, calibrated = fit_classes('temperature', probabilities, truth, ['a', 'b', 'c'])
  log_p = np.log(probabilities.astype(np.float64))
  least = optimize.minimize_scalar(
    lambda log_t: sklearn_metrics.log_loss(truth, special.softmax(log_p / np.exp(log_t), axis=1)),
    bounds=(-3, 3),
    options={'xatol': 1e-10},
  )
  assert fitted.classes.temperature == pytest.approx(np.exp(least.x), rel=1e-5)
  assert (calibrated.argmax(axis=1) == probabilities.argmax(axis=1)).all()


def test_vector_scaling_of_two_classes_is_a_logistic_regression():
  probabilities, truth = classes(1, shares=(0.7, 0.3))
  _, calibrated = fit_classes('platt', probabilities, truth, ['a', 'b'])
  log_p = np.log(probabilities.astype(np.float64))
  # Platt's targets: each image twice, as either class, weighing what it aims at.
  counts = np.bincount(truth)
  weight = ((counts + 1) / (counts + 2))[truth]
  oracle = LogisticRegression(C=np.inf, tol=1e-10, max_iter=10_000).fit(
    np.tile(log_p, (2, 1)),
    np.concatenate([truth, 1 - truth]),
    sample_weight=np.concatenate([weight, 1 - weight]),
  )
  assert calibrated == pytest.approx(oracle.predict_proba(log_p), abs=1e-5)


def test_vector_scaling_meets_platts_targets():
  # At the minimum the mean of each class is that of the targets, (n + 1) / (n + 3) and 1 / (n + 3).
  probabilities, truth = classes(2)
  fitted, calibrated = fit_classes('platt', probabilities, truth, ['a', 'b', 'c'])
  counts = np.bincount(truth)
  targets = (np.eye(3) * counts[:, None] + 1) / (counts[:, None] + 3)
  assert targets.sum(axis=1) == pytest.approx(np.ones(3))
  assert calibrated.mean(axis=0) == pytest.approx(targets[truth].mean(axis=0), abs=1e-7)
  assert min(fitted.classes.slope) > 0


def test_isotonic_of_classes_is_each_against_all_others():
  probabilities, truth = classes(3)
  _, calibrated = fit_classes('isotonic', probabilities, truth, ['a', 'b', 'c'])
  one_by_one = [fit_one('isotonic', probabilities[:, k], truth == k)[1] for k in range(3)]
  stacked = np.stack([apply(probabilities[:, k]) for k, apply in enumerate(one_by_one)], axis=1)
  assert calibrated == pytest.approx(stacked / stacked.sum(axis=1, keepdims=True), abs=1e-12)


@pytest.mark.parametrize('method', FITTED)
def test_classes_that_are_certain_or_impossible(method):
  probabilities, truth = classes(4)
  probabilities[:3] = np.eye(3)
  _, calibrated = fit_classes(method, probabilities, truth, ['a', 'b', 'c'])
  assert np.isfinite(calibrated).all() and (calibrated > 0).all()


@pytest.mark.parametrize('method', FITTED)
def test_a_class_too_rare_keeps_all_probabilities(method):
  probabilities, truth = classes(5)
  for number, words in ((0, 'no images of c on'), (1, 'only 1 image of c on')):
    fewer = np.where(truth == 2, 0, truth)
    fewer[:number] = 2
    fitted, calibrated = fit_classes(method, probabilities, fewer, ['a', 'b', 'c'])
    assert words in fitted.classes.reason
    assert (calibrated == probabilities).all()


@pytest.mark.parametrize('method', FITTED)
def test_classes_worse_than_chance_keep_their_probabilities(method):
  probabilities, _ = classes(6, shares=(1 / 3, 1 / 3, 1 / 3), slope=4)
  wrong = probabilities.argmin(axis=1)
  fitted, calibrated = fit_classes(method, probabilities, wrong, ['a', 'b', 'c'])
  assert fitted.classes.reason != ''
  assert (calibrated == probabilities).all()


def test_images_of_unknown_class_are_left_out():
  probabilities, truth = classes(7)
  one_hot, known = np.eye(3)[truth], np.ones((len(truth), 3), bool)
  known[:100] = False
  one_hot[:100] = np.nan
  fitted = calibration.fit('platt', probabilities, one_hot, known, ['a', 'b', 'c'], 'softmax')
  assert fitted == fit_classes('platt', probabilities[100:], truth[100:], ['a', 'b', 'c'])[0]


@pytest.mark.parametrize('head', vocabulary.HEADS)
def test_other_labels_are_named(head):
  probabilities, truth = classes(8)
  fitted = calibration.fit(
    'platt',
    probabilities,
    np.eye(3)[truth],
    np.ones((len(truth), 3), bool),
    ['a', 'b', 'see'],
    head,
  )
  with pytest.raises(InputError, match=r"'sea' has no calibration.*did you mean 'see'"):
    calibration.apply(fitted, probabilities, ['a', 'b', 'sea'])
  with pytest.raises(InputError, match="'b' was calibrated"):
    calibration.apply(fitted, probabilities[:, :2], ['a', 'see'])


def test_wrong_method_head_and_shapes():
  given = (np.full((3, 1), 0.5), np.ones((3, 1)), np.ones((3, 1), bool), ['a'])
  with pytest.raises(InputError, match="did you mean 'platt'"):
    calibration.fit('plat', *given, 'sigmoid')
  with pytest.raises(InputError, match='head'):
    calibration.fit('platt', *given, 'sigmoids')
  with pytest.raises(ValueError, match='images x labels'):
    calibration.fit('platt', *given[:3], ['a', 'b'], 'sigmoid')


@pytest.mark.parametrize('digits', [None, 2, 1])
def test_reliability_holds_every_image_once_in_nearly_equal_bins(digits):
  scores, truth = off(0, images=503, digits=digits)
  scores = scores.astype(np.float64)
  points = calibration_metrics.reliability(scores, truth, bins=10)
  assert sum(point.images for point in points) == 503
  for point, after in zip(points, [*points[1:], None]):
    inside = (scores >= point.low) & (scores <= point.high)
    assert inside.sum() == point.images
    assert point.share_positive == pytest.approx(truth[inside].mean())
    assert point.mean_probability == pytest.approx(scores[inside].mean())
    assert point.interval == pytest.approx(
      proportion_confint(truth[inside].sum(), inside.sum(), method='wilson'), abs=1e-9
    )
    assert after is None or point.high < after.low
  if digits is None:
    assert {point.images for point in points} == {50, 51}
    share, mean = sklearn_calibration.calibration_curve(
      truth, scores, n_bins=10, strategy='quantile'
    )
    assert [point.share_positive for point in points] == pytest.approx(share, abs=0.04)
    assert [point.mean_probability for point in points] == pytest.approx(mean, abs=0.01)
  json.dumps(results_file.to_plain(points), allow_nan=False)


def test_reliability_of_few_and_of_equal_scores():
  assert calibration_metrics.reliability([], []) == ()
  (point,) = calibration_metrics.reliability([0.3] * 7, [0, 0, 0, 0, 0, 0, 1])
  assert point.images == 7 and point.share_positive == pytest.approx(1 / 7)
  points = calibration_metrics.reliability([0.9, 0.1, 0.5], [1, 0, 1])
  assert [point.images for point in points] == [1, 1, 1]
  assert points[0].interval[0] == 0 and points[2].interval[1] == 1

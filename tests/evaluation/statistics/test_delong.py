"""DeLong's and Obuchowski's covariance against published examples and against their definitions."""

import numpy as np
import pytest
from auroc_covariance import auroc_covariance
from scipy import stats
from sklearn import metrics as sklearn_metrics

from medjax.evaluation.label_result import Delong
from medjax.evaluation.statistics import delong

# Turck et al., Intensive Care Medicine 36:107, 2010: 113 patients after a subarachnoid haemorrhage,
# those with a poor outcome first; WFNS grade and S100B (µg/l x 100). The data set aSAH of the R
# package pROC.
POOR = 41
WFNS = (
  '32455552521254425552525245441442255225555'
  '111151221221112121134141551124112212122111121211324214115422111312244111'
)
S100B = """
13 10 16 12 44 71 49 7 33 9 7 41 35 48 96 25 86 52 207 7 77 30 3 9 23 70 27 71 8 26 13 10 11 22 56
14 58 32 82 74 44
13 14 10 4 47 18 10 10 4 8 4 9 11 7 17 7 11 13 19 5 16 14 34 9 50 46 16 7 43 45 11 8 9 8 6 13 10 14
15 6 5 9 4 9 8 16 9 8 33 11 28 7 10 32 7 5 24 38 10 15 8 14 10 7 4 19 15 47 17 15 50 48
"""
# DeLong's own example, as far as the SAS/STAT documentation prints it (PROC LOGISTIC, comparing
# receiver operating characteristic curves): albumin, total protein, 10 - K-G score, and who
# profited from surgery.
OVARIAN = """
3.0 5.8 10 0 3.2 6.3 5 1 3.9 6.8 3 1 2.8 4.8 6 0 3.2 5.8 3 1 0.9 4.0 5 0 2.5 5.7 8 0 1.6 5.6 5 1
3.8 5.7 5 1 3.7 6.7 6 1 3.2 5.4 4 1 3.8 6.6 6 1 4.1 6.6 5 1 3.6 5.7 5 1 4.3 7.0 4 1 3.6 6.7 4 0
2.3 4.4 6 1 4.2 7.6 4 0 4.0 6.6 6 0 3.5 5.8 6 1 3.8 6.8 7 1 3.0 4.7 8 0 4.5 7.4 5 1 3.7 7.4 5 1
3.1 6.6 6 1 4.1 8.2 6 1 4.3 7.0 5 1 4.3 6.5 4 1 3.2 5.1 5 1 2.6 4.7 6 1 3.3 6.8 6 0 1.7 4.0 7 0
3.7 6.1 5 1 3.3 6.3 7 1 4.2 7.7 6 1 3.5 6.2 5 1 2.9 5.7 9 0 2.1 4.8 7 1 2.8 6.2 8 0 4.0 7.0 7 1
3.3 5.7 6 1 3.7 6.9 5 1 3.6 6.6 5 1
"""
# Obuchowski's example: two readers of both carotid arteries; patient, stenosis, reader 1, reader 2.
# As published with her own program (clusteredROC, Cleveland Clinic), of arteries that both have
# read.
CAROTIDS = """
1 1 87 87 1 1 79 83 2 1 88 94 2 1 95 93 3 1 100 100 3 1 68 79 4 1 65 61 4 1 89 91 5 1 97 97
5 1 100 100 6 1 100 99 6 1 89 88 7 1 77 77 8 1 94 89 8 0 45 44 9 1 89 92 9 0 -11 -17 10 1 95 91
10 0 30 14 11 1 95 95 11 0 10 -122 12 1 100 100 12 0 19 -3 13 1 75 75 14 0 70 73 14 1 70 81
15 0 26 27 15 1 86 93 16 0 0 8 16 1 65 70 17 0 6 23 17 1 100 100 18 0 76 79 18 1 96 95 19 0 44 55
19 1 100 100 20 0 73 67 20 1 97 94 21 1 85 86 22 0 58 60 22 1 100 99 23 0 -2 -2 23 1 100 100
24 0 -3 -14 24 0 0 -11 25 0 47 -3 25 0 -94 -90 26 0 -16 17 26 0 75 85 27 0 5 -22 27 0 -1 -14
28 0 -6 -52 29 0 37 38 29 0 47 35 30 0 42 40 30 0 4 6 31 0 55 23 31 0 55 45 32 0 4 -87 32 0 -13 -65
33 0 49 24 33 0 35 9 34 0 53 66 35 0 2 -15 36 0 -48 -78
"""


def table(text):
  return np.array(text.split(), float).reshape(-1, 4).T


def brute_force(scores, truth, groups):
  """Returns Obuchowski's covariance from her definitions, all pairs one by one."""
  positive, negative = (np.flatnonzero(truth == value) for value in (1, 0))
  unique, models = list(dict.fromkeys(groups)), range(len(scores))
  by_positive, by_negative = np.zeros((2, len(scores), len(unique)))
  for k in models:
    psi = np.array(
      [
        [(scores[k][i] > scores[k][j]) + (scores[k][i] == scores[k][j]) / 2 for j in negative]
        for i in positive
      ]
    )
    area = psi.mean()
    for place, patient in enumerate(unique):
      mine = [row for row, i in enumerate(positive) if groups[i] == patient]
      by_positive[k, place] = sum(psi[row].mean() - area for row in mine)
      mine = [column for column, j in enumerate(negative) if groups[j] == patient]
      by_negative[k, place] = sum(psi[:, column].mean() - area for column in mine)
  m, n = len(positive), len(negative)
  with_positives, with_negatives = (len({groups[i] for i in rows}) for rows in (positive, negative))
  covariance = np.zeros((len(scores), len(scores)))
  for k in models:
    for l in models:  # noqa: E741
      s10 = with_positives / ((with_positives - 1) * m) * (by_positive[k] @ by_positive[l])
      s01 = with_negatives / ((with_negatives - 1) * n) * (by_negative[k] @ by_negative[l])
      every = len(unique) / (len(unique) - 1)
      s11 = every * (by_positive[k] @ by_negative[l] + by_positive[l] @ by_negative[k])
      covariance[k, l] = s10 / m + s01 / n + s11 / (m * n)
  return covariance


def study(seed=0, patients=25, several=4, ties=1):
  """Returns (scores of three models, truth, patients); patients have images of both classes."""
  rng = np.random.default_rng(seed)
  groups = np.repeat(np.arange(patients), rng.integers(1, several + 1, patients))
  truth = (rng.random(len(groups)) < 0.2 + 0.5 * (groups % 2)).astype(int)
  own = rng.normal(0, 0.6, patients)[groups]
  scores = [np.round(own + rng.normal(shift * truth, 1), ties) for shift in (0.4, 0.8, 1.5)]
  return np.stack(scores), truth, groups


def test_equals_pROC_on_its_own_data():
  scores = np.stack([list(WFNS), S100B.split()]).astype(float)
  truth = np.arange(113) < POOR
  aurocs, covariance = auroc_covariance(scores, truth)
  assert aurocs == pytest.approx([0.823678861788618, 0.731368563685637], abs=1e-14)
  published = [
    [0.00146991470882363, 0.00119615567376754],
    [0.00119615567376754, 0.00266868245717244],
  ]
  assert covariance == pytest.approx(np.array(published), rel=1e-12)
  test = delong.paired_test(aurocs, covariance)
  assert test.z == pytest.approx(2.20898359144091, rel=1e-12)
  assert test.p == pytest.approx(0.0271757822291882, rel=1e-12)
  bounds = delong.difference_interval(test)
  assert bounds == pytest.approx((0.0104061769564846, 0.174214419249478), rel=1e-12)


def test_equals_SAS_on_DeLongs_own_data():
  albumin, protein, score, benefit = table(OVARIAN)
  aurocs, covariance = auroc_covariance(np.stack([albumin, 10 - score, protein]), benefit)
  assert aurocs.round(4).tolist() == [0.7366, 0.7258, 0.6478]
  assert np.sqrt(np.diag(covariance)).round(4).tolist() == [0.0927, 0.1028, 0.1000]
  for pair, difference, error, bounds, p in (
    ([0, 1], 0.0108, 0.0953, (-0.1761, 0.1976), 0.9102),
    ([2, 1], -0.0780, 0.1046, (-0.2830, 0.1271), 0.4561),
  ):
    test = delong.paired_test(aurocs[pair], covariance[np.ix_(pair, pair)])
    assert [round(x, 4) for x in (test.difference, test.standard_error, test.p)] == [
      difference,
      error,
      p,
    ]
    assert np.round(delong.difference_interval(test), 4).tolist() == list(bounds)


def test_equals_Obuchowski_on_her_own_data():
  groups, truth, *scores = table(CAROTIDS)
  aurocs, covariance = auroc_covariance(np.stack(scores), truth, groups)
  assert aurocs.round(4).tolist() == [0.9837, 0.9852]
  assert np.sqrt(np.diag(covariance)).round(4).tolist() == [0.0108, 0.0097]
  m, n = 29, 36  # her components, as her program prints them
  published = [
    0.0013151307 / m + 0.0022375873 / n + 2 * 0.0051785478 / (m * n),
    0.0009284122 / m + 0.0022598583 / n + 2 * -0.0005015760 / (m * n),
    0.0008484357 / m + 0.0019241250 / n + (0.0028648340 - 0.0015136931) / (m * n),
  ]
  assert covariance[[0, 1, 0], [0, 1, 1]] == pytest.approx(published, abs=1e-11)
  test = delong.paired_test(aurocs[::-1], covariance[::-1, ::-1])
  assert [round(x, 4) for x in test[:2]] == [0.0014, 0.0066] and round(test.p, 4) == 0.8271
  assert np.round(delong.difference_interval(test), 4).tolist() == [-0.0115, 0.0143]


@pytest.mark.parametrize('ties', [0, 1, 6])
def test_equals_the_definitions_pair_by_pair(ties):
  scores, truth, groups = study(ties=ties)
  aurocs, covariance = auroc_covariance(scores, truth, groups)
  oracle = [sklearn_metrics.roc_auc_score(truth, model_scores) for model_scores in scores]
  assert aurocs == pytest.approx(oracle, abs=1e-12)
  assert covariance == pytest.approx(brute_force(scores, truth, groups), abs=1e-15)
  assert np.linalg.eigvalsh(covariance).min() > -1e-15
  single = np.arange(len(truth))
  plain = auroc_covariance(scores, truth)[1]
  assert plain == pytest.approx(brute_force(scores, truth, single), abs=1e-15)
  named = np.array([f'patient {99 - group}' for group in groups])
  assert auroc_covariance(scores, truth, named)[1] == pytest.approx(covariance, rel=1e-12)


def test_with_one_image_each_it_is_DeLong_exactly():
  scores, truth, _ = study(1, several=1, patients=60)
  one = auroc_covariance(scores, truth, np.random.default_rng(0).permutation(len(truth)))[1]
  # DeLong's definition, in the words of numpy: covariances of the placements.
  above = (scores[:, truth == 1, None] > scores[:, None, truth == 0]) + 0.5 * (
    scores[:, truth == 1, None] == scores[:, None, truth == 0]
  )
  plain = np.cov(above.mean(2)) / truth.sum() + np.cov(above.mean(1)) / (truth == 0).sum()
  assert one == pytest.approx(plain, rel=1e-12)


def test_the_mean_over_labels_is_a_jackknife_over_patients():
  numbers = 80
  scores, truth, groups = study(2, patients=numbers)
  truths = np.stack([truth, np.random.default_rng(3).permutation(truth)])
  parts = [delong.contributions(scores, label_truth, groups, numbers) for label_truth in truths]
  aurocs, covariance = delong.mean_covariance(parts)
  above = (scores[:, :, None] > scores[:, None]) + 0.5 * (scores[:, :, None] == scores[:, None])

  def means(kept):
    weights = [np.outer(kept & (t == 1), kept & (t == 0)) for t in truths]
    return np.mean([(above * w).sum((1, 2)) / w.sum() for w in weights], axis=0)

  assert aurocs == pytest.approx(means(np.full(len(truth), True)), abs=1e-12)
  left_out = np.array([means(groups != patient) for patient in range(numbers)])
  jackknife = np.cov(left_out.T) * (numbers - 1) ** 2 / numbers
  assert covariance == pytest.approx(jackknife, rel=0.1)
  alone = delong.mean_covariance(parts[:1])[1]
  assert alone == pytest.approx(delong.covariance(parts[0]), rel=0.02)


def coverage(area, aurocs, variances, interval):
  """Returns the share of 95% intervals that hold the area."""
  bounds = np.array([interval(*estimate) for estimate in zip(aurocs, variances)])
  return np.mean((bounds[:, 0] <= area) & (area <= bounds[:, 1]))


def logit(auroc, variance):
  return delong.interval(auroc, variance, np.inf)[0] or (np.nan, np.nan)  # which holds nothing


def plain(auroc, variance):
  reach = 1.959964 * np.sqrt(variance)
  return auroc - reach, min(1, auroc + reach)


def test_by_patient_it_covers_and_by_image_it_falls_short():
  rng, tests, patients, images, area = np.random.default_rng(5), 1000, 50, 5, 0.8
  own, noise = 1.0, 0.6
  shift = stats.norm.ppf(area) * np.sqrt(2 * (own**2 + noise**2))
  groups = np.repeat(np.arange(patients), images)
  ill = (rng.random(patients) < 0.4)[groups]
  truth = np.where(rng.random(len(groups)) < 0.85, ill, ~ill)
  of_patients = rng.normal(0, own, (tests, patients))[:, groups]
  scores = of_patients + rng.normal(shift * truth, noise, (tests, len(groups)))
  aurocs, covariance = auroc_covariance(scores, truth, groups)
  by_image = auroc_covariance(scores[:300], truth)[1]
  assert 0.93 <= coverage(area, aurocs, np.diag(covariance), logit) <= 0.97
  assert coverage(area, aurocs[:300], np.diag(by_image), logit) < 0.85
  assert np.diag(covariance).mean() == pytest.approx(aurocs.var(), rel=0.1)
  pairs = zip(range(0, tests, 2), range(1, tests, 2))
  # Two models that know as much as each other differ at p < 0.05 one time in twenty.
  p = [delong.paired_test(aurocs[[i, j]], covariance[np.ix_([i, j], [i, j])]).p for i, j in pairs]
  assert 0.03 <= np.mean(np.array(p) < 0.05) <= 0.07


def test_near_1_the_logit_interval_covers_and_the_plain_one_falls_short():
  rng, tests, images, area = np.random.default_rng(6), 1000, 40, 0.95
  truth = np.repeat([0, 1], images)
  scores = rng.normal(stats.norm.ppf(area) * np.sqrt(2) * truth, 1, (tests, len(truth)))
  aurocs, covariance = auroc_covariance(scores, truth)
  assert 0.93 <= coverage(area, aurocs, np.diag(covariance), logit) <= 0.97
  assert coverage(area, aurocs, np.diag(covariance), plain) < 0.92


def test_interval_is_the_delta_method_on_the_logit():
  (low, high), reason = delong.interval(0.9, 0.0016, np.inf, 0.9)
  assert reason == ''
  centre, error = np.log(9), 0.04 / 0.09
  assert np.log(low / (1 - low)) == pytest.approx(centre - 1.6448536 * error, abs=1e-6)
  assert np.log(high / (1 - high)) == pytest.approx(centre + 1.6448536 * error, abs=1e-6)


@pytest.mark.parametrize('ties', [False, True])
def test_freedom_and_variance_are_those_of_Brunner_and_Munzel(ties):
  rng = np.random.default_rng(7)
  truth = np.arange(60) < 9
  scores = rng.normal(truth * np.linspace(0.5, 2, 60), 1 + truth)
  scores = scores.round(0) if ties else scores
  parts = delong.contributions(scores[None], truth, np.arange(60), 60)
  ((variance,),), (degrees,) = delong.covariance(parts), delong.freedom(parts)
  expected = stats.brunnermunzel(scores[~truth], scores[truth])
  z = (parts.aurocs[0] - 0.5) / np.sqrt(variance)
  assert z == pytest.approx(expected.statistic, rel=1e-12)
  p = 2 * stats.t.sf(abs(expected.statistic), degrees)
  assert p == pytest.approx(expected.pvalue, rel=1e-9) and 8 < degrees < 16


def test_freedom_of_a_mean_over_one_and_over_equal_labels_is_that_of_the_label():
  scores, truth, groups = study(4)
  _, patient = np.unique(groups, return_inverse=True)
  part = delong.contributions(scores, truth, patient, patient.max() + 1)
  for labels in (1, 3):
    assert delong.mean_freedom([part] * labels) == pytest.approx(delong.freedom(part), rel=1e-12)


def test_the_mean_of_equal_labels_varies_as_each_of_them():
  rng, truth = np.random.default_rng(3), np.arange(60) < 5
  part = delong.contributions(rng.normal(truth, 1, (2, 60)), truth, np.arange(60), 60)
  assert delong.mean_covariance([part] * 3)[1] == pytest.approx(delong.covariance(part), rel=1e-12)


def test_a_gap_from_a_group_whose_scores_separate_has_no_interval():
  truth = np.repeat([0, 1], 10)
  parts = [
    delong.contributions(scores[None], truth, np.arange(20), 20)
    for scores in (truth + 0.01 * np.arange(20), np.sin(np.arange(20)) + truth)
  ]
  nobody = np.zeros(0, int), np.zeros(0, int)
  assert delong.gap_interval(parts[:1], parts[1:], nobody, 0.95) is None
  assert delong.gap_interval(parts[1:], parts[1:], nobody, 0.95) is not None


def test_equal_scores_do_not_separate_the_classes():
  figure = delong.figure(np.full(4, 0.3), [0, 1, 0, 1])
  assert figure.interval is None and 'separate' not in figure.reason


@pytest.mark.parametrize(
  ('truth', 'groups', 'words'),
  [
    ([0, 0, 0, 0], None, 'no positives'),
    ([1, 1, 1, 1], None, 'no negatives'),
    ([0, 0, 0, 1], None, 'all positives are of one patient'),
    ([0, 1, 1, 1], None, 'all negatives are of one patient'),
    ([0, 0, 1, 1], ['a', 'b', 'c', 'c'], 'all positives are of one patient'),
    ([0, 1, 0, 1], ['a'] * 4, 'fewer than two patients'),
    ([0, 0, 1, 1], None, 'its estimated variance is 0, because the scores separate the classes'),
  ],
)
def test_no_interval_says_why(truth, groups, words):
  figure = delong.figure(np.array([0.1, 0.2, 0.3, 0.4]), truth, groups)
  assert figure == Delong(interval=None, clustered=groups is not None, reason=words)


def test_a_model_against_itself_and_one_that_differs_without_varying():
  scores, truth, groups = study(4)
  aurocs, covariance = auroc_covariance(scores[[0, 0]], truth, groups)
  assert delong.paired_test(aurocs, covariance)[:4] == (0, 0, 0, 1)
  assert delong.difference_interval(delong.paired_test(aurocs, covariance)) is None
  aurocs, covariance = auroc_covariance(np.array([[0, 0, 1, 1], [1, 1, 0, 0]]), [0, 0, 1, 1])
  test = delong.paired_test(aurocs, covariance)
  assert test.difference == 1 and np.isnan(test.p)


def test_what_cannot_be_ranked_is_refused():
  with pytest.raises(ValueError, match='NaN has no rank'):
    auroc_covariance([[0.1, np.nan]], [0, 1])
  with pytest.raises(ValueError, match='0 or 1'):
    auroc_covariance([[0.1, 0.2]], [0, 2])
  with pytest.raises(ValueError, match=r'\(1, 2\)'):
    auroc_covariance([[0.1, 0.2]], [0, 1, 1])

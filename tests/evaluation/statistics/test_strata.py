"""AUROCs within strata, against scikit-learn, DeLong's of one stratum, and a known truth."""

import numpy as np
import pytest
from scipy import special, stats
from sklearn import metrics as sklearn_metrics

from medjax.evaluation.seeds import mean_of
from medjax.evaluation.statistics import delong, strata


def drawn(rng, patients=40, images=1, share=0.3, shift=1.2, labels=1):
  """Returns (scores f[N, L], truth bool[N, L], patient int[N]); a patient's images are alike."""
  patient = np.repeat(np.arange(patients), images)
  truth = rng.permutation(np.arange(patients) < share * patients)[patient]
  truth = np.stack([truth] + [rng.permutation(truth) for _ in range(labels - 1)], axis=1)
  own = rng.normal(size=(patients, 1))[patient]
  noise = 0.7 * own + np.sqrt(1 - 0.49) * rng.normal(size=truth.shape)
  return shift * truth + noise, truth, patient


def label_of(folds, column=0):
  parts, pairs = [], []
  for scores, truth, patient in folds:
    of_label = truth[:, column]
    parts.append(
      delong.contributions(scores[None, :, column], of_label, patient, patient.max() + 1)
    )
    pairs.append(int(of_label.sum()) * int((~of_label).sum()))
  return strata.by_pairs(parts, pairs)


def test_pairs_within_strata_by_scikit_learn():
  rng = np.random.default_rng(0)
  folds = [drawn(rng, patients, share=share) for patients, share in ((30, 0.2), (50, 0.5))]
  areas = [sklearn_metrics.roc_auc_score(truth, scores) for scores, truth, _ in folds]
  pairs = [6 * 24, 25 * 25]
  assert label_of(folds).auroc == pytest.approx(np.average(areas, weights=pairs))


def test_a_common_scale_is_not_needed():
  rng = np.random.default_rng(1)
  folds = [drawn(rng) for _ in range(3)]
  before = label_of(folds)
  shifted = [(9 * number + scores, *rest) for number, (scores, *rest) in enumerate(folds)]
  after = label_of(shifted)
  assert after.auroc == before.auroc
  np.testing.assert_allclose(strata.interval([after], 0.95)[0], strata.interval([before], 0.95)[0])
  # In one list they look as if nothing was learned.
  scores, truth = (np.concatenate([fold[at][:, 0] for fold in shifted]) for at in (0, 1))
  assert sklearn_metrics.roc_auc_score(truth, scores) < before.auroc - 0.1


def test_one_stratum_with_one_image_each_is_delong():
  fold = drawn(np.random.default_rng(2))
  bounds, _ = strata.interval([label_of([fold])], 0.95)
  scores, truth, patient = fold
  np.testing.assert_allclose(bounds, delong.figure(scores[:, 0], truth[:, 0], patient).interval)


def test_a_stratum_without_a_class_does_not_count_and_one_patient_has_no_interval():
  rng = np.random.default_rng(3)
  folds = [drawn(rng), drawn(rng, share=0)]
  assert label_of(folds).auroc == label_of(folds[:1]).auroc
  assert strata.interval([label_of(folds)], 0.95)[0] is not None
  folds[1] = drawn(rng, share=1 / 40)
  bounds, reason = strata.interval([label_of(folds)], 0.95)
  assert bounds is None and 'of one patient' in reason
  assert np.isnan(label_of([drawn(rng, share=0)]).auroc)


COVERED = [(60, 0.1, 1, 1), (40, 0.2, 3, 1), (60, 0.1, 2, 3)]


@pytest.mark.slow
@pytest.mark.parametrize(('patients', 'share', 'images', 'labels'), COVERED)
def test_the_intervals_over_five_folds_cover(patients, share, images, labels):
  """Networks of different power and scale, calibrated but for an error of 0.3 in log-odds."""
  held = []
  for seed in range(700):
    rng = np.random.default_rng(seed)
    shifts, errors = 1.2 * np.exp(rng.normal(0, 0.1, 5)), rng.normal(0, 0.3, 5)
    folds = [drawn(rng, patients, images, share, shift, labels) for shift in shifts]
    true = special.ndtr(shifts / np.sqrt(2))
    columns = range(labels)
    within = strata.interval([label_of(folds, column) for column in columns], 0.95)[0]
    # All in one list: a positive of one fold meets the negatives of every fold.
    scores = np.concatenate([fold[0] + error for fold, error in zip(folds, errors)])
    truth = np.concatenate([fold[1] for fold in folds])
    patient = np.concatenate([fold[2] + patients * number for number, fold in enumerate(folds)])
    apart = (shifts + errors)[:, None] - errors
    pooled = [
      delong.contributions(scores[None, :, column], truth[:, column], patient, 5 * patients)
      for column in columns
    ]
    one = delong.mean_interval(pooled, 0, 0.95)[0]
    truths = (true.mean(), special.ndtr(apart / np.sqrt(2)).mean())
    held.append([low <= value <= high for (low, high), value in zip((within, one), truths)])
  covered = np.mean(held, axis=0)
  assert ((covered >= 0.93) & (covered <= 0.97)).all(), covered


@pytest.mark.slow
@pytest.mark.parametrize(('share', 'images'), [(0.1, 1), (0.2, 3)])
def test_the_interval_of_the_mean_of_five_seeds_covers(share, images):
  """Five networks on the same patients; two fifths of a score's variance is the network's own."""
  held = []
  for seed in range(1000):
    rng = np.random.default_rng(seed)
    scores, truth, patient = drawn(rng, 200, images, share)
    shifts = np.exp(rng.normal(0, 0.1, 5))
    parts = []
    for shift in shifts:
      own = 1.2 * shift * truth + np.sqrt(0.6) * (scores - 1.2 * truth)
      own = own + np.sqrt(0.4) * rng.normal(size=truth.shape)
      parts.append(delong.contributions(own.T, truth[:, 0], patient, 200))
    (low, high), _ = delong.mean_interval([mean_of(parts)], 0, 0.95)
    held.append(low <= special.ndtr(1.2 * shifts / np.sqrt(2)).mean() <= high)
  assert 0.93 <= np.mean(held) <= 0.97


def test_the_corrected_interval_by_hand():
  # Of 200 patients, 40 tested and 20 of validation in each fold but the last: of 10.
  aurocs, tested = [0.80, 0.84, 0.83, 0.79, 0.86], [40] * 5
  trained = [140, 140, 140, 140, 150]
  share = (4 * 40 / 140 + 40 / 150) / 5
  mean, variance = np.mean(aurocs), (1 / 5 + share) * np.var(aurocs, ddof=1)
  half = stats.t.ppf(0.975, 4) * np.sqrt(variance) / (mean * (1 - mean))
  expected = special.expit(special.logit(mean) + np.array([-half, half]))
  np.testing.assert_allclose(strata.over_training_sets(aurocs, tested, trained, 0.95)[0], expected)
  assert strata.over_training_sets([0.8, np.nan], [9, 9], [7, 7], 0.95) == (
    None,
    'a fold has no AUROC',
  )
  assert strata.over_training_sets([0.8, 0.8], [9, 9], [7, 7], 0.95)[0] is None


def trained(rng, patients, share, features):
  """Five folds, a linear discriminant of each; returns (label, AUROCs, who trained, true mean).

  A tenth of the patients are each fold's validation, and do not train. The true AUROC of a linear
  score on normal distributions is known.
  """
  truth = rng.permutation(np.arange(patients) < share * patients)
  shift = np.where(np.arange(features) < 4, 0.6, 0.0)
  images = rng.normal(size=(patients, features)) + truth[:, None] * shift
  fold = np.empty(patients, int)
  for of_class in (truth, ~truth):
    fold[of_class] = np.arange(of_class.sum()) % 5
  parts, pairs, true, sizes = [], [], [], []
  for number in range(5):
    own, others = fold == number, fold != number
    # Of the order of the draw within each class: every eighth of the others validates.
    for of_class in (truth & others, ~truth & others):
      others[np.flatnonzero(of_class)[::8]] = False
    sizes.append(int(others.sum()))
    x, y = images[others], truth[others]
    means = x[y].mean(axis=0), x[~y].mean(axis=0)
    spread = np.cov(np.concatenate([x[y] - means[0], x[~y] - means[1]]).T)
    weights = np.linalg.solve(spread, means[0] - means[1])
    true.append(special.ndtr(weights @ shift / np.sqrt(2 * weights @ weights)))
    scores = (images[own] @ weights)[None]
    patient = np.arange(own.sum())
    parts.append(delong.contributions(scores, truth[own], patient, own.sum()))
    pairs.append(int(truth[own].sum()) * int((~truth[own]).sum()))
  label = strata.by_pairs(parts, pairs)
  return label, [part.aurocs[0] for part in parts], sizes, np.mean(true)


@pytest.mark.slow
@pytest.mark.parametrize(
  ('patients', 'share', 'features', 'is_enough'), [(200, 0.3, 50, False), (2000, 0.2, 20, True)]
)
def test_over_training_sets_the_mean_of_folds_covers_and_patients_alone_may_not(
  patients, share, features, is_enough
):
  rows = []
  for seed in range(600):
    label, aurocs, sizes, true = trained(np.random.default_rng(seed), patients, share, features)
    within = strata.interval([label], 0.95)[0]
    over_sets = strata.over_training_sets(aurocs, [patients // 5] * 5, sizes, 0.95)[0]
    rows.append((true, *within, *over_sets))
  rows = np.array(rows)
  expected = rows[:, 0].mean()  # Of networks trained so, on whatever patients.
  over_patients, over_sets = (
    np.mean((rows[:, low] <= expected) & (expected <= rows[:, low + 1])) for low in (1, 3)
  )
  assert 0.93 <= over_sets <= 0.995
  assert (0.9 <= over_patients <= 0.97) if is_enough else over_patients < 0.9

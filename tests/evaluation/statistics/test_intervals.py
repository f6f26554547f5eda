"""The patient bootstrap against a plain loop of scikit-learn over the very same patients."""

import numpy as np
import pytest
import statsmodels.api as sm
import threadpoolctl
from scipy import special, stats
from sklearn import calibration
from sklearn import metrics as sklearn_metrics

from medjax.evaluation import classes
from medjax.evaluation.statistics import calibration_metrics, intervals, resampled


def slope_and_intercept(logits, positives, totals):
  """Fits by how many positives f64[R, G] and images each logit has."""
  sums = np.stack((positives.sum(axis=1), positives @ logits), axis=1)
  return calibration_metrics.fits(logits, sums, totals)


def bootstrap(patients, scores, truth, known, thresholds, **settings):
  """Returns every figure f64[R, L] of every replicate, one threshold for each label."""
  prepared = resampled.prepare(patients, scores, truth, known, np.asarray(thresholds)[:, None])
  drawn = intervals.replicate(
    lambda weights: resampled.compute(prepared, weights),
    prepared.patients,
    prepared.images,
    **settings,
  )
  return {name: values.reshape(values.shape[:2]) for name, values in drawn.items()}


def study(seed=0, patients=60, labels=3):
  """Returns (patients, scores, truth, known) with several images per patient and tied scores."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
  truth = (rng.random((len(patient), labels)) < np.linspace(0.1, 0.5, labels)).astype(np.float32)
  scores = np.round(np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0.01, 0.99), 2).astype(np.float32)
  known = rng.random(truth.shape) < 0.9
  return np.array([f'p{number}' for number in patient]), scores, truth, known


def test_equals_a_plain_loop_over_resampled_patients():
  patients, scores, truth, known = study()
  thresholds = np.array([0.3, 0.5, np.nan])
  figures = bootstrap(patients, scores, truth, known, thresholds, replicates=40, seed=3)
  unique = np.unique(patients)
  counts = intervals.patient_counts(len(unique), 40, 3)
  for replicate in range(40):
    rows = np.concatenate(
      [np.tile(np.flatnonzero(patients == p), n) for p, n in zip(unique, counts[replicate])]
    )
    for label in range(3):
      known_rows = rows[known[rows, label]]
      y, score = truth[known_rows, label], scores[known_rows, label]
      ours = {name: values[replicate, label] for name, values in figures.items()}
      assert ours['auroc'] == pytest.approx(sklearn_metrics.roc_auc_score(y, score), abs=1e-12)
      assert ours['auprc'] == pytest.approx(
        sklearn_metrics.average_precision_score(y, score), abs=1e-12
      )
      p = score.astype(np.float64)
      assert ours['brier'] == pytest.approx(sklearn_metrics.brier_score_loss(y, p), abs=1e-12)
      assert ours['ece'] == pytest.approx(calibration_error(y, p), abs=1e-12)
      if replicate % 8 == 0:
        slope, intercept = recalibrated(y, p)
        assert ours['calibration_slope'] == pytest.approx(slope, rel=1e-4)
        assert ours['calibration_intercept'] == pytest.approx(intercept, rel=1e-4)
      called = score >= thresholds[label]
      for name, oracle in AT_THRESHOLD.items():
        if label == 2:
          assert np.isnan(ours[name])
        else:
          assert ours[name] == pytest.approx(oracle(y, called), abs=1e-12)


AT_THRESHOLD = {
  'sensitivity': sklearn_metrics.recall_score,
  'specificity': lambda y, called: sklearn_metrics.recall_score(y, called, pos_label=0),
  'ppv': sklearn_metrics.precision_score,
  'npv': lambda y, called: sklearn_metrics.precision_score(y, called, pos_label=0),
  'f1': sklearn_metrics.f1_score,
}


def calibration_error(y, p, bins=15):
  """The expected calibration error by scikit-learn's reliability curve."""
  shares, means = calibration.calibration_curve(y, p, n_bins=bins)
  # A probability on an edge is in the bin above there and in the one below here: none is on one.
  assert not np.isin(np.round(p * bins, 9), np.arange(1, bins)).any()
  counts = np.bincount(np.minimum((p * bins).astype(int), bins - 1), minlength=bins)
  return np.sum(counts[counts > 0] / len(y) * np.abs(shares - means))


def recalibrated(y, p):
  """Slope, and intercept at slope 1, by statsmodels."""
  logits = calibration_metrics.logit(p)
  family = sm.families.Binomial()
  both = sm.GLM(y, sm.add_constant(logits), family=family).fit()
  alone = sm.GLM(y, np.ones(len(y)), family=family, offset=logits).fit()
  return both.params[1], alone.params[0]


def graded(seed=0, patients=40, grades=4):
  """Returns (patients, truth, decided, known), the highest grade in two patients."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
  truth = rng.choice(grades, len(patient), p=[0.5, 0.3, 0.2, 0])
  truth[np.isin(patient, (3, 4))] = grades - 1
  decided = np.clip(truth + rng.integers(-1, 2, len(patient)), 0, grades - 1)
  known = rng.random(len(patient)) < 0.9
  return np.array([f'p{number}' for number in patient]), truth, decided, known


def test_confusions_equal_a_plain_loop_over_resampled_patients():
  patients, truth, decided, known = graded()
  matrices = intervals.confusions(patients, truth, decided, known, 4, replicates=60, seed=3)
  ours = {
    name: figure(matrices) for heads in classes.FIGURES.values() for name, figure in heads.items()
  }
  unique = np.unique(patients)
  counts = intervals.patient_counts(len(unique), 60, 3)
  absent = 0
  for replicate in range(60):
    rows = np.concatenate(
      [np.tile(np.flatnonzero(patients == p), n) for p, n in zip(unique, counts[replicate])]
    )
    y, called = truth[rows[known[rows]]], decided[rows[known[rows]]]
    oracle = {
      'accuracy': sklearn_metrics.accuracy_score(y, called),
      'kappa': sklearn_metrics.cohen_kappa_score(y, called, labels=range(4)),
      'quadratic_kappa': sklearn_metrics.cohen_kappa_score(
        y, called, labels=range(4), weights='quadratic'
      ),
    }
    if len(set(y)) == 4:
      oracle['balanced_accuracy'] = sklearn_metrics.balanced_accuracy_score(y, called)
    else:
      absent += 1
      assert np.isnan(ours['balanced_accuracy'][replicate])
    for name, value in oracle.items():
      assert ours[name][replicate] == pytest.approx(value, abs=1e-12), name
    np.testing.assert_array_equal(
      matrices[replicate], sklearn_metrics.confusion_matrix(y, called, labels=range(4))
    )
  assert 0 < absent < 30  # both rules were at work


def test_confusions_share_the_replicates_of_the_other_figures():
  patients, scores, truth, known = study(4, labels=1)
  figures = bootstrap(patients, scores, truth, known, np.array([0.5]), replicates=30, seed=2)
  matrices = intervals.confusions(
    patients, truth[:, 0], scores[:, 0] >= 0.5, known[:, 0], 2, replicates=30, seed=2
  )
  for name, row in (('specificity', 0), ('sensitivity', 1)):
    share = matrices[:, row, row] / matrices[:, row].sum(axis=1)
    np.testing.assert_allclose(share, figures[name][:, 0], rtol=0, atol=1e-15)


def test_confusions_by_blocks_and_of_one_patient(monkeypatch):
  given = graded(1)
  whole = intervals.confusions(*given, 4, replicates=30)
  one = intervals.confusions(np.zeros(len(given[0])), *given[1:], 4, replicates=5)
  assert one.shape == (5, 4, 4) and np.isnan(one).all()
  monkeypatch.setattr(intervals, 'BLOCK_BYTES', 1)
  np.testing.assert_array_equal(intervals.confusions(*given, 4, replicates=30), whole)


def test_counts_draw_as_many_patients_as_there_are_and_ignore_block_size():
  counts = intervals.patient_counts(100, 50, seed=7)
  assert (counts.sum(axis=1) == 100).all()
  parts = [intervals.patient_counts(100, 20, 7), intervals.patient_counts(100, 30, 7, first=20)]
  np.testing.assert_array_equal(counts, np.concatenate(parts))
  assert (counts != intervals.patient_counts(100, 50, seed=8)).any()


def test_blocks_do_not_change_the_figures(monkeypatch):
  given = (*study(1), np.full(3, 0.5))
  whole = bootstrap(*given, replicates=30, seed=0)
  monkeypatch.setattr(intervals, 'BLOCK_BYTES', 1)
  for name, values in bootstrap(*given, replicates=30, seed=0).items():
    np.testing.assert_allclose(values, whole[name], rtol=1e-5)


def test_images_of_a_patient_stay_together():
  # Every patient's images twice over is the same study: patient intervals must not shrink.
  patients, scores, truth, known = study(2)
  once = bootstrap(patients, scores, truth, known, np.full(3, 0.5), replicates=50)
  twice = bootstrap(
    *(np.concatenate((array, array)) for array in (patients, scores, truth, known)),
    np.full(3, 0.5),
    replicates=50,
  )
  np.testing.assert_allclose(once['auroc'], twice['auroc'], atol=1e-12)


def test_a_replicate_without_a_class_is_left_out():
  patients, scores = np.arange(6), np.linspace(0.1, 0.9, 6)[:, None]
  truth = np.array([[0], [0], [0], [0], [0], [1]])
  figures = bootstrap(
    patients, scores, truth, np.ones((6, 1), bool), np.array([0.5]), replicates=400
  )
  counts = intervals.patient_counts(6, 400, 0)
  valid = (counts[:, 5] > 0) & (counts[:, :5].sum(axis=1) > 0)
  np.testing.assert_array_equal(~np.isnan(figures['auroc'][:, 0]), valid)
  interval = intervals.percentile(figures['auroc'][:, 0])
  assert interval == intervals.Interval((1.0, 1.0), int(valid.sum()), '')


def test_percentile():
  values = np.arange(101) / 100
  interval = intervals.percentile(values)
  assert interval.bounds == pytest.approx((0.025, 0.975)) and interval.valid == 101
  half = np.where(np.arange(100) < 50, 0.5, np.nan)
  assert intervals.percentile(half).bounds == (0.5, 0.5)
  half[0] = np.nan
  fewer = intervals.percentile(half)
  assert fewer.bounds is None and fewer.valid == 49 and '49 of 100' in fewer.reason
  assert intervals.percentile(np.array([])).bounds is None


def test_one_patient_and_an_unknown_label_have_no_figures():
  patients, scores, truth, known = study(3)
  known[:, 1] = False
  figures = bootstrap(patients, scores, truth, known, np.full(3, 0.5), replicates=5)
  assert np.isnan(figures['auroc'][:, 1]).all() and not np.isnan(figures['auroc'][:, 2]).any()
  one = bootstrap(np.zeros(len(scores)), scores, truth, known, np.full(3, 0.5), replicates=5)
  assert one == {}


@pytest.mark.slow
def test_coverage_is_near_nominal_for_clustered_images():
  # Sensitivity with a patient effect: the truth is known by construction to be 0.7.
  rng = np.random.default_rng(0)
  covered = 0
  for trial in range(200):
    detected = np.repeat(rng.random(80) < 0.7, 4)  # all four images of a patient alike
    patients = np.repeat(np.arange(80), 4)
    truth = np.ones((320, 1))
    figures = bootstrap(
      patients,
      detected[:, None] * 1.0,
      truth,
      truth > 0,
      np.array([0.5]),
      replicates=200,
      seed=trial,
    )
    low, high = intervals.percentile(figures['sensitivity'][:, 0]).bounds
    covered += low <= 0.7 <= high
  assert 0.89 <= covered / 200 <= 0.99  # by images instead it would be about 0.67


def test_bca_equals_scipys():
  # Skewed, so that bias and acceleration matter; one image a patient, so that scipy can do it.
  rng = np.random.default_rng(0)
  errors = rng.exponential(size=40) ** 1.5 / 20
  truth = np.zeros((40, 1))
  prepared = resampled.prepare(np.arange(40), np.sqrt(errors)[:, None], truth, truth == 0, [[0.5]])

  def compute(weights):
    return resampled.compute(prepared, weights)

  drawn = intervals.replicate(compute, 40, 40, replicates=20_000)['brier'][:, 0]
  left_out = intervals.jackknife(compute, 40)['brier'][:, 0]
  ours = intervals.bca(drawn, errors.mean(), left_out)
  scipys = stats.bootstrap(
    (errors,), np.mean, n_resamples=20_000, method='BCa', rng=np.random.default_rng(1)
  ).confidence_interval
  assert ours == pytest.approx((scipys.low, scipys.high), rel=0.04)
  percentile = intervals.percentile(drawn).bounds
  assert abs(percentile[1] - scipys.high) > 3 * abs(ours[1] - scipys.high)  # it is another interval


def test_jackknife_in_groups_leaves_every_patient_out_once():
  left_out = intervals.jackknife(lambda weights: {'all': weights}, 450, groups=200)['all']
  assert left_out.shape == (200, 450) and set(np.unique(left_out)) == {0, 1}
  np.testing.assert_array_equal((left_out == 0).sum(axis=0), 1)
  assert set((left_out == 0).sum(axis=1)) == {2, 3}


def test_bca_has_no_interval_where_it_cannot_be_computed():
  values = np.linspace(0.5, 1, 100)
  assert intervals.bca(values, 1.1, np.array([0.9, 1.0])) is None  # all replicates below
  assert intervals.bca(np.full(5, np.nan), 0.5, np.array([0.9, 1.0])) is None
  assert intervals.bca(values, 0.75, np.array([np.nan, 1.0])) is None
  assert intervals.bca(values, 0.99, np.array([0.9, 1.0])) is None  # beyond the highest replicate


def test_slope_on_a_grid_equals_the_fit_to_every_image():
  rng = np.random.default_rng(0)
  logits = rng.normal(-2, 2, 3000)
  logits[:2] = -16, 16  # the widest range there is
  truth = rng.random(3000) < 1 / (1 + np.exp(-(0.4 + 0.6 * logits)))
  nodes, spread = calibration_metrics.on_grid(logits)
  sums = np.array([[truth.sum(), logits[truth].sum()]], float)
  grid = calibration_metrics.fits(nodes, sums, spread.sum(axis=0)[None])
  exact = slope_and_intercept(logits, truth[None] * 1.0, np.ones((1, 3000)))
  np.testing.assert_allclose(grid, exact, rtol=1e-4)
  probabilities = special.expit(logits)
  np.testing.assert_allclose(
    np.ravel(exact), recalibrated(truth, probabilities), rtol=1e-6, atol=1e-6
  )


@pytest.mark.parametrize('times', [0.05, 0.3, 1, 4])
def test_two_certain_images_do_not_move_the_slope_of_all_others(times):
  rng = np.random.default_rng(1)
  logits = rng.normal(size=3000)
  truth = rng.random(3000) < special.expit(logits)
  probabilities = special.expit(times * logits)
  probabilities[:2], truth[:2] = (0, 1), (False, True)
  prepared = resampled.prepare(
    np.arange(3000),
    probabilities[:, None],
    truth[:, None],
    np.ones((3000, 1), bool),
    np.zeros((1, 0)),
  )
  figures = resampled.compute(prepared, np.ones((1, 3000)))
  ours = [figures[name][0, 0] for name in ('calibration_slope', 'calibration_intercept')]
  expected = recalibrated(truth, np.clip(probabilities, 1e-7, 1 - 1e-7))
  np.testing.assert_allclose(ours, expected, rtol=1e-4, atol=1e-5)


def test_equal_probabilities_are_one_node():
  logits = np.repeat([-1.0, 2.0], 1000)
  nodes, spread = calibration_metrics.on_grid(logits)
  np.testing.assert_array_equal(nodes, [-1, 2])
  np.testing.assert_array_equal(spread.sum(axis=0), [1000, 1000])


def test_the_bits_do_not_depend_on_the_number_of_threads(monkeypatch):
  rng = np.random.default_rng(2)
  patients, scores = rng.integers(0, 900, 1500), rng.random((1500, 3))
  truth = rng.random((1500, 3)) < scores
  prepared = resampled.prepare(
    patients, scores, truth, np.ones((1500, 3), bool), np.full((3, 1), 0.5)
  )
  weights = rng.integers(0, 3, (300, prepared.patients)).astype(float)
  many = resampled.compute(prepared, weights)
  monkeypatch.setattr(intervals.os, 'cpu_count', lambda: 1)
  with threadpoolctl.threadpool_limits(1):
    one = resampled.compute(prepared, weights)
  for name, values in many.items():
    np.testing.assert_array_equal(values, one[name], err_msg=name)


def test_a_replicate_without_a_class_has_no_figure_that_needs_it():
  # All positives are of patient 0.
  truth, scores = np.array([1, 1, 0, 0, 0]), np.array([0.9, 0.4, 0.5, 0.2, 0.1])
  prepared = resampled.prepare(
    np.array([0, 0, 1, 1, 2]),
    scores[:, None],
    truth[:, None],
    np.ones((5, 1), bool),
    np.array([[0.3]]),
  )
  figures = resampled.compute(prepared, np.array([[3.0, 0, 0], [0, 1, 2], [1, 1, 1]]))
  np.testing.assert_allclose(figures['auprc'][:, 0], [np.nan, np.nan, (1 + 2 / 3) / 2])
  np.testing.assert_allclose(
    figures['f1'][:, 0, 0], [1, np.nan, sklearn_metrics.f1_score(truth, scores >= 0.3)]
  )


def test_intercept_where_all_probabilities_are_certain():
  # 19 images said to be certainly positive, 11 of which are; 8 of 11 others. By symmetry of the two
  # steps of Σ sigmoid(logit + a), which is 19 nearly everywhere between them, 19 exp(-a) = 11
  # exp(a).
  truth = np.repeat([1.0, 0, 1, 0], [11, 8, 8, 3])
  logits = calibration_metrics.logit(np.repeat([1.0, 0.0], [19, 11]))
  for seed in range(5):
    order = np.random.default_rng(seed).permutation(30)
    _, (intercept,) = slope_and_intercept(logits[order], truth[None, order], np.ones((1, 30)))
    assert intercept == pytest.approx(np.log(19 / 11) / 2, abs=1e-6)


def test_slope_where_classes_do_not_overlap():
  logits, truth = np.array([-2.0, -1, 1, 2]), np.array([[0.0, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]])
  slopes, intercepts = slope_and_intercept(logits, truth, np.ones((3, 4)))
  np.testing.assert_array_equal(np.isnan(slopes), [True, True, False])
  np.testing.assert_array_equal(np.isnan(intercepts), [False, True, False])


def test_predictive_values_at_a_prevalence():
  # Altman & Bland, BMJ 309:102, 1994 give the formulae; at the sample's own prevalence they change
  # nothing.
  ppv, npv = resampled.predictive_values(np.array(0.9), np.array(0.8), 0.01)
  assert float(ppv) == pytest.approx(0.009 / (0.009 + 0.198))
  assert float(npv) == pytest.approx(0.792 / (0.792 + 0.001))


def test_a_biased_figure_has_its_corrected_interval_alone():
  values, left_out = np.linspace(1, 2, 2000), np.linspace(1.34, 1.36, 40)
  plain = intervals.figure(1.35, values, left_out=left_out)
  assert plain.interval[0] > plain.bca[0]  # most replicates lie above the figure
  biased = intervals.figure(1.35, values, left_out=left_out, biased=True)
  assert biased.interval == biased.bca == plain.bca
  assert intervals.figure(1.01, values).interval[0] > 1.01
  beyond = intervals.figure(1.01, values, left_out=left_out, biased=True)
  assert beyond.interval is None and 'too far' in beyond.reason

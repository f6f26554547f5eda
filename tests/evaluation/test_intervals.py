"""The patient bootstrap against a plain loop of scikit-learn over the very same patients."""

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from medjax.evaluation import classes, intervals


def study(seed=0, patients=60, labels=3):
  """Returns (patients, scores, truth, known) with several images per patient and tied scores."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), rng.integers(1, 5, patients))
  truth = (rng.random((len(patient), labels)) < np.linspace(0.1, 0.5, labels)).astype(np.float32)
  scores = np.round(np.clip(rng.normal(0.4 + 0.2 * truth, 0.2), 0, 1), 2).astype(np.float32)
  known = rng.random(truth.shape) < 0.9
  return np.array([f'p{number}' for number in patient]), scores, truth, known


def test_equals_a_plain_loop_over_resampled_patients():
  patients, scores, truth, known = study()
  thresholds = np.array([0.3, 0.5, np.nan])
  figures = intervals.bootstrap(patients, scores, truth, known, thresholds, replicates=40, seed=3)
  unique = np.unique(patients)
  counts = intervals.patient_counts(len(unique), 40, 3)
  for replicate in range(40):
    rows = np.concatenate(
      [np.tile(np.flatnonzero(patients == p), n) for p, n in zip(unique, counts[replicate])]
    )
    for label in range(3):
      of = rows[known[rows, label]]
      y, score = truth[of, label], scores[of, label]
      ours = {name: values[replicate, label] for name, values in figures.items()}
      assert ours['auroc'] == pytest.approx(sklearn_metrics.roc_auc_score(y, score), abs=1e-12)
      assert ours['auprc'] == pytest.approx(
        sklearn_metrics.average_precision_score(y, score), abs=1e-12
      )
      if label == 2:
        assert np.isnan(ours['sensitivity']) and np.isnan(ours['specificity'])
      else:
        called = score >= thresholds[label]
        for name, positive in (('sensitivity', 1), ('specificity', 0)):
          oracle = sklearn_metrics.recall_score(y, called, pos_label=positive)
          assert ours[name] == pytest.approx(oracle, abs=1e-12)


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
  ours = {name: of(matrices) for heads in classes.FIGURES.values() for name, of in heads.items()}
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
  figures = intervals.bootstrap(
    patients, scores, truth, known, np.array([0.5]), replicates=30, seed=2
  )
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
  whole = intervals.bootstrap(*given, replicates=30, seed=0)
  monkeypatch.setattr(intervals, 'BLOCK_BYTES', 1)
  for name, values in intervals.bootstrap(*given, replicates=30, seed=0).items():
    np.testing.assert_array_equal(values, whole[name])


def test_images_of_a_patient_stay_together():
  # Every patient's images twice over is the same study: patient intervals must not shrink.
  patients, scores, truth, known = study(2)
  once = intervals.bootstrap(patients, scores, truth, known, np.full(3, 0.5), replicates=50)
  twice = intervals.bootstrap(
    *(np.concatenate((array, array)) for array in (patients, scores, truth, known)),
    np.full(3, 0.5),
    replicates=50,
  )
  np.testing.assert_allclose(once['auroc'], twice['auroc'], atol=1e-12)


def test_a_replicate_without_a_class_is_left_out():
  patients, scores = np.arange(6), np.linspace(0.1, 0.9, 6)[:, None]
  truth = np.array([[0], [0], [0], [0], [0], [1]])
  figures = intervals.bootstrap(
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
  figures = intervals.bootstrap(patients, scores, truth, known, np.full(3, 0.5), replicates=5)
  assert np.isnan(figures['auroc'][:, 1]).all() and not np.isnan(figures['auroc'][:, 2]).any()
  one = intervals.bootstrap(
    np.zeros(len(scores)), scores, truth, known, np.full(3, 0.5), replicates=5
  )
  assert all(np.isnan(values).all() for values in one.values())


def test_coverage_is_near_nominal_for_clustered_images():
  # Sensitivity with a patient effect: the truth is known by construction to be 0.7.
  rng = np.random.default_rng(0)
  covered = 0
  for trial in range(200):
    detected = np.repeat(rng.random(80) < 0.7, 4)  # all four images of a patient alike
    patients = np.repeat(np.arange(80), 4)
    truth = np.ones((320, 1))
    figures = intervals.bootstrap(
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

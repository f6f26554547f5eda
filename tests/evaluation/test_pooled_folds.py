"""Folds pooled: decisions at their own thresholds, areas after their own calibration."""

import dataclasses

import numpy as np
import pytest
from drawn_folds import LABELS, PROTOCOL, fold
from sklearn import metrics as sklearn_metrics

from medjax.evaluation import folds, spreads, summary
from medjax.evaluation.frozen import FrozenPoint
from medjax.evaluation.statistics import strata


@pytest.fixture(scope='module')
def three():
  return [fold(0), fold(1, offset=3.0), fold(2, offset=-2.0, stretch=2.0)]


def test_decisions_are_those_of_each_fold_at_its_own_threshold(three):
  result = folds.pool(three, PROTOCOL).result
  for label in LABELS:
    for number, rule in enumerate(PROTOCOL.operating_points):
      point = result.labels[label].operating_points[number]
      own = [part.result.labels[label].operating_points[number] for part in three]
      assert point.rule == rule and point.threshold is None and point.reason == ''
      for name in ('true_positives', 'false_positives', 'true_negatives', 'false_negatives'):
        assert getattr(point.confusion, name) == sum(getattr(p.confusion, name) for p in own)
      hits, misses = point.confusion.true_positives, point.confusion.false_negatives
      assert point.sensitivity.value == pytest.approx(hits / (hits + misses))
      assert point.sensitivity.interval[0] < point.sensitivity.value < 1
  assert result.test.patients == 120 and result.mean.labels == ('Edema', 'Mass')
  values = [result.labels[label].decision.sensitivity.value for label in LABELS]
  assert result.mean.sensitivity.value == pytest.approx(np.mean(values))


def test_areas_are_of_calibrated_probabilities_and_within_folds_of_none(three):
  pooled = folds.pool(three, PROTOCOL)
  for column, label in enumerate(LABELS):
    truth = np.concatenate([part.test.truth[:, column] for part in three])
    calibrated = np.concatenate([part.test.log_odds[:, column] for part in three])
    auroc = pooled.result.labels[label].auroc
    assert auroc.value == pytest.approx(sklearn_metrics.roc_auc_score(truth, calibrated))
    assert auroc.interval[0] < auroc.value < auroc.interval[1]
    of_folds = [part.result.labels[label].auroc.value for part in three]
    over = pooled.labels[label]
    assert over.spread.auroc.values == tuple(of_folds)
    assert over.spread.auroc.sd == pytest.approx(np.std(of_folds, ddof=1))
    assert over.auroc_mean.value == pytest.approx(np.mean(of_folds))
    expected = strata.over_training_sets(of_folds, [40] * 3, [70] * 3, 0.95)[0]
    assert over.auroc_mean.interval == pytest.approx(expected)
    assert abs(over.auroc_within.value - np.mean(of_folds)) < 0.01
    # Calibration has put the folds on one scale; raw scores are far off it.
    assert abs(auroc.value - over.auroc_within.value) < 0.02
  means = [np.mean([part.result.labels[label].auroc.value for label in LABELS]) for part in three]
  assert pooled.mean.spread.auroc.values == pytest.approx(means)


def test_with_one_threshold_for_all_it_is_one_test_set():
  """Then figures and intervals are those of a single test set with that threshold."""
  protocol = dataclasses.replace(
    PROTOCOL, calibration='none', operating_points=('threshold=0.5',), prevalence={'Mass': 0.02}
  )
  parts = [fold(seed, protocol=protocol) for seed in range(3)]
  result = folds.pool(parts, protocol).result
  together = folds._together([part.test for part in parts])
  points = {label: [FrozenPoint('threshold=0.5', 0.5, '')] for label in LABELS}
  one = summary.evaluate(None, together, points, protocol)
  for label in LABELS:
    ours, theirs = result.labels[label].decision, one.labels[label].decision
    assert ours.confusion == theirs.confusion
    for name in ('sensitivity', 'specificity', 'ppv', 'npv', 'f1'):
      assert getattr(ours, name).value == pytest.approx(getattr(theirs, name).value)
      assert getattr(ours, name).interval == pytest.approx(getattr(theirs, name).interval)
    if label == 'Mass':
      for name in ('ppv', 'npv'):
        of_all, of_one = (getattr(p.at_prevalence, name) for p in (ours, theirs))
        assert [of_all.value, *of_all.interval] == pytest.approx([of_one.value, *of_one.interval])
    assert result.labels[label].auroc == one.labels[label].auroc
  for name in ('sensitivity', 'f1'):
    assert getattr(result.mean, name).interval == pytest.approx(getattr(one.mean, name).interval)
  assert result.notes[0].startswith('Calibration made no common scale')


def test_predictive_values_at_a_stated_prevalence_are_of_the_pooled_rates(three):
  protocol = dataclasses.replace(PROTOCOL, prevalence={'Edema': 0.02})
  result = folds.pool(three, protocol).result
  for point in result.labels['Edema'].operating_points:
    hits, misses = 0.02 * point.sensitivity.value, 0.02 * (1 - point.sensitivity.value)
    alarms, rejections = 0.98 * (1 - point.specificity.value), 0.98 * point.specificity.value
    stated = point.at_prevalence
    assert stated.prevalence == 0.02
    assert stated.ppv.value == pytest.approx(hits / (hits + alarms))
    assert stated.npv.value == pytest.approx(rejections / (rejections + misses))
    for figure in (stated.ppv, stated.npv):
      assert figure.interval[0] < figure.value < figure.interval[1]
    assert stated.ppv.value < point.ppv.value
  assert all(point.at_prevalence is None for point in result.labels['Mass'].operating_points)


def test_a_fold_that_could_not_calibrate_or_decide_is_named(three):
  level = three[1].level
  calibration = dataclasses.replace(
    level.calibration,
    labels=level.calibration.labels
    | {'Mass': dataclasses.replace(level.calibration.labels['Mass'], reason='too few')},
  )
  points = level.operating_points | {
    'Mass': (
      FrozenPoint('youden', None, 'no positives on validation'),
      *level.operating_points['Mass'][1:],
    )
  }
  changed = dataclasses.replace(level, calibration=calibration, operating_points=points)
  result = folds.pool([three[0], three[1]._replace(level=changed), three[2]], PROTOCOL).result
  assert result.notes[0].endswith('take those within folds: Mass (fold 1).')
  decided = result.labels['Mass'].decision
  assert decided.reason == 'fold 1: no positives on validation' and decided.confusion is None
  assert decided.sensitivity.value is None and result.labels['Edema'].decision.confusion
  assert result.mean.sensitivity.value is None


def test_a_patient_in_two_folds_is_refused(three):
  with pytest.raises(ValueError, match='tests of two folds'):
    folds.pool([three[0], three[0]], PROTOCOL)


def test_without_replicates_nothing_has_an_interval():
  protocol = dataclasses.replace(PROTOCOL, replicates=0)
  pooled = folds.pool([fold(seed, protocol=protocol) for seed in range(2)], protocol)
  over = pooled.labels['Edema']
  for figure in (over.auroc_within, over.auroc_mean, pooled.result.mean.sensitivity):
    assert figure.value is not None and figure.interval is None
    assert figure.reason == 'no replicates were drawn'


def test_a_spread_is_of_those_that_there_are():
  spread = spreads.spread([0.8, None, 0.9])
  assert (spread.mean, spread.low, spread.high) == (pytest.approx(0.85), 0.8, 0.9)
  assert spread.sd == pytest.approx(np.std([0.8, 0.9], ddof=1))
  assert spreads.spread([0.8]).sd is None and spreads.spread([None]).mean is None

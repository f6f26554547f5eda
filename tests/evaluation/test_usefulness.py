"""What a label's probabilities and thresholds are good for, and results that do not say it."""

import dataclasses
import json

import numpy as np
import pytest
import synthetic_summary

from medjax.config.protocol import Protocol
from medjax.errors import InputError
from medjax.evaluation import assessment, results_file, usefulness
from medjax.evaluation.figure import Figure
from medjax.evaluation.result import NOT_PROBABILITIES, Result
from medjax.evaluation.statistics import proportions


@pytest.fixture(scope='module')
def result():
  return synthetic_summary.evaluated(['Edema', 'Mass', 'None'], absent=('None',))


def test_a_thousand_images_come_to_what_was_counted(result):
  tested = result.labels['Edema']
  own, stated = tested.usefulness.of_thousand[:2]
  counts, images = tested.decision.confusion, tested.images
  assert own.rule == tested.decision.rule and own.of_test and not stated.of_test
  for name, number in (
    ('true_positives', counts.true_positives),
    ('missed', counts.false_negatives),
    ('false_alarms', counts.false_positives),
    ('flagged', counts.true_positives + counts.false_positives),
  ):
    assert getattr(own, name).value == pytest.approx(1000 * number / images)
  # At a prevalence of 2 % a share of those flagged is right that Bayes' theorem says.
  assert stated.prevalence == 0.02
  assert stated.true_positives.value + stated.missed.value == pytest.approx(20)
  low, high = tested.decision.sensitivity.interval
  assert stated.true_positives.interval == pytest.approx((20 * low, 20 * high))
  assert stated.missed.interval == pytest.approx((20 * (1 - high), 20 * (1 - low)))


def test_the_flagged_have_an_interval_that_holds():
  rng, held, true = np.random.default_rng(0), [], 1000 * (0.1 * 0.8 + 0.9 * 0.15)
  for _ in range(600):
    found, alarms = rng.binomial(60, 0.8), rng.binomial(200, 0.15)
    parts = [
      Figure(share / images, bounds)
      for share, images in ((found, 60), (alarms, 200))
      for bounds in [proportions.wilson(np.arange(images) < share, np.ones(images))]
    ]
    flagged = usefulness._sum(*(usefulness._times(*pair) for pair in zip(parts, (100, 900))))
    held.append(flagged.interval[0] <= true <= flagged.interval[1])
  assert 0.93 <= np.mean(held) <= 0.97


def test_without_a_class_there_is_a_reason(result):
  nothing = result.labels['None'].usefulness
  assert nothing.decision_curve is None and nothing.reason == 'no positives'
  assert sum(nothing.histogram.negatives) == result.labels['None'].images
  assert nothing.of_thousand == ()


def test_a_histogram_counts_every_image(result):
  for tested in result.labels.values():
    histogram = tested.usefulness.histogram
    assert sum(histogram.positives) == tested.positives
    assert sum(histogram.negatives) == tested.negatives
    assert len(histogram.edges) == len(histogram.positives) + 1


def test_a_class_of_one_patient_has_a_curve_without_bounds():
  test = synthetic_summary.predicted(0, ['Edema'], images=60)
  truth = np.zeros_like(test.truth)
  truth[:2] = 1  # Of the first patient.
  assessed = assessment.assess(
    None, test._replace(truth=truth), Protocol(operating_points=('threshold=0.5',), replicates=0)
  )
  curve = assessed.result.labels['Edema'].usefulness.decision_curve
  assert curve.reason == 'all positives are of one patient'
  assert set(curve.model.low) == set(curve.avoided.high) == {None}
  assert curve.prevalence == pytest.approx(2 / 60)


def test_ranks_have_no_decision_curve():
  test = synthetic_summary.predicted(0, ['Edema'])
  protocol = Protocol(operating_points=('threshold=0.5',), replicates=0, scores='ranks')
  part = assessment.assess(None, test, protocol).result.labels['Edema'].usefulness
  assert (part.decision_curve, part.histogram, part.reason) == (None, None, NOT_PROBABILITIES)
  assert part.of_thousand


def test_weights_of_the_source_are_its_prevalence():
  test = synthetic_summary.predicted(0, ['Edema'])
  ill = test.truth.reshape(-1, 2).max(axis=1).repeat(2)  # Patients have two images.
  weights = np.where(ill == 1, 0.2, 1.8)
  test = test._replace(weights=weights / weights.mean())
  protocol = Protocol(operating_points=('threshold=0.5',), replicates=0)
  tested = assessment.assess(None, test, protocol).result.labels['Edema']
  curve = tested.usefulness.decision_curve
  expected = np.average(test.truth[:, 0], weights=weights)
  assert curve.weighted and curve.prevalence == pytest.approx(expected)
  assert curve.prevalence < 0.5 * tested.prevalence


def test_a_file_without_the_later_field_is_still_read(result, tmp_path):
  path = tmp_path / 'test.json'
  results_file.save(path, result)
  content = json.loads(path.read_text())
  for tested in content['labels'].values():
    del tested['usefulness']
  path.write_text(json.dumps(content))
  earlier = results_file.load(path, Result, 'test again')
  assert earlier.labels['Edema'] == dataclasses.replace(result.labels['Edema'], usefulness=None)
  del content['labels']['Edema']['delong']
  path.write_text(json.dumps(content))
  with pytest.raises(InputError, match='required field missing'):
    results_file.load(path, Result, 'test again')

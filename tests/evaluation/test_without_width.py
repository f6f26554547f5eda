"""Why an interval has no width, on cases whose figures are worked out by hand."""

import numpy as np
import pytest

from medjax.config.protocol import Protocol
from medjax.evaluation import assessment
from medjax.evaluation.predictions import Predictions

MOST = 'at least 95% of the replicates agree'
ALL = 'Intervals without width, which is not certainty: '


def notes(truth, scores, patients=None, head='sigmoid', **settings):
  truth, scores = (np.reshape(values, (len(values), -1)) for values in (truth, scores))
  images = [f'i{row}' for row in range(len(truth))]
  labels = ['x', 'y', 'z'][: truth.shape[1]]
  patients = [f'p{row}' for row in range(len(truth))] if patients is None else patients
  known = np.ones(truth.shape, bool)
  test = Predictions(images, list(patients), labels, scores, truth.astype(np.float32), known)
  settings = {'operating_points': ('threshold=0.5',), 'replicates': 50} | settings
  result = assessment.assess(None, test, Protocol(head=head, **settings)).result
  return result, [note for note in result.notes if 'width' in note or 'no interval' in note]


def test_equal_scores_have_no_interval_of_the_auroc():
  truth = np.arange(40) < 10
  result, said = notes(truth, np.full(40, 0.3))
  assert result.mean.auroc.value == result.labels['x'].auroc.value == 0.5
  assert result.mean.auroc.interval is result.levels['image'].auroc.interval is None
  assert said == ['The AUROC has no interval (all scores are the same).']
  other = np.where(truth, 0.3, 0.25) + np.arange(40) % 7 / 50
  result, said = notes(np.stack([truth, truth], 1), np.stack([np.full(40, 0.7), other], 1))
  assert result.labels['x'].auroc.interval is None and result.mean.auroc.interval is not None
  assert said == []


@pytest.mark.parametrize(
  ('sign', 'words'),
  [(1, 'every positive scored above every'), (-1, 'every positive scored below every')],
)
def test_separated_classes(sign, words):
  truth = np.arange(40) % 2
  result, said = notes(truth, 0.5 + sign * (truth - 0.5) * 0.2)
  assert result.labels['x'].auroc.interval == (max(sign, 0),) * 2
  assert f'{words} negative (x AUROC)' in said[0]


def test_patients_who_are_all_alike():
  # Of each patient 4 of 5 positives are found and 1 of 2 negatives is called positive.
  truth, scores = [1, 1, 1, 1, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.2, 0.6, 0.1]
  result, said = notes(truth * 12, scores * 12, patients=np.repeat(list('abcdefghijkl'), 7))
  point = result.labels['x'].decision
  assert (point.sensitivity.value, point.specificity.value) == (0.8, 0.5)
  assert said == [f'{ALL}{MOST} (x AUROC).']


def test_exclusive_classes():
  truth = np.eye(3)[np.arange(60) % 3]
  _, said = notes(truth, truth * 0.7 + 0.1, head='softmax')
  assert 'no image was called wrongly (accuracy; balanced accuracy; kappa)' in said[0]
  _, said = notes(truth, np.tile([0.2, 0.3, 0.5], (60, 1)), head='softmax')
  assert 'every image was called z (balanced accuracy; kappa)' in said[-1]
  _, said = notes(truth, truth[:, [1, 2, 0]] * 0.7 + 0.1, head='softmax')
  assert 'no image was called its class (accuracy; balanced accuracy)' in said[0]


def test_given_thresholds_rest_on_nothing_and_few_replicates_are_not_far_off():
  rng = np.random.default_rng(0)
  truth = (np.arange(60) < 6).astype(np.float32)[:, None]
  parts = [
    Predictions(
      [f'{name}{row}' for row in range(60)],
      [f'{name}{row}' for row in range(60)],
      ['x'],
      rng.random((60, 1)),
      truth,
      truth == truth,
    )
    for name in 'vt'
  ]
  for rules, calibration, words in (
    (('threshold=0.5',), 'none', None),
    (('youden',), 'none', 'the operating points rest on'),
    (('threshold=0.5',), 'platt', 'the calibration rests on'),
    (('threshold=0.5', 'youden'), 'platt', 'calibration and operating points rest on'),
  ):
    protocol = Protocol(operating_points=rules, calibration=calibration, replicates=39)
    result = assessment.assess(*parts, protocol).result
    said = [note for note in result.notes if 'on validation (x 6)' in note]
    assert said == [] if words is None else f': {words} very little.' in said[0]
    assert result.labels['x'].ece.reason == (
      '39 replicates are too few to correct its bias; 40 are needed at least'
    )

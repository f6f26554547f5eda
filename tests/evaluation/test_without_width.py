"""Where replicates agree there is no interval, and why; on cases worked out by hand."""

import dataclasses

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from medjax.config.protocol import Protocol
from medjax.evaluation import assessment, comparison
from medjax.evaluation.figure import Figure
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.readers import comparison as reader_comparison

AGREE = 'the replicates agree, which is not certainty'


def notes(truth, scores, patients=None, head='sigmoid', **settings):
  truth, scores = (np.reshape(values, (len(values), -1)) for values in (truth, scores))
  images = [f'i{row}' for row in range(len(truth))]
  labels = ['x', 'y', 'z'][: truth.shape[1]]
  patients = [f'p{row}' for row in range(len(truth))] if patients is None else patients
  known = np.ones(truth.shape, bool)
  test = Predictions(images, list(patients), labels, scores, truth.astype(np.float32), known)
  settings = {'operating_points': ('threshold=0.5',), 'replicates': 50} | settings
  result = assessment.assess(None, test, Protocol(head=head, **settings)).result
  return result, [note for note in result.notes if 'interval of' in note or 'no interval' in note]


def test_equal_scores_have_no_interval_of_the_auroc():
  truth = np.arange(40) < 10
  result, said = notes(truth, np.full(40, 0.3))
  assert result.mean.auroc.value == result.labels['x'].auroc.value == 0.5
  assert result.mean.auroc.interval is result.levels['image'].auroc.interval is None
  assert said == ['The AUROC has no interval (all scores are the same).']
  other = np.where(truth, 0.3, 0.25) + np.arange(40) % 7 / 50
  result, said = notes(np.stack([truth, truth], 1), np.stack([np.full(40, 0.7), other], 1))
  assert result.labels['x'].auroc.interval is None and result.mean.auroc.interval is not None
  assert said == ['No interval of the AUROC (all scores are the same): x.']


@pytest.mark.parametrize(
  ('sign', 'words'),
  [(1, 'every positive scored above every negative, which is not certainty'),
   (-1, 'every positive scored below every negative')],
)  # fmt: skip
def test_separated_classes(sign, words):
  truth = np.arange(40) % 2
  result, said = notes(truth, 0.5 + sign * (truth - 0.5) * 0.2)
  auroc = result.labels['x'].auroc
  assert (auroc.value, auroc.interval, auroc.bca, auroc.reason) == (max(sign, 0), None, None, words)
  assert said == [f'The AUROC has no interval ({words}).']
  assert result.levels['image'].auroc.interval is None
  # Beside another label the mean keeps its interval.
  other = np.random.default_rng(0).random(40)
  scores = np.stack([0.5 + sign * (truth - 0.5) * 0.2, other], 1)
  result, said = notes(np.stack([truth, truth], 1), scores)
  assert result.mean.auroc.interval and said == [f'No interval of the AUROC ({words}): x.']


def test_patients_who_are_all_alike():
  # Of each patient 4 of 5 positives are found and 1 of 2 negatives is called positive.
  truth, scores = [1, 1, 1, 1, 1, 0, 0], [0.9, 0.8, 0.7, 0.6, 0.2, 0.6, 0.1]
  result, said = notes(truth * 12, scores * 12, patients=np.repeat(list('abcdefghijkl'), 7))
  point = result.labels['x'].decision
  assert (point.sensitivity.value, point.specificity.value) == (0.8, 0.5)
  assert said == [f'The AUROC has no interval ({AGREE}).']
  assert point.f1.interval is None and point.f1.reason == AGREE
  low, high = point.sensitivity.interval
  assert low < 0.8 < high


def every_figure(value):
  """Yields all figures of a result, wherever they stand."""
  if isinstance(value, Figure):
    yield value
  elif dataclasses.is_dataclass(value):
    for field in dataclasses.fields(value):
      yield from every_figure(getattr(value, field.name))
  elif isinstance(value, dict | tuple):
    for part in value.values() if isinstance(value, dict) else value:
      yield from every_figure(part)


def check_widths(result):
  """Every figure has an interval with a width, or says why it has none."""
  figures = list(every_figure(result))
  for figure in figures:
    for bounds in (figure.interval, figure.bca):
      assert bounds is None or bounds[1] - bounds[0] > 1e-9, figure
    assert bool(figure.interval) != bool(figure.reason), figure
  return len(figures)


@pytest.mark.parametrize('right', [1.0, 0.0])
def test_nothing_is_certain_where_nobody_errs(right):
  """Also in subgroups, at a stated prevalence, against readers and against itself."""
  truth = (np.arange(60) % 3 == 0)[:, None].astype(np.float32)
  scores = np.where(truth == right, 0.9, 0.1) if right else np.where(truth, 0.1, 0.9)
  images, known = [f'i{row}' for row in range(60)], np.ones((60, 1), bool)
  about = pd.DataFrame({'site': np.where(np.arange(60) % 2, 'a', 'b')})
  test = Predictions(images, images, ['x'], scores, truth, known, about)
  protocol = Protocol(
    operating_points=('threshold=0.5',), subgroups=('site',), prevalence={'x': 0.1}, replicates=50
  )
  assessed = assessment.assess(None, test, protocol)
  assert check_widths(assessed.result) > 40
  point = assessed.result.labels['x'].decision
  expected = stats.binomtest(20 * int(right), 20).proportion_ci(0.95, method='wilson')
  np.testing.assert_allclose(point.sensitivity.interval, expected, atol=1e-12)
  readings = pd.DataFrame(
    {'image': images * 2, 'reader': np.repeat(['r', 's'], 60), 'x': np.tile(truth[:, 0], 2)}
  )
  study = reader_comparison.compare(
    assessed.test, readings, assessed.result.thresholds(), replicates=50, seed=0
  )
  assert check_widths(study) > 10
  reader = study.labels['x'].readers[0]
  whole = stats.binomtest(20, 20).proportion_ci(0.95, method='wilson')
  np.testing.assert_allclose(reader.sensitivity.interval, whole, atol=1e-12)
  assert check_widths(comparison.compare(test, test, margin=0.02, replicates=50)) > 5


def test_exclusive_classes():
  truth = np.eye(3)[np.arange(60) % 3]
  result, said = notes(truth, truth * 0.7 + 0.1, head='softmax')
  whole = stats.binomtest(60, 60).proportion_ci(0.95, method='wilson')
  np.testing.assert_allclose(result.classes.accuracy.interval, whole, atol=1e-12)
  for words in ('balanced accuracy', 'kappa'):
    why = 'no image was called wrongly, which is not certainty'
    assert f'The {words} has no interval ({why}).' in said
  check_widths(result)
  _, said = notes(truth, np.tile([0.2, 0.3, 0.5], (60, 1)), head='softmax')
  assert 'The kappa has no interval (every image was called z).' in said
  _, said = notes(truth, truth[:, [1, 2, 0]] * 0.7 + 0.1, head='softmax')
  why = 'no image was called its class, which is not certainty'
  assert f'The balanced accuracy has no interval ({why}).' in said


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

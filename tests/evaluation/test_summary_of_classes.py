"""The evaluation of exclusive classes: scikit-learn, a plain bootstrap, and reasons in words."""

import json

import numpy as np
import pytest
from frozen_evaluation import evaluate
from sklearn import metrics as sklearn_metrics

from medjax.config.protocol import Protocol
from medjax.errors import InputError
from medjax.evaluation import assessment, results_file
from medjax.evaluation.figure import Figure
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Result
from medjax.evaluation.statistics import intervals, proportions


def exclusive(
  seed, patients, prefix='p', labels=('Naevus', 'Melanoma', 'Wart'), shares=(0.5, 0.3, 0.2)
):
  """Returns predictions whose images have one class each; of some the truth is not known."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
  truth = rng.choice(len(labels), len(patient), p=shares)
  odds = np.exp(rng.normal(1.5 * np.eye(len(labels))[truth], 1))
  known = np.repeat(rng.random((len(patient), 1)) < 0.9, len(labels), axis=1)
  return Predictions(
    [f'{prefix}{p}/{i}.jpg' for i, p in enumerate(patient)],
    [f'{prefix}{p}' for p in patient],
    list(labels),
    (odds / odds.sum(axis=1, keepdims=True)).astype(np.float32),
    np.where(known, np.eye(len(labels))[truth], 0).astype(np.float32),
    known,
  )


@pytest.mark.parametrize('head', ['softmax', 'ordinal'])
def test_classes_equal_sklearn_and_a_plain_bootstrap(head):
  validation, test = exclusive(0, 80, 'v'), exclusive(1, 100, 't')
  result = evaluate(validation, test, head=head, replicates=50, seed=5)
  plain = json.loads(json.dumps(results_file.to_plain(result), allow_nan=False))
  assert results_file.from_plain(plain, Result) == result
  known = test.known[:, 0]
  y, scores = test.truth.argmax(axis=1), test.probabilities.astype(np.float64)
  if head == 'softmax':
    called, kappa, weights = scores.argmax(axis=1), 'kappa', None
  else:
    called = (scores[:, 1] + scores[:, 2] >= 0.5) * 1 + (scores[:, 2] >= 0.5)
    kappa, weights = 'quadratic_kappa', 'quadratic'
  class_figures = result.classes
  assert (
    (class_figures.kappa is None)
    == (head == 'ordinal')
    == (class_figures.quadratic_kappa is not None)
  )
  assert (
    class_figures.head == head
    and class_figures.labels == tuple(test.labels)
    and class_figures.images == known.sum()
  )
  assert class_figures.confusion == tuple(
    map(tuple, sklearn_metrics.confusion_matrix(y[known], called[known]).tolist())
  )
  assert ('median' in class_figures.decision) == (head == 'ordinal')

  oracles = {
    'accuracy': sklearn_metrics.accuracy_score,
    'balanced_accuracy': sklearn_metrics.balanced_accuracy_score,
    kappa: lambda *given: sklearn_metrics.cohen_kappa_score(*given, weights=weights),
  }
  patients = np.array(test.patients)
  counts = intervals.patient_counts(100, 50, 5)
  for name, oracle in oracles.items():
    drawn = []
    for row in counts:
      weight = row[np.unique(patients, return_inverse=True)[1]]
      rows = np.repeat(np.arange(len(y)), weight * known)
      drawn.append(oracle(y[rows], called[rows]))
    assert getattr(class_figures, name).value == pytest.approx(
      oracle(y[known], called[known]), abs=1e-12
    )
    bounds = list(np.quantile(drawn, (0.025, 0.975)))
    if name == 'accuracy':
      bounds = proportions.of_images(patients[known], (y == called)[known])
    assert getattr(class_figures, name).interval == pytest.approx(bounds, abs=1e-12)
    assert (
      getattr(class_figures, name).valid_replicates == 50
      and getattr(class_figures, name).reason == ''
    )


def test_each_class_keeps_its_figures_against_all_others():
  given = exclusive(0, 80, 'v'), exclusive(1, 100, 't')
  alone = evaluate(*given, replicates=50)
  for head in ('softmax', 'ordinal'):
    result = evaluate(*given, head=head, replicates=50)
    assert result.labels == alone.labels and result.mean == alone.mean


def test_a_class_that_no_test_image_has():
  validation, test = exclusive(0, 80, 'v'), exclusive(1, 100, 't', shares=(0.6, 0.4, 0))
  result = evaluate(validation, test, head='softmax', replicates=50)
  class_figures = result.classes
  assert class_figures.balanced_accuracy == Figure(None, reason='no image is of class Wart')
  assert class_figures.accuracy.interval and class_figures.kappa.interval
  assert 'No balanced accuracy: no image is of class Wart.' in result.notes
  known = test.known.any(axis=1).sum()
  unknown = len(test.images) - known
  note = f'Truth not known for {unknown} of the {len(test.images)} test images, which are left out.'
  assert result.notes[-1] == note
  for index in (0, 1):
    test.truth[test.known[:, index], index] = 1 - index
  class_figures = evaluate(validation, test, head='ordinal', replicates=50).classes
  assert class_figures.balanced_accuracy.reason == 'no image is of class Melanoma or Wart'
  assert class_figures.quadratic_kappa.value is None and class_figures.accuracy.value is not None
  assert class_figures.quadratic_kappa.reason == 'all images are of class Naevus'


def test_a_class_of_one_patient_has_no_interval():
  validation, test = exclusive(0, 80, 'v'), exclusive(1, 100, 't', shares=(0.6, 0.4, 0))
  one = np.array(test.patients) == 't3'
  test.known[one], test.truth[one] = True, (0, 0, 1)
  result = evaluate(validation, test, head='softmax', replicates=100)
  balanced, kappa = result.classes.balanced_accuracy, result.classes.kappa
  assert balanced.value is not None and balanced.interval is None
  assert balanced.reason == 'all images of class Wart are of one patient'
  assert kappa.interval is not None  # two classes are of many patients
  note = 'The balanced accuracy has no interval (all images of class Wart are of one patient).'
  assert note in result.notes
  test.truth[~one] = 1, 0, 0
  kappa = evaluate(validation, test, head='softmax', replicates=100).classes.kappa
  assert kappa.value is not None and kappa.interval is None
  assert kappa.reason == 'fewer than two classes are of more than one patient'


def test_classes_of_one_patient_and_of_unknown_truth():
  validation, test = exclusive(0, 80, 'v'), exclusive(1, 100, 't')
  same = test._replace(patients=['same'] * len(test.patients))
  class_figures = evaluate(validation, same, head='softmax', replicates=20).classes
  for name in ('accuracy', 'balanced_accuracy', 'kappa'):
    assert (
      getattr(class_figures, name).value is not None
      and getattr(class_figures, name).interval is None
    )
    assert getattr(class_figures, name).reason == 'fewer than two patients'
  nothing = test._replace(known=np.zeros_like(test.known))
  class_figures = evaluate(validation, nothing, head='softmax', replicates=20).classes
  assert class_figures.images == 0 and class_figures.confusion == ((0,) * 3,) * 3
  for name in ('accuracy', 'balanced_accuracy', 'kappa'):
    assert (
      getattr(class_figures, name).value is None
      and getattr(class_figures, name).reason == 'no image has a known truth'
    )


def test_replicates_that_lack_a_class_are_reported():
  validation, test = exclusive(0, 80, 'v'), exclusive(1, 100, 't', shares=(0.6, 0.4, 0))
  few = np.isin(test.patients, ['t3', 't4', 't5'])
  test.known[few], test.truth[few] = True, (0, 0, 1)
  result = evaluate(validation, test, head='softmax', replicates=200)
  valid = result.classes.balanced_accuracy.valid_replicates
  rows = np.unique(np.array(test.patients), return_inverse=True)[1]
  drawn = intervals.patient_counts(100, 200, 0)[:, np.unique(rows[few])].any(axis=1)
  assert valid == drawn.sum() < 200 and result.mean.auroc.valid_replicates == valid
  assert (
    f'The intervals of the mean and of the balanced accuracy rest on the {valid} of 200 replicates '
    'in which every class occurs.'
  ) in result.notes


def test_exclusive_classes_are_checked_on_both_splits():
  validation, test = exclusive(0, 80, 'v'), exclusive(1, 100, 't')
  with pytest.raises(InputError, match=r"head is 'soft'.*did you mean 'softmax'"):
    evaluate(validation, test, head='soft')
  image = validation.images[3]
  validation.probabilities[3] = 0.5
  with pytest.raises(InputError, match=f"validation: image '{image}': .*sum to 1.5"):
    assessment.assess(validation, test, Protocol(head='softmax', replicates=2))
  evaluate(validation, test, replicates=2)  # questions of their own need not sum to 1

"""Figures of exclusive classes against scikit-learn, medians and papers' formulas."""

import dataclasses
import statistics

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from medjax.config.protocol import Protocol
from medjax.errors import InputError
from medjax.evaluation import assessment, classes
from medjax.evaluation.predictions import Predictions


def decided(seed, number, images=200, skewed=False, correct=0.5):
  """Returns (truth, decision) int[images], every class among both unless the images are too few."""
  rng = np.random.default_rng(seed)
  shares = 0.5 ** np.arange(number) if skewed else np.ones(number)
  truth = rng.choice(number, images, p=shares / shares.sum())
  guess = rng.integers(0, number, images)
  truth[:number] = np.arange(min(number, images))
  return truth, np.where(rng.random(images) < correct, truth, guess)


def sklearn_figures(truth, decision, number):
  labels = list(range(number))
  return {
    'accuracy': sklearn_metrics.accuracy_score(truth, decision),
    'balanced_accuracy': sklearn_metrics.balanced_accuracy_score(truth, decision),
    'kappa': sklearn_metrics.cohen_kappa_score(truth, decision, labels=labels),
    'quadratic_kappa': sklearn_metrics.cohen_kappa_score(
      truth, decision, labels=labels, weights='quadratic'
    ),
  }


def our_figures(confusion):
  names = ('accuracy', 'balanced_accuracy', 'kappa', 'quadratic_kappa')
  return {name: getattr(classes, name)(confusion) for name in names}


def cases():
  """Yields (truth, decision, classes): random, skewed, tiny, right, wrong, constant."""
  for number in (2, 3, 5, 8):
    for seed in range(3):
      yield *decided(seed, number), number
      yield *decided(seed, number, images=2000, skewed=True), number
      yield *decided(seed, number, images=number + 3, correct=0.2), number
    truth = decided(9, number)[0]
    yield truth, truth, number
    yield truth, (truth + 1) % number, number
    yield truth, np.full(len(truth), number - 1), number


@pytest.mark.parametrize('truth, decision, number', list(cases()))
def test_figures_equal_sklearn(truth, decision, number):
  confusion = classes.confusion(truth, decision, number)
  np.testing.assert_array_equal(
    confusion, sklearn_metrics.confusion_matrix(truth, decision, labels=range(number))
  )
  for name, oracle in sklearn_figures(truth, decision, number).items():
    assert our_figures(confusion)[name] == pytest.approx(oracle, abs=1e-12), name


def test_figures_of_many_matrices_at_once_are_those_of_each():
  matrices = [classes.confusion(*decided(seed, 4, 60, True), 4) for seed in range(6)]
  matrices[2] = np.zeros((4, 4))
  matrices[3] = np.full((4, 4), np.nan)
  stacked = np.stack(matrices).reshape(2, 3, 4, 4)
  for name, values in our_figures(stacked).items():
    assert values.shape == (2, 3)
    one_by_one = [our_figures(matrix)[name] for matrix in matrices]
    np.testing.assert_array_equal(values.ravel(), one_by_one)
    assert np.isnan(values.ravel()).tolist() == [False, False, True, True, False, False]


def test_quadratic_kappa_is_the_concordance_of_the_grades():
  # Fleiss & Cohen, Educ. Psychol. Meas. 33:613 (1973): with quadratic weights kappa depends on the
  # two gradings' means, variances and covariance only.
  for seed in range(4):
    truth, decision = decided(seed, 5, skewed=True)
    covariance = np.cov(truth, decision, ddof=0)
    spread = covariance[0, 0] + covariance[1, 1] + (truth.mean() - decision.mean()) ** 2
    ours = classes.quadratic_kappa(classes.confusion(truth, decision, 5))
    assert ours == pytest.approx(2 * covariance[0, 1] / spread, abs=1e-12)


def test_a_class_that_no_image_has_takes_balanced_accuracy_away_and_nothing_else():
  truth, decision = decided(0, 4)
  decision, truth = decision[truth != 2], truth[truth != 2]
  assert (decision == 2).any()
  ours = our_figures(classes.confusion(truth, decision, 4))
  with pytest.warns(UserWarning, match='y_pred contains classes not in y_true'):
    oracle = sklearn_figures(truth, decision, 4)
  assert np.isnan(ours.pop('balanced_accuracy')) and not np.isnan(oracle['balanced_accuracy'])
  for name, value in ours.items():
    assert value == pytest.approx(oracle[name], abs=1e-12)


def test_images_of_one_class_have_an_accuracy_only():
  ours = our_figures(classes.confusion([1, 1, 1, 1], [1, 1, 0, 2], 3))
  assert ours.pop('accuracy') == 0.5
  assert all(np.isnan(value) for value in ours.values())
  assert all(np.isnan(value) for value in our_figures(np.zeros((3, 3))).values())


def test_the_most_probable_class_and_of_equal_ones_the_first():
  probabilities = [[0.2, 0.5, 0.3], [0.25, 0.375, 0.375], [0.5, 0, 0.5]]
  assert classes.decide(np.array(probabilities), 'softmax').tolist() == [1, 1, 0]


def test_a_grade_is_the_median_of_its_distribution():
  # Probabilities of n / 64 are those of a sample of 64 grades, whose upper median is known.
  rng = np.random.default_rng(0)
  counts = rng.multinomial(64, rng.dirichlet(np.full(5, 0.7), 500))
  counts[:3] = [32, 32, 0, 0, 0], [0, 31, 0, 33, 0], [31, 1, 0, 0, 32]
  expected = [statistics.median_high(np.repeat(np.arange(5), row).tolist()) for row in counts]
  ours = classes.decide((counts / 64).astype(np.float32), 'ordinal')
  assert ours.tolist() == expected and expected[:3] == [1, 3, 4]
  assert (ours != (counts / 64).argmax(axis=1)).any()  # not the most probable grade


def test_a_grade_follows_the_rank_rule_of_conditional_probabilities():
  # Shi et al. 2021, arXiv 2111.08851: one step up for every product of conditionals above 0.5.
  conditional = np.random.default_rng(1).random((1000, 4)) ** 0.3
  beyond = np.cumprod(conditional, axis=1)
  at_least = np.concatenate([np.ones((1000, 1)), beyond, np.zeros((1000, 1))], axis=1)
  ours = classes.decide(at_least[:, :-1] - at_least[:, 1:], 'ordinal')
  assert ours.tolist() == (beyond > 0.5).sum(axis=1).tolist() and len(set(ours)) == 5


def test_grades_are_decided_in_float64():
  # In float32 the last two sum to 0.5, though they are less.
  probabilities = np.array([[0.5, 0.5 - 2**-25, 2**-26]], np.float32)
  assert probabilities[0, 1] + probabilities[0, 2] == 0.5
  assert classes.decide(probabilities, 'ordinal').tolist() == [0]


def predicted():
  truth = np.eye(3, dtype=np.float32)
  probabilities = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [0.3, 0.3, 0.4]], np.float32)
  return Predictions(
    ['a.jpg', 'b.jpg', 'c.jpg'],
    ['1', '2', '3'],
    ['Naevus', 'Melanoma', 'Wart'],
    probabilities,
    truth,
    np.ones((3, 3), bool),
  )


def test_one_class_each_or_none_known_is_accepted():
  given = predicted()
  classes.check(given, 'test')
  given.known[1], given.truth[1] = False, np.nan
  given.probabilities[2] = 0.5, 0.4, 0.09992
  classes.check(given, 'test')


@pytest.mark.parametrize('dtype', [np.float64, np.float32])
@pytest.mark.parametrize('digits', [1, 2, 3, 4, 6])
def test_rounded_probabilities_are_taken_as_written(digits, dtype):
  rng = np.random.default_rng(digits)
  rounded = rng.dirichlet([2, 1, 1], 400).round(digits)
  truth = np.eye(3)[rng.integers(0, 3, 400)]
  images, known = [f'i{row}' for row in range(400)], np.ones((400, 3), bool)
  given = Predictions(images, images, ['A', 'B', 'C'], rounded.astype(dtype), truth, known)
  assert classes.decimals(given.probabilities) == digits
  protocol = Protocol(
    head='softmax', level='patient', aggregate='mean', replicates=0,
    operating_points=('threshold=0.5',),
  )  # fmt: skip
  pairs = given._replace(patients=[f'p{row // 2}' for row in range(400)])
  assert len(assessment.assess(None, pairs, protocol).test.images) == 200
  result = assessment.assess(None, given, dataclasses.replace(protocol, level='image')).result
  confusion = sklearn_metrics.confusion_matrix(truth[:, 0], given.probabilities[:, 0] >= 0.5)
  point = result.labels['A'].operating_points[0].confusion
  assert [point.true_negatives, point.false_positives] == confusion[0].tolist()
  off = given.probabilities.copy()
  off[7] = 0.5, 0.3, np.round(0.2 - max(2 * 10.0**-digits, 3e-4), digits)
  if digits > 1:
    with pytest.raises(InputError, match=r"image 'i7': probabilities sum to 0\.9"):
      classes.check(given._replace(probabilities=off), 'test')


def test_whole_numbers_are_not_rounded_probabilities():
  given = predicted()._replace(probabilities=np.array([[1, 0, 0], [1, 1, 0], [0, 0, 1]]))
  with pytest.raises(InputError, match=r"'b\.jpg': probabilities sum to 2; .* sum to 1$"):
    classes.check(given, 'test')


@pytest.mark.parametrize(
  'field, row, values, named',
  [
    ('probabilities', 1, (0.5, 0.4, 0.09988), ["'b.jpg'", 'sum to 0.99988', 'sum to 1']),
    ('probabilities', 0, (0.9, 0.9, 0.9), ["'a.jpg'", 'sum to 2.7']),
    ('probabilities', 2, (np.nan, 0.5, 0.5), ["'c.jpg'", 'sum to nan']),
    ('truth', 1, (0, 1, 1), ["'b.jpg'", '1 for Melanoma and Wart', 'allow one']),
    ('truth', 1, (0, 0, 0), ["'b.jpg'", '0 for every class']),
    ('known', 2, (False, False, True), ["'c.jpg'", 'not known for Naevus and Melanoma only']),
  ],
)
def test_anything_else_is_refused_by_image(field, row, values, named):
  given = predicted()
  getattr(given, field)[row] = values
  with pytest.raises(InputError) as error:
    classes.check(given, 'validation')
  for words in ['validation: image', *named]:
    assert words in str(error.value)
  assert '\n' not in str(error.value)


def test_the_number_of_such_images_is_reported_and_one_class_is_none():
  given = predicted()
  given.truth[:] = 1
  with pytest.raises(InputError, match=r"'a\.jpg'.*\(3 such images\)"):
    classes.check(given, 'test')
  one = given._replace(
    labels=['Wart'],
    probabilities=np.ones((3, 1), np.float32),
    truth=np.ones((3, 1)),
    known=np.ones((3, 1), bool),
  )
  with pytest.raises(InputError, match='only Wart'):
    classes.check(one, 'test')

"""Losses of exclusive classes against the papers' formulas in float64 numpy and other libraries."""

import functools
import importlib.util
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from scipy import special
from sklearn.utils.class_weight import compute_class_weight

from medjax.losses import binary, class_weights, softmax

torch_installed = pytest.mark.skipif(
  importlib.util.find_spec('torch') is None, reason='torch not installed'
)
COUNTS = np.array([5000.0, 12.0, 1.0, 300.0, 1e6])
CLASSES = len(COUNTS)


def examples(soft=False, seed=0):
  """Logits f64[40, 5], the classes int[40] and labels f64[40, 5], one-hot or soft."""
  rng = np.random.default_rng(seed)
  truth = rng.integers(0, CLASSES, 40)
  labels = rng.dirichlet(np.ones(CLASSES), 40) if soft else np.eye(CLASSES)[truth]
  return rng.normal(0, 3, (40, CLASSES)), truth, labels


# The papers' losses of an image of class y, p being its probabilities: p f64[L], y int → float.
def cross_entropy(p, y, smoothing):
  target = np.full(CLASSES, smoothing / CLASSES)
  target[y] += 1 - smoothing
  return -np.sum(target * np.log(p))


def balanced(counts):
  """scikit-learn's weights of classes with so many examples."""
  examples = np.repeat(np.arange(CLASSES), counts)
  return compute_class_weight('balanced', classes=np.arange(CLASSES), y=examples)


def weighted_cross_entropy(p, y, class_weight, smoothing):
  target = np.full(CLASSES, smoothing / CLASSES)
  target[y] += 1 - smoothing
  return -np.sum(class_weight * target * np.log(p))


def focal(p, y, gamma):
  return -((1 - p[y]) ** gamma) * np.log(p[y])


def class_balanced(p, y, beta, gamma):
  """Cui et al., section 4: weights 1 / E_n that sum to the number of classes."""
  weights = (1 - beta) / (1 - beta**COUNTS)
  weights *= CLASSES / weights.sum()
  return -weights[y] * (1 - p[y]) ** gamma * np.log(p[y])


def logit_adjusted(p, y, tau):
  """Menon et al., equation 10."""
  prior = COUNTS / COUNTS.sum()
  adjusted = p * prior**tau
  return -np.log(adjusted[y] / adjusted.sum())


def generalised_cross_entropy(p, y, q):
  return (1 - p[y] ** q) / q


def poly1(p, y, epsilon):
  return -np.log(p[y]) + epsilon * (1 - p[y])


FORMULAS = [
  (cross_entropy, {'smoothing': 0.0}),
  (cross_entropy, {'smoothing': 0.1}),
  (
    weighted_cross_entropy,
    {'class_weight': balanced([30, 5, 1, 10, 54]), 'smoothing': 0.2},
  ),
  (focal, {'gamma': 0.0}),
  (focal, {'gamma': 0.5}),
  (focal, {'gamma': 2.0}),
  (class_balanced, {'beta': 0.99, 'gamma': 0.0}),
  (class_balanced, {'beta': 0.9999, 'gamma': 0.5}),
  (logit_adjusted, {'tau': 1.0}),
  (logit_adjusted, {'tau': 2.5}),
  (generalised_cross_entropy, {'q': 0.7}),
  (generalised_cross_entropy, {'q': 0.05}),
  (poly1, {'epsilon': 2.0}),
  (poly1, {'epsilon': -1.0}),
]


def actual(name, settings):
  loss = getattr(softmax, name)
  given = {'positives': COUNTS} if 'positives' in inspect.signature(loss).parameters else {}
  return functools.partial(loss, **{**given, **settings})


@pytest.mark.parametrize(('formula', 'settings'), FORMULAS)
def test_the_sum_over_an_images_labels_is_the_papers_loss(formula, settings):
  logits, truth, labels = examples()
  p = special.softmax(logits, axis=1)
  expected = [formula(row, y, **settings) for row, y in zip(p, truth)]
  loss = actual(formula.__name__, settings)
  with jax.enable_x64(True):
    double = loss(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(double.sum(axis=1), expected, rtol=1e-9, atol=1e-13)
  single = loss(jnp.asarray(logits, jnp.float32), jnp.asarray(labels, jnp.float32))
  assert single.dtype == jnp.float32 and single.shape == labels.shape
  np.testing.assert_allclose(single.sum(axis=1), expected, rtol=3e-5, atol=1e-6)


@pytest.mark.parametrize(('formula', 'settings'), FORMULAS)
def test_a_soft_label_is_the_mixture_of_its_classes(formula, settings):
  logits, _, labels = examples(soft=True)
  p = special.softmax(logits, axis=1)
  expected = [
    sum(share * formula(row, y, **settings) for y, share in enumerate(shares))
    for row, shares in zip(p, labels)
  ]
  with jax.enable_x64(True):
    loss = actual(formula.__name__, settings)(jnp.asarray(logits), jnp.asarray(labels))
    np.testing.assert_allclose(loss.sum(axis=1), expected, rtol=1e-9)


@pytest.mark.parametrize(('formula', 'settings'), FORMULAS)
def test_gradients_are_those_of_the_values(formula, settings):
  logits, _, labels = examples(soft=True)
  with jax.enable_x64(True):
    loss = actual(formula.__name__, settings)
    check_grads(
      lambda x: loss(x, jnp.asarray(labels)), (jnp.asarray(logits),), order=1, rtol=1e-5, atol=1e-7
    )


def test_every_loss_has_its_formula_tested():
  assert {formula.__name__ for formula, _ in FORMULAS} == set(softmax.__all__)


@torch_installed
@pytest.mark.parametrize('smoothing', [0.0, 0.1])
@pytest.mark.parametrize('counts', [None, [30, 5, 1, 10, 54]])
def test_cross_entropy_agrees_with_torch(smoothing, counts):
  import torch

  logits, truth, labels = examples()
  reference = torch.nn.functional.cross_entropy(
    torch.tensor(logits),
    torch.tensor(truth),
    weight=counts and torch.tensor(balanced(counts)),
    label_smoothing=smoothing,
    reduction='none',
  )
  logits = jnp.asarray(logits, jnp.float32)
  if counts:
    shown = np.eye(CLASSES)[np.repeat(np.arange(CLASSES), counts)]
    counted = class_weights.count(shown, np.ones_like(shown))
    loss = softmax.weighted_cross_entropy(logits, labels, counted['class_weight'], smoothing)
  else:
    loss = softmax.cross_entropy(logits, labels, smoothing)
  np.testing.assert_allclose(loss.sum(axis=1), reference, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize('soft', [False, True])
@pytest.mark.parametrize('epsilon', [2.0, -1.0])
def test_poly1_agrees_with_optax(soft, epsilon):
  logits, _, labels = examples(soft)
  logits = jnp.asarray(logits, jnp.float32)
  reference = optax.losses.poly_loss_cross_entropy(logits, labels, epsilon=epsilon)
  np.testing.assert_allclose(
    softmax.poly1(logits, labels, epsilon).sum(axis=1), reference, rtol=1e-5, atol=1e-5
  )


@pytest.mark.parametrize(
  ('name', 'settings', 'tolerance'),
  [
    ('weighted_cross_entropy', {'class_weight': [1.0] * CLASSES}, 1e-6),
    ('focal', {'gamma': 0.0}, 1e-6),
    ('class_balanced', {'beta': 0.0}, 1e-6),
    ('logit_adjusted', {'tau': 0.0}, 1e-6),
    ('logit_adjusted', {'positives': [30.0] * CLASSES}, 1e-5),
    ('generalised_cross_entropy', {'q': 1e-6}, 1e-4),
    ('poly1', {'epsilon': 0.0}, 1e-6),
  ],
)
def test_losses_reduce_to_cross_entropy(name, settings, tolerance):
  logits, _, labels = examples()
  logits = jnp.asarray(logits, jnp.float32)
  np.testing.assert_allclose(
    functools.partial(actual(name, {}), **settings)(logits, labels),
    softmax.cross_entropy(logits, labels),
    rtol=tolerance,
    atol=1e-6,
  )


def test_generalised_cross_entropy_at_1_is_half_the_absolute_error():
  logits, _, labels = examples()
  loss = softmax.generalised_cross_entropy(jnp.asarray(logits, jnp.float32), labels, 1.0)
  expected = np.abs(labels - special.softmax(logits, axis=1)).sum(axis=1) / 2
  np.testing.assert_allclose(loss.sum(axis=1), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
  ('name', 'ours_only', 'theirs_only', 'factor'),
  [
    ('focal', {}, {'alpha': 0.5}, 2),
    ('generalised_cross_entropy', {}, {}, 1),
    ('poly1', {}, {}, 1),
    ('class_balanced', {'positives': [7.0, 90.0]}, {'positives': [7.0], 'negatives': [90.0]}, 1),
    ('logit_adjusted', {'positives': [7.0, 90.0]}, {'positives': [7.0], 'negatives': [90.0]}, 1),
  ],
)
def test_two_classes_are_one_question(name, ours_only, theirs_only, factor):
  logits, _, labels = examples()
  logits, labels = jnp.asarray(logits[:, :1], jnp.float32), labels[:, :1]
  two = getattr(softmax, name)(
    jnp.concatenate([logits, jnp.zeros_like(logits)], axis=1),
    np.concatenate([labels, 1 - labels], axis=1),
    **ours_only,
  )
  one = getattr(binary, name)(logits, labels, **theirs_only)
  np.testing.assert_allclose(two.sum(axis=1), factor * one[:, 0], rtol=1e-4, atol=1e-6)


def class_balanced_weights(counts, beta):
  """What each class weighs, read off the loss at equal probabilities, which is ln L unweighted."""
  classes = len(counts)
  loss = softmax.class_balanced(
    jnp.zeros((classes, classes)), jnp.eye(classes), jnp.array(counts), beta
  )
  return np.asarray(loss).sum(axis=1) / np.log(classes)


def test_class_balanced_weighs_by_inverse_frequency_as_beta_nears_1():
  frequencies = np.array([1000.0, 10.0, 1.0])
  expected = 1 / frequencies / np.mean(1 / frequencies)
  np.testing.assert_allclose(class_balanced_weights(frequencies, 1 - 1e-9), expected, rtol=1e-4)


@pytest.mark.parametrize('beta', [0.0, 0.99, 0.999999])
def test_class_balanced_leaves_an_absent_class_out(beta):
  with_absent = class_balanced_weights([1e7, 30.0, 0.0, 500.0], beta)
  assert with_absent[2] == 0
  np.testing.assert_allclose(
    with_absent[[0, 1, 3]], class_balanced_weights([1e7, 30.0, 500.0], beta), rtol=1e-5
  )
  assert with_absent.sum() == pytest.approx(3, rel=1e-5)
  assert (class_balanced_weights([0.0, 0.0], beta) == 0).all()


def test_logit_adjusted_counts_an_absent_class_as_one_example():
  loss = softmax.logit_adjusted(jnp.zeros((1, 3)), jnp.array([[0.0, 1.0, 0.0]]), [60.0, 39.0, 0.0])
  assert float(loss.sum()) == pytest.approx(-np.log(39 / 100), rel=1e-5)

"""Losses of yes-or-no questions against the course's worked examples, the papers' formulas written
down in float64 numpy, and other libraries."""

import decimal
import functools
import importlib.util
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.test_util import check_grads
from scipy.special import expit
from sklearn.metrics import log_loss

from medjax import losses
from medjax.losses import binary, class_weights

LN10 = np.log(10)  # The course computes in base 10.
EIGHT_PATIENTS = np.array([0, 0, 0, 1, 0, 0, 1, 0], np.float32)[:, None]  # P4 and P7 have a mass.


def installed(*modules):
  missing = [module for module in modules if importlib.util.find_spec(module) is None]
  return pytest.mark.skipif(bool(missing), reason=f'{", ".join(missing)} not installed')


def logit(probability):
  probability = np.asarray(probability, np.float64)
  return jnp.asarray(np.log(probability / (1 - probability)), jnp.float32)


@pytest.mark.parametrize(
  ('label', 'probability', 'expected'),
  [
    (1, 0.2, 0.70),
    (0, 0.7, 0.52),
    (1, 0.48, 0.32),
    (1, 0.60, 0.22),
    (0, 0.51, 0.31),
    (0, 0.30, 0.15),
  ],
)
def test_binary_cross_entropy_gives_the_course_figures(label, probability, expected):
  loss = losses.binary_cross_entropy(logit([[probability]]), jnp.array([[float(label)]]))
  assert round(float(loss[0, 0]) / LN10, 2) == pytest.approx(expected, abs=0.0101)
  assert float(loss[0, 0]) == pytest.approx(
    -np.log(probability if label else 1 - probability), rel=1e-5
  )


def test_eight_patients_weigh_the_same_after_weighting():
  logits = jnp.zeros((8, 1))
  plain = losses.binary_cross_entropy(logits, EIGHT_PATIENTS) / LN10
  mass = EIGHT_PATIENTS[:, 0] == 1
  assert float(plain[mass].sum()) == pytest.approx(0.6, abs=0.005)
  assert float(plain[~mass].sum()) == pytest.approx(1.8, abs=0.01)
  positive, negative = class_weights.compute(EIGHT_PATIENTS, np.ones_like(EIGHT_PATIENTS))
  assert positive[0] == 6 / 8 and negative[0] == 2 / 8
  weighted = losses.weighted_binary_cross_entropy(logits, EIGHT_PATIENTS, positive, negative) / LN10
  assert float(weighted[3, 0]) == pytest.approx(0.225, abs=0.001)
  assert float(weighted[0, 0]) == pytest.approx(0.075, abs=0.001)
  assert float(weighted[mass].sum()) == pytest.approx(0.45, abs=0.002)
  assert float(weighted[~mass].sum()) == pytest.approx(0.45, abs=0.002)


MULTI_LABEL = [
  ((0, 1, 0), (0.3, 0.1, 0.8), (0.15, 1.00, 0.70)),
  ((0, 0, 1), (0.1, 0.1, 0.8), (0.05, 0.05, 0.10)),
  ((0, 1, 1), (0.2, 0.2, 0.7), (0.10, 0.70, 0.15)),
  ((1, 0, 1), (0.6, 0.3, 0.8), (0.22, 0.15, 0.10)),
  ((1, 1, 1), (0.7, 0.7, 0.9), (0.15, 0.15, 0.05)),
  ((1, 0, 0), (0.8, 0.1, 0.2), (0.10, 0.05, 0.10)),
  ((0, 1, 1), (0.3, 0.9, 0.8), (0.15, 0.05, 0.10)),
  ((0, 0, 0), (0.1, 0.1, 0.2), (0.05, 0.05, 0.10)),
]


def test_multi_label_loss_gives_the_course_table():
  labels, probabilities, expected = (np.array(column, np.float32) for column in zip(*MULTI_LABEL))
  loss = losses.binary_cross_entropy(logit(probabilities), labels)
  np.testing.assert_allclose(loss / LN10, expected, atol=0.0051)
  total = losses.reduce(loss, jnp.ones((8, 3)), jnp.ones(8))
  assert float(total) / LN10 == pytest.approx(expected.sum() / 8, abs=0.01)


def test_weighted_multi_task_has_weights_of_its_own_for_each_label():
  labels = np.array([row[0] for row in MULTI_LABEL], np.float32)
  positive, negative = class_weights.compute(labels, np.ones_like(labels))
  np.testing.assert_allclose(positive, [5 / 8, 4 / 8, 3 / 8])
  np.testing.assert_allclose(negative, [3 / 8, 4 / 8, 5 / 8])
  loss = losses.weighted_binary_cross_entropy(jnp.zeros((8, 3)), labels, positive, negative)
  np.testing.assert_allclose((loss * labels).sum(0), (loss * (1 - labels)).sum(0), rtol=1e-6)


def test_binary_cross_entropy_agrees_with_scikit_learn():
  rng = np.random.default_rng(0)
  logits, labels = rng.normal(0, 3, (200, 1)), rng.integers(0, 2, (200, 1))
  actual = losses.binary_cross_entropy(jnp.asarray(logits, jnp.float32), jnp.asarray(labels)).mean()
  assert float(actual) == pytest.approx(
    log_loss(labels[:, 0], 1 / (1 + np.exp(-logits[:, 0]))), rel=1e-5
  )


POSITIVES, NEGATIVES = np.array([10.0, 700.0, 3000.0, 1.0]), np.array([5000.0, 700.0, 40.0, 1e6])


def effective(counts, beta):
  return (1 - beta**counts) / (1 - beta)


def class_balanced(y, p, beta, gamma):
  """Cui et al., section 4: weights 1 / E_n, normalised to sum to the number of classes, which is
  2.
  """
  weights = 1 / np.stack([effective(POSITIVES, beta), effective(NEGATIVES, beta)])
  positive, negative = 2 * weights / weights.sum(axis=0)
  return positive * y * -((1 - p) ** gamma) * np.log(p) - negative * (1 - y) * p**gamma * np.log(
    1 - p
  )


def asymmetric(y, p, gamma_positive, gamma_negative, margin):
  """Ridnik et al., equations 5 to 7."""
  shifted = np.maximum(p - margin, 0)
  return -y * (1 - p) ** gamma_positive * np.log(p) - (1 - y) * shifted**gamma_negative * np.log(
    1 - shifted
  )


def logit_adjusted(y, p, tau):
  """Menon et al., equation 10, as the softmax over the two classes of a label."""
  prior = POSITIVES / (POSITIVES + NEGATIVES)
  positive, negative = p * prior**tau, (1 - p) * (1 - prior) ** tau
  return -y * np.log(positive / (positive + negative)) - (1 - y) * np.log(
    negative / (positive + negative)
  )


def generalised_cross_entropy(y, p, q):
  return y * (1 - p**q) / q + (1 - y) * (1 - (1 - p) ** q) / q


def focal(y, p, gamma, alpha):
  return -y * alpha * (1 - p) ** gamma * np.log(p) - (1 - y) * (1 - alpha) * p**gamma * np.log(
    1 - p
  )


def poly1(y, p, epsilon):
  return y * (-np.log(p) + epsilon * (1 - p)) + (1 - y) * (-np.log(1 - p) + epsilon * p)


def binary_cross_entropy(y, p, smoothing):
  smoothed = (1 - smoothing) * y + smoothing * 0.5
  return -smoothed * np.log(p) - (1 - smoothed) * np.log(1 - p)


def weighted_binary_cross_entropy(y, p, positive_weight, negative_weight, smoothing):
  smoothed = (1 - smoothing) * y + smoothing * 0.5
  return -positive_weight * smoothed * np.log(p) - negative_weight * (1 - smoothed) * np.log(1 - p)


FORMULAS = [
  (binary_cross_entropy, {'smoothing': 0.0}),
  (binary_cross_entropy, {'smoothing': 0.1}),
  (
    weighted_binary_cross_entropy,
    {
      'positive_weight': np.array([0.9, 0.5, 0.2, 1.0]),
      'negative_weight': np.array([0.1, 0.5, 0.8, 0.0]),
      'smoothing': 0.2,
    },
  ),
  (focal, {'gamma': 0.0, 'alpha': 0.25}),
  (focal, {'gamma': 0.5, 'alpha': 0.25}),
  (focal, {'gamma': 2.0, 'alpha': 0.7}),
  (focal, {'gamma': 5.0, 'alpha': 0.25}),
  (asymmetric, {'gamma_positive': 0.0, 'gamma_negative': 4.0, 'margin': 0.05}),
  (asymmetric, {'gamma_positive': 1.0, 'gamma_negative': 0.5, 'margin': 0.2}),
  (asymmetric, {'gamma_positive': 1.0, 'gamma_negative': 3.0, 'margin': 0.0}),
  (class_balanced, {'beta': 0.99, 'gamma': 0.0}),
  (class_balanced, {'beta': 0.9999, 'gamma': 0.5}),
  (logit_adjusted, {'tau': 1.0}),
  (logit_adjusted, {'tau': 2.5}),
  (generalised_cross_entropy, {'q': 0.7}),
  (generalised_cross_entropy, {'q': 0.05}),
  (poly1, {'epsilon': 2.0}),
  (poly1, {'epsilon': -1.0}),
]


def examples(seed=1):
  """Logits and labels f64[60, 4]; a third of the labels are soft."""
  rng = np.random.default_rng(seed)
  labels = rng.integers(0, 2, (60, 4)).astype(np.float64)
  labels[:20] = rng.uniform(size=(20, 4))
  return rng.normal(0, 3, (60, 4)), labels


def actual(name, settings):
  loss = getattr(binary, name)
  counts = {'positives': POSITIVES, 'negatives': NEGATIVES}
  given = {key: value for key, value in counts.items() if key in inspect.signature(loss).parameters}
  return functools.partial(loss, **given, **settings)


@pytest.mark.parametrize(('formula', 'settings'), FORMULAS)
def test_losses_follow_their_papers(formula, settings):
  logits, labels = examples()
  expected = formula(labels, expit(logits), **settings)
  loss = actual(formula.__name__, settings)
  with jax.enable_x64(True):
    np.testing.assert_allclose(
      loss(jnp.asarray(logits), jnp.asarray(labels)), expected, rtol=1e-9, atol=1e-13
    )
  single = loss(jnp.asarray(logits, jnp.float32), jnp.asarray(labels, jnp.float32))
  assert single.dtype == jnp.float32
  np.testing.assert_allclose(single, expected, rtol=3e-5, atol=1e-6)


@pytest.mark.parametrize(('formula', 'settings'), FORMULAS)
def test_gradients_are_those_of_the_values(formula, settings):
  logits, labels = examples()
  loss = actual(formula.__name__, settings)
  if formula is asymmetric:  # No derivative at p = margin.
    assert np.abs(expit(logits) - settings['margin']).min() > 1e-5
  with jax.enable_x64(True):
    check_grads(
      lambda x: loss(x, jnp.asarray(labels)), (jnp.asarray(logits),), order=1, rtol=1e-5, atol=1e-7
    )


def test_every_loss_has_its_formula_tested():
  tested = {formula.__name__ for formula, _ in FORMULAS}
  assert tested | {'auc_margin'} == set(binary.__all__)


@installed('torch', 'torchvision')
@pytest.mark.filterwarnings('ignore:Failed to load image Python extension')
@pytest.mark.parametrize('gamma', [0.5, 2.0])
def test_focal_agrees_with_torchvision(gamma):
  import torch
  from torchvision.ops import sigmoid_focal_loss

  logits, labels = examples()
  labels = labels.round()
  reference = sigmoid_focal_loss(
    torch.tensor(logits), torch.tensor(labels), alpha=0.25, gamma=gamma, reduction='none'
  )
  np.testing.assert_allclose(
    binary.focal(jnp.asarray(logits, jnp.float32), labels, gamma), reference, rtol=1e-4, atol=1e-6
  )


def test_focal_agrees_with_optax():
  logits, labels = examples()
  reference = optax.losses.sigmoid_focal_loss(
    jnp.asarray(logits), labels.round(), alpha=0.25, gamma=2
  )
  np.testing.assert_allclose(
    binary.focal(jnp.asarray(logits, jnp.float32), labels.round()), reference, rtol=1e-4, atol=1e-6
  )


@installed('torch', 'timm')
@pytest.mark.filterwarnings('ignore:Failed to load image Python extension')
@pytest.mark.parametrize(
  ('positive', 'negative', 'margin'), [(0.0, 4.0, 0.05), (1.0, 4.0, 0.05), (1.0, 2.0, 0.0)]
)
def test_asymmetric_and_its_gradient_agree_with_timm(positive, negative, margin):
  import torch
  from timm.loss import AsymmetricLossMultiLabel

  logits, labels = examples()
  labels = labels.round()
  reference = torch.tensor(logits, dtype=torch.float32, requires_grad=True)
  loss = AsymmetricLossMultiLabel(negative, positive, margin, reduction='sum')(
    reference, torch.tensor(labels)
  )
  loss.backward()
  value, gradient = jax.value_and_grad(
    lambda x: binary.asymmetric(x, labels, positive, negative, margin).sum()
  )(jnp.asarray(logits, jnp.float32))
  assert float(value) == pytest.approx(loss.item(), rel=1e-5)
  np.testing.assert_allclose(gradient, reference.grad, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize(
  ('name', 'settings', 'factor', 'tolerance'),
  [
    ('focal', {'gamma': 0.0, 'alpha': 0.5}, 2, 1e-6),
    ('asymmetric', {'gamma_positive': 0.0, 'gamma_negative': 0.0, 'margin': 0.0}, 1, 1e-6),
    ('class_balanced', {'beta': 0.0}, 1, 1e-6),
    ('logit_adjusted', {'tau': 0.0}, 1, 1e-6),
    ('logit_adjusted', {'positives': [30.0] * 4, 'negatives': [30.0] * 4}, 1, 1e-6),
    ('generalised_cross_entropy', {'q': 1e-6}, 1, 1e-4),
    ('poly1', {'epsilon': 0.0}, 1, 1e-6),
  ],
)
def test_losses_reduce_to_cross_entropy(name, settings, factor, tolerance):
  logits, labels = examples()
  logits = jnp.asarray(logits, jnp.float32)
  loss = functools.partial(actual(name, {}), **settings)
  np.testing.assert_allclose(
    factor * loss(logits, labels),
    losses.binary_cross_entropy(logits, labels),
    rtol=tolerance,
    atol=1e-6,
  )


def test_generalised_cross_entropy_at_1_is_the_absolute_error():
  logits, labels = examples()
  loss = binary.generalised_cross_entropy(jnp.asarray(logits, jnp.float32), labels.round(), 1.0)
  np.testing.assert_allclose(loss, np.abs(labels.round() - expit(logits)), rtol=1e-5, atol=1e-6)


def class_balanced_weights(positives, negatives, beta):
  """What a positive and a negative weigh, read off the loss at p = 1/2, which is ln 2
  unweighted.
  """
  return [
    float(binary.class_balanced(jnp.zeros((1, 1)), jnp.full((1, 1), label), *counts)[0, 0])
    / np.log(2)
    for counts in [(jnp.array([positives]), jnp.array([negatives]), beta)]
    for label in (1.0, 0.0)
  ]


@pytest.mark.parametrize('beta', [0.9, 0.9999, 0.999999, 1 - 1e-12])
@pytest.mark.parametrize(
  ('positives', 'negatives'), [(1, 10_000_000), (37, 1000), (10_000_000, 9), (123_456, 654_321)]
)
def test_effective_numbers_keep_their_digits(beta, positives, negatives):
  with decimal.localcontext(prec=60):
    exact = decimal.Decimal(beta)
    at_positives, at_negatives = 1 - exact**positives, 1 - exact**negatives
    expected = [
      float(2 * other / (at_positives + at_negatives)) for other in (at_negatives, at_positives)
    ]
  weights = class_balanced_weights(float(positives), float(negatives), beta)
  np.testing.assert_allclose(weights, expected, rtol=1e-6)


def test_class_balanced_weighs_by_inverse_frequency_as_beta_nears_1():
  positive, negative = class_balanced_weights(200.0, 600.0, 1 - 1e-9)
  assert positive == pytest.approx(2 * 600 / 800, rel=1e-5)
  assert negative == pytest.approx(2 * 200 / 800, rel=1e-5)
  assert class_balanced_weights(200.0, 600.0, 0.0) == pytest.approx([1, 1], rel=1e-6)


@pytest.mark.parametrize('beta', [0.0, 0.9, 0.9999])
def test_class_balanced_gives_a_label_of_one_class_nothing_to_learn(beta):
  assert class_balanced_weights(0.0, 50.0, beta) == pytest.approx([2, 0], abs=1e-6)
  assert class_balanced_weights(50.0, 0.0, beta) == pytest.approx([0, 2], abs=1e-6)
  assert class_balanced_weights(0.0, 0.0, beta) == [0, 0]


def test_logit_adjusted_counts_an_absent_class_as_one_example():
  logits, labels = jnp.zeros((1, 3)), jnp.array([[0.0, 0.0, 1.0]])
  loss = binary.logit_adjusted(
    logits, labels, positives=[0.0, 1.0, 0.0], negatives=[99.0, 99.0, 0.0]
  )
  np.testing.assert_allclose(loss, [[np.log(1 + 1 / 99), np.log(1 + 1 / 99), np.log(2)]], rtol=1e-5)

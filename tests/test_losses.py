"""Losses against the course's worked examples, scikit-learn and numpy in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss

from medjax import losses
from medjax.data.labels import class_weights

LN10 = np.log(10)  # The course computes in base 10.
EIGHT_PATIENTS = np.array([0, 0, 0, 1, 0, 0, 1, 0], np.float32)[:, None]  # P4 and P7 have a mass.


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
  positive, negative = class_weights(EIGHT_PATIENTS, np.ones_like(EIGHT_PATIENTS))
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
  positive, negative = class_weights(labels, np.ones_like(labels))
  np.testing.assert_allclose(positive, [5 / 8, 4 / 8, 3 / 8])
  np.testing.assert_allclose(negative, [3 / 8, 4 / 8, 5 / 8])
  loss = losses.weighted_binary_cross_entropy(jnp.zeros((8, 3)), labels, positive, negative)
  np.testing.assert_allclose((loss * labels).sum(0), (loss * (1 - labels)).sum(0), rtol=1e-6)


def test_binary_cross_entropy_agrees_with_scikit_learn():
  rng = np.random.default_rng(0)
  logits, labels = rng.normal(0, 3, (200, 1)), rng.integers(0, 2, (200, 1))
  ours = losses.binary_cross_entropy(jnp.asarray(logits, jnp.float32), jnp.asarray(labels)).mean()
  assert float(ours) == pytest.approx(
    log_loss(labels[:, 0], 1 / (1 + np.exp(-logits[:, 0]))), rel=1e-5
  )


@pytest.mark.parametrize('gamma', [0.0, 0.5, 2.0, 5.0])
def test_focal_follows_the_paper(gamma):
  rng = np.random.default_rng(1)
  logits, labels = rng.normal(0, 3, (50, 4)), rng.integers(0, 2, (50, 4))
  p = 1 / (1 + np.exp(-logits))
  p_t = np.where(labels == 1, p, 1 - p)
  alpha_t = np.where(labels == 1, 0.25, 0.75)
  expected = -alpha_t * (1 - p_t) ** gamma * np.log(p_t)
  ours = losses.focal(jnp.asarray(logits, jnp.float32), jnp.asarray(labels, jnp.float32), gamma)
  np.testing.assert_allclose(ours, expected, rtol=2e-4, atol=1e-6)


@pytest.mark.parametrize('name', losses.__all__)
@pytest.mark.parametrize('dtype', [jnp.float32, jnp.bfloat16, jnp.float16])
@pytest.mark.parametrize('logit', [-1e4, -60.0, 0.0, 60.0, 1e4])
def test_losses_and_gradients_are_finite_at_extreme_logits(name, dtype, logit):
  loss = getattr(losses, name)
  settings = {'positive_weight': 0.9, 'negative_weight': 0.1} if 'weighted' in name else {}
  settings |= {'gamma': 0.5} if name == 'focal' else {}
  for label in (0.0, 1.0, 0.7):
    labels = jnp.full((1, 1), label)
    total = lambda x, labels=labels: loss(x, labels, **settings).sum()  # noqa: E731
    value, gradient = jax.value_and_grad(total)(jnp.full((1, 1), logit, dtype))
    assert jnp.isfinite(value) and jnp.isfinite(gradient).all()
    assert loss(jnp.full((1, 1), logit, dtype), labels, **settings).dtype == jnp.float32


def test_unknown_labels_and_padding_do_not_count():
  rng = np.random.default_rng(2)
  per_element = jnp.asarray(rng.uniform(size=(5, 3)), jnp.float32)
  mask = np.ones((5, 3), np.float32)
  mask[1] = 0  # An image without any known label is not an image of the mean.
  mask[2, 0] = 0
  weight = np.array([1, 1, 1, 1, 0], np.float32)
  expected = np.asarray(per_element)[[0, 3]].sum() + np.asarray(per_element)[2, 1:].sum()
  assert float(losses.reduce(per_element, mask, weight)) == pytest.approx(expected / 3, rel=1e-6)
  assert float(losses.reduce(per_element, np.zeros((5, 3)), weight)) == 0


def test_gradient_is_finite_where_the_masked_loss_is_not():
  def total(logits):
    per_element = jnp.array([[1.0, 0.0]]) * logits / jnp.array([[1.0, 0.0]])
    return losses.reduce(
      jnp.where(jnp.isnan(per_element), jnp.inf, per_element), jnp.array([[1.0, 0.0]]), jnp.ones(1)
    )

  assert float(total(jnp.ones((1, 2)))) == 1.0

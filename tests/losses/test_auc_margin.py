"""The AUC margin loss against the paper's min-max problem, solved by scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.test_util import check_grads
from scipy.optimize import minimize, minimize_scalar
from scipy.special import expit

from medjax.losses import binary

MARGINS = (1.0, 0.3)


def one_label(spread, seed=0, images=40):
  rng = np.random.default_rng(seed)
  labels = (rng.uniform(size=(images, 1)) < 0.3).astype(np.float64)
  return rng.normal(0, 1, (images, 1)) + spread * (labels - 0.5), labels


def auc_margin(logits, labels, mask=None, **settings):
  mask = jnp.ones(logits.shape) if mask is None else jnp.asarray(mask)
  with jax.enable_x64(True):
    return np.asarray(binary.auc_margin(jnp.asarray(logits), jnp.asarray(labels), mask, **settings))


def saddle_value(objective):
  """min over a, b of max over α ≥ 0 of objective(a, b, α)."""

  def worst(ab):
    alpha = minimize_scalar(
      lambda alpha: -objective(*ab, alpha),
      bounds=(0, 5),
      method='bounded',
      options={'xatol': 1e-10},
    )
    return max(-alpha.fun, objective(*ab, 0.0))

  result = minimize(
    worst, x0=(0.5, 0.5), method='Nelder-Mead', options={'xatol': 1e-9, 'fatol': 1e-12}
  )
  assert result.success
  return result.fun


@pytest.mark.parametrize('margin', MARGINS)
@pytest.mark.parametrize('spread', [0.0, 2.0, 8.0, -2.0])
def test_it_is_the_optimum_of_the_papers_problem(margin, spread):
  logits, labels = one_label(spread)
  p, positive = expit(logits[:, 0]), labels[:, 0] == 1

  def objective(a, b, alpha):
    hinge = margin - p[positive].mean() + p[~positive].mean()
    within = ((p[positive] - a) ** 2).mean() + ((p[~positive] - b) ** 2).mean()
    return within + 2 * alpha * hinge - alpha**2

  actual = auc_margin(logits, labels, margin=margin)
  assert actual.shape == (1,)
  assert actual[0] == pytest.approx(saddle_value(objective), rel=1e-6)


@pytest.mark.parametrize('margin', MARGINS)
def test_the_papers_sum_over_examples_is_this_times_the_imbalance(margin):
  logits, labels = one_label(2.0)
  p, y = expit(logits[:, 0]), labels[:, 0]
  r = y.mean()

  def objective(a, b, alpha):
    item = (
      (1 - r) * (p - a) ** 2 * y
      + r * (p - b) ** 2 * (1 - y)
      + 2 * alpha * (r * (1 - r) * margin + r * p * (1 - y) - (1 - r) * p * y)
      - r * (1 - r) * alpha**2
    )
    return item.mean()

  actual = auc_margin(logits, labels, margin=margin)[0]
  assert r * (1 - r) * actual == pytest.approx(saddle_value(objective), rel=1e-6)


def test_its_gradient_is_that_of_its_values():
  rng = np.random.default_rng(1)
  logits, labels, mask = rng.normal(size=(12, 3)), rng.uniform(size=(12, 3)), rng.uniform(size=12)
  with jax.enable_x64(True):
    for margin in MARGINS:
      check_grads(
        lambda x, margin=margin: binary.auc_margin(
          x, jnp.asarray(labels), jnp.asarray(mask)[:, None] * jnp.ones(3), margin
        ),
        (jnp.asarray(logits),),
        order=1,
        rtol=1e-5,
        atol=1e-8,
      )


def test_unknown_labels_do_not_count_and_a_weight_is_a_number_of_images():
  logits, labels = one_label(1.0, images=10)
  weights = np.array([1, 0, 2, 3, 1, 0, 1, 2, 1, 1])
  repeated = np.repeat(np.arange(10), weights)
  np.testing.assert_allclose(
    auc_margin(logits, labels, weights[:, None].astype(float)),
    auc_margin(logits[repeated], labels[repeated]),
    rtol=1e-12,
  )


def test_a_soft_label_is_a_positive_and_a_negative_by_its_share():
  logits, labels = one_label(1.0, images=10)
  labels[0] = 0.25
  twice = np.concatenate([[0], np.arange(10)])
  hard = labels[twice]
  hard[0], hard[1] = 1, 0
  weights = np.ones((11, 1))
  weights[0], weights[1] = 0.25, 0.75
  np.testing.assert_allclose(
    auc_margin(logits, labels), auc_margin(logits[twice], hard, weights), rtol=1e-12
  )


def test_a_label_that_lacks_a_class_in_the_batch_contributes_nothing():
  logits = jnp.asarray(np.random.default_rng(2).normal(size=(4, 4)), jnp.float32)
  labels = jnp.array([[0, 1, 1, 1], [0, 1, 0, 0], [0, 1, 1, 1], [0, 1, 0, 0]], jnp.float32)
  mask = jnp.ones((4, 4)).at[:, 2].set(0).at[jnp.array([0, 2]), 3].set(0)
  for known, teaches in ((mask, [0, 0, 0, 0]), (jnp.ones((4, 4)), [0, 0, 1, 1])):
    per_label = binary.auc_margin(logits, labels, known)
    gradient = jax.grad(lambda x, known=known: binary.auc_margin(x, labels, known).sum())(logits)
    np.testing.assert_array_equal(np.asarray(per_label) > 0, teaches)
    assert np.isfinite(gradient).all()
    np.testing.assert_array_equal(np.abs(gradient).sum(axis=0) > 0, teaches)


def test_a_perfect_ranking_at_the_ends_costs_nothing_and_the_worst_costs_most():
  labels = np.array([[1.0], [0.0], [1.0], [0.0]])
  assert auc_margin(1e4 * (2 * labels - 1), labels)[0] == 0
  assert auc_margin(1e4 * (1 - 2 * labels), labels)[0] == 4  # (1 + 1 − 0)²


def test_descending_it_ranks_the_positives_first():
  rng = np.random.default_rng(3)
  features = rng.normal(size=(200, 5))
  labels = (features @ [1.0, -1, 0.5, 0, 0] + rng.normal(0, 0.3, 200) > 1.5)[:, None]
  x, y = jnp.asarray(features, jnp.float32), jnp.asarray(labels, jnp.float32)

  @jax.jit
  def step(weights):
    gradient = jax.grad(lambda w: binary.auc_margin(x @ w, y, jnp.ones_like(y))[0])(weights)
    return weights - 2.0 * gradient

  weights = jnp.zeros((5, 1))
  for _ in range(200):
    weights = step(weights)
  scores = np.asarray(x @ weights)
  ranked = scores[labels][:, None] > scores[~labels][None]
  assert 0.05 < labels.mean() < 0.3 and ranked.mean() > 0.97

"""From values per element, or per label, to the loss of a batch; and the gradients on the way."""

import functools
import inspect

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax import losses
from medjax.losses import batch, binary, softmax

COUNTS = {
  'positive_weight': jnp.array([0.9, 0.5, 1.0]),
  'negative_weight': jnp.array([0.1, 0.5, 0.0]),
  'class_weight': jnp.array([167.0, 0.334, 0.0]),
  'positives': jnp.array([10.0, 5000.0, 0.0]),  # The last label has no positives.
  'negatives': jnp.array([1e6, 5000.0, 100.0]),
}
EXTREMES = (-1e4, -745.0, -104.0, -88.0, -60.0, -1.0, 0.0, 1.0, 17.0, 60.0, 88.0, 104.0, 745.0, 1e4)
# Settings other than the defaults at which a formula written down naively breaks.
HARD = {
  'focal': [{'gamma': 0.5}, {'gamma': 0.0}],
  'asymmetric': [
    {'gamma_positive': 0.5, 'gamma_negative': 0.5},
    {'gamma_negative': 0.5, 'margin': 0.0},
    {'gamma_negative': 0.0, 'margin': 0.0},
    {'margin': 1e-9},
  ],
  'class_balanced': [{'gamma': 0.5}, {'beta': 0.0}, {'beta': 0.999999}],
  'logit_adjusted': [{'tau': 2.0}],
  'generalised_cross_entropy': [{'q': 0.001}, {'q': 1.0}],
  'poly1': [{'epsilon': -1.0}],
  'auc_margin': [{'margin': 0.1}],
}


def bound(module, name, settings):
  """The loss with what medjax gives it."""
  loss = getattr(module, name)
  given = {key: value for key, value in COUNTS.items() if key in inspect.signature(loss).parameters}
  return functools.partial(loss, **given, **settings)


def differentiated(module, name, settings):
  """(logits, labels, mask) → the loss of the batch and its gradient."""
  loss = bound(module, name, settings)

  def total(logits, labels, mask):
    if module is binary and name in batch.__all__:
      return loss(logits, labels, mask=mask).sum()
    return losses.reduce(loss(logits, labels), mask, jnp.ones(len(logits)))

  return jax.jit(jax.value_and_grad(total))


EVERY_LOSS = pytest.mark.parametrize(
  ('module', 'differentiate'),
  [
    pytest.param(module, differentiated(module, name, settings), id=f'{name} {head} {settings}')
    for head, module in (('binary', binary), ('softmax', softmax))
    for name in module.__all__
    for settings in [{}, *HARD.get(name, [])]
  ],
)


@EVERY_LOSS
def test_losses_and_gradients_are_finite_at_extreme_logits(module, differentiate):
  column = np.array(EXTREMES, np.float32)
  logits = np.stack([column, column[::-1], np.roll(column, 1)], axis=1)
  for label in (0.0, 0.5, 1.0):
    labels = np.tile(np.float32([label, 1 - label, label]), (len(column), 1))
    value, gradient = differentiate(logits, labels, np.ones_like(labels))
    assert np.isfinite(value) and np.isfinite(gradient).all()


@EVERY_LOSS
def test_what_is_masked_has_a_gradient_of_exactly_zero(module, differentiate):
  rng = np.random.default_rng(1)
  logits = rng.normal(0, 3, (len(EXTREMES), 3)).astype(np.float32)
  logits[0], logits[1] = 1e4, (-1e4, 745.0, -88.0)
  labels = np.eye(3, dtype=np.float32)[rng.integers(0, 3, len(logits))]
  mask = np.ones_like(logits)
  mask[:2] = 0  # The labels of an image under softmax are masked together.
  if module is binary:
    mask[3, 1] = mask[4, 0] = 0
  for known in (mask, np.zeros_like(mask)):
    value, gradient = differentiate(logits, labels, known)
    assert np.isfinite(value) and np.isfinite(gradient).all()
    assert (np.asarray(gradient)[known == 0] == 0).all()
    assert bool(value > 0) == bool(known.any())
    assert np.asarray(gradient).any() == known.any()


@pytest.mark.parametrize(
  ('module', 'name'), [(module, name) for module in (binary, softmax) for name in module.__all__]
)
@pytest.mark.parametrize('dtype', [jnp.bfloat16, jnp.float16])
def test_half_precision_logits_are_computed_in_float32(module, name, dtype):
  loss = bound(module, name, {'mask': jnp.ones((6, 3))} if name == 'auc_margin' else {})
  rng = np.random.default_rng(0)
  logits = jnp.asarray(rng.normal(0, 3, (6, 3)), dtype).at[0].set(1e4).at[1, 0].set(-1e4)
  labels = jnp.asarray(rng.integers(0, 2, (6, 3)), jnp.float32)
  differentiate = jax.value_and_grad(lambda x: loss(x, labels).sum())
  value, gradient = differentiate(logits)
  wide_value, wide_gradient = differentiate(logits.astype(jnp.float32))
  assert value.dtype == jnp.float32 and value == wide_value
  assert gradient.dtype == dtype
  np.testing.assert_array_equal(gradient, wide_gradient.astype(dtype))


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


def test_reduction_is_finite_where_the_masked_loss_is_not():
  def total(logits):
    per_element = jnp.array([[1.0, 0.0]]) * logits / jnp.array([[1.0, 0.0]])
    return losses.reduce(
      jnp.where(jnp.isnan(per_element), jnp.inf, per_element), jnp.array([[1.0, 0.0]]), jnp.ones(1)
    )

  assert float(total(jnp.ones((1, 2)))) == 1.0


def test_the_parts_of_a_batch_add_up_to_the_batch():
  rng = np.random.default_rng(3)
  per_element = jnp.asarray(rng.uniform(size=(8, 3)), jnp.float32)
  mask = rng.integers(0, 2, (8, 3)).astype(np.float32)
  mask[2] = 0
  weight = np.float32([1, 1, 1, 1, 1, 1, 1, 0])
  images = losses.known_images(mask, weight)
  assert float(images) == ((mask.sum(axis=1) > 0) & (weight > 0)).sum()
  parts = [
    losses.reduce(per_element[rows], mask[rows], weight[rows], images)
    for rows in (slice(0, 3), slice(3, 8))
  ]
  whole = losses.reduce(per_element, mask, weight)
  assert float(sum(parts)) == pytest.approx(float(whole), rel=1e-6)


@pytest.mark.parametrize(
  ('module', 'name', 'settings'),
  [
    (binary, 'binary_cross_entropy', {'smoothing': 1.0}),
    (binary, 'weighted_binary_cross_entropy', {'smoothing': -0.1}),
    (binary, 'focal', {'gamma': -1.0}),
    (binary, 'focal', {'alpha': 1.5}),
    (binary, 'asymmetric', {'gamma_positive': -1.0}),
    (binary, 'asymmetric', {'gamma_negative': float('nan')}),
    (binary, 'asymmetric', {'margin': 1.0}),
    (binary, 'class_balanced', {'beta': 1.0}),
    (binary, 'class_balanced', {'gamma': -0.5}),
    (binary, 'logit_adjusted', {'tau': -1}),
    (binary, 'generalised_cross_entropy', {'q': 0.0}),
    (binary, 'generalised_cross_entropy', {'q': 1.1}),
    (binary, 'poly1', {'epsilon': -1.5}),
    (binary, 'auc_margin', {'margin': 0.0}),
    (softmax, 'cross_entropy', {'smoothing': 1.0}),
    (softmax, 'weighted_cross_entropy', {'smoothing': 2}),
    (softmax, 'focal', {'gamma': float('inf')}),
    (softmax, 'class_balanced', {'beta': -0.1}),
    (softmax, 'class_balanced', {'gamma': -0.5}),
    (softmax, 'logit_adjusted', {'tau': -1.0}),
    (softmax, 'generalised_cross_entropy', {'q': 0}),
    (softmax, 'poly1', {'epsilon': -2.0}),
  ],
)
def test_an_impossible_setting_is_refused_in_one_sentence(module, name, settings):
  loss = bound(module, name, settings)
  mask = {'mask': jnp.ones((2, 3))} if name == 'auc_margin' else {}
  ((setting, value),) = settings.items()
  with pytest.raises(ValueError, match=rf'^{setting}={value}: must be in [\[(].*[\])]$'):
    loss(jnp.zeros((2, 3)), jnp.ones((2, 3)), **mask)

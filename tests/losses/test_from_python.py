"""A loss in somebody's own training loop."""

import jax
import jax.numpy as jnp
import numpy as np
import optax

from medjax import losses
from medjax.losses import class_weights


def test_a_weighted_loss_trains_in_an_optax_loop():
  rng = np.random.default_rng(0)
  images = rng.normal(size=(64, 8)).astype(np.float32)
  images[:, 7] = 1
  labels = np.stack([images[:, 0] > 1, images[:, 1] > 0], axis=1).astype(np.float32)
  mask, weight = np.ones_like(labels), np.ones(64, np.float32)
  w_p, w_n = class_weights.compute(labels, mask)

  def loss(kernel):
    item = losses.weighted_binary_cross_entropy(images @ kernel, labels, w_p, w_n)
    return losses.reduce(item, mask, weight)

  kernel, optimizer = jnp.zeros((8, 2)), optax.adam(0.1)
  state = optimizer.init(kernel)
  # With all logits 0 a label costs 2 w_p w_n log 2: both signs weigh the same in total.
  np.testing.assert_allclose(loss(kernel), (2 * w_p * w_n).sum() * np.log(2), rtol=1e-5)
  step = jax.jit(lambda kernel, state: optimizer.update(jax.grad(loss)(kernel), state))
  for _ in range(100):
    updates, state = step(kernel, state)
    kernel = optax.apply_updates(kernel, updates)
  assert loss(kernel) < 0.1
  assert np.abs(kernel).argmax(axis=0).tolist() == [0, 1]

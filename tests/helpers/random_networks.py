"""Random images, and networks whose variables are random."""

import functools

import jax
import jax.numpy as jnp
import numpy as np


def drawn(count=2, size=32, channels=3):
  return np.random.default_rng(0).integers(0, 256, (count, size, size, channels), np.uint8)


def random_variables(model, images):
  """Returns variables of which none is 0 or 1, and that keep the spread of what passes through."""
  init = functools.partial(model.init, train=False)
  shapes = jax.eval_shape(init, jax.random.key(0), jnp.zeros(images.shape))
  rng = np.random.default_rng(1)

  def fill(path, leaf):
    values = rng.normal(size=leaf.shape).astype(np.float32)
    if path[-1].key in ('var', 'scale'):
      return 0.5 + np.abs(values)
    return values * (2 / np.prod(leaf.shape[:-1])) ** 0.5 if len(leaf.shape) > 1 else 0.3 * values

  return jax.tree_util.tree_map_with_path(fill, shapes)

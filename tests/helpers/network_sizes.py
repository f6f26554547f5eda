"""What a network of medjax.models counts: parameters and multiply-adds, without computing."""

import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params


def measure(network, image_size: int) -> tuple[int, int]:
  """Returns (parameters, multiply-adds) of a network for one RGB image, computing nothing."""
  images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
  variables = jax.eval_shape(
    lambda pixels: network.init(jax.random.key(0), pixels, train=False), images
  )
  predict = functools.partial(network.apply, train=False)
  traced = jax.make_jaxpr(predict)(variables, images)
  parameters = sum(leaf.size for leaf in jax.tree.leaves(variables['params']))
  return parameters, sum(map(_multiply_adds, _equations(traced.jaxpr)))


def _equations(jaxpr) -> Iterator:
  for equation in jaxpr.eqns:
    yield equation
    for inner in jaxprs_in_params(equation.params):
      yield from _equations(inner)


def _multiply_adds(equation) -> int:
  if equation.primitive.name == 'medjax_convolution':
    # Of the height, the width, the inputs of a group, the features.
    kernel = equation.invars[1].aval.shape
    return math.prod(equation.outvars[0].aval.shape) * math.prod(kernel[:3])
  if equation.primitive.name == 'dot_general':
    (contracted, _), _ = equation.params['dimension_numbers']
    left = equation.invars[0].aval.shape
    return math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
  return 0

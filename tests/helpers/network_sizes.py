"""What a network of medjax.models takes: variables and multiply-adds, without computing."""

import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params


def measure(network, image_size: int) -> tuple[dict, int]:
  """Returns a network's variables, as shapes, and its multiply-adds for one RGB image.

  Nothing is computed; making the variables multiplies and adds nothing.
  """
  images = jax.ShapeDtypeStruct((1, image_size, image_size, 3), jnp.float32)
  first_pass = functools.partial(network.init_with_output, train=False)
  traced, (_, variables) = jax.make_jaxpr(first_pass, return_shape=True)(jax.random.key(0), images)
  if 'stage2_aux' in variables['params']:  # Made with the others, and of no use to a prediction.
    traced = jax.make_jaxpr(functools.partial(network.apply, train=False))(variables, images)
  return dict(variables), sum(map(_multiply_adds, _equations(traced.jaxpr)))


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
  if equation.primitive.name == 'medjax_product':
    return math.prod(equation.outvars[0].aval.shape) * equation.invars[1].aval.shape[0]
  if equation.primitive.name == 'dot_general':
    (contracted, _), _ = equation.params['dimension_numbers']
    left = equation.invars[0].aval.shape
    return math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
  return 0

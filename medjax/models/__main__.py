"""Prints every network with its size: python -m medjax.models"""

import functools
import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
from jax.extend.core import jaxprs_in_params

from medjax import models
from medjax.models.published import NETWORKS
from medjax.runtime import command_line, import_by_name


def table() -> str:
  """Returns the networks as a Markdown table.

  Parameters count a head of 1,000 classes. Multiply-adds are those of all convolutions and matrix
  products for one RGB image of the given size, which is what papers call FLOPs.
  """
  lines = [
    '| network | parameters (M) | multiply-adds (G) | image size | published weights |',
    '|---|---|---|---|---|',
  ]
  for name, network in import_by_name.public(models).items():
    if name in NETWORKS:
      size, weights = NETWORKS[name]
      parameters, operations = measure(network(num_labels=1000), size)
      named = f'`{weights}`' if weights else ''
      lines.append(
        f'| {name} | {parameters / 1e6:.1f} | {operations / 1e9:.2f} | {size} | {named} |'
      )
  return '\n'.join(lines)


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
  if equation.primitive.name == 'conv_general_dilated':
    kernel = equation.invars[1].aval.shape
    layout = equation.params['dimension_numbers'].rhs_spec
    outputs = math.prod(equation.outvars[0].aval.shape)
    return outputs * math.prod(kernel) // kernel[layout[0]]
  if equation.primitive.name == 'dot_general':
    (contracted, _), _ = equation.params['dimension_numbers']
    left = equation.invars[0].aval.shape
    return math.prod(equation.outvars[0].aval.shape) * math.prod(left[axis] for axis in contracted)
  return 0


if __name__ == '__main__':
  command_line.run(lambda: print(table()))

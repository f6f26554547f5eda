"""From the name of a network to the network, and to its first variables."""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax import models
from medjax.errors import InputError, one_line
from medjax.models import nnx_bridge
from medjax.runtime import import_by_name

# Arguments of a network that are not a user's settings, besides num_labels and dtype.
_GIVEN_TO_LINEN = ('frozen_stages', 'remat', 'name', 'parent')
_GIVEN_TO_NNX = ('self', 'rngs', 'channels')


def build(
  name: str,
  num_labels: int,
  settings: Mapping[str, Any],
  precision: str = 'float32',
  prefix: str = 'config.model.',
) -> nn.Module:
  """Returns the network of this name.

  Args:
    name: a network of medjax.models, or 'package.module:class' of anybody's.
    num_labels: outputs of its head.
    settings: other keyword arguments.
    precision: 'float32' or 'bfloat16', in which it computes.
    prefix: stands before the names of these arguments in messages.

  Raises:
    InputError: there is no such network, or it cannot be built.
  """
  network = import_by_name.find(name, import_by_name.public(models), f'{prefix}name')
  is_nnx = nnx_bridge.is_nnx(network)
  given = ('num_labels', 'dtype', *(_GIVEN_TO_NNX if is_nnx else _GIVEN_TO_LINEN))
  constructor = nnx_bridge.constructor(network) if is_nnx else network
  import_by_name.check_settings(constructor, settings, f'{prefix}settings', given)
  arguments = {'num_labels': num_labels, **settings}
  if import_by_name.takes(constructor, 'dtype'):
    arguments['dtype'] = jnp.dtype(precision)
  elif precision != 'float32':
    raise InputError(f'config.precision={precision}: {name} takes no dtype to compute in')
  if is_nnx:
    return nnx_bridge.FromNNX(network, arguments)
  try:
    return network(**arguments)
  except Exception as error:  # Whatever anybody's network may raise.
    raise InputError(f"{prefix}name='{name}': {one_line(error)}") from error


def init_variables(
  network: nn.Module, image_shape: tuple[int, int, int], seed: int | jax.Array
) -> dict[str, Any]:
  """Returns random {'params', 'batch_stats'}; the same seed gives the same bits."""
  images = jnp.zeros((1, *image_shape), jnp.float32)
  variables = network.init(jax.random.key(seed), images, train=False)
  return {'params': variables['params'], 'batch_stats': variables.get('batch_stats', {})}

"""What the families share: torch's conventions, stochastic depth and the linear head.

Published weights were trained with torch, which pads strided convolutions and pools alike on both
sides ('SAME' does not) and keeps 0.9 of BatchNorm's running statistics at each step (its 'momentum
0.1').
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from medjax.models import convolutions, on_cpu

# Of torchvision's and timm's ResNet and EfficientNet (He et al. 2015, arXiv 1502.01852).
fan_out_init = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')
head_init = nn.initializers.lecun_normal()


def convolution(
  dtype: Any, kernel_init: nn.initializers.Initializer = fan_out_init
) -> Callable[..., nn.Conv]:
  """Returns nn.Conv without bias and, by default, without padding; it is fast on a CPU too."""
  return functools.partial(
    nn.Conv,
    padding=0,
    use_bias=False,
    dtype=dtype,
    kernel_init=kernel_init,
    conv_general_dilated=convolutions.convolution,
  )


def dense(dtype: Any, kernel_init: nn.initializers.Initializer) -> Callable[..., nn.Dense]:
  """Returns nn.Dense; it is fast on a CPU too."""
  return functools.partial(
    nn.Dense, dtype=dtype, kernel_init=kernel_init, dot_general=on_cpu.dot_general
  )


def batch_norm(
  train: bool, dtype: Any, epsilon: float = 1e-5, momentum: float = 0.9
) -> Callable[..., nn.BatchNorm]:
  """Returns nn.BatchNorm; its statistics and parameters stay float32 under any dtype."""
  # The two-pass variance: the fast one loses all of it on channels of large mean and small spread.
  return functools.partial(
    nn.BatchNorm,
    use_running_average=not train,
    momentum=momentum,
    epsilon=epsilon,
    dtype=dtype,
    use_fast_variance=False,
  )


def stage(
  network: nn.Module,
  blocks: Sequence[Callable[[], nn.Module]],
  x: jax.Array,
  *arguments: Any,
  remat: bool,
) -> jax.Array:
  """Runs the blocks of a stage in turn; each is made where it runs and called with x, *arguments.

  With `remat` their activations are not kept for the gradient but computed again (Chen et al. 2016,
  arXiv 1604.06174).
  """

  def run(network: nn.Module, x: jax.Array) -> jax.Array:
    del network  # In whose scope the blocks are made.
    for make in blocks:
      x = make()(x, *arguments)
    return x

  return (nn.remat(run) if remat else run)(network, x)


def check_rate(name: str, rate: float) -> None:
  """Raises ValueError for a rate outside [0, 1): at 1 nothing would be left."""
  if not 0 <= rate < 1:
    raise ValueError(f'{name}={rate}: must be in [0, 1)')


def drop_rates(maximum: float, blocks: int) -> list[float]:
  """Returns the rate of each block, rising linearly from 0 to the last block's `maximum`."""
  check_rate('stochastic_depth', maximum)
  return np.linspace(0, maximum, blocks).tolist()


def drop_branch(branch: jax.Array, rate: float, train: bool) -> jax.Array:
  """Stochastic depth: leaves out a residual branch f[B, …] of whole images at random while
  training.

  What is kept is scaled by 1 / (1 − rate) (Huang et al. 2016, arXiv 1603.09382, in the scaled form
  of torchvision and timm).
  """
  every_axis_but_the_first = tuple(range(1, branch.ndim))
  return nn.Dropout(rate, broadcast_dims=every_axis_but_the_first)(branch, deterministic=not train)


class GlobalAverage(nn.Module):
  """f[B, H, W, C] → f32[B, C]. A module, so that what it averages can be found: heat maps show
  it.
  """

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    return jnp.mean(x.astype(jnp.float32), axis=(1, 2))


def global_average(x: jax.Array) -> jax.Array:
  """f[B, H, W, C] → f32[B, C]."""
  return GlobalAverage()(x)


def linear_head(
  features: jax.Array,
  num_labels: int,
  dropout: float,
  train: bool,
  kernel_init: nn.initializers.Initializer = head_init,
) -> jax.Array:
  """f32[B, C] → logits f32[B, num_labels], through dropout; the parameters are called 'head'."""
  check_rate('dropout', dropout)
  features = nn.Dropout(dropout)(features.astype(jnp.float32), deterministic=not train)
  return nn.Dense(num_labels, kernel_init=kernel_init, name='head')(features)

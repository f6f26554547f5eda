"""Inception-v3 (Szegedy et al. 2015, arXiv 1512.00567), with the geometry of the published weights.

The figures named here are the paper's. Where its Table 1 and Figure 5 part from the weights that
were published, in the stem and in one branch of the 35×35 blocks, the weights are followed.
"""

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.models import layers, on_cpu

# As trunc_normal_(std=0.1) of torchvision and timm, whose truncation at ±2 never acts.
_init = nn.initializers.normal(0.1)


class ConvNorm(nn.Module):
  """Convolution, BatchNorm, ReLU."""

  features: int
  kernel: tuple[int, int]
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  stride: int = 1
  padding: tuple[int, int] = (0, 0)

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = self.conv(self.features, self.kernel, self.stride, padding=self.padding, name='conv')(x)
    return nn.relu(self.norm(name='bn')(x))


class Inception(nn.Module):
  """Branches that read the same input, concatenated.

  Attributes:
    branches: the name of each and its convolutions in turn, (features, kernel); those of several
      kernels, (features, kernel, kernel), stand side by side and are concatenated.
    unit: makes a convolution, a ConvNorm.
    stride: 1 keeps the grid, and 'branch_pool' starts from 3×3 averages. 2 halves it without
      padding: the last convolution of each branch has the stride, and 3×3 maxima are one more
      branch (Figure 10).
  """

  branches: tuple
  unit: Callable[..., nn.Module]
  stride: int = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    outputs = []
    for name, *convolutions in self.branches:
      y = nn.avg_pool(x, (3, 3), padding=((1, 1), (1, 1))) if name == 'branch_pool' else x
      for index, (features, *kernels) in enumerate(convolutions, start=1):
        number = f'_{index}' if len(convolutions) > 1 else ''
        strided = self.stride > 1 and index == len(convolutions)
        side_by_side = [
          self.unit(
            features,
            kernel,
            stride=self.stride if strided else 1,
            padding=(0, 0) if strided else (kernel[0] // 2, kernel[1] // 2),
            name=name + number + letter,
          )(y)
          for kernel, letter in zip(kernels, 'ab' if len(kernels) > 1 else ('',))
        ]
        y = jnp.concatenate(side_by_side, axis=-1)
      outputs.append(y)
    if self.stride > 1:
      outputs.append(on_cpu.max_pool(x, (3, 3), (self.stride, self.stride)))
    return jnp.concatenate(outputs, axis=-1)


class AuxiliaryHead(nn.Module):
  """Classifies the 17×17 grid (Figure 8): → logits f32[B, num_labels]."""

  num_labels: int
  unit: Callable[..., nn.Module]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = nn.avg_pool(x, (5, 5), (3, 3))
    x = self.unit(128, (1, 1), name='conv0')(x)
    x = self.unit(768, (5, 5), name='conv1')(x)
    init = nn.initializers.normal(0.001)
    features = layers.global_average(x)
    return layers.linear_head(features, self.num_labels, dropout=0.0, train=False, kernel_init=init)


def _figure_5(pooled: int) -> Callable[..., Inception]:
  """On the 35×35 grid; 5×5 in the second branch where the figure has 3×3."""
  return functools.partial(
    Inception,
    (
      ('branch1x1', (64, (1, 1))),
      ('branch5x5', (48, (1, 1)), (64, (5, 5))),
      ('branch3x3dbl', (64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
      ('branch_pool', (pooled, (1, 1))),
    ),
  )


def _figure_6(width: int) -> Callable[..., Inception]:
  """On the 17×17 grid: 7×7 as 1×7 and 7×1, once and twice."""
  once = (width, (1, 1)), (width, (1, 7)), (192, (7, 1))
  twice = (width, (1, 1)), (width, (7, 1)), (width, (1, 7)), (width, (7, 1)), (192, (1, 7))
  return functools.partial(
    Inception,
    (
      ('branch1x1', (192, (1, 1))),
      ('branch7x7', *once),
      ('branch7x7dbl', *twice),
      ('branch_pool', (192, (1, 1))),
    ),
  )


# On the 8×8 grid: 3×3 as 1×3 beside 3×1.
_FIGURE_7 = functools.partial(
  Inception,
  (
    ('branch1x1', (320, (1, 1))),
    ('branch3x3', (384, (1, 1)), (384, (1, 3), (3, 1))),
    ('branch3x3dbl', (448, (1, 1)), (384, (3, 3)), (384, (1, 3), (3, 1))),
    ('branch_pool', (192, (1, 1))),
  ),
)
# Figure 10, from 35×35 to 17×17 and from 17×17 to 8×8.
_TO_17 = functools.partial(
  Inception,
  (
    ('branch3x3', (384, (3, 3))),
    ('branch3x3dbl', (64, (1, 1)), (96, (3, 3)), (96, (3, 3))),
  ),
  stride=2,
)
_TO_8 = functools.partial(
  Inception,
  (
    ('branch3x3', (192, (1, 1)), (320, (3, 3))),
    ('branch7x7x3', (192, (1, 1)), (192, (1, 7)), (192, (7, 1)), (192, (3, 3))),
  ),
  stride=2,
)
_STAGES: tuple[dict[str, Any], ...] = (
  {'5b': _figure_5(32), '5c': _figure_5(64), '5d': _figure_5(64)},
  {
    '6a': _TO_17,
    '6b': _figure_6(128),
    '6c': _figure_6(160),
    '6d': _figure_6(160),
    '6e': _figure_6(192),
  },
  {'7a': _TO_8, '7b': _FIGURE_7, '7c': _FIGURE_7},
)
_AUXILIARY_STAGE = 2
# Pixels that leave one of the last grid, and one after the auxiliary head's pooling and
# convolution.
_LEAST, _LEAST_WITH_AUXILIARY = 75, 299


class InceptionV3(nn.Module):
  """Images f[B, H, W, C], normalised, of any C → logits f32[B, num_labels].

  Attributes:
    num_labels: outputs of the linear head.
    auxiliary: whether there is a second head, on stage 2. While that stage trains, its logits
      f32[B, num_labels] are sown into the collection 'auxiliary'. Of the published weights
      'timm/inception_v3.tv_in1k' have one, all others need auxiliary=False, which takes both.
    dropout: rate before the head.
    frozen_stages: how many stages, from the stem on, compute as in evaluation.
    remat: whether a stage's activations are computed again for the gradient, to save memory.
    dtype: of the computation.

  Raises:
    ValueError: images of fewer than 75 pixels a side, or 299 where the auxiliary head computes: in
      initialisation and in training.
  """

  num_labels: int
  auxiliary: bool = True
  dropout: float = 0.0
  frozen_stages: int = 0
  remat: bool = False
  dtype: Any = jnp.float32

  timm_settings: ClassVar[dict] = {'auxiliary': 'aux_logits'}
  # Ours → that of timm and torchvision, which agree.
  names: ClassVar[dict] = {
    'timm': (
      (r'^stem_', 'Conv2d_'),
      (r'^stage2_aux\.head', 'AuxLogits.fc'),
      (r'^stage2_aux', 'AuxLogits'),
      (r'^stage\d_', 'Mixed_'),
      (r'^head', 'fc'),
    )
  }

  @property
  def spare(self) -> tuple[str, ...]:
    """Without the second head, that of published weights, or of another run, has no place."""
    return () if self.auxiliary else ('AuxLogits.', 'stage2_aux.')

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    def units(stage):
      in_training = train and stage >= self.frozen_stages
      return functools.partial(
        ConvNorm,
        conv=layers.convolution(self.dtype, _init),
        norm=layers.batch_norm(in_training, self.dtype, epsilon=1e-3),
      )

    sows = self.auxiliary and train and self.frozen_stages <= _AUXILIARY_STAGE
    with_auxiliary = sows or (self.auxiliary and self.is_initializing())
    _check_size(images.shape[1], images.shape[2], with_auxiliary)
    unit = units(stage=0)
    x = images.astype(self.dtype)
    x = unit(32, (3, 3), stride=2, name='stem_1a_3x3')(x)
    x = unit(32, (3, 3), name='stem_2a_3x3')(x)
    x = unit(64, (3, 3), padding=(1, 1), name='stem_2b_3x3')(x)
    x = on_cpu.max_pool(x, (3, 3), (2, 2))
    x = unit(80, (1, 1), name='stem_3b_1x1')(x)
    x = unit(192, (3, 3), name='stem_4a_3x3')(x)
    x = on_cpu.max_pool(x, (3, 3), (2, 2))
    for stage, blocks in enumerate(_STAGES, start=1):
      unit = units(stage)
      made = [
        functools.partial(block, unit=unit, name=f'stage{stage}_{name}')
        for name, block in blocks.items()
      ]
      x = layers.stage(self, made, x, remat=self.remat)
      if stage == _AUXILIARY_STAGE and with_auxiliary:
        logits = AuxiliaryHead(self.num_labels, unit, name='stage2_aux')(x)
        # Initialisation makes the parameters, no logits.
        if not self.is_initializing():
          self.sow('auxiliary', 'logits', logits)
    features = layers.global_average(x)
    return layers.linear_head(features, self.num_labels, self.dropout, train, _init)


def _check_size(height: int, width: int, with_auxiliary: bool) -> None:
  if with_auxiliary and min(height, width) < _LEAST_WITH_AUXILIARY:
    raise ValueError(
      f"images of {height}×{width} pixels are too small for Inception-v3's auxiliary head, which "
      f'needs {_LEAST_WITH_AUXILIARY}×{_LEAST_WITH_AUXILIARY} or more: auxiliary=False takes '
      f'{_LEAST}×{_LEAST} or more'
    )
  if min(height, width) < _LEAST:
    raise ValueError(
      f'images of {height}×{width} pixels are too small for Inception-v3, which needs '
      f'{_LEAST}×{_LEAST} or more'
    )


inception_v3 = InceptionV3

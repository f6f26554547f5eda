"""ResNet (He et al. 2015, arXiv 1512.03385) with the geometry of the published torch weights.

That is version 1.5: the stride of a bottleneck sits on its 3×3 convolution; padding is explicit
because torch's strided convolutions pad both sides alike, which 'SAME' does not; BatchNorm has
epsilon 1e-5 and momentum 0.9 (torch's 0.1). Statistics and parameters stay float32 under any dtype.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

_kernel_init = nn.initializers.variance_scaling(2.0, 'fan_out', 'normal')


class BasicBlock(nn.Module):
  """Two 3×3 convolutions and the shortcut: ResNet-18 and -34."""

  width: int
  stride: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  expansion = 1

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    y = self.conv(self.width, (3, 3), self.stride, padding=1, name='conv1')(x)
    y = nn.relu(self.norm(name='bn1')(y))
    y = self.conv(self.width, (3, 3), padding=1, name='conv2')(y)
    y = self.norm(name='bn2')(y)
    return nn.relu(y + _shortcut(self, x, self.width))


class Bottleneck(nn.Module):
  """1×1 down, 3×3, 1×1 up to four times the width, and the shortcut: ResNet-50 and deeper."""

  width: int
  stride: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  expansion = 4

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    y = self.conv(self.width, (1, 1), name='conv1')(x)
    y = nn.relu(self.norm(name='bn1')(y))
    y = self.conv(self.width, (3, 3), self.stride, padding=1, name='conv2')(y)
    y = nn.relu(self.norm(name='bn2')(y))
    y = self.conv(4 * self.width, (1, 1), name='conv3')(y)
    y = self.norm(name='bn3')(y)
    return nn.relu(y + _shortcut(self, x, 4 * self.width))


def _shortcut(block: BasicBlock | Bottleneck, x: jax.Array, features: int) -> jax.Array:
  """The identity, or a strided 1×1 projection where the shape changes (option B of the paper)."""
  if block.stride == 1 and x.shape[-1] == features:
    return x
  x = block.conv(features, (1, 1), block.stride, name='downsample_conv')(x)
  return block.norm(name='downsample_bn')(x)


class ResNet(nn.Module):
  """Images f[B, H, W, C], normalised, of any C → logits f32[B, num_labels].

  Attributes:
    num_labels: outputs of the linear head.
    depths: blocks in each stage; the width doubles and the resolution halves from stage to stage.
    block: BasicBlock or Bottleneck.
    width: channels of the stem and of the first stage's 3×3 convolutions.
    dtype: of the computation.
  """

  num_labels: int
  depths: Sequence[int]
  block: type[nn.Module]
  width: int = 64
  dtype: Any = jnp.float32

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    if self.width < 1:
      raise ValueError(f'width={self.width}: must be 1 or more')
    conv = functools.partial(
      nn.Conv, padding=0, use_bias=False, dtype=self.dtype, kernel_init=_kernel_init
    )
    # The two-pass variance: the fast one loses all of it on channels of large mean and small spread.
    norm = functools.partial(
      nn.BatchNorm,
      use_running_average=not train,
      momentum=0.9,
      epsilon=1e-5,
      dtype=self.dtype,
      use_fast_variance=False,
    )
    x = conv(self.width, (7, 7), 2, padding=3, name='conv1')(images.astype(self.dtype))
    x = nn.relu(norm(name='bn1')(x))
    x = nn.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
    for stage, depth in enumerate(self.depths):
      for index in range(depth):
        x = self.block(
          width=self.width * 2**stage,
          stride=2 if stage > 0 and index == 0 else 1,
          conv=conv,
          norm=norm,
          name=f'layer{stage + 1}_{index}',
        )(x)
    x = jnp.mean(x.astype(jnp.float32), axis=(1, 2))
    return nn.Dense(self.num_labels, name='fc')(x)


resnet18 = functools.partial(ResNet, depths=(2, 2, 2, 2), block=BasicBlock)
resnet34 = functools.partial(ResNet, depths=(3, 4, 6, 3), block=BasicBlock)
resnet50 = functools.partial(ResNet, depths=(3, 4, 6, 3), block=Bottleneck)
resnet101 = functools.partial(ResNet, depths=(3, 4, 23, 3), block=Bottleneck)
resnet152 = functools.partial(ResNet, depths=(3, 8, 36, 3), block=Bottleneck)
# Small enough to learn the phantom, and to test with, on a CPU.
resnet_tiny = functools.partial(ResNet, depths=(1, 1, 1), block=BasicBlock, width=16)

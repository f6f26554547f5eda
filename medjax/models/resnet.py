"""ResNet and its relatives, with the geometry of the published torch weights.

ResNet (He et al. 2015, arXiv 1512.03385) in version 1.5, the stride of a bottleneck on its 3×3
convolution; ResNeXt (Xie et al. 2016, arXiv 1611.05431), whose 3×3 convolution works in groups;
Wide ResNet (Zagoruyko and Komodakis 2016, arXiv 1605.07146), whose 3×3 convolution is wider.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.models import layers, on_cpu


class BasicBlock(nn.Module):
  """Two 3×3 convolutions and the shortcut: ResNet-18 and -34."""

  width: int
  stride: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  drop_rate: float

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    y = self.conv(self.width, (3, 3), self.stride, padding=1, name='conv1')(x)
    y = nn.relu(self.norm(name='bn1')(y))
    y = self.conv(self.width, (3, 3), padding=1, name='conv2')(y)
    y = self.norm(name='bn2')(y)
    y = layers.drop_branch(y, self.drop_rate, train)
    return nn.relu(y + _shortcut(self, x, self.width))


class Bottleneck(nn.Module):
  """1×1 down, 3×3, 1×1 up to four times the width, and the shortcut: ResNet-50 and deeper.

  Attributes:
    groups: of the 3×3 convolution (the cardinality of ResNeXt).
    group_width: channels of one group in the first stage; ResNet's are 64 in one group.
  """

  width: int
  stride: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]
  drop_rate: float
  groups: int = 1
  group_width: int = 64

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    inner = self.width * self.group_width // 64 * self.groups
    y = self.conv(inner, (1, 1), name='conv1')(x)
    y = nn.relu(self.norm(name='bn1')(y))
    y = self.conv(
      inner, (3, 3), self.stride, padding=1, feature_group_count=self.groups, name='conv2'
    )(y)
    y = nn.relu(self.norm(name='bn2')(y))
    y = self.conv(4 * self.width, (1, 1), name='conv3')(y)
    y = self.norm(name='bn3')(y)
    y = layers.drop_branch(y, self.drop_rate, train)
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
    dropout: rate before the head.
    stochastic_depth: rate of the last block's branch.
    frozen_stages: how many stages, from the stem on, compute as in evaluation.
    remat: whether a stage's activations are computed again for the gradient, to save memory.
    dtype: of the computation.
  """

  num_labels: int
  depths: Sequence[int]
  block: Callable[..., nn.Module]
  width: int = 64
  dropout: float = 0.0
  stochastic_depth: float = 0.0
  frozen_stages: int = 0
  remat: bool = False
  dtype: Any = jnp.float32

  timm_settings: ClassVar[dict] = {'depths': 'layers'}
  # Ours → that of timm and torchvision, which agree.
  names: ClassVar[dict] = {
    'timm': (
      (r'^stem_(conv1|bn1)', r'\1'),
      (r'^stage(\d+)_block(\d+)', r'layer\1.\2'),
      (r'\.downsample_conv', '.downsample.0'),
      (r'\.downsample_bn', '.downsample.1'),
      (r'^head', 'fc'),
    )
  }

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    if self.width < 1:
      raise ValueError(f'width={self.width}: must be 1 or more')
    conv = layers.convolution(self.dtype)
    in_training = train and self.frozen_stages == 0
    x = conv(self.width, (7, 7), 2, padding=3, name='stem_conv1')(images.astype(self.dtype))
    x = nn.relu(layers.batch_norm(in_training, self.dtype)(name='stem_bn1')(x))
    x = on_cpu.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
    rates = iter(layers.drop_rates(self.stochastic_depth, sum(self.depths)))
    for stage, depth in enumerate(self.depths, start=1):
      in_training = train and stage >= self.frozen_stages
      blocks = [
        functools.partial(
          self.block,
          width=self.width * 2 ** (stage - 1),
          stride=2 if stage > 1 and index == 0 else 1,
          conv=conv,
          norm=layers.batch_norm(in_training, self.dtype),
          drop_rate=next(rates),
          name=f'stage{stage}_block{index}',
        )
        for index in range(depth)
      ]
      x = layers.stage(self, blocks, x, in_training, remat=self.remat)
    return layers.linear_head(layers.global_average(x), self.num_labels, self.dropout, train)


resnet18 = functools.partial(ResNet, depths=(2, 2, 2, 2), block=BasicBlock)
resnet34 = functools.partial(ResNet, depths=(3, 4, 6, 3), block=BasicBlock)
resnet50 = functools.partial(ResNet, depths=(3, 4, 6, 3), block=Bottleneck)
resnet101 = functools.partial(ResNet, depths=(3, 4, 23, 3), block=Bottleneck)
resnet152 = functools.partial(ResNet, depths=(3, 8, 36, 3), block=Bottleneck)
resnext50_32x4d = functools.partial(
  resnet50, block=functools.partial(Bottleneck, groups=32, group_width=4)
)
resnext101_32x8d = functools.partial(
  resnet101, block=functools.partial(Bottleneck, groups=32, group_width=8)
)
wide_resnet50_2 = functools.partial(resnet50, block=functools.partial(Bottleneck, group_width=128))
# Small enough to learn the phantom, and to test with, on a CPU.
resnet_tiny = functools.partial(ResNet, depths=(1, 1, 1), block=BasicBlock, width=16)

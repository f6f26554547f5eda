"""EfficientNet and EfficientNetV2, with the geometry of the published torch and TensorFlow weights.

EfficientNet-B0 to -B7 (Tan and Le 2019, arXiv 1905.11946) are one searched network, B0, made wider
and deeper; EfficientNetV2-S and -M (Tan and Le 2021, arXiv 2104.00298) begin with blocks whose
expansion and depthwise convolutions are fused into one. The names beginning with 'tf_' are the same
networks as TensorFlow computes them, for the weights that the authors published.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, ClassVar, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.models import layers


class ConvNorm(nn.Module):
  """A square convolution, BatchNorm and, by default, swish.

  Attributes:
    features: channels of the output; a depthwise convolution keeps those of the input.
    same_padding: TensorFlow's 'SAME', which differs from torch's equal padding of all sides where a
      stride of 2 meets an even size: the left and the top get one less.
  """

  features: int
  kernel: int
  same_padding: bool
  epsilon: float
  momentum: float
  dtype: Any
  stride: int = 1
  depthwise: bool = False
  activate: bool = True

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    conv = layers.convolution(self.dtype)
    if self.depthwise:
      # flax would count the fan out over all filters; the authors count that of one.
      kernel_init = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')
      conv = functools.partial(conv, feature_group_count=x.shape[-1], kernel_init=kernel_init)
    padding = 'SAME' if self.same_padding else self.kernel // 2
    size = (self.kernel, self.kernel)
    x = conv(self.features, size, self.stride, padding=padding, name='conv')(x)
    x = layers.batch_norm(train, self.dtype, self.epsilon, self.momentum)(name='bn')(x)
    return nn.swish(x) if self.activate else x


class SqueezeExcite(nn.Module):
  """Scales channels by gates computed from all their means (Hu et al. 2017, arXiv 1709.01507)."""

  features: int
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    # 1×1 convolutions of one pixel, so that exported weights have the shapes of the published ones.
    conv = functools.partial(layers.convolution(self.dtype), kernel_size=(1, 1), use_bias=True)
    gate = layers.global_average(x)[:, None, None, :]
    gate = nn.swish(conv(self.features, name='reduce')(gate))
    return x * nn.sigmoid(conv(x.shape[-1], name='expand')(gate))


class MBConv(nn.Module):
  """1×1 up by `expansion` (left out if that is 1), depthwise, squeeze and excitation, 1×1 down.

  Sandler et al. 2018 (arXiv 1801.04381); the squeeze has a quarter of the block's input channels.
  """

  width: int
  kernel: int
  stride: int
  expansion: int
  conv_norm: Callable[..., ConvNorm]
  drop_rate: float

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    inner = x.shape[-1] * self.expansion
    # The names say each step's place in the block, by which torchvision calls it.
    y, place = x, 0
    if self.expansion > 1:
      y, place = self.conv_norm(inner, 1, name='expand0')(x, train), 1
    y = self.conv_norm(
      inner, self.kernel, stride=self.stride, depthwise=True, name=f'depthwise{place}'
    )(y, train)
    y = SqueezeExcite(x.shape[-1] // 4, y.dtype, name=f'squeeze{place + 1}')(y)
    y = self.conv_norm(self.width, 1, activate=False, name=f'project{place + 2}')(y, train)
    return _residual(self, x, y, train)


class FusedMBConv(nn.Module):
  """k×k up by `expansion`, 1×1 down; one k×k convolution if `expansion` is 1 (EfficientNetV2)."""

  width: int
  kernel: int
  stride: int
  expansion: int
  conv_norm: Callable[..., ConvNorm]
  drop_rate: float

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    if self.expansion == 1:
      y = self.conv_norm(self.width, self.kernel, stride=self.stride, name='plain0')(x, train)
    else:
      inner = x.shape[-1] * self.expansion
      y = self.conv_norm(inner, self.kernel, stride=self.stride, name='fused0')(x, train)
      y = self.conv_norm(self.width, 1, activate=False, name='project1')(y, train)
    return _residual(self, x, y, train)


def _residual(block: MBConv | FusedMBConv, x: jax.Array, y: jax.Array, train: bool) -> jax.Array:
  """Adds the block's input where the shape stays; elsewhere there is no shortcut."""
  if block.stride > 1 or x.shape[-1] != y.shape[-1]:
    return y
  return x + layers.drop_branch(y, block.drop_rate, train)


class Stage(NamedTuple):
  """Blocks of one width; the first has the stride. Width and depth are those before scaling."""

  block: Callable[..., nn.Module]
  expansion: int
  kernel: int
  stride: int
  width: int
  depth: int


class EfficientNet(nn.Module):
  """Images f[B, H, W, C], normalised, of any size and C → logits f32[B, num_labels].

  timm and torchvision agree on the geometry of the names without 'tf_' but not on BatchNorm. The
  defaults are timm's; torchvision's weights need `epsilon=1e-3` for B5, B6, B7 and both V2 (and are
  refused without), and its B5, B6 and B7 were trained with `momentum=0.99`.

  Attributes:
    num_labels: outputs of the linear head.
    stages: before scaling.
    stem: channels of the stem before scaling.
    width_multiplier: of all channels, rounded to multiples of 8.
    depth_multiplier: of the blocks in each stage, rounded up.
    same_padding: pad as TensorFlow does.
    epsilon: added to BatchNorm's variances.
    momentum: share of BatchNorm's running statistics that a step keeps.
    dropout: rate before the head; the papers train B0 to B7 with 0.2 to 0.5.
    stochastic_depth: rate of the last block's branch; the papers train with 0.2.
    frozen_stages: how many stages, from the stem on, compute as in evaluation.
    remat: whether a stage's activations are computed again for the gradient, to save memory.
    dtype: of the computation.
  """

  num_labels: int
  stages: Sequence[Stage]
  stem: int
  width_multiplier: float = 1.0
  depth_multiplier: float = 1.0
  same_padding: bool = False
  epsilon: float = 1e-5
  momentum: float = 0.9
  dropout: float = 0.0
  stochastic_depth: float = 0.0
  frozen_stages: int = 0
  remat: bool = False
  dtype: Any = jnp.float32

  timm_settings: ClassVar[dict] = {'epsilon': 'bn_eps'}
  names: ClassVar[dict] = {
    'timm': (
      (r'^stem\.conv', 'conv_stem'),
      (r'^stem\.bn', 'bn1'),
      (r'^stage\d+_last\.conv', 'conv_head'),
      (r'^stage\d+_last\.bn', 'bn2'),
      (r'^stage(\d+)_block(\d+)', lambda match: f'blocks.{int(match[1]) - 1}.{match[2]}'),
      (r'expand0\.conv', 'conv_pw'),
      (r'fused0\.conv', 'conv_exp'),
      (r'plain0\.conv', 'conv'),
      (r'depthwise\d\.conv', 'conv_dw'),
      # Without an expansion before it, timm calls the projection just pointwise.
      (r'project2\.conv', 'conv_pw'),
      (r'project\d\.conv', 'conv_pwl'),
      (r'(expand|fused|plain|depthwise)0\.bn', 'bn1'),
      (r'(depthwise1|project1|project2)\.bn', 'bn2'),
      (r'project3\.bn', 'bn3'),
      (r'squeeze\d\.', 'se.conv_'),
      (r'^head', 'classifier'),
    ),
    'torchvision': (
      (r'^stem', 'features.0'),
      (r'^stage(\d+)_last', lambda match: f'features.{int(match[1]) + 1}'),
      (r'^stage(\d+)_block(\d+)\.[a-z]+(\d)', r'features.\1.\2.block.\3'),
      (r'\.conv\.', '.0.'),
      (r'\.bn\.', '.1.'),
      (r'\.reduce\.', '.fc1.'),
      (r'\.expand\.', '.fc2.'),
      (r'^head', 'classifier.1'),
    ),
  }

  @property
  def required(self) -> dict[str, dict[str, Any]]:
    """What torchvision computes with: of B0's blocks, the wide ones have the epsilon of V2."""
    large = self.stages != _B0 or self.width_multiplier >= 1.6
    return {'torchvision': {'epsilon': 1e-3 if large else 1e-5, 'same_padding': False}}

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    conv_norm = functools.partial(
      ConvNorm,
      same_padding=self.same_padding,
      epsilon=self.epsilon,
      momentum=self.momentum,
      dtype=self.dtype,
    )
    in_training = train and self.frozen_stages == 0
    x = conv_norm(self._scaled(self.stem), 3, stride=2, name='stem')(
      images.astype(self.dtype), in_training
    )
    depths = [math.ceil(stage.depth * self.depth_multiplier) for stage in self.stages]
    rates = iter(layers.drop_rates(self.stochastic_depth, sum(depths)))
    for number, (stage, depth) in enumerate(zip(self.stages, depths), start=1):
      in_training = train and number >= self.frozen_stages
      blocks = [
        functools.partial(
          stage.block,
          width=self._scaled(stage.width),
          kernel=stage.kernel,
          stride=stage.stride if index == 0 else 1,
          expansion=stage.expansion,
          conv_norm=conv_norm,
          drop_rate=next(rates),
          name=f'stage{number}_block{index}',
        )
        for index in range(depth)
      ]
      x = layers.stage(self, blocks, x, in_training, remat=self.remat)
    x = conv_norm(self._scaled(1280), 1, name=f'stage{len(self.stages)}_last')(x, in_training)
    return layers.linear_head(layers.global_average(x), self.num_labels, self.dropout, train)

  def _scaled(self, channels: int) -> int:
    """The nearest multiple of 8, or the next if that is less than 90 % (the authors' rounding)."""
    wanted = channels * self.width_multiplier
    rounded = max(8, int(wanted + 4) // 8 * 8)
    return rounded if rounded >= 0.9 * wanted else rounded + 8


# Table 1 of arXiv 1905.11946.
_B0 = (
  Stage(MBConv, expansion=1, kernel=3, stride=1, width=16, depth=1),
  Stage(MBConv, expansion=6, kernel=3, stride=2, width=24, depth=2),
  Stage(MBConv, expansion=6, kernel=5, stride=2, width=40, depth=2),
  Stage(MBConv, expansion=6, kernel=3, stride=2, width=80, depth=3),
  Stage(MBConv, expansion=6, kernel=5, stride=1, width=112, depth=3),
  Stage(MBConv, expansion=6, kernel=5, stride=2, width=192, depth=4),
  Stage(MBConv, expansion=6, kernel=3, stride=1, width=320, depth=1),
)
# Table 4 of arXiv 2104.00298.
_V2_S = (
  Stage(FusedMBConv, expansion=1, kernel=3, stride=1, width=24, depth=2),
  Stage(FusedMBConv, expansion=4, kernel=3, stride=2, width=48, depth=4),
  Stage(FusedMBConv, expansion=4, kernel=3, stride=2, width=64, depth=4),
  Stage(MBConv, expansion=4, kernel=3, stride=2, width=128, depth=6),
  Stage(MBConv, expansion=6, kernel=3, stride=1, width=160, depth=9),
  Stage(MBConv, expansion=6, kernel=3, stride=2, width=256, depth=15),
)
# From the authors' published code: the paper says how S is scaled, not to what.
_V2_M = (
  Stage(FusedMBConv, expansion=1, kernel=3, stride=1, width=24, depth=3),
  Stage(FusedMBConv, expansion=4, kernel=3, stride=2, width=48, depth=5),
  Stage(FusedMBConv, expansion=4, kernel=3, stride=2, width=80, depth=5),
  Stage(MBConv, expansion=4, kernel=3, stride=2, width=160, depth=7),
  Stage(MBConv, expansion=6, kernel=3, stride=1, width=176, depth=14),
  Stage(MBConv, expansion=6, kernel=3, stride=2, width=304, depth=18),
  Stage(MBConv, expansion=6, kernel=3, stride=1, width=512, depth=5),
)

# Equation 3 of arXiv 1905.11946, width 1.1^φ and depth 1.2^φ, rounded as in the authors' code.
efficientnet_b0 = functools.partial(EfficientNet, stages=_B0, stem=32)
efficientnet_b1 = functools.partial(efficientnet_b0, width_multiplier=1.0, depth_multiplier=1.1)
efficientnet_b2 = functools.partial(efficientnet_b0, width_multiplier=1.1, depth_multiplier=1.2)
efficientnet_b3 = functools.partial(efficientnet_b0, width_multiplier=1.2, depth_multiplier=1.4)
efficientnet_b4 = functools.partial(efficientnet_b0, width_multiplier=1.4, depth_multiplier=1.8)
efficientnet_b5 = functools.partial(efficientnet_b0, width_multiplier=1.6, depth_multiplier=2.2)
efficientnet_b6 = functools.partial(efficientnet_b0, width_multiplier=1.8, depth_multiplier=2.6)
efficientnet_b7 = functools.partial(efficientnet_b0, width_multiplier=2.0, depth_multiplier=3.1)
efficientnetv2_s = functools.partial(EfficientNet, stages=_V2_S, stem=24)
efficientnetv2_m = functools.partial(EfficientNet, stages=_V2_M, stem=24)

_TENSORFLOW = {'same_padding': True, 'epsilon': 1e-3}
tf_efficientnet_b0 = functools.partial(efficientnet_b0, **_TENSORFLOW)
tf_efficientnet_b1 = functools.partial(efficientnet_b1, **_TENSORFLOW)
tf_efficientnet_b2 = functools.partial(efficientnet_b2, **_TENSORFLOW)
tf_efficientnet_b3 = functools.partial(efficientnet_b3, **_TENSORFLOW)
tf_efficientnet_b4 = functools.partial(efficientnet_b4, **_TENSORFLOW)
tf_efficientnet_b5 = functools.partial(efficientnet_b5, **_TENSORFLOW)
tf_efficientnet_b6 = functools.partial(efficientnet_b6, **_TENSORFLOW)
tf_efficientnet_b7 = functools.partial(efficientnet_b7, **_TENSORFLOW)
tf_efficientnetv2_s = functools.partial(efficientnetv2_s, **_TENSORFLOW)
tf_efficientnetv2_m = functools.partial(efficientnetv2_m, **_TENSORFLOW)

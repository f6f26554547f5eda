"""ConvNeXt, with the geometry of the published torch weights (Liu et al. 2022, arXiv
2201.03545).
"""

import functools
from collections.abc import Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.models import layers, on_cpu

# As trunc_normal_(std=0.02) of torch, whose truncation at ±2 never acts.
_init = nn.initializers.normal(0.02)
# The two-pass variance: the fast one loses digits where the mean is large.
_norm = functools.partial(nn.LayerNorm, epsilon=1e-6, use_fast_variance=False)


class Block(nn.Module):
  """Depthwise 7×7, LayerNorm, 1×1 to four times the width and back, shortcut (figure 4).

  The branch is scaled channel by channel, from 1e-6 on (LayerScale, arXiv 2103.17239).
  """

  drop_rate: float
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    width = x.shape[-1]
    dense = layers.dense(self.dtype, _init)
    conv = functools.partial(layers.convolution(self.dtype, _init), use_bias=True)
    y = conv(width, (7, 7), padding=3, feature_group_count=width, name='conv_dw')(x)
    y = _norm(dtype=self.dtype, name='norm')(y)
    y = on_cpu.gelu(dense(4 * width, name='fc1')(y))
    y = dense(width, name='fc2')(y)
    y *= self.param('gamma', nn.initializers.constant(1e-6), (width,)).astype(self.dtype)
    return x + layers.drop_branch(y, self.drop_rate, train)


class ConvNeXt(nn.Module):
  """Images f[B, H, W, C], normalised, of any C, H and W ≥ 32 → logits f32[B, num_labels].

  Attributes:
    num_labels: outputs of the linear head.
    depths: blocks in each stage; the resolution is a quarter, then halves from stage to stage.
    widths: channels of each stage.
    dropout: rate before the head.
    stochastic_depth: rate of the last block's branch.
    frozen_stages: how many stages, from the stem on, compute as in evaluation.
    remat: whether a stage's activations are computed again for the gradient, to save memory.
    dtype: of the computation.

  Raises:
    ValueError: images too small to leave a pixel for the last stage, or not as many widths as
      depths.
  """

  num_labels: int
  depths: Sequence[int]
  widths: Sequence[int]
  dropout: float = 0.0
  stochastic_depth: float = 0.0
  frozen_stages: int = 0
  remat: bool = False
  dtype: Any = jnp.float32

  timm_settings: ClassVar[dict] = {'depths': 'depths', 'widths': 'dims'}
  names: ClassVar[dict] = {
    'timm': (
      (r'\.(fc\d)', r'.mlp.\1'),
      (r'^stem_conv', 'stem.0'),
      (r'^stem_norm', 'stem.1'),
      (r'^stage\d+_norm', 'head.norm'),
      (r'^stage(\d+)', lambda match: f'stages.{int(match[1]) - 1}'),
      (r'_downsample_norm', '.downsample.0'),
      (r'_downsample_conv', '.downsample.1'),
      (r'_block', '.blocks.'),
      (r'^head\.(weight|bias)', r'head.fc.\1'),
    ),
    'torchvision': (
      (r'\.conv_dw', '.block.0'),
      (r'\.norm', '.block.2'),
      (r'\.fc1', '.block.3'),
      (r'\.fc2', '.block.5'),
      (r'\.gamma', '.layer_scale'),
      (r'^stem_conv', 'features.0.0'),
      (r'^stem_norm', 'features.0.1'),
      (r'^stage(\d+)_block', lambda match: f'features.{2 * int(match[1]) - 1}.'),
      (r'^stage(\d+)_downsample', lambda match: f'features.{2 * int(match[1]) - 2}'),
      (r'^(features\.\d)_norm', r'\1.0'),
      (r'^(features\.\d)_conv', r'\1.1'),
      (r'^stage\d+_norm', 'classifier.0'),
      (r'^head', 'classifier.2'),
    ),
  }

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    if len(self.depths) != len(self.widths):
      raise ValueError(
        f'depths={self.depths} and widths={self.widths}: each stage needs one of both'
      )
    height, width = images.shape[1:3]
    smallest = 4 * 2 ** (len(self.depths) - 1)
    if min(height, width) < smallest:
      raise ValueError(
        f'images of {height} × {width} px are too small: the sides must be {smallest} px or more.'
      )
    conv = functools.partial(layers.convolution(self.dtype, _init), use_bias=True)
    x = conv(self.widths[0], (4, 4), 4, name='stem_conv')(images.astype(self.dtype))
    x = _norm(dtype=self.dtype, name='stem_norm')(x)
    rates = iter(layers.drop_rates(self.stochastic_depth, sum(self.depths)))
    for stage, (depth, width) in enumerate(zip(self.depths, self.widths, strict=True), start=1):
      in_training = train and stage >= self.frozen_stages
      if stage > 1:
        x = _norm(dtype=self.dtype, name=f'stage{stage}_downsample_norm')(x)
        x = conv(width, (2, 2), 2, name=f'stage{stage}_downsample_conv')(x)
      blocks = [
        functools.partial(
          Block, drop_rate=next(rates), dtype=self.dtype, name=f'stage{stage}_block{index}'
        )
        for index in range(depth)
      ]
      x = layers.stage(self, blocks, x, in_training, remat=self.remat)
    features = _norm(name=f'stage{len(self.depths)}_norm')(layers.global_average(x))
    return layers.linear_head(features, self.num_labels, self.dropout, train, _init)


convnext_tiny = functools.partial(ConvNeXt, depths=(3, 3, 9, 3), widths=(96, 192, 384, 768))
convnext_small = functools.partial(ConvNeXt, depths=(3, 3, 27, 3), widths=(96, 192, 384, 768))
convnext_base = functools.partial(ConvNeXt, depths=(3, 3, 27, 3), widths=(128, 256, 512, 1024))

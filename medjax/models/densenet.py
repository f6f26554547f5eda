"""DenseNet (Huang et al. 2016, arXiv 1608.06993), with the geometry of the published torch weights.

Every layer reads the concatenation of all the maps before it in its stage and adds `growth` maps of
its own. This is DenseNet-BC of the paper's Table 1: a 1×1 convolution narrows the input of each 3×3
convolution, and a transition halves the maps and the resolution between stages.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.models import layers, on_cpu

# Of torchvision's and timm's.
_init = nn.initializers.variance_scaling(2.0, 'fan_in', 'normal')
_NAMES = (
  (r'^stem_', 'features.'),
  (r'^stage(\d+)_(denselayer\d+)', r'features.denseblock\1.\2'),
  (r'^stage(\d+)_transition', r'features.transition\1'),
  (r'^stage\d+_norm5', 'features.norm5'),
  (r'^head', 'classifier'),
)


class DenseLayer(nn.Module):
  """1×1 down to four times the growth, 3×3, and the input concatenated with the outcome."""

  growth: int
  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    y = nn.relu(self.norm(name='norm1')(x))
    y = self.conv(4 * self.growth, (1, 1), name='conv1')(y)
    y = nn.relu(self.norm(name='norm2')(y))
    y = self.conv(self.growth, (3, 3), padding=1, name='conv2')(y)
    return jnp.concatenate([x, y], axis=-1)


class Transition(nn.Module):
  """1×1 to half of the channels and 2×2 averages; an odd last row or column is left out."""

  conv: Callable[..., nn.Module]
  norm: Callable[..., nn.Module]

  @nn.compact
  def __call__(self, x: jax.Array) -> jax.Array:
    x = nn.relu(self.norm(name='norm')(x))
    x = self.conv(x.shape[-1] // 2, (1, 1), name='conv')(x)
    return nn.avg_pool(x, (2, 2), (2, 2))


class DenseNet(nn.Module):
  """Images f[B, H, W, C], normalised, of any C → logits f32[B, num_labels].

  Attributes:
    num_labels: outputs of the linear head.
    depths: layers in each stage; the resolution halves from stage to stage.
    growth: channels that each layer adds (k in the paper); the stem has twice as many.
    dropout: rate before the head.
    frozen_stages: how many stages, from the stem on, compute as in evaluation.
    remat: whether a stage's activations are computed again for the gradient, to save memory.
    dtype: of the computation.

  Raises:
    ValueError: no growth, or images that the transitions would leave without a pixel.
  """

  num_labels: int
  depths: Sequence[int]
  growth: int = 32
  dropout: float = 0.0
  frozen_stages: int = 0
  remat: bool = False
  dtype: Any = jnp.float32

  timm_settings: ClassVar[dict] = {'depths': 'block_config', 'growth': 'growth_rate'}
  names: ClassVar[dict] = {
    'timm': _NAMES,  # torchvision's own agree
    # Of the files that torchvision offers, and of others as old, such as CheXNet's.
    'legacy torchvision': (*_NAMES, (r'\.(norm|conv)([12])\.', r'.\1.\2.')),
  }

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    if self.growth < 1:
      raise ValueError(f'growth={self.growth}: must be 1 or more')
    # The stem divides by 4 and rounds up, each transition by 2 and rounds down.
    least = 4 * 2 ** (len(self.depths) - 1) - 3
    height, width = images.shape[1:3]
    if min(height, width) < least:
      raise ValueError(
        f'images of {height}×{width} pixels are too small for this DenseNet, '
        f'which needs {least}×{least} or more'
      )
    conv = layers.convolution(self.dtype, _init)
    norm = layers.batch_norm(train and self.frozen_stages == 0, self.dtype)
    x = conv(2 * self.growth, (7, 7), 2, padding=3, name='stem_conv0')(images.astype(self.dtype))
    x = nn.relu(norm(name='stem_norm0')(x))
    x = on_cpu.max_pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1)))
    for stage, depth in enumerate(self.depths, start=1):
      norm = layers.batch_norm(train and stage >= self.frozen_stages, self.dtype)
      blocks: list[Callable[[], nn.Module]] = [
        functools.partial(
          DenseLayer, self.growth, conv, norm, name=f'stage{stage}_denselayer{index}'
        )
        for index in range(1, depth + 1)
      ]
      if stage < len(self.depths):
        blocks.append(functools.partial(Transition, conv, norm, name=f'stage{stage}_transition'))
      x = layers.stage(self, blocks, x, remat=self.remat)
    x = nn.relu(norm(name=f'stage{len(self.depths)}_norm5')(x))
    return layers.linear_head(layers.global_average(x), self.num_labels, self.dropout, train)


densenet121 = functools.partial(DenseNet, depths=(6, 12, 24, 16))
densenet161 = functools.partial(DenseNet, depths=(6, 12, 36, 24), growth=48)
densenet169 = functools.partial(DenseNet, depths=(6, 12, 32, 32))
densenet201 = functools.partial(DenseNet, depths=(6, 12, 48, 32))

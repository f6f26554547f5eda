"""Vision Transformers, with the geometry of the published torch weights.

ViT (Dosovitskiy et al. 2020, arXiv 2010.11929), whose small version is that of DeiT (Touvron et al.
2020, arXiv 2012.12877); and DINOv2's (Oquab et al. 2023, arXiv 2304.07193), of patches of 14 pixels
and with LayerScale (Touvron et al. 2021, arXiv 2103.17239).
"""

import functools
import math
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.models import layers, on_cpu

# As trunc_normal_(std=0.02) of torch, whose truncation at ±2 never acts.
_init = nn.initializers.normal(0.02)
# The two-pass variance: the fast one loses digits where the mean is large.
_norm = functools.partial(nn.LayerNorm, epsilon=1e-6, use_fast_variance=False)

_TORCHVISION = (
  (r'\.norm', '.ln_'),
  (r'\.qkv\.', '.self_attention.in_proj_'),
  (r'\.proj', '.self_attention.out_proj'),
  (r'\.fc1', '.mlp.0'),
  (r'\.fc2', '.mlp.3'),
  (r'^stage\d+_norm', 'encoder.ln'),
  (r'^stage(\d+)', lambda match: f'encoder.layers.encoder_layer_{int(match[1]) - 1}'),
  (r'^stem_patch_embed', 'conv_proj'),
  (r'^stem_cls_token', 'class_token'),
  (r'^stem_pos_embed', 'encoder.pos_embedding'),
  (r'^head', 'heads.head'),
)


def attention(query: jax.Array, key: jax.Array, value: jax.Array) -> jax.Array:
  """softmax(Q Kᵀ / √d) V, each f[B, N, heads, d] → f[B, N, heads, d] (arXiv 1706.03762, equation
  1).

  The products with the keys and their softmax are float32 under any dtype.
  """
  # jax.nn.dot_product_attention asks for a bfloat16 algorithm that GPUs older than Ampere lack.
  products = jnp.einsum('bqhd,bkhd->bhqk', query, key, preferred_element_type=jnp.float32)
  weights = nn.softmax(products / math.sqrt(query.shape[-1])).astype(value.dtype)
  return jnp.einsum('bhqk,bkhd->bqhd', weights, value)


class Block(nn.Module):
  """Self-attention, then an MLP four times as wide, each normalised first and with a shortcut.

  Attributes:
    heads: of the attention.
    layer_scale: what the branches' scales per channel start from, or None for no such scales.
    drop_rate: of both branches, each on its own.
    dtype: of the computation.
  """

  heads: int
  layer_scale: float | None
  drop_rate: float
  dtype: Any

  @nn.compact
  def __call__(self, x: jax.Array, train: bool) -> jax.Array:
    count, tokens, width = x.shape
    norm = functools.partial(_norm, dtype=self.dtype)
    dense = layers.dense(self.dtype, _init)

    qkv = dense(3 * width, name='qkv')(norm(name='norm1')(x))
    qkv = qkv.reshape(count, tokens, 3, self.heads, width // self.heads)
    y = attention(qkv[:, :, 0], qkv[:, :, 1], qkv[:, :, 2]).reshape(x.shape)
    x += self._branch(dense(width, name='proj')(y), 'ls1_gamma', train)

    y = on_cpu.gelu(dense(4 * width, name='fc1')(norm(name='norm2')(x)))
    return x + self._branch(dense(width, name='fc2')(y), 'ls2_gamma', train)

  def _branch(self, y: jax.Array, scale: str, train: bool) -> jax.Array:
    if self.layer_scale is not None:
      start = nn.initializers.constant(self.layer_scale)
      y *= self.param(scale, start, y.shape[-1:]).astype(self.dtype)
    return layers.drop_branch(y, self.drop_rate, train)


class VisionTransformer(nn.Module):
  """Square images f[B, H, H, C], normalised, of any C → logits f32[B, num_labels].

  Every block is a stage. The head reads the class token. The position embeddings belong to one
  image size; those of a file are resized when they are loaded.

  Attributes:
    num_labels: outputs of the linear head.
    patch_size: pixels; H must be a multiple of it.
    width: channels of a token.
    heads: of the attention.
    depth: blocks.
    layer_scale: what the branches' scales per channel start from, or None for no such scales.
    dropout: rate before the head.
    stochastic_depth: rate of both branches of the last block.
    frozen_stages: how many stages, from the stem on, compute as in evaluation.
    remat: whether a stage's activations are computed again for the gradient, to save memory.
    dtype: of the computation.

  Raises:
    ValueError: images that are not square or do not divide into patches, a width that does not
      divide into heads, or no block.
  """

  num_labels: int
  patch_size: int
  width: int
  heads: int
  depth: int = 12
  layer_scale: float | None = None
  dropout: float = 0.0
  stochastic_depth: float = 0.0
  frozen_stages: int = 0
  remat: bool = False
  dtype: Any = jnp.float32

  timm_settings: ClassVar[dict] = {
    'patch_size': 'patch_size',
    'width': 'embed_dim',
    'heads': 'num_heads',
    'depth': 'depth',
    'layer_scale': 'init_values',
  }
  names: ClassVar[dict] = {
    'timm': (
      (r'\.(qkv|proj)', r'.attn.\1'),
      (r'\.(fc\d)', r'.mlp.\1'),
      (r'_gamma', '.gamma'),
      (r'^stage\d+_norm', 'norm'),
      (r'^stage(\d+)', lambda match: f'blocks.{int(match[1]) - 1}'),
      (r'^stem_patch_embed', 'patch_embed.proj'),
      (r'^stem_', ''),
    ),
    'torchvision': _TORCHVISION,
    # Of files written before its pull request 6053.
    'legacy torchvision': (
      *_TORCHVISION,
      (r'\.mlp\.0', '.mlp.linear_1'),
      (r'\.mlp\.3', '.mlp.linear_2'),
    ),
  }

  @property
  def feature_map(self) -> str:
    """What heat maps show: the tokens that the last block attends to. It gives the patches' for
    naught.
    """
    return f'stage{self.depth}/norm1'

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    if self.depth < 1:
      raise ValueError(f'depth={self.depth}: must be 1 or more')
    if self.heads < 1 or self.width % self.heads:
      raise ValueError(f'heads={self.heads}: must divide width={self.width}')
    count, height, width, _ = images.shape
    patch = self.patch_size
    if height != width or height % patch:
      below = min(height, width) // patch * patch
      sizes = ' or '.join(f'{side} × {side}' for side in (below, below + patch) if side)
      raise ValueError(
        f'images of {height} × {width} px are no square of patches of {patch} × {patch} px; '
        f'the nearest sizes that are: {sizes} px.'
      )
    conv = layers.convolution(self.dtype, nn.initializers.lecun_normal())
    x = conv(self.width, (patch, patch), patch, use_bias=True, name='stem_patch_embed')(
      images.astype(self.dtype)
    )
    x = x.reshape(count, -1, self.width)
    token = self.param('stem_cls_token', nn.initializers.zeros, (1, 1, self.width))
    x = jnp.concatenate([jnp.broadcast_to(token, (count, 1, self.width)), x], axis=1)
    positions = self.param('stem_pos_embed', _init, (1, *x.shape[1:]))
    x = (x + positions).astype(self.dtype)
    rates = layers.drop_rates(self.stochastic_depth, self.depth)
    for stage, rate in enumerate(rates, start=1):
      block = functools.partial(
        Block, self.heads, self.layer_scale, rate, self.dtype, name=f'stage{stage}'
      )
      in_training = train and stage >= self.frozen_stages
      x = on_cpu.apart(layers.stage(self, [block], x, in_training, remat=self.remat))
    features = _norm(name=f'stage{self.depth}_norm')(x[:, 0])
    return layers.linear_head(features, self.num_labels, self.dropout, train, _init)


_small = functools.partial(VisionTransformer, width=384, heads=6)
_base = functools.partial(VisionTransformer, width=768, heads=12)
vit_small_patch16 = functools.partial(_small, patch_size=16)
vit_base_patch16 = functools.partial(_base, patch_size=16)
vit_small_patch14_dinov2 = functools.partial(_small, patch_size=14, layer_scale=1e-5)
vit_base_patch14_dinov2 = functools.partial(_base, patch_size=14, layer_scale=1e-5)

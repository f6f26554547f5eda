"""Losses per image and label, in nats, and how they become the loss of a batch.

The contract: `loss(logits f32[B, L], labels f32[B, L], **settings) -> f32[B, L]`, with no reduction
and no mask inside. Labels are in [0, 1]; L is the number of outputs of the head. A loss of your own
needs no registration: name it by import path in the config.

The head of a network says which losses fit it. `binary` is for heads whose outputs are yes-or-no
questions, one for each label; `softmax` for exclusive classes, one of which is true of an image.
The same idea has the same name in both.

What only the training split knows, as an epoch shows it after re-sampling, is given to a loss that
has a parameter of the name, where its settings leave it out. Settings may name labels, such as
{'positive_weight': {'Edema': 0.9}}; the others keep what was counted.

- `positive_weight`, `negative_weight`: f32[L], the class weights negatives / total and
  positives / total.
- `class_weight`: f32[L], n / (L n_c) of exclusive classes.
- `positives`, `negatives`: f32[L], how many of a label's known entries are positive and negative; a
  soft label counts as a positive by its value and as a negative by the rest.

A loss over the whole batch, which no value per element can express, is recognised by its parameter
`mask`: `loss(logits f32[B, L], labels f32[B, L], mask f32[B, L], **settings) -> f32[L]`. The mask
is 0 where a label is unknown and otherwise 1, or the weight of the image. The sum over the labels
is the loss of the batch.
"""

import jax
import jax.numpy as jnp

from medjax.losses import binary, class_weights, softmax
from medjax.losses.binary import binary_cross_entropy, focal, weighted_binary_cross_entropy

__all__ = [
  'binary',
  'binary_cross_entropy',
  'class_weights',
  'focal',
  'known_images',
  'reduce',
  'softmax',
  'weighted_binary_cross_entropy',
]


def known_images(mask: jax.Array, weight: jax.Array) -> jax.Array:
  """Returns f32[], the summed weight of the images with at least one known label."""
  return jnp.sum(weight * jnp.any(mask > 0, axis=1))


def reduce(
  losses: jax.Array, mask: jax.Array, weight: jax.Array, images: jax.Array | None = None
) -> jax.Array:
  """Sum over known labels, mean over the images with a known label.

  Args:
    losses: f32[B, L].
    mask: f32[B, L], 1 where the label is known.
    weight: f32[B], 0 for padding.
    images: f32[], what to divide by where B is a part of the batch; None counts it here.

  Returns:
    f32[]; 0 where no image of the batch has a known label.
  """
  images = known_images(mask, weight) if images is None else images
  # where, not a product: a loss that is infinite under the mask must not turn into NaN.
  kept = jnp.where(mask > 0, losses, 0.0)
  return jnp.sum(kept * weight[:, None]) / jnp.maximum(images, 1.0)

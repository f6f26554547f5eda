"""Losses per image and label, in nats, and the one function that reduces them.

The contract: `loss(logits f32[B, L], labels f32[B, L], **settings) -> f32[B, L]`, with no reduction
and no mask inside. Labels are in [0, 1]. A loss with parameters `positive_weight` and
`negative_weight` (f32[L]) is given the class weights of the training split when its settings leave
them out. A loss of your own needs no registration: name it by import path in the config.
"""

import jax
import jax.numpy as jnp

__all__ = ['binary_cross_entropy', 'focal', 'weighted_binary_cross_entropy']


def binary_cross_entropy(logits: jax.Array, labels: jax.Array) -> jax.Array:
  """−log P(Y=label), through softplus so that no logit overflows. f32[B, L], nats."""
  return weighted_binary_cross_entropy(logits, labels, 1.0, 1.0)


def weighted_binary_cross_entropy(
  logits: jax.Array,
  labels: jax.Array,
  positive_weight: jax.Array | float,
  negative_weight: jax.Array | float,
) -> jax.Array:
  """Cross-entropy with a weight per label and sign.

  With w_p = negatives / total and w_n = positives / total of the training split, positives and
  negatives of a label weigh the same in total (CheXNet, arXiv 1711.05225, section 2.1).

  Args:
    logits: f[B, L], any float dtype; computed in float32.
    labels: f32[B, L] in [0, 1].
    positive_weight: f32[L] or a number, w_p.
    negative_weight: f32[L] or a number, w_n.

  Returns:
    f32[B, L], nats.
  """
  logits = logits.astype(jnp.float32)
  positive = labels * jnp.asarray(positive_weight) * jax.nn.softplus(-logits)
  negative = (1 - labels) * jnp.asarray(negative_weight) * jax.nn.softplus(logits)
  return positive + negative


def focal(
  logits: jax.Array, labels: jax.Array, gamma: float = 2.0, alpha: float = 0.25
) -> jax.Array:
  """α_t (1 − p_t)^γ (−log p_t): Lin et al. 2017, arXiv 1708.02002, equation 5.

  Args:
    logits: f[B, L].
    labels: f32[B, L] in [0, 1]; a soft label is the mixture of both terms.
    gamma: focusing, 0 or more; 0 leaves the α-weighted cross-entropy.
    alpha: weight of the positives in [0, 1]; the negatives get 1 − α.

  Returns:
    f32[B, L], nats.
  """
  logits = logits.astype(jnp.float32)
  # exp(γ log(1 − p)) keeps its gradient finite where (1 − p)^γ, for γ < 1, does not.
  positive = alpha * jnp.exp(-gamma * jax.nn.softplus(logits)) * jax.nn.softplus(-logits)
  negative = (1 - alpha) * jnp.exp(-gamma * jax.nn.softplus(-logits)) * jax.nn.softplus(logits)
  return labels * positive + (1 - labels) * negative


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

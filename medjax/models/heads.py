"""What the outputs of a network mean: logits → a probability for each label.

medjax.data.targets says what a head is and what its logits are trained on.
"""

import jax
import jax.numpy as jnp


def probabilities(head: str, logits: jax.Array) -> jax.Array:
  """f32[B, K] → a probability for each label, f32[B, L]."""
  if head == 'sigmoid':
    return jax.nn.sigmoid(logits)
  if head == 'softmax':
    return jax.nn.softmax(logits)
  beyond = jnp.cumprod(jax.nn.sigmoid(logits), axis=1)
  reached = jnp.concatenate([jnp.ones_like(beyond[:, :1]), beyond], axis=1)
  ends = jnp.concatenate([jax.nn.sigmoid(-logits), jnp.ones_like(beyond[:, :1])], axis=1)
  return reached * ends

"""What the outputs of a network mean: logits → the log-odds of each label.

medjax.data.targets says what a head is and what its logits are trained on. Log-odds, not
probabilities, leave the device: near 1 a float32 has steps of 6e-8, so probabilities above a logit
of 17 are all the same, and an order that the network knows would be lost.
"""

import jax
import jax.numpy as jnp


def log_odds(head: str, logits: jax.Array) -> jax.Array:
  """f32[B, K] → log(p / (1 − p)) of each label, f32[B, L].

  Of two exclusive classes the one's are exactly the other's with the sign changed.
  """
  if head == 'sigmoid':
    return logits
  scores = logits if head == 'softmax' else _log_probabilities_of_grades(logits)
  scores -= scores.max(axis=1, keepdims=True)  # What all share only costs digits.
  own = jnp.eye(scores.shape[1], dtype=bool)
  others = jnp.where(own, -jnp.inf, scores[:, None, :])
  return scores - jax.nn.logsumexp(others, axis=2)


def _log_probabilities_of_grades(logits: jax.Array) -> jax.Array:
  """Logits of "beyond grade k, given that it is reached", f32[B, L − 1] → log p, f32[B, L]."""
  beyond = jnp.cumsum(jax.nn.log_sigmoid(logits), axis=1)
  nothing = jnp.zeros_like(logits[:, :1])
  reached = jnp.concatenate([nothing, beyond], axis=1)
  return reached + jnp.concatenate([jax.nn.log_sigmoid(-logits), nothing], axis=1)


def logits(head: str, log_odds: jax.Array) -> jax.Array:
  """f32[B, L] as of `log_odds` → logits f32[B, K] that mean the same, for a loss to be told of.

  Those of 'softmax' are the network's but for a number that all classes of an image share.
  """
  if head == 'sigmoid':
    return log_odds
  own = jax.nn.log_sigmoid(log_odds)  # log p
  if head == 'softmax':
    return own
  beyond = jax.lax.cumlogsumexp(own, axis=1, reverse=True)  # log P(grade ≥ g)
  return beyond[:, 1:] - own[:, :-1]

"""Losses of exclusive classes: p = softmax(logits) over the labels of an image (head 'softmax').

The labels of an image are a distribution over the L classes, one-hot or soft, or all masked. The
loss of an image is the sum over its labels, Σ_c y_c ℓ(p_c) with ℓ the paper's loss of a true class;
each loss returns the terms of that sum, f32[B, L]. Logits f[B, L] are of any float dtype and the
computation is in float32; value and gradient are finite at logits of up to ±1e30. An impossible
setting raises ValueError.
"""

import jax
import jax.numpy as jnp

from medjax.losses.common import check, effective_number, smooth, widen

__all__ = [
  'class_balanced',
  'cross_entropy',
  'focal',
  'generalised_cross_entropy',
  'logit_adjusted',
  'poly1',
  'weighted_cross_entropy',
]


def cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
  """−y_c log p_c, with label smoothing if asked for.

  Args:
    logits: f[B, L].
    labels: f32[B, L], the labels of an image summing to 1.
    smoothing: ε in [0, 1): labels become y (1 − ε) + ε / L (Szegedy et al. 2015, arXiv 1512.00567,
      section 7).

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: smoothing outside [0, 1).
  """
  return -smooth(labels, smoothing, classes=logits.shape[-1]) * _log_softmax(logits)


def weighted_cross_entropy(
  logits: jax.Array, labels: jax.Array, class_weight: jax.Array, smoothing: float = 0.0
) -> jax.Array:
  """−w_c y_c log p_c; with w_c = n / (L n_c) all classes weigh the same over the training split.

  With two classes the weights are in the ratio of w_p = negatives / total to w_n = positives /
  total. A class without examples has weight 0.

  Args:
    logits: f[B, L].
    labels: f32[B, L], the labels of an image summing to 1.
    class_weight: f32[L], w_c.
    smoothing: as in `cross_entropy`; the weights apply to the smoothed labels.

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: smoothing outside [0, 1).
  """
  losses = cross_entropy(logits, labels, smoothing)
  return jnp.asarray(class_weight, losses.dtype) * losses


def focal(logits: jax.Array, labels: jax.Array, gamma: float = 2.0) -> jax.Array:
  """y_c (1 − p_c)^γ (−log p_c): Lin et al. 2017, arXiv 1708.02002, equation 4, for L classes.

  Args:
    logits: f[B, L].
    labels: f32[B, L], the labels of an image summing to 1.
    gamma: focusing, 0 or more; 0 leaves the cross-entropy.

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: gamma below 0.
  """
  check('gamma', gamma, '[0, inf)')
  log_p = _log_softmax(logits)
  rest = -jnp.expm1(log_p)
  # At p = 1 a power has a gradient of 0 · ∞, though the loss is flat there.
  unsolved = rest > 0
  factor = jnp.where(unsolved, rest, 1.0) ** gamma
  return labels * jnp.where(unsolved, -factor * log_p, 0.0)


def class_balanced(
  logits: jax.Array,
  labels: jax.Array,
  positives: jax.Array,
  beta: float = 0.9999,
  gamma: float = 0.0,
) -> jax.Array:
  """Cross-entropy or focal loss weighted by 1 / effective number: Cui et al. 2019.

  arXiv 1901.05555, section 4. The weights of the classes sum to their number, as in the paper.
  β = 0 is the unweighted loss; β → 1 weighs by inverse frequency. A class without examples has
  weight 0 and does not count among the classes.

  Args:
    logits: f[B, L].
    labels: f32[B, L], the labels of an image summing to 1.
    positives: f32[L], how many examples of each class the training split has.
    beta: β in [0, 1), (N − 1) / N for N distinguishable examples of a class.
    gamma: focusing, 0 or more; the paper's class-balanced focal loss has 0.5 to 2.

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: beta outside [0, 1) or gamma below 0.
  """
  losses = focal(logits, labels, gamma)
  effective = effective_number(jnp.asarray(positives, losses.dtype), beta)
  seen = effective > 0
  inverse = jnp.where(seen, 1 / jnp.where(seen, effective, 1.0), 0.0)
  total = jnp.sum(inverse)
  return inverse * (jnp.sum(seen) / jnp.where(total > 0, total, 1.0)) * losses


def logit_adjusted(
  logits: jax.Array, labels: jax.Array, positives: jax.Array, tau: float = 1.0
) -> jax.Array:
  """Cross-entropy of logits + τ log π: Menon et al. 2020, arXiv 2007.07314.

  π is the share of each class in the training split. The network learns what the prior does not
  already say, so at τ = 1 its own probabilities are those of a population where all classes are
  equally common. A class without examples counts as one example, so that its logarithm is finite.

  Args:
    logits: f[B, L].
    labels: f32[B, L], the labels of an image summing to 1.
    positives: f32[L], how many examples of each class the training split has.
    tau: τ, 0 or more; 0 leaves the cross-entropy.

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: tau below 0.
  """
  check('tau', tau, '[0, inf)')
  logits = widen(logits)
  # Counts serve as well as shares: the softmax takes no notice of a factor common to all classes.
  counts = jnp.maximum(jnp.asarray(positives, logits.dtype), 1.0)
  return cross_entropy(logits + tau * jnp.log(counts), labels)


def generalised_cross_entropy(logits: jax.Array, labels: jax.Array, q: float = 0.7) -> jax.Array:
  """y_c (1 − p_c^q) / q, for noisy labels: Zhang and Sabuncu 2018, arXiv 1805.07836.

  Args:
    logits: f[B, L].
    labels: f32[B, L], the labels of an image summing to 1.
    q: in (0, 1]; towards 0 the cross-entropy, at 1 half the absolute error Σ_c |y_c − p_c|.

  Returns:
    f32[B, L] in [0, 1 / q], in nats as q goes to 0.

  Raises:
    ValueError: q outside (0, 1].
  """
  check('q', q, '(0, 1]')
  return labels * -jnp.expm1(q * _log_softmax(logits)) / q


def poly1(logits: jax.Array, labels: jax.Array, epsilon: float = 2.0) -> jax.Array:
  """y_c (−log p_c + ε (1 − p_c)), the Poly-1 loss: Leng et al. 2022, arXiv 2204.12511.

  Args:
    logits: f[B, L].
    labels: f32[B, L], the labels of an image summing to 1.
    epsilon: ε, −1 or more; 0 leaves the cross-entropy. The default is the paper's for ImageNet.

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: epsilon below −1.
  """
  check('epsilon', epsilon, '[-1, inf)')
  log_p = _log_softmax(logits)
  return labels * (-log_p - epsilon * jnp.expm1(log_p))


def _log_softmax(logits: jax.Array) -> jax.Array:
  return jax.nn.log_softmax(widen(logits), axis=-1)

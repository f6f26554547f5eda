"""Losses of yes-or-no questions: p = sigmoid(logit) for each label (heads 'sigmoid', 'ordinal').

Below, p_t is p for a positive and 1 − p for a negative. The loss of a soft label y is the mixture:
y times that of a positive plus 1 − y times that of a negative. Every loss takes logits f[B, L] of
any float dtype, computes in float32 and returns f32[B, L]; value and gradient are finite at
logits of up to ±1e30. An impossible setting raises ValueError.
"""

import jax
import jax.numpy as jnp

from medjax.losses.batch import auc_margin
from medjax.losses.common import check, effective_number, smooth, widen

__all__ = [
  'asymmetric',
  'auc_margin',
  'binary_cross_entropy',
  'class_balanced',
  'focal',
  'generalised_cross_entropy',
  'logit_adjusted',
  'poly1',
  'weighted_binary_cross_entropy',
]


def binary_cross_entropy(logits: jax.Array, labels: jax.Array, smoothing: float = 0.0) -> jax.Array:
  """−log P(Y=label), with label smoothing if asked for.

  Args:
    logits: f[B, L].
    labels: f32[B, L] in [0, 1].
    smoothing: ε in [0, 1): labels become y (1 − ε) + ε / 2 (Szegedy et al. 2015, arXiv 1512.00567,
      section 7, for the two classes of a label).

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: smoothing outside [0, 1).
  """
  return weighted_binary_cross_entropy(logits, labels, 1.0, 1.0, smoothing)


def weighted_binary_cross_entropy(
  logits: jax.Array,
  labels: jax.Array,
  positive_weight: jax.Array | float,
  negative_weight: jax.Array | float,
  smoothing: float = 0.0,
) -> jax.Array:
  """Cross-entropy with a weight per label and sign.

  With w_p = negatives / total and w_n = positives / total of the training split, positives and
  negatives of a label weigh the same in total (CheXNet, arXiv 1711.05225, section 2.1).

  Args:
    logits: f[B, L].
    labels: f32[B, L] in [0, 1].
    positive_weight: f32[L] or a number, w_p.
    negative_weight: f32[L] or a number, w_n.
    smoothing: as in `binary_cross_entropy`.

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: smoothing outside [0, 1).
  """
  positive, negative = _negative_logs(logits)
  labels = smooth(labels, smoothing, classes=2)
  return _mixture(
    labels, jnp.asarray(positive_weight) * positive, jnp.asarray(negative_weight) * negative
  )


def focal(
  logits: jax.Array, labels: jax.Array, gamma: float = 2.0, alpha: float = 0.25
) -> jax.Array:
  """α_t (1 − p_t)^γ (−log p_t): Lin et al. 2017, arXiv 1708.02002, equation 5.

  Args:
    logits: f[B, L].
    labels: f32[B, L] in [0, 1].
    gamma: focusing, 0 or more; 0 leaves the α-weighted cross-entropy.
    alpha: weight of the positives in [0, 1]; the negatives get 1 − α.

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: gamma below 0 or alpha outside [0, 1].
  """
  check('alpha', alpha, '[0, 1]')
  positive, negative = _focused(logits, gamma)
  return _mixture(labels, alpha * positive, (1 - alpha) * negative)


def asymmetric(
  logits: jax.Array,
  labels: jax.Array,
  gamma_positive: float = 0.0,
  gamma_negative: float = 4.0,
  margin: float = 0.05,
) -> jax.Array:
  """Asymmetric loss (ASL): Ridnik et al. 2020, arXiv 2009.14119.

  (1 − p)^γ₊ (−log p) for a positive and p_m^γ₋ (−log(1 − p_m)) for a negative, where p_m =
  max(p − m, 0): a negative with p below the margin counts as solved. The gradient goes through the
  focusing factors too, as in the paper's analysis. The settings are those the paper recommends.

  Args:
    logits: f[B, L].
    labels: f32[B, L] in [0, 1].
    gamma_positive: focusing γ₊ of the positives, 0 or more.
    gamma_negative: focusing γ₋ of the negatives, 0 or more.
    margin: m in [0, 1), a probability; 0 shifts nothing.

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: a gamma below 0 or a margin outside [0, 1).
  """
  check('gamma_positive', gamma_positive, '[0, inf)')
  check('gamma_negative', gamma_negative, '[0, inf)')
  check('margin', margin, '[0, 1)')
  positive, _ = _focused(logits, gamma_positive)
  logits = widen(logits)
  shifted = jax.nn.sigmoid(logits) - margin
  # A power of exactly or nearly 0 has a gradient of 0 · ∞, though the loss is flat there.
  unsolved = shifted > 1e-30
  factor = jnp.where(unsolved, shifted, 1.0) ** gamma_negative
  # log(1 − p + m) from log(1 − p), which survives m = 0 where 1 − p has rounded to 0.
  negative = -jnp.logaddexp(-jax.nn.softplus(logits), jnp.log(margin))
  return _mixture(labels, positive, jnp.where(unsolved, factor * negative, 0.0))


def class_balanced(
  logits: jax.Array,
  labels: jax.Array,
  positives: jax.Array,
  negatives: jax.Array,
  beta: float = 0.9999,
  gamma: float = 0.0,
) -> jax.Array:
  """Cross-entropy, or focal loss without α, weighted by 1 / effective number: Cui et al. 2019.

  arXiv 1901.05555, section 4. The classes are the two signs of a label, and as in the paper their
  weights sum to the number of classes: w_p = 2 E_negatives / (E_positives + E_negatives), and the
  reverse for w_n. β = 0 is the unweighted loss, β → 1 twice `weighted_binary_cross_entropy`. A
  label of one class only has weight 0 for the class it has, as there: it teaches nothing. A label
  never known has weights 0, 0.

  Args:
    logits: f[B, L].
    labels: f32[B, L] in [0, 1].
    positives: f32[L], how many positives the training split has.
    negatives: f32[L], how many negatives.
    beta: β in [0, 1), (N − 1) / N for N distinguishable examples of a class.
    gamma: focusing, 0 or more; the paper's class-balanced focal loss has 0.5 to 2.

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: beta outside [0, 1) or gamma below 0.
  """
  positive, negative = _focused(logits, gamma)
  effective_positives = effective_number(jnp.asarray(positives, positive.dtype), beta)
  effective_negatives = effective_number(jnp.asarray(negatives, positive.dtype), beta)
  total = effective_positives + effective_negatives
  scale = 2 / jnp.where(total > 0, total, 1.0)
  return _mixture(
    labels, scale * effective_negatives * positive, scale * effective_positives * negative
  )


def logit_adjusted(
  logits: jax.Array,
  labels: jax.Array,
  positives: jax.Array,
  negatives: jax.Array,
  tau: float = 1.0,
) -> jax.Array:
  """Cross-entropy of logit + τ log(π / (1 − π)): Menon et al. 2020, arXiv 2007.07314.

  Their logit-adjusted softmax for the two classes of a label, whose logits are `logit` and 0; π =
  positives / (positives + negatives). The network learns what the prior does not already say, so at
  τ = 1 its own probabilities are those of a population where the label is as often positive as
  negative. A class without examples counts as one example, so that its logarithm is finite.

  Args:
    logits: f[B, L].
    labels: f32[B, L] in [0, 1].
    positives: f32[L], how many positives the training split has.
    negatives: f32[L], how many negatives.
    tau: τ, 0 or more; 0 leaves the cross-entropy.

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: tau below 0.
  """
  check('tau', tau, '[0, inf)')
  logits = widen(logits)
  positives, negatives = (
    jnp.maximum(jnp.asarray(counts, logits.dtype), 1.0) for counts in (positives, negatives)
  )
  return binary_cross_entropy(logits + tau * jnp.log(positives / negatives), labels)


def generalised_cross_entropy(logits: jax.Array, labels: jax.Array, q: float = 0.7) -> jax.Array:
  """(1 − p_t^q) / q, for noisy labels: Zhang and Sabuncu 2018, arXiv 1805.07836.

  Args:
    logits: f[B, L].
    labels: f32[B, L] in [0, 1].
    q: in (0, 1]; towards 0 the cross-entropy, at 1 the mean absolute error |label − p|.

  Returns:
    f32[B, L] in [0, 1 / q], in nats as q goes to 0.

  Raises:
    ValueError: q outside (0, 1].
  """
  check('q', q, '(0, 1]')
  positive, negative = _negative_logs(logits)
  return _mixture(labels, -jnp.expm1(-q * positive) / q, -jnp.expm1(-q * negative) / q)


def poly1(logits: jax.Array, labels: jax.Array, epsilon: float = 2.0) -> jax.Array:
  """−log p_t + ε (1 − p_t), the Poly-1 loss: Leng et al. 2022, arXiv 2204.12511.

  Args:
    logits: f[B, L].
    labels: f32[B, L] in [0, 1].
    epsilon: ε, −1 or more; 0 leaves the cross-entropy. The default is the paper's for ImageNet.

  Returns:
    f32[B, L], nats.

  Raises:
    ValueError: epsilon below −1.
  """
  check('epsilon', epsilon, '[-1, inf)')
  logits = widen(logits)
  p = jax.nn.sigmoid(logits)
  return binary_cross_entropy(logits, labels) + epsilon * _mixture(labels, 1 - p, p)


def _negative_logs(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
  """Returns −log p and −log(1 − p), through softplus so that no logit overflows."""
  logits = widen(logits)
  return jax.nn.softplus(-logits), jax.nn.softplus(logits)


def _focused(logits: jax.Array, gamma: float) -> tuple[jax.Array, jax.Array]:
  """Returns (1 − p)^γ (−log p) and p^γ (−log(1 − p))."""
  check('gamma', gamma, '[0, inf)')
  positive, negative = _negative_logs(logits)
  # exp(γ log(1 − p)) keeps its gradient finite where (1 − p)^γ, for γ < 1, does not.
  return jnp.exp(-gamma * negative) * positive, jnp.exp(-gamma * positive) * negative


def _mixture(labels: jax.Array, positive: jax.Array, negative: jax.Array) -> jax.Array:
  return labels * positive + (1 - labels) * negative

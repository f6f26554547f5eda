"""Losses over a whole batch of yes-or-no questions; see medjax.losses for their contract."""

import jax
import jax.numpy as jnp

from medjax.losses.common import check, widen

__all__ = ['auc_margin']


def auc_margin(
  logits: jax.Array, labels: jax.Array, mask: jax.Array, margin: float = 1.0
) -> jax.Array:
  """The AUC margin loss of each label: Yuan et al. 2020, arXiv 2012.03173.

  With p = sigmoid(logit), the paper minimises over a and b and maximises over α ≥ 0

    E[(p − a)² | y = 1] + E[(p − b)² | y = 0] + 2α (m − E[p | y = 1] + E[p | y = 0]) − α².

  Here the expectations are means over the batch, for which the optimum is known: a and b are the
  two means of p and α = max(0, m + b − a), which leaves

    var(p | y = 1) + var(p | y = 0) + max(0, m + b − a)².

  So nothing but the network is trained and any optimizer will do, where the paper's descends in a
  and b and ascends in α. What the paper hands to it is this times r (1 − r), r being the share of
  positives: that turns conditional means into sums over examples and has the same optimum for one
  label. The factor is left out here, or with several labels a finding in 1 % of the images would
  pull 25 times less than one in half of them.

  The batch must be large enough to hold positives of every label now and then, and scores are
  ranked, not calibrated. The paper starts from a network trained with cross-entropy.

  Args:
    logits: f[B, L].
    labels: f32[B, L] in [0, 1]; a soft label is a positive with weight y and a negative with 1 − y.
    mask: f32[B, L], 0 where the label is unknown, otherwise 1 or the weight of the image.
    margin: m above 0, by which the mean positive should exceed the mean negative.

  Returns:
    f32[L], without unit; 0, and so the gradient, for a label that lacks positives or negatives in
    this batch.

  Raises:
    ValueError: margin not above 0.
  """
  check('margin', margin, '(0, inf)')
  p = jax.nn.sigmoid(widen(logits))
  a, positive_variance, any_positive = _moments(p, mask * labels)
  b, negative_variance, any_negative = _moments(p, mask * (1 - labels))
  short = jnp.maximum(margin + b - a, 0.0)
  loss = positive_variance + negative_variance + short**2
  return jnp.where(any_positive & any_negative, loss, 0.0)


def _moments(p: jax.Array, weight: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
  """Returns the weighted mean and variance over the batch, f32[L], and whether there is weight."""
  total = jnp.sum(weight, axis=0)
  weight = weight / jnp.where(total > 0, total, 1.0)
  mean = jnp.sum(weight * p, axis=0)
  return mean, jnp.sum(weight * (p - mean) ** 2, axis=0), total > 0

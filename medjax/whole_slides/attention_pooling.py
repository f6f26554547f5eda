"""A slide from the features of its patches: gated attention pooling.

Ilse, Tomczak and Welling 2018, "Attention-based Deep Multiple Instance Learning", arXiv 1802.04712:
a bag (a slide) is the average of its instances (its patches), z = Σ a_k h_k, weighted by

  a_k = exp(wᵀ (tanh(V h_k) ⊙ sigm(U h_k))) / Σ_j exp(wᵀ (tanh(V h_j) ⊙ sigm(U h_j)))

so that the order and the number of patches do not matter, and the weights show which patches
decided.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp


class AttentionPooling(nn.Module):
  """Bags of features f32[B, N, D] and mask bool[B, N] → logits f32[B, L], attention f32[B, N].

  The attention of a bag sums to 1 over its patches and is 0 in the padding.

  Attributes:
    num_labels: L.
    width: of the hidden layer that V and U lead to.
  """

  num_labels: int
  width: int = 128

  @nn.compact
  def __call__(self, features: jax.Array, mask: jax.Array) -> tuple[jax.Array, jax.Array]:
    # Padding may hold anything; masked any later, infinities would make gradients NaN.
    features = jnp.where(mask[..., None], features.astype(jnp.float32), 0)
    content = nn.tanh(nn.Dense(self.width, use_bias=False, name='V')(features))
    gate = nn.sigmoid(nn.Dense(self.width, use_bias=False, name='U')(features))
    scores = nn.Dense(1, use_bias=False, name='w')(content * gate)[..., 0]
    attention = jax.nn.softmax(scores, axis=1, where=mask)
    pooled = jnp.einsum('bn,bnd->bd', attention, features)
    # From zero, the head first learns the sign of each feature. In two trials of four a random
    # start had the sign wrong, and attention learned to avoid the patches that decide, for good.
    head = nn.Dense(self.num_labels, kernel_init=nn.initializers.zeros_init(), name='head')
    return head(pooled), attention

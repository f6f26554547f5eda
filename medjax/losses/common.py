"""What the losses of all heads share: precision, checks of settings, smoothing, effective
numbers.
"""

import math

import jax
import jax.numpy as jnp


def widen(logits: jax.Array) -> jax.Array:
  """Returns the logits in float32, or as they are where they are wider."""
  return logits.astype(jnp.promote_types(logits.dtype, jnp.float32))


def check(name: str, value: float, interval: str) -> None:
  """Raises ValueError, in one sentence, where a plain number lies outside such as '[0, 1)'.

  Anything but a plain number passes: an array's values are not there while a step is traced.
  """
  if not isinstance(value, int | float):
    return
  low, high = map(float, interval[1:-1].split(','))
  above = low <= value if interval[0] == '[' else low < value
  below = value <= high if interval[-1] == ']' else value < high
  if not (above and below):
    raise ValueError(f'{name}={value}: must be in {interval}')


def smooth(labels: jax.Array, smoothing: float, classes: int) -> jax.Array:
  """Returns y (1 − ε) + ε / classes, f32[B, L].

  Szegedy et al. 2015, arXiv 1512.00567, section 7; Müller et al. 2019, arXiv 1906.02629.

  Raises:
    ValueError: smoothing outside [0, 1).
  """
  check('smoothing', smoothing, '[0, 1)')
  return labels * (1 - smoothing) + smoothing / classes


def effective_number(counts: jax.Array, beta: float) -> jax.Array:
  """Returns E_n = (1 − β^n) / (1 − β) of each class: Cui et al. 2019, arXiv 1901.05555, section 3.

  It grows from n, as β nears 1, to 1 at β = 0. Exact to float32 for any n that float32 holds.

  Args:
    counts: f32[L], examples n of each class; E_0 = 0.
    beta: β = (N − 1) / N for a class of N distinguishable examples.

  Raises:
    ValueError: beta outside [0, 1).
  """
  check('beta', beta, '[0, 1)')
  # 1 − β^n loses every digit as β nears 1. The least β is not 0, because log(0) · n is NaN at n =
  # 0.
  return jnp.expm1(counts * math.log(max(beta, 1e-300))) / (beta - 1)

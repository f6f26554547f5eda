"""Calibration on the device, as part of a program that must run without medjax."""

from collections.abc import Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from medjax.evaluation import calibration

_HIGHEST = float(np.nextafter(np.float32(1), np.float32(0)))


def apply(fitted: Mapping[str, Any], probabilities: jax.Array, labels: Sequence[str]) -> jax.Array:
  """f32[B, L] → f32[B, L], as `medjax.evaluation.calibration.apply` but for float32's rounding.

  Args:
    fitted: from `medjax.evaluation.calibration.fit`, of the same labels.
    probabilities: as the network gives them.
    labels: L names, in their order.
  """
  if 'classes' not in fitted:
    columns = [
      _of_label(fitted['labels'][label], probabilities[:, column])
      for column, label in enumerate(labels)
    ]
    return jnp.stack(columns, axis=1)
  theirs = fitted['classes']['labels']
  order = np.array([list(labels).index(label) for label in theirs])
  calibrated = _of_classes(fitted['classes'], probabilities[:, order])
  return calibrated[:, np.argsort(order)]


def _of_label(of: Mapping[str, Any], scores: jax.Array) -> jax.Array:
  clipped = jnp.clip(scores, calibration.LOWEST, _HIGHEST)
  logits = jnp.log(clipped) - jnp.log1p(-clipped)
  if 'temperature' in of:
    return jax.nn.sigmoid(logits / of['temperature'])
  if 'slope' in of:
    return jax.nn.sigmoid(of['slope'] * logits + of['intercept'])
  return _interpolated(of['breakpoints'], scores) if 'breakpoints' in of else scores


def _of_classes(of: Mapping[str, Any], probabilities: jax.Array) -> jax.Array:
  logs = jnp.log(jnp.maximum(probabilities, calibration.LOWEST))
  if 'temperature' in of:
    return jax.nn.softmax(logs / of['temperature'])
  if 'slope' in of:
    return jax.nn.softmax(jnp.array(of['slope']) * logs + jnp.array(of['intercept']))
  if 'breakpoints' not in of:
    return probabilities
  columns = [_interpolated(*column) for column in zip(of['breakpoints'], probabilities.T)]
  each = jnp.stack(columns, axis=1)
  return each / each.sum(axis=1, keepdims=True)


def _interpolated(breakpoints: Sequence[Sequence[float]], scores: jax.Array) -> jax.Array:
  at, values = np.asarray(breakpoints, np.float32).T
  return jnp.interp(scores, at, values)

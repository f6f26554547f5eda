"""Calibration on the device, as part of a program that must run without medjax."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from medjax.evaluation import calibration
from medjax.evaluation.calibration import Calibration, ClassesCalibration, LabelCalibration


def apply(fitted: Calibration, probabilities: jax.Array, labels: Sequence[str]) -> jax.Array:
  """f32[B, L] → f32[B, L], as `medjax.evaluation.calibration.apply` but for float32's rounding.

  Args:
    fitted: from `medjax.evaluation.calibration.fit`, of the same labels.
    probabilities: as the network gives them.
    labels: L names, in their order.
  """
  if fitted.classes is None:
    of_labels = fitted.labels or {}
    columns = [
      _of_label(of_labels[label], probabilities[:, column]) for column, label in enumerate(labels)
    ]
    return jnp.stack(columns, axis=1)
  order = np.array([list(labels).index(label) for label in fitted.classes.labels])
  calibrated = _of_classes(fitted.classes, probabilities[:, order])
  return calibrated[:, np.argsort(order)]


def _of_label(fitted: LabelCalibration, scores: jax.Array) -> jax.Array:
  # HIGHEST is 1 in float32, so what is left to 1 is clipped in its place.
  rest = jnp.maximum(1 - scores, 1 - calibration.HIGHEST)
  logits = jnp.log(jnp.maximum(scores, calibration.LOWEST)) - jnp.log(rest)
  if fitted.temperature is not None:
    return jax.nn.sigmoid(logits / fitted.temperature)
  if fitted.slope is not None and fitted.intercept is not None:
    return jax.nn.sigmoid(fitted.slope * logits + fitted.intercept)
  return scores if fitted.breakpoints is None else _interpolated(fitted.breakpoints, scores)


def _of_classes(fitted: ClassesCalibration, probabilities: jax.Array) -> jax.Array:
  logs = jnp.log(jnp.maximum(probabilities, calibration.LOWEST))
  if fitted.temperature is not None:
    return jax.nn.softmax(logs / fitted.temperature)
  if fitted.slope is not None and fitted.intercept is not None:
    return jax.nn.softmax(jnp.array(fitted.slope) * logs + jnp.array(fitted.intercept))
  if fitted.breakpoints is None:
    return probabilities
  columns = [_interpolated(*column) for column in zip(fitted.breakpoints, probabilities.T)]
  calibrated = jnp.stack(columns, axis=1)
  return calibrated / calibrated.sum(axis=1, keepdims=True)


def _interpolated(breakpoints: Sequence[Sequence[float]], scores: jax.Array) -> jax.Array:
  at, values = np.asarray(breakpoints, np.float32).T
  return jnp.interp(scores, at, values)

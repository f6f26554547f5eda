"""Calibration on the device, as part of a program that must run without medjax."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp
import numpy as np

from medjax.evaluation.calibration import Calibration, ClassesCalibration, LabelCalibration


def apply(fitted: Calibration, log_odds: jax.Array, labels: Sequence[str]) -> jax.Array:
  """Log-odds f32[B, L] → calibrated probabilities f32[B, L].

  As `medjax.evaluation.calibration.apply` but for float32's rounding.

  Args:
    fitted: from `medjax.evaluation.calibration.fit`, of the same labels.
    log_odds: as the network gives them.
    labels: L names, in their order.
  """
  if fitted.classes is None:
    of_labels = fitted.labels or {}
    columns = [
      _of_label(of_labels[label], log_odds[:, column]) for column, label in enumerate(labels)
    ]
    return jnp.stack(columns, axis=1)
  order = np.array([list(labels).index(label) for label in fitted.classes.labels])
  calibrated = _of_classes(fitted.classes, log_odds[:, order])
  return calibrated[:, np.argsort(order)]


def _of_label(fitted: LabelCalibration, log_odds: jax.Array) -> jax.Array:
  if fitted.temperature is not None:
    return jax.nn.sigmoid(log_odds / fitted.temperature)
  if fitted.slope is not None and fitted.intercept is not None:
    return jax.nn.sigmoid(fitted.slope * log_odds + fitted.intercept)
  scores = jax.nn.sigmoid(log_odds)
  return scores if fitted.breakpoints is None else _interpolated(fitted.breakpoints, scores)


def _of_classes(fitted: ClassesCalibration, log_odds: jax.Array) -> jax.Array:
  logs = jax.nn.log_sigmoid(log_odds)
  if fitted.temperature is not None:
    return jax.nn.softmax(logs / fitted.temperature)
  if fitted.slope is not None and fitted.intercept is not None:
    return jax.nn.softmax(jnp.array(fitted.slope) * logs + jnp.array(fitted.intercept))
  if fitted.breakpoints is None:
    return jnp.exp(logs)
  columns = [_interpolated(*column) for column in zip(fitted.breakpoints, jnp.exp(logs).T)]
  calibrated = jnp.stack(columns, axis=1)
  return calibrated / calibrated.sum(axis=1, keepdims=True)


def _interpolated(breakpoints: Sequence[Sequence[float]], scores: jax.Array) -> jax.Array:
  """As numpy.interp, written as a sum of ramps: it has no search, which ONNX would have to loop."""
  at, values = np.asarray(breakpoints, np.float32).T
  widths = np.maximum(np.diff(at), np.finfo(np.float32).tiny)  # Two may be one in float32.
  ramps = jnp.clip((scores[:, None] - at[:-1]) / widths, 0.0, 1.0)
  return values[0] + (ramps * np.diff(values)).sum(axis=1)

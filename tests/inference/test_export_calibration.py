"""Calibration on the device equals that of numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from medjax.config import vocabulary
from medjax.evaluation import calibration
from medjax.inference import export_calibration

LABELS = ['Edema', 'Mass', 'Nodule']


@pytest.mark.parametrize('method', vocabulary.CALIBRATIONS)
@pytest.mark.parametrize('head', ['sigmoid', 'softmax', 'ordinal'])
def test_equals_numpys(method, head):
  rng = np.random.default_rng(0)
  scores = rng.normal(size=(400, 3))
  if head == 'sigmoid':
    truth = rng.random(scores.shape) < 1 / (1 + np.exp(-2 * scores - 0.5))
    probabilities = 1 / (1 + np.exp(-scores))
  else:
    probabilities = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    chosen = (np.log(probabilities) * 2 + rng.gumbel(size=scores.shape)).argmax(axis=1)
    truth = np.eye(3, dtype=bool)[chosen]
  probabilities = probabilities.astype(np.float32)
  fitted = calibration.fit(method, probabilities, truth, np.ones(truth.shape, bool), LABELS, head)
  order = [2, 0, 1]
  given, names = probabilities[:, order], [LABELS[at] for at in order]
  if head == 'sigmoid':
    given[:2] = [[0], [1]]
  expected = calibration.apply(fitted, given, names)
  calibrated = export_calibration.apply(fitted, jnp.asarray(given), names)
  np.testing.assert_allclose(calibrated, expected, rtol=0, atol=2e-6)
  assert method == 'none' or np.abs(expected - given).max() > 0.01


@pytest.mark.parametrize(
  'parameters',
  [{'slope': 0.1, 'intercept': 0.0}, {'slope': 0.3, 'intercept': -1.0}, {'temperature': 5.0}],
)
def test_a_certain_network_is_calibrated_alike(parameters):
  # A shallow slope makes much of how far from 1 a float32 that says 1 is taken to be.
  of_label = calibration.LabelCalibration(**parameters)
  fitted = calibration.Calibration('platt', 'sigmoid', {'x': of_label})
  certain = np.float32([[0], [1e-30], [1 - 2.0**-24], [1]])
  expected = calibration.apply(fitted, certain, ['x'])
  np.testing.assert_allclose(
    export_calibration.apply(fitted, jnp.asarray(certain), ['x']), expected, rtol=0, atol=2e-6
  )

"""Calibration on the device equals that of numpy."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import special

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
  log_odds = np.asarray(special.logit(probabilities), np.float32)
  probabilities = special.expit(np.asarray(log_odds, np.float64))
  known = np.ones(truth.shape, bool)
  fitted = calibration.fit(method, probabilities, truth, known, LABELS, head, log_odds=log_odds)
  order = [2, 0, 1]
  given, names = log_odds[:, order], [LABELS[at] for at in order]
  if head == 'sigmoid':
    given[:2] = [[-80], [80]]
  shown = special.expit(np.asarray(given, np.float64))
  expected = calibration.apply(fitted, shown, names, given)
  calibrated = export_calibration.apply(fitted, jnp.asarray(given), names)
  # Between two steps of validation a float32 makes more of its rounding.
  tolerance = 3e-5 if method == 'isotonic' else 2e-6
  np.testing.assert_allclose(calibrated, expected, rtol=0, atol=tolerance)
  assert method == 'none' or np.abs(expected - shown).max() > 0.01


@pytest.mark.parametrize(
  'parameters',
  [{'slope': 0.1, 'intercept': 0.0}, {'slope': 0.3, 'intercept': -1.0}, {'temperature': 5.0}],
)
def test_a_certain_network_is_calibrated_alike(parameters):
  # A shallow slope makes much of how certain a network is that says 1 in float32.
  of_label = calibration.LabelCalibration(**parameters)
  fitted = calibration.Calibration('platt', 'sigmoid', {'x': of_label})
  certain = np.float32([[-40], [-17], [16.6], [17.4], [40]])
  shown = special.expit(np.asarray(certain, np.float64))
  expected = calibration.apply(fitted, shown, ['x'], certain)
  assert len(np.unique(expected)) == len(certain)
  np.testing.assert_allclose(
    export_calibration.apply(fitted, jnp.asarray(certain), ['x']), expected, rtol=0, atol=2e-6
  )

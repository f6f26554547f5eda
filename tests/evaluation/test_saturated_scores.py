"""Networks that are certain of a fifth of the images: their order is not lost in rounding."""

import numpy as np
import pytest
from scipy import special, stats

from medjax.config.protocol import Protocol
from medjax.evaluation import assessment, frozen, joining, levels, predictions
from medjax.evaluation.predictions import Predictions

IMAGES = 2000


def of_network(log_odds, truth, labels, patients=None):
  """Predictions as a run makes them of what its network says."""
  probabilities, log_odds = predictions.probabilities_of(log_odds)
  names = [str(row) for row in range(len(truth))]
  whose = names if patients is None else [str(patient) for patient in patients]
  known = np.ones(truth.shape, bool)
  return Predictions(names, whose, labels, probabilities, truth, known, log_odds=log_odds)


def certain(seed=0, classes=1):
  """Logits whose upper fifth is above 17, where a float32 probability is 1, and their truth."""
  rng = np.random.default_rng(seed)
  ill = rng.random(IMAGES) < 0.4
  logit = rng.normal(np.where(ill, 14.0, 4.0), 8.0).astype(np.float32)
  assert 0.15 < (logit > 17).mean() < 0.25
  if classes == 1:
    return logit[:, None], ill[:, None].astype(np.float32)
  return np.stack((logit, -logit), axis=1), np.stack((ill, ~ill), axis=1).astype(np.float32)


def area(scores, truth):
  """By scipy's Mann-Whitney statistic."""
  positive = truth == 1
  u = stats.mannwhitneyu(scores[positive], scores[~positive]).statistic
  return u / positive.sum() / (~positive).sum()


def aurocs(validation, test, **settings):
  protocol = Protocol(replicates=0, **settings)
  result = assessment.assess(validation, test, protocol).result
  return [of_label.auroc.value for of_label in result.labels.values()], result


@pytest.mark.parametrize('calibration', ['none', 'temperature', 'platt'])
def test_the_auroc_is_that_of_the_logits(calibration):
  (logit, truth), (other, truth_of_other) = certain(0), certain(1)
  test, validation = (
    of_network(logit, truth, ['x']), of_network(other, truth_of_other, ['x']),
  )  # fmt: skip
  (value,), result = aurocs(validation, test, calibration=calibration)
  exact = area(logit[:, 0], truth[:, 0])
  assert value == pytest.approx(exact, abs=1e-12)
  assert result.labels['x'].delong.interval[0] < exact < result.labels['x'].delong.interval[1]
  # What float32 probabilities made of it.
  rounded = special.expit(logit[:, 0])
  assert rounded.dtype == np.float32 and exact - area(rounded, truth[:, 0]) > 0.0025


@pytest.mark.parametrize('calibration', ['none', 'temperature', 'platt'])
def test_two_complementary_classes_have_one_auroc(calibration):
  (logits, truth), (other, truth_of_other) = certain(0, 2), certain(1, 2)
  test, validation = (
    of_network(logits, truth, ['ill', 'well']),
    of_network(other, truth_of_other, ['ill', 'well']),
  )
  (ill, well), _ = aurocs(validation, test, calibration=calibration, head='softmax')
  assert ill == well
  if calibration != 'platt':  # A slope for each class may rank anew.
    assert ill == pytest.approx(area(logits[:, 0], truth[:, 0]), abs=1e-12)
  rounded = special.expit(logits)
  of_float32 = [area(rounded[:, k], truth[:, k]) for k in range(2)]
  assert abs(of_float32[0] - of_float32[1]) > 0.002


@pytest.mark.parametrize('aggregate', ['max', 'mean', 'top:0.5'])
def test_patients_of_certain_images_keep_their_order(aggregate):
  logit, truth = certain()
  patients = np.repeat(np.arange(IMAGES // 2), 2)
  of_patient = levels.to_level(of_network(logit, truth, ['x'], patients), 'patient', aggregate)
  pairs = np.sort(logit[:, 0].reshape(-1, 2).astype(np.longdouble), axis=1)
  lower, upper = 1 / (1 + np.exp(pairs[:, 0])), 1 / (1 + np.exp(pairs[:, 1]))  # 1 - p
  rest = (lower + upper) / 2 if aggregate == 'mean' else upper
  expected = np.log1p(-rest) - np.log(rest)
  np.testing.assert_allclose(of_patient.log_odds[:, 0], expected.astype(float), atol=1e-12)
  np.testing.assert_allclose(of_patient.probabilities[:, 0], 1 - rest.astype(float), atol=1e-12)


def test_the_file_of_a_run_gives_back_what_its_network_said(tmp_path):
  logits, truth = certain(0, 2)
  given = of_network(logits, truth, ['ill', 'well'])
  level = frozen.freeze(given, Protocol(head='softmax', calibration='platt'))
  calibrated = frozen.calibrated(level, given).probabilities
  decided = {
    'prob_ill': calibrated[:, 0],
    'prob_well': calibrated[:, 1],
    'decision': ['ill'] * IMAGES,
  }
  path = tmp_path / 'test.csv'
  predictions.write(path, given, decided)
  header = path.read_text().splitlines()[0].split(',')
  assert header == [
    'image', 'patient', 'prob_ill', 'prob_well', 'decision', 'raw_ill', 'raw_well',
    'logit_ill', 'logit_well', 'true_ill', 'true_well',
  ]  # fmt: skip
  back = predictions.read(path)
  assert back.labels == given.labels and list(back.about) == []
  np.testing.assert_array_equal(back.log_odds, given.log_odds)
  np.testing.assert_array_equal(back.probabilities, given.probabilities)
  # A run of an earlier version: `prob_` is as the network gave it, and nothing else is known.
  old = given._replace(probabilities=given.probabilities.astype(np.float32), log_odds=None)
  predictions.write(path, old)
  assert path.read_text().splitlines()[0] == 'image,patient,prob_ill,prob_well,true_ill,true_well'
  back = predictions.read(path)
  assert back.log_odds is None
  np.testing.assert_array_equal(back.probabilities, old.probabilities)


def test_any_program_reads_the_calibrated_probabilities_of_a_run(tmp_path):
  logit, truth = certain()
  given = of_network(logit, truth, ['x'])
  level = frozen.freeze(given, Protocol(calibration='platt'))
  calibrated = frozen.calibrated(level, given).probabilities
  path = tmp_path / 'test.csv'
  predictions.write(path, given, {'prob_x': calibrated[:, 0], 'decision_x': [1] * IMAGES})
  joined = joining.read(path, None)
  assert joined.labels == ['x'] and list(joined.about) == []
  np.testing.assert_array_equal(joined.probabilities, calibrated)
  assert np.abs(calibrated - given.probabilities).max() > 0.1

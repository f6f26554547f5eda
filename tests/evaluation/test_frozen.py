"""What is frozen on validation: thresholds after calibration, and the file's round trip."""

import json

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from medjax.config import vocabulary
from medjax.config.protocol import Protocol
from medjax.errors import InputError
from medjax.evaluation import frozen, operating_points
from medjax.evaluation.frozen import Frozen, FrozenPoint
from medjax.evaluation.predictions import Predictions

LABELS = ['Edema', 'Mass', 'Hernia']
RULES = ('youden', 'sensitivity=0.9', 'threshold=0.5')


def predicted(seed=0, images=300, shares=(0.3, 0.15, 0)):
  rng = np.random.default_rng(seed)
  truth = (rng.random((images, len(LABELS))) < shares).astype(np.float32)
  scores = 1 / (1 + np.exp(-rng.normal(truth * 1.5, 1)))
  names = [f'{i}.png' for i in range(images)]
  known = rng.random(truth.shape) < 0.9
  return Predictions(
    names, names, LABELS, scores.astype(np.float32), np.where(known, truth, 0), known
  )


def shuffled(predictions, order=(2, 0, 1)):
  columns = list(order)
  return predictions._replace(
    labels=[predictions.labels[column] for column in columns],
    probabilities=predictions.probabilities[:, columns],
    truth=predictions.truth[:, columns],
    known=predictions.known[:, columns],
  )


@pytest.fixture(scope='module')
def level():
  return frozen.freeze(predicted(), Protocol(calibration='platt', operating_points=RULES))


@pytest.fixture(scope='module')
def content(level):
  return Frozen(
    step=400,
    split_sha256='ab' * 32,
    head='sigmoid',
    aggregate='max',
    levels={'image': level, 'study': level},
  )


def test_thresholds_are_of_calibrated_probabilities(level):
  validation = predicted()
  calibrated = frozen.calibrated(level, validation)
  assert calibrated.probabilities.dtype == np.float64
  for column, label in enumerate(LABELS[:2]):
    known = validation.known[:, column]
    scores, truth = calibrated.probabilities[known, column], validation.truth[known, column]
    points = level.operating_points[label]
    assert [point.rule for point in points] == list(RULES)
    for point in points:
      assert point.reason == ''
      assert point.threshold == operating_points.choose(point.rule, scores, truth)
    # The same decisions as by the raw probabilities: a slope above 0 changes no rank.
    false_positive_rate, sensitivity, _ = sklearn_metrics.roc_curve(
      truth, validation.probabilities[known, column]
    )
    negative, positive = sklearn_metrics.confusion_matrix(truth, scores >= points[0].threshold)
    assert positive[1] / positive.sum() + negative[0] / negative.sum() - 1 == pytest.approx(
      (sensitivity - false_positive_rate).max()
    )
  assert level.operating_points['Hernia'] == (
    FrozenPoint('youden', None, 'no positives on validation'),
    FrozenPoint('sensitivity=0.9', None, 'no positives on validation'),
    FrozenPoint('threshold=0.5', 0.5, ''),
  )


def test_labels_are_joined_by_name(level):
  other = predicted(1)
  expected = frozen.calibrated(level, other)
  again = frozen.calibrated(level, shuffled(other))
  assert again.labels == ['Hernia', 'Edema', 'Mass'] and again.images == other.images
  assert (again.probabilities == expected.probabilities[:, [2, 0, 1]]).all()
  decided = frozen.decide(level, other.labels, expected.probabilities)
  assert (frozen.decide(level, again.labels, again.probabilities) == decided[:, [2, 0, 1]]).all()


def test_decisions_are_at_the_first_operating_point(level):
  threshold = level.operating_points['Mass'][0].threshold
  below = np.nextafter(threshold, 0)
  decided = frozen.decide(level, ['Mass', 'Hernia'], [[threshold, 0.9], [below, 0.1]])
  assert decided.tolist() == [[1, -1], [0, -1]]
  with pytest.raises(InputError, match=r"'Masses' has no operating point.*did you mean 'Mass'"):
    frozen.decide(level, ['Masses'], [[0.5]])


@pytest.mark.parametrize('method', vocabulary.CALIBRATIONS)
@pytest.mark.parametrize('head', vocabulary.HEADS)
def test_the_file_gives_back_the_same_bits(tmp_path, head, method):
  validation = predicted(shares=(0.3, 0.3, 0.3))
  if head != 'sigmoid':
    rng = np.random.default_rng(0)
    truth = np.eye(3, dtype=np.float32)[rng.choice(3, 300, p=(0.6, 0.3, 0.1))]
    raw = np.exp(rng.normal(truth * 1.5, 1))
    validation = validation._replace(
      probabilities=(raw / raw.sum(axis=1, keepdims=True)).astype(np.float32),
      truth=truth,
      known=np.ones(truth.shape, bool),
    )
  of_level = frozen.freeze(
    validation, Protocol(head=head, calibration=method, operating_points=RULES)
  )
  content = Frozen(None, None, head, 'max', {'image': of_level})
  frozen.write(tmp_path, content)
  back = frozen.read(tmp_path, ['Hernia', 'Edema', 'Mass'])
  assert back == content
  for predictions in (validation, shuffled(validation)):
    first, second = (
      frozen.calibrated(frozen_level, predictions)
      for frozen_level in (of_level, back.levels['image'])
    )
    assert (first.probabilities == second.probabilities).all()
    assert (
      frozen.decide(of_level, predictions.labels, first.probabilities)
      == frozen.decide(back.levels['image'], predictions.labels, second.probabilities)
    ).all()
  assert [path.name for path in tmp_path.iterdir()] == ['frozen.json']


def test_other_labels_are_named(level, content, tmp_path):
  renamed = predicted()._replace(labels=['Edema', 'Mass', 'Herna'])
  with pytest.raises(InputError, match=r"'Herna' has no calibration.*did you mean 'Hernia'"):
    frozen.calibrated(level, renamed)
  frozen.write(tmp_path, content)
  for labels, words in (
    (['Edema', 'Mass', 'Hernia', 'Fracture'], "frozen.json: label 'Fracture' is predicted"),
    (['Edema', 'Hernia'], "frozen.json: label 'Mass' was calibrated"),
    (['Edema', 'Mas', 'Hernia'], "did you mean 'Mass'"),
  ):
    with pytest.raises(InputError) as error:
      frozen.read(tmp_path, labels)
    assert words in str(error.value) and '\n' not in str(error.value)


def test_no_file_is_a_run_that_is_not_finished(tmp_path):
  with pytest.raises(InputError, match=r'frozen\.json: no such file; the run is not finished'):
    frozen.read(tmp_path, LABELS)


def _without_reason(content):
  del content['levels']['image']['operating_points']['Mass'][0]['reason']


def _threshold_in_words(content):
  content['levels']['study']['operating_points']['Mass'][0]['threshold'] = '0.3'


def _threshold_nan(content):
  content['levels']['image']['operating_points']['Mass'][0]['threshold'] = float('nan')


def _no_rules(content):
  content['levels']['image']['operating_points']['Mass'] = []


def _other_rule(content):
  content['levels']['image']['operating_points']['Mass'][0]['rule'] = 'youdn'


def _no_image_level(content):
  del content['levels']['image']


def _labels_differ(content):
  del content['levels']['study']['operating_points']['Mass']


def _calibration_lacks_a_label(content):
  del content['levels']['image']['calibration']['labels']['Mass']


def _slope_in_words(content):
  content['levels']['image']['calibration']['labels']['Mass']['slope'] = 'steep'


def _slope_nan(content):
  content['levels']['image']['calibration']['labels']['Mass']['slope'] = float('nan')


def _list(content):
  content['levels'] = [1]


@pytest.mark.parametrize(
  'spoil',
  [
    _without_reason, _threshold_in_words, _threshold_nan, _no_rules, _other_rule, _no_image_level,
    _labels_differ, _calibration_lacks_a_label, _slope_in_words, _slope_nan, _list,
  ],
)  # fmt: skip
def test_an_edited_file_is_one_clear_line(spoil, content, tmp_path):
  spoilt = json.loads(json.dumps(frozen.to_plain(content)))
  spoil(spoilt)
  (tmp_path / 'frozen.json').write_text(json.dumps(spoilt))
  with pytest.raises(InputError, match=r'frozen\.json: not what a run wrote') as error:
    frozen.read(tmp_path, LABELS)
  assert '\n' not in str(error.value)


def test_no_json_and_another_version(content, tmp_path):
  frozen.write(tmp_path, content)
  path = tmp_path / 'frozen.json'
  whole = path.read_text()
  for text in (whole[:100], '[]', ''):
    path.write_text(text)
    with pytest.raises(InputError, match=r'frozen\.json: not the JSON'):
      frozen.read(tmp_path, LABELS)
  path.write_text(whole.replace('"version": 1', '"version": 2'))
  with pytest.raises(InputError, match='is of version 2'):
    frozen.read(tmp_path, LABELS)


def test_wrong_settings_are_named():
  for settings, words in (
    ({'calibration': 'plat'}, "did you mean 'platt'"),
    ({'operating_points': ('yoden',)}, "did you mean 'youden'"),
    ({'operating_points': ()}, 'is empty'),
  ):
    with pytest.raises(InputError, match=words):
      frozen.freeze(predicted(), Protocol(**settings))

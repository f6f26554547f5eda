"""From predictions to results: the order, the levels, and what stays frozen."""

import json

import numpy as np
import pandas as pd
import pytest
from sklearn import metrics

from medjax.config.protocol import Protocol
from medjax.errors import InputError
from medjax.evaluation import assessment, frozen, results_file
from medjax.evaluation.label_result import Confusion
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Result, Size


def predicted(seed, patients=80, prefix='p'):
  """Two studies of two images for each patient; a finding is a study's."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), 4)
  study = np.tile([0, 0, 1, 1], patients)
  ill = np.repeat(rng.random((patients * 2, 2)) < (0.4, 0.2), 2, axis=0)
  scores = 1 / (1 + np.exp(-rng.normal(1.5 * ill - 2, 1)))
  return Predictions(
    [f'{prefix}{p}/{i}.jpg' for i, p in enumerate(patient)],
    [f'{prefix}{p}' for p in patient],
    ['Edema', 'Mass'],
    scores.astype(np.float32),
    ill.astype(np.float32),
    np.ones(ill.shape, bool),
    pd.DataFrame({'study': study.astype(str), 'sex': np.where(patient % 2, 'F', 'M')}),
  )


VALIDATION, TEST = predicted(0, prefix='v'), predicted(1, prefix='t')
SETTINGS = {'calibration': 'platt', 'subgroups': ('sex', 'scanner'), 'replicates': 40}


@pytest.fixture(scope='module')
def by_study():
  return assessment.assess(VALIDATION, TEST, Protocol(level='study', **SETTINGS))


def test_what_json_can_hold(by_study):
  text = json.dumps(results_file.to_plain(by_study.result), allow_nan=False)
  assert results_file.from_plain(json.loads(text), Result) == by_study.result


def test_studies_are_tested_by_the_highest_of_their_images(by_study):
  frame = pd.DataFrame({'p': TEST.probabilities[:, 0], 'y': TEST.truth[:, 0]})
  units = frame.groupby([TEST.patients, TEST.about['study']], sort=False).max()
  assessed = by_study.result
  assert assessed.test == Size(images=160, patients=80) and assessed.unit == 'study'
  auroc = assessed.labels['Edema'].auroc.value
  assert auroc == pytest.approx(metrics.roc_auc_score(units['y'], units['p']), abs=1e-9)
  assert list(assessed.levels) == ['image', 'study', 'patient']
  assert assessed.levels['study'].auroc.value == assessed.mean.auroc.value
  assert assessed.levels['image'].units == 320 and assessed.levels['patient'].units == 80
  assert {group.value for group in assessed.subgroups['sex']} == {'F', 'M'}


def test_images_and_the_level_are_frozen_apart(by_study):
  assert list(by_study.frozen) == ['image', 'study', 'patient']
  image = frozen.freeze(VALIDATION, Protocol(calibration='platt'))
  assert by_study.frozen['image'] == image
  assert by_study.frozen['study'].operating_points != image.operating_points
  point = by_study.result.labels['Mass'].operating_points[0]
  assert point.threshold == by_study.frozen['study'].operating_points['Mass'][0].threshold


def test_the_test_set_chooses_nothing(by_study):
  other = assessment.assess(
    VALIDATION, predicted(2, prefix='t'), Protocol(level='study', **SETTINGS)
  )
  assert other.frozen == by_study.frozen
  again = assessment.assess(
    predicted(3, prefix='v'), TEST, Protocol(level='study', **SETTINGS), frozen=by_study.frozen
  )
  assert again.frozen == by_study.frozen
  assert again.result.labels['Mass'].auroc == by_study.result.labels['Mass'].auroc


@pytest.mark.parametrize('level', ['image', 'study'])
def test_the_level_of_the_report_is_reported_alike_in_the_table_of_levels(level):
  # Isotonic calibration ties probabilities, which moves the areas.
  settings = SETTINGS | {'calibration': 'isotonic', 'replicates': 20}
  assessed = assessment.assess(VALIDATION, TEST, Protocol(level=level, **settings)).result
  for name in ('auroc', 'auprc'):
    assert getattr(assessed.levels[level], name).value == pytest.approx(
      getattr(assessed.mean, name).value, abs=1e-12
    )
    assert getattr(assessed.levels[level], name).interval == pytest.approx(
      getattr(assessed.mean, name).interval
    )


@pytest.mark.parametrize('method', ['none', 'temperature', 'platt', 'isotonic'])
def test_calibration_does_not_hide_that_classes_are_not_exclusive(method):
  # Two answers of their own, as a sigmoid gives them, for two classes.
  truth = np.stack((TEST.truth[:, 0], 1 - TEST.truth[:, 0]), axis=1)
  wrong = TEST._replace(truth=truth)
  right = wrong._replace(
    probabilities=wrong.probabilities / wrong.probabilities.sum(axis=1)[:, None]
  )
  for parts, named in (((right, wrong), 'test'), ((wrong, right), 'validation')):
    with pytest.raises(InputError, match=f"^{named}: image 't0/0.jpg': probabilities sum to"):
      assessment.assess(
        *parts,
        Protocol(head='softmax', calibration=method, aggregate='mean', replicates=0),
      )


def test_a_fixed_threshold_decides_alike_at_every_level():
  # 0.7 in float32 is below 0.7.
  one = Predictions(
    list('abcd'), list('stuv'), ['Edema'], np.array([[0.7], [0.2], [0.7], [0.1]]),
    np.array([[1], [0], [0], [1]], np.float32), np.ones((4, 1), bool),
  )  # fmt: skip
  for level in ('image', 'patient'):
    assessed = assessment.assess(
      None, one, Protocol(operating_points=('threshold = 0.7',), level=level, replicates=0)
    )
    (point,) = assessed.result.labels['Edema'].operating_points
    assert point.confusion == Confusion(1, 1, 1, 1)


def test_other_predictions_stand_beside():
  worse = TEST._replace(probabilities=TEST.probabilities[::-1])
  (variant,) = assessment.assess(
    VALIDATION, TEST, Protocol(replicates=40), variants={'single model': worse}
  ).result.variants
  assert variant.name == 'single model'
  expected = [metrics.roc_auc_score(TEST.truth[:, i], worse.probabilities[:, i]) for i in (0, 1)]
  assert variant.auroc.value == pytest.approx(np.mean(expected), abs=1e-9)
  low, high = variant.auroc.interval
  assert low < variant.auroc.value < high


def test_patients_need_identifiers_at_every_level():
  unnamed = TEST._replace(patients=list(TEST.images))
  for level in ('image', 'patient'):
    protocol = Protocol(level=level, replicates=5)
    notes = assessment.assess(VALIDATION, unnamed, protocol).result.notes
    assert sum('No patient identifiers in test' in note for note in notes) == 1
    notes = assessment.assess(VALIDATION, TEST, protocol).result.notes
    assert not any('No patient identifiers' in note for note in notes)

"""Predictions of any model, evaluated and compared, against scikit-learn and what must be so."""

import dataclasses

import prediction_files
import pytest
from sklearn import metrics

from medjax.config.protocol import Protocol
from medjax.errors import InputError
from medjax.evaluation import operating_points, results_file
from medjax.evaluation.contrasts import Comparison
from medjax.evaluation.result import Result
from medjax.final_test import again, compare
from medjax.final_test.again import PredictionFiles


@pytest.fixture(scope='module')
def files(tmp_path_factory):
  folder = tmp_path_factory.mktemp('files')
  return folder, prediction_files.write(folder)


def given(folder, predictions='t', truth='t_truth', **others):
  path = {'predictions': predictions, 'truth': truth, **others}
  return PredictionFiles(
    **{name: value and folder / f'{value}.csv' for name, value in path.items()}
  )


def test_figures_are_those_of_scikit_learn(files, tmp_path):
  folder, tables = files
  protocol = Protocol(
    operating_points=('youden', 'sensitivity=0.9'),
    prevalence={'Mass': 0.01},
    subgroups=('sex',),
    replicates=100,
  )
  readers = folder / 'readers.csv'
  with_validation = given(folder, validation='v', validation_truth='v_truth')
  result, page = again.evaluate_files(with_validation, protocol, tmp_path, readers=[readers])
  for label in prediction_files.LABELS:
    test, validation = tables['t'], tables['v']
    scores, truth = test[f'prob_{label}'], test[label]
    of_label = result.labels[label]
    assert of_label.auroc.value == pytest.approx(metrics.roc_auc_score(truth, scores), abs=1e-9)
    threshold = operating_points.choose(
      'youden', validation[f'prob_{label}'].to_numpy(), validation[label].to_numpy()
    )
    assert of_label.decision.threshold == threshold
    precision = metrics.precision_score(truth, scores >= threshold)
    assert of_label.decision.ppv.value == pytest.approx(precision)
  assert (result.test.images, result.test.patients) == (180, 90)
  assert {group.value for group in result.subgroups['sex']} == {'F', 'M'}
  assert result.readers.readers == ('ann', 'bo', 'cy')
  assert result.labels['Mass'].decision.at_prevalence.prevalence == 0.01
  assert result.facts['thresholds from'] == f'{folder}/v.csv'
  assert results_file.load(tmp_path / 'evaluation.json', Result, '') == result
  text = page.read_text()
  assert result.study_notes == (again.not_recorded(folder / 't.csv'),)
  assert result.study_notes[0] in text and 'Readers beside the model' in text
  assert 'http:' not in text and 'https:' not in text


def test_without_validation_only_fixed_thresholds(files, tmp_path):
  folder, _ = files
  protocol = Protocol(operating_points=('youden', 'threshold=0.5'), replicates=20)
  result, page = again.evaluate_files(given(folder), protocol, tmp_path)
  first, second = result.labels['Mass'].operating_points
  assert first.threshold is None and 'no validation' in first.reason
  assert second.threshold == 0.5 and second.sensitivity.interval
  assert not (tmp_path / 'frozen.json').exists()
  assert 'whether anybody had seen the test set by then is not recorded' in page.read_text()


def test_a_comparison_is_written_and_another_is_not_overwritten(files, tmp_path):
  folder, _ = files
  protocol = Protocol(replicates=200)
  against = folder / 'worse.csv'
  compared = compare.compare_files(given(folder), against, protocol, tmp_path)
  difference = compared.comparison.mean.auroc.difference
  assert difference.value > 0.2 and difference.interval[0] > 0
  path = tmp_path / 'against_worse.json'
  assert results_file.load(path, Comparison, '') == compared.comparison
  assert compared.comparison.between == (f'{folder}/t.csv', f'{folder}/worse.csv')
  assert compared.notes == tuple(
    f'Of {folder}/{name}.csv: {again.not_recorded(folder / f"{name}.csv")}'
    for name in ('t', 'worse')
  )
  page = compared.page.read_text()
  assert all(note in page for note in compared.notes)
  again_compared = compare.compare_files(given(folder), against, protocol, tmp_path)
  assert again_compared.comparison == compared.comparison
  # Other predictions whose file has the same name are not written over it, nor is a file of others.
  (tmp_path / 'worse.csv').write_bytes((folder / 't.csv').read_bytes())
  before = path.read_bytes()
  with pytest.raises(InputError, match='holds another comparison than of'):
    compare.compare_files(given(folder), tmp_path / 'worse.csv', protocol, tmp_path)
  assert path.read_bytes() == before
  path.write_text('{}')
  with pytest.raises(InputError, match='holds another comparison than of'):
    compare.compare_files(given(folder), against, protocol, tmp_path)


def test_patients_are_compared_at_their_level(files, tmp_path):
  folder, tables = files
  protocol = Protocol(level='patient', replicates=20)
  compared = compare.compare_files(given(folder), folder / 'worse.csv', protocol, tmp_path)
  assert compared.comparison.unit == 'patient' and compared.comparison.test.images == 90
  by_patient = tables['t'].groupby('patient').max()
  area = metrics.roc_auc_score(by_patient['Mass'], by_patient['prob_Mass'])
  assert compared.comparison.labels['Mass'].auroc.one.value == pytest.approx(area)


@pytest.mark.parametrize(
  ('settings', 'others', 'words'),
  [
    ({}, {'truth': 'v_truth'}, ['180 of 180 images', 'v_truth', 'v']),
    ({}, {'truth': 'none'}, ['none.csv', 'no such file']),
    ({}, {'predictions': 'one', 'truth': None}, ['no label has both positives and negatives', 'X']),
    ({}, {'predictions': 'patient', 'truth': None}, ['all images are of one patient']),
    ({}, {'predictions': 'outside', 'truth': None}, ['row 3', 'prob_X', '1.5']),
    ({'subgroups': ('sexes',)}, {}, ['subgroups=sexes', "'sex'"]),
    ({'calibration': 'platt'}, {}, ['calibration=platt', 'validation']),
    ({'prevalence': {'Mas': 0.1}}, {}, ["'Mass'"]),
    ({'operating_points': ('yuden',)}, {}, ["'youden'"]),
    ({}, {'readers': 'other'}, ['readers', 'v0.png']),
    ({}, {'validation': 't', 'validation_truth': 't_truth'}, ['validation', 'test images too']),
    ({}, {'against': 'v'}, ['v.csv', 'images']),
  ],
)
def test_bad_input_is_one_line(files, tmp_path, settings, others, words):
  folder, _ = files
  (folder / 'one.csv').write_text('image,patient,prob_X,true_X\na,1,0.5,1\nb,2,0.25,1\n')
  (folder / 'patient.csv').write_text('image,patient,prob_X,true_X\na,1,0.5,1\nb,1,0.25,0\n')
  (folder / 'outside.csv').write_text('image,patient,prob_X,true_X\na,1,0.5,1\nb,2,1.5,0\n')
  (folder / 'other.csv').write_text('image,reader,Mass\nv0.png,ann,1\nv1.png,ann,0\n')
  protocol = dataclasses.replace(Protocol(replicates=20), **settings)
  readers, against = (others.get(name) for name in ('readers', 'against'))
  named = given(
    folder, **{key: value for key, value in others.items() if key not in ('readers', 'against')}
  )
  paths = [folder / f'{readers}.csv'] if readers else []
  with pytest.raises(InputError) as caught:
    if against:
      compare.compare_files(named, folder / f'{against}.csv', protocol, tmp_path / 'out')
    else:
      again.evaluate_files(named, protocol, tmp_path / 'out', readers=paths)
  assert '\n' not in str(caught.value)
  for word in words:
    assert word in str(caught.value)

"""The whole evaluation: figures of scikit-learn, frozen thresholds, and honest words."""

import json

import numpy as np
import pytest
from frozen_evaluation import evaluate
from scipy import special
from sklearn import metrics as sklearn_metrics

from medjax.config.protocol import Protocol
from medjax.errors import InputError
from medjax.evaluation import (
  assessment,
  frozen,
  label_figures,
  operating_points,
  results_file,
  summary,
)
from medjax.evaluation.label_result import Confusion
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Result
from medjax.evaluation.statistics import intervals, metrics, resampled


def predicted(
  seed, patients, labels=('Edema', 'Mass', 'Fracture'), prefix='p', shares=(0.3, 0.2, 0)
):
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
  truth = (rng.random((len(patient), len(labels))) < np.array(shares)).astype(np.float32)
  scores = 1 / (1 + np.exp(-rng.normal(truth * 1.5 - 1, 1)))
  return Predictions(
    [f'{prefix}{p}/{i}.jpg' for i, p in enumerate(patient)],
    [f'{prefix}{p}' for p in patient],
    list(labels),
    scores.astype(np.float32),
    truth,
    rng.random(truth.shape) < 0.95,
  )


@pytest.fixture(scope='module')
def splits():
  return predicted(0, 120, prefix='v'), predicted(1, 150, prefix='t')


@pytest.fixture(scope='module')
def result(splits):
  return evaluate(*splits, replicates=200, seed=5)


def test_is_json_without_nan(result):
  text = json.dumps(results_file.to_plain(result), allow_nan=False)
  assert results_file.from_plain(json.loads(text), Result) == result


def test_figures_and_frozen_threshold(splits, result):
  validation, test = splits
  for index, label in enumerate(('Edema', 'Mass')):
    label_result = result.labels[label]
    known = test.known[:, index]
    y, score = test.truth[known, index], test.probabilities[known, index]
    assert label_result.auroc.value == pytest.approx(sklearn_metrics.roc_auc_score(y, score))
    assert label_result.auprc.value == pytest.approx(
      sklearn_metrics.average_precision_score(y, score)
    )
    chosen = validation.known[:, index]
    threshold = operating_points.choose(
      'youden', validation.probabilities[chosen, index], validation.truth[chosen, index]
    )
    point, other = label_result.operating_points
    assert (point.rule, point.threshold, point.reason) == ('youden', threshold, '')
    assert other.rule == 'specificity=0.9' and other.validation.specificity >= 0.9
    called = score.astype(np.float64) >= threshold
    negative, positive = sklearn_metrics.confusion_matrix(y, called)
    assert point.confusion == Confusion(
      true_positives=positive[1], false_positives=negative[1],
      true_negatives=negative[0], false_negatives=positive[0],
    )  # fmt: skip
    assert point.sensitivity.value == pytest.approx(positive[1] / y.sum())
    assert point.specificity.value == pytest.approx(negative[0] / (y == 0).sum())
    assert point.ppv.value == pytest.approx(sklearn_metrics.precision_score(y, called))
    assert point.f1.value == pytest.approx(sklearn_metrics.f1_score(y, called))
    assert label_result.brier.value == pytest.approx(
      sklearn_metrics.brier_score_loss(y, score.astype(np.float64)), abs=1e-12
    )
    assert label_result.prevalence == pytest.approx(y.mean())
    assert label_result.images == len(y) and label_result.positives == y.sum()
    assert label_result.positive_patients == len(set(np.array(test.patients)[known][y == 1]))
    for low, high in (label_result.auroc.interval, label_result.auroc.bca):
      assert low < label_result.auroc.value < high
    low, high = label_result.delong.interval
    assert low < label_result.auroc.value < high and label_result.delong.clustered
    assert isinstance(label_result.validation.auroc, float)


def test_mean_over_labels_with_both_classes(splits, result):
  mean = result.mean
  assert mean.labels == ('Edema', 'Mass')
  values = [result.labels[label].auroc.value for label in mean.labels]
  assert mean.auroc.value == pytest.approx(np.mean(values))
  prepared = resampled.prepare(np.array(splits[1].patients), *splits[1][3:6], np.full((3, 1), 0.5))
  counts = intervals.patient_counts(prepared.patients, 200, 5)
  drawn = resampled.compute(prepared, counts.astype(float))
  expected = np.quantile(drawn['auprc'][:, :2].mean(axis=1), (0.025, 0.975))
  assert mean.auprc.interval == pytest.approx(list(expected))
  # That of the AUROC is by DeLong on the scale of the logit: as far to either side there, and about
  # as wide as the bootstrap's.
  low, centre, high = special.logit(
    [mean.auroc.interval[0], mean.auroc.value, mean.auroc.interval[1]]
  )
  assert high - centre == pytest.approx(centre - low)
  widths = np.diff(np.quantile(drawn['auroc'][:, :2].mean(axis=1), (0.025, 0.975)))
  assert np.diff(mean.auroc.interval) == pytest.approx(widths, rel=0.2)
  assert mean.auroc.valid_replicates == 200


def test_a_label_without_positives_has_no_auroc(result):
  label_result = result.labels['Fracture']
  point = label_result.operating_points[0]
  for figure in (label_result.auroc, label_result.auprc, point.sensitivity, point.f1):
    assert figure.value is None and figure.interval is None
    assert figure.reason == 'no positives'
  assert point.threshold is None and label_result.roc is None and label_result.reliability is None
  assert label_result.brier.interval is not None  # probabilities can be wrong without positives
  assert any('no AUROC' in note and 'Fracture' in note for note in result.notes)


def test_same_seed_same_dictionary(splits, result):
  assert evaluate(*splits, replicates=200, seed=5) == result
  assert evaluate(*splits, replicates=200, seed=6) != result


def test_labels_are_joined_by_name(splits, result):
  validation, test = splits
  order = [2, 0, 1]
  shuffled = validation._replace(
    labels=[validation.labels[i] for i in order],
    probabilities=validation.probabilities[:, order],
    truth=validation.truth[:, order],
    known=validation.known[:, order],
  )
  assert evaluate(shuffled, test, replicates=200, seed=5) == result
  with pytest.raises(InputError, match=r"'Edema'.*did you mean 'edema'"):
    evaluate(validation._replace(labels=['edema', 'Mass', 'Fracture']), test, replicates=2)


def test_notes_name_what_weakens(splits):
  validation, test = (
    predicted(0, 20, shares=(0.3, 0.2, 0.04)),
    predicted(1, 30, shares=(0.3, 0.2, 0.04)),
  )
  notes = ' '.join(evaluate(validation, test, replicates=20).notes)
  for words in ('20 patients in both', 'Only 30 test patients',
                'Fewer than 50 positive patients on test',
                'operating points rest', 'Truth not known'):  # fmt: skip
    assert words in notes


def test_no_notes_when_nothing_weakens():
  validation, test = (
    predicted(seed, 300, ('A',), prefix, (0.3,))._replace(known=None)
    for seed, prefix in ((0, 'v'), (1, 't'))
  )
  validation, test = (p._replace(known=np.ones(p.truth.shape, bool)) for p in (validation, test))
  assert evaluate(validation, test, replicates=20).notes == ()


def test_positives_of_one_patient_give_no_interval():
  validation, test = predicted(0, 60, ('A',), 'v', (0.3,)), predicted(1, 60, ('A',), 't', (0,))
  test.truth[np.array(test.patients) == 't3'] = 1
  test.known[:] = True
  result = evaluate(validation, test, replicates=200)
  auroc = result.labels['A'].auroc
  assert auroc.value is not None and auroc.interval is None
  assert 'one patient' in auroc.reason and 'one patient' in result.mean.auroc.reason
  assert result.labels['A'].operating_points[0].specificity.interval is not None
  assert any('no interval' in note for note in result.notes)


def test_a_label_of_one_patient_does_not_take_the_interval_of_the_mean_away():
  validation, test = predicted(0, 60, prefix='v'), predicted(1, 60, prefix='t')
  test.known[:] = True
  test.truth[np.array(test.patients) == 't3', 2] = 1
  mean = evaluate(validation, test, replicates=200).mean
  two = [test._replace(labels=test.labels[:2], **_first(test, 2)), validation]
  two[1] = validation._replace(labels=validation.labels[:2], **_first(validation, 2))
  alone = evaluate(two[1], two[0], replicates=200).mean
  assert mean.labels == ('Edema', 'Mass') and mean.of_one_patient == ('Fracture',)
  assert mean.auroc == alone.auroc and mean.auroc.interval is not None
  aurocs = [
    sklearn_metrics.roc_auc_score(test.truth[:, i], test.probabilities[:, i]) for i in (0, 1, 2)
  ]
  assert mean.auroc_of_all == pytest.approx(np.mean(aurocs))
  assert alone.of_one_patient == () and alone.auroc_of_all is None
  areas = assessment.mean_areas(test, replicates=200, seed=0)
  assert areas.labels == mean.labels and areas.auroc.interval is not None


def test_the_mean_of_one_label_is_that_label():
  validation, test = predicted(0, 60, ('A',), 'v', (0.3,)), predicted(1, 60, ('A',), 't', (0.3,))
  result = evaluate(validation, test, replicates=50)
  point = result.labels['A'].operating_points[0]
  assert result.mean.auroc == result.labels['A'].auroc
  for name in ('sensitivity', 'specificity', 'ppv', 'npv', 'f1'):
    assert getattr(result.mean, name) == getattr(point, name)


def _first(part, labels):
  names = ('probabilities', 'truth', 'known')
  return {name: getattr(part, name)[:, :labels] for name in names}


def test_one_patient_gives_no_interval_with_a_reason():
  test = predicted(1, 60, ('A',), 't', (0.3,))
  test = test._replace(patients=['same'] * len(test.patients))
  result = evaluate(predicted(0, 60, ('A',), 'v', (0.3,)), test, replicates=50)
  auroc = result.labels['A'].auroc
  assert auroc.interval is None and auroc.reason == 'fewer than two patients'


def test_images_as_patients_are_pointed_out():
  test = predicted(1, 60, ('A',), 't', (0.3,))
  test = test._replace(patients=list(test.images))
  notes = evaluate(predicted(0, 60, ('A',), 'v', (0.3,)), test, replicates=5).notes
  assert any('No patient identifiers in test' in note for note in notes)


def test_roc_points_keep_the_curve():
  rng = np.random.default_rng(0)
  truth = rng.integers(0, 2, 20_000)
  scores = rng.normal(truth, 1)
  x, y, _ = metrics.roc_curve(scores, truth)
  kept = metrics.thin_curve(x, y, 400)
  thin_x, thin_y = x[kept], y[kept]
  assert len(thin_x) <= 400 and (thin_x[0], thin_y[0], thin_x[-1], thin_y[-1]) == (0, 0, 1, 1)
  assert np.trapezoid(thin_y, thin_x) == pytest.approx(metrics.auroc(scores, truth), abs=1e-3)
  x, y, _ = metrics.roc_curve(scores[:200], truth[:200])
  kept = metrics.thin_curve(x, y, 400)
  few_x, few_y = x[kept], y[kept]
  assert len(few_x) < 150  # corners only
  assert np.trapezoid(few_y, few_x) == pytest.approx(
    metrics.auroc(scores[:200], truth[:200]), abs=1e-12
  )


def test_labels_that_are_questions_of_their_own_have_no_classes(result):
  assert result.classes is None


def test_calibration_is_reported_before_and_after():
  validation, test = (
    part._replace(probabilities=part.probabilities**3)  # too low by far
    for part in (predicted(0, 200, prefix='v'), predicted(1, 200, prefix='t'))
  )
  result = evaluate(validation, test, calibration='platt', replicates=20)
  before, after = (evaluate(validation, test, calibration=method, replicates=0).labels['Edema']
                   for method in ('none', 'platt'))  # fmt: skip
  label_result = result.labels['Edema']
  for name in label_figures.OF_PROBABILITIES:
    assert getattr(label_result.uncalibrated.test, name) == getattr(before, name).value
    assert getattr(label_result, name).value == getattr(after, name).value
  assert before.uncalibrated is None and before.reliability.before is None
  assert label_result.ece.value < 0.6 * label_result.uncalibrated.test.ece
  assert label_result.reliability.before != label_result.reliability.after
  assert label_result.auroc.value == before.auroc.value  # ranks stay


def test_predictive_values_at_a_stated_prevalence(splits):
  result = evaluate(*splits, prevalence={'Edema': 0.01}, replicates=100)
  point = result.labels['Edema'].operating_points[0]
  sensitivity, specificity = point.sensitivity.value, point.specificity.value
  clinic = point.at_prevalence
  hits, alarms = 0.01 * sensitivity, 0.99 * (1 - specificity)
  assert clinic.prevalence == 0.01
  assert clinic.ppv.value == pytest.approx(hits / (hits + alarms))
  assert clinic.ppv.value < point.ppv.value / 3 and clinic.ppv.interval
  assert result.labels['Mass'].operating_points[0].at_prevalence is None


def test_without_validation(splits):
  points = {label: [frozen.FrozenPoint('threshold=0.5', 0.5, '')] for label in splits[1].labels}
  result = summary.evaluate(None, splits[1], points, Protocol(replicates=20))
  assert result.validation is None and result.labels['Edema'].validation is None
  assert result.labels['Edema'].operating_points[0].sensitivity.interval


@pytest.mark.parametrize('replicates', [0, 10])
def test_reasons_say_what_is_missing_and_not_that_replicates_are(replicates):
  def alike(prefix):
    names = [f'{prefix}{number}' for number in range(40)]
    truth = np.resize([0, 1], (40, 1)).astype(np.float32)
    scores = np.full((40, 1), 0.5)
    return Predictions(names, names, ['Edema'], scores, truth, np.ones((40, 1), bool))

  chosen = {'Edema': [frozen.FrozenPoint('threshold=0.6', 0.6, '')]}
  result = summary.evaluate(
    alike('v'), alike('t'), chosen, Protocol(prevalence={'Edema': 0.1}, replicates=replicates)
  )
  label_result = result.labels['Edema']
  (point,) = label_result.operating_points
  assert label_result.calibration_slope.reason.endswith('all probabilities are alike')
  for where in (point, point.at_prevalence):
    assert where.ppv.reason == 'nothing is called positive'
  nothing = '' if replicates else 'no replicates were drawn'
  assert result.mean.auroc.reason == ('all scores are the same' if replicates else nothing)
  assert result.mean.sensitivity == point.sensitivity
  assert result.mean.ppv.reason == 'nothing is called positive'

"""A run at another hospital: its figures are a report's, and each difference has its oracle."""

import dataclasses
import json

import numpy as np
import pytest
import statsmodels.api as sm
from drawn_external import LABELS, PROTOCOL, hospital, validated
from scipy import special, stats
from sklearn import metrics as sklearn_metrics

from medjax.errors import InputError
from medjax.evaluation import assessment, results_file
from medjax.evaluation.external import cohorts, evaluate, prevalences, recalibrated, scores
from medjax.evaluation.external.result import Cohorts, ExternalLabel
from medjax.evaluation.figure import Figure
from medjax.evaluation.frozen import calibrated


@pytest.fixture(scope='module')
def shifted():
  """A hospital of higher prevalence whose log odds are too low and too far apart."""
  external = hospital(3, 260, prevalence=(0.5, 0.3), moved=-1.0, stretched=1.5)
  return external, validated(external, subgroups=('sex',))


def frozen_of(protocol=PROTOCOL):
  return assessment.freeze(hospital(1, 300), protocol)['image']


def test_figures_are_those_that_a_report_of_either_sample_shows(shifted):
  external, found = shifted
  level = {'image': frozen_of()}
  own = assessment.assess(hospital(1, 300), hospital(2, 250), PROTOCOL, frozen=level).result
  there = assessment.assess(None, external, PROTOCOL, frozen=level).result
  for label in LABELS:
    contrast = found.contrast.labels[label]
    for name in ('auroc', 'auprc', 'brier', 'calibration_slope', 'calibration_intercept'):
      assert getattr(contrast, name).other == getattr(own.labels[label], name)
      assert getattr(contrast, name).one == getattr(there.labels[label], name)
    point, expected = contrast.operating_points[1], there.labels[label].operating_points[1]
    assert point.threshold == frozen_of().operating_points[label][1].threshold
    assert point.ppv.one == expected.ppv and point.sensitivity.one == expected.sensitivity
  assert found.external.subgroups['sex'] and not found.own.subgroups
  plain = json.loads(json.dumps(results_file.to_plain(found.contrast), allow_nan=False))
  assert results_file.from_plain(plain, Cohorts) == found.contrast
  plain = json.loads(json.dumps(results_file.to_plain(found.labels['Mass']), allow_nan=False))
  assert results_file.from_plain(plain, ExternalLabel) == found.labels['Mass']


def obuchowski(scores_of, truth, patients):
  """Variance of an AUROC by its definition, every pair of images compared (Obuchowski 1997)."""
  names = np.unique(patients)
  positive, negative = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
  pairs = np.array(
    [
      [(scores_of[i] > scores_of[j]) + 0.5 * (scores_of[i] == scores_of[j]) for j in negative]
      for i in positive
    ]
  )
  auroc = pairs.mean()
  sums = np.zeros((2, len(names)))
  for side, (rows, placements) in enumerate(
    ((positive, pairs.mean(axis=1)), (negative, pairs.mean(axis=0)))
  ):
    for place, name in enumerate(names):
      sums[side, place] = (placements - auroc)[patients[rows] == name].sum() / len(rows)
  sizes = [len(np.unique(patients[rows])) for rows in (positive, negative)]
  each = [n / (n - 1) * (part**2).sum() for n, part in zip(sizes, sums)]
  across = len(names) / (len(names) - 1) * (sums[0] * sums[1]).sum()
  freedom = sum(each) ** 2 / sum(part**2 / (n - 1) for n, part in zip(sizes, each))
  return auroc, sum(each) + 2 * across, freedom


@pytest.mark.parametrize('prefix', [None, '2:'])  # '2:': as the own test calls its patients
@pytest.mark.parametrize('decimals', [None, 0])  # of the log odds: with 0 most are tied
def test_the_difference_in_auroc_is_that_of_two_independent_ones(decimals, prefix):
  external = hospital(4, 90, decimals=decimals, prefix=prefix)
  found = validated(external).contrast.labels['Edema'].auroc
  parts = []
  for part in (external, hospital(2, 250)):
    known = part.known[:, 0]
    parts.append(
      obuchowski(part.probabilities[known, 0], part.truth[known, 0], np.array(part.patients)[known])
    )
    assert parts[-1][0] == pytest.approx(
      sklearn_metrics.roc_auc_score(part.truth[known, 0], part.probabilities[known, 0])
    )
  (here, variance, freedom), (there, other, other_freedom) = parts
  assert found.difference.value == pytest.approx(here - there)
  total = variance + other
  degrees = total**2 / (variance**2 / freedom + other**2 / other_freedom)
  reach = stats.t.ppf(0.975, degrees) * np.sqrt(total)
  assert found.difference.interval == pytest.approx((here - there - reach, here - there + reach))


def test_observed_over_expected_counts_what_was_promised(shifted):
  external, found = shifted
  tested = calibrated(frozen_of(), external)
  for index, label in enumerate(LABELS):
    known = external.known[:, index]
    ratio = external.truth[known, index].sum() / tested.probabilities[known, index].sum()
    figure = found.contrast.labels[label].observed_expected.one
    assert figure.value == pytest.approx(ratio)
    assert figure.interval[0] < ratio < figure.interval[1]


def test_the_mean_is_over_labels_that_both_have():
  external = hospital(5, 120)
  external.known[:, 1] &= external.truth[:, 1] == 0  # Nobody has a mass.
  found = validated(external)
  assert found.contrast.mean.labels == ('Edema',)
  edema = found.contrast.labels['Edema']
  assert found.contrast.mean.auroc.other.value == edema.auroc.other.value
  assert found.contrast.mean.auroc.difference.interval == edema.auroc.difference.interval
  mass = found.contrast.labels['Mass']
  assert mass.auroc.one.value is None and mass.auroc.difference.reason == 'external: no positives'


def test_recalibration_mends_calibration_and_leaves_the_ranking(shifted):
  external, found = shifted
  for label in LABELS:
    moved = found.labels[label].recalibration
    frozen, large, logistic = moved.ways
    assert [way.how for way in moved.ways] == list(recalibrated.WAYS)
    assert frozen.calibration_intercept.interval[0] > 0.3  # Far too low as frozen.
    assert abs(large.calibration_intercept.value) < frozen.calibration_intercept.value / 2
    assert abs(logistic.calibration_slope.value - 1) < 0.35
    assert logistic.brier.value < frozen.brier.value
    # A threshold moved along with the probabilities decides as before.
    assert moved.auroc.value == pytest.approx(
      sklearn_auroc(external, LABELS.index(label)), abs=1e-12
    )
    anew = [point for point in logistic.operating_points if point.chosen_anew]
    assert [point.rule for point in anew] == list(PROTOCOL.operating_points)
    assert all(
      point.threshold == chosen.threshold
      for point, chosen in zip(frozen.operating_points, frozen_of().operating_points[label])
    )
    assert moved.estimated_on.patients <= 130 and moved.tested_on.patients <= 130


def test_recalibration_is_fitted_on_the_first_half_alone(shifted):
  external, found = shifted
  first, second = recalibrated.halves(calibrated(frozen_of(), external), PROTOCOL.seed)
  for index, label in enumerate(LABELS):
    moved, known = found.labels[label].recalibration, first.known[:, index]
    z, y = special.logit(first.probabilities[known, index]), first.truth[known, index]
    both = sm.GLM(y, sm.add_constant(z), family=sm.families.Binomial()).fit().params
    assert (moved.ways[2].intercept, moved.ways[2].slope) == pytest.approx(tuple(both), abs=1e-5)
    alone = sm.GLM(y, np.ones(len(y)), offset=z, family=sm.families.Binomial()).fit().params
    assert moved.ways[1].intercept == pytest.approx(alone[0], abs=1e-5)
    assert moved.intercept.value == pytest.approx(alone[0], abs=1e-3)
    # What is tested is the other half, moved so.
    known = second.known[:, index]
    p = special.expit(both[0] + both[1] * special.logit(second.probabilities[known, index]))
    y = second.truth[known, index]
    assert moved.ways[2].brier.value == pytest.approx(((p - y) ** 2).mean(), abs=1e-6)
    assert moved.ways[2].observed_expected.value == pytest.approx(y.sum() / p.sum(), abs=1e-5)


def test_the_source_of_the_runs_split_is_no_source_of_other_patients():
  validation, own = hospital(1, 300), hospital(2, 250)
  weights = np.where(validation.truth[:, 1] == 1, 0.5, 1.2)
  enriched = validation._replace(weights=weights)
  chosen = assessment.freeze(enriched, PROTOCOL)
  assert chosen['image'].source_prevalence['Mass'] < 0.15
  found = evaluate.evaluate(enriched, own, hospital(3, 200), chosen, PROTOCOL)
  assert found.own.labels['Mass'].operating_points[0].at_prevalence is not None
  assert found.external.labels['Mass'].operating_points[0].at_prevalence is None
  assert not any('floor' in note for note in found.external.notes)
  assert any('floor enriched the split' in note for note in found.own.notes)
  shift = found.labels['Mass'].prevalence
  assert shift.calibrated_to == chosen['image'].source_prevalence['Mass']


def sklearn_auroc(external, index):
  _, other = recalibrated.halves(calibrated(frozen_of(), external), PROTOCOL.seed)
  known = other.known[:, index]
  return sklearn_metrics.roc_auc_score(other.truth[known, index], other.probabilities[known, index])


def test_halves_share_no_patient_and_lose_none():
  whole = hospital(6, 101)
  first, second = recalibrated.halves(whole, 0)
  assert not set(first.patients) & set(second.patients)
  assert sorted(first.images + second.images) == sorted(whole.images)
  assert abs(len(set(first.patients)) - len(set(second.patients))) == 1
  again, _ = recalibrated.halves(whole, 0)
  other, _ = recalibrated.halves(whole, 1)
  assert again.images == first.images != other.images


def test_the_prevalence_is_counted_and_estimated_from_scores():
  external = hospital(7, 1500, prevalence=(0.6, 0.05))
  found = validated(external)
  for index, label in enumerate(LABELS):
    shift = found.labels[label].prevalence
    known = external.known[:, index]
    assert shift.labelled.one.value == pytest.approx(external.truth[known, index].mean())
    validation = hospital(1, 300)
    assert shift.calibrated_to == pytest.approx(
      validation.truth[validation.known[:, index], index].mean()
    )
    # Far nearer than the mean probability, which takes the prevalence for what it was.
    mean = external.probabilities[known, index].mean()
    off = abs(shift.estimated.value - shift.labelled.one.value)
    assert off < 0.08 and off < abs(mean - shift.labelled.one.value) / 1.5
    # PPV that the change of prevalence alone explains, by Bayes' theorem.
    point, values = found.contrast.labels[label].operating_points[0], shift.predictive_values[0]
    p = shift.labelled.one.value
    right = p * point.sensitivity.other.value
    wrong = (1 - p) * (1 - point.specificity.other.value)
    assert values.ppv_carried.value == pytest.approx(right / (right + wrong))


@pytest.mark.parametrize(
  ('calibration', 'method'), [('none', None), ('temperature', None), ('platt', 'few')]
)
def test_probabilities_that_are_not_calibrated_say_no_prevalence(calibration, method):
  # Trained with class weights: every odds is four times what it should be.
  parts = [
    part._replace(probabilities=special.expit(special.logit(part.probabilities) + np.log(4)))
    for part in (hospital(1, 300), hospital(2, 250), hospital(7, 400))
  ]
  if method == 'few':  # Too few to calibrate a label by.
    parts[0].known[:, 1] &= np.cumsum(parts[0].truth[:, 1] == 1) <= 3
  protocol = dataclasses.replace(PROTOCOL, calibration=calibration)
  chosen = assessment.freeze(parts[0], protocol)
  found = evaluate.evaluate(*parts, chosen, protocol)
  for label in ['Mass'] if method else LABELS:
    shift = found.labels[label].prevalence
    assert shift.estimated.value is None and shift.calibrated_to is None
    assert shift.estimated.reason == prevalences.NOT_CALIBRATED
    for values in shift.predictive_values:
      assert values.ppv_estimated.value is None
      assert prevalences.NOT_CALIBRATED in values.ppv_estimated.reason
  if method:
    edema = found.labels['Edema'].prevalence
    assert edema.estimated.interval and edema.calibrated_to


@pytest.mark.parametrize(('calibration', 'has_figure'), [('temperature', False), ('platt', True)])
def test_of_exclusive_classes_all_are_calibrated_or_none(calibration, has_figure):
  protocol = dataclasses.replace(PROTOCOL, head='softmax', calibration=calibration)
  parts = [exclusive(seed) for seed in (1, 2, 3)]
  found = evaluate.evaluate(*parts, assessment.freeze(parts[0], protocol), protocol)
  for part in found.labels.values():
    assert (part.prevalence.estimated.value is not None) == has_figure


def test_scores_of_either_class_are_counted_once(shifted):
  external, found = shifted
  part = found.labels['Edema'].scores
  known = external.known[:, 0]
  assert sum(part.external_positives) == external.truth[known, 0].sum()
  assert sum(part.external_positives) + sum(part.external_negatives) == known.sum()
  assert sum(part.own_positives) == found.own.labels['Edema'].positives
  assert len(part.edges) == scores.BINS + 1


def test_inverted_scores_are_said():
  external = hospital(8, 150)
  turned = external._replace(probabilities=1 - external.probabilities)
  found = validated(turned)
  said = found.labels['Edema'].inverted
  assert 'Edema: the AUROC of the external set is 0.0' in said and 'look inverted' in said
  assert 'exchanged' in said
  rng = np.random.default_rng(0)
  chance = external._replace(probabilities=rng.random(external.probabilities.shape))
  found = validated(chance)
  below = [part.inverted for part in found.labels.values() if part.inverted]
  for label, part in found.labels.items():
    assert bool(part.inverted) == (found.contrast.labels[label].auroc.one.value < 0.5)
  assert all('may be chance' in sentence for sentence in below)
  assert not any(part.inverted for part in validated(external).labels.values())


def test_some_labels_alone_can_be_tested():
  external = cohorts.of_labels(hospital(9, 150), ['Mass'])
  found = validated(external)
  assert list(found.contrast.labels) == ['Mass'] and list(found.own.labels) == ['Mass']
  whole = validated(hospital(9, 150))
  assert found.contrast.labels['Mass'].auroc == whole.contrast.labels['Mass'].auroc
  assert found.contrast.labels['Mass'].operating_points == (
    whole.contrast.labels['Mass'].operating_points
  )


@pytest.mark.parametrize(
  ('change', 'said'),
  [
    (
      lambda p: p._replace(truth=np.zeros_like(p.truth)),
      'Edema has no positives, a prevalence of 0',
    ),
    (lambda p: p._replace(known=p.known & (p.truth == 1)), 'Edema has no negatives'),
    (lambda p: p._replace(patients=['one'] * len(p.images)), 'all images are of one patient'),
    (
      lambda p: p._replace(
        patients=['one' if row.any() else name for name, row in zip(p.patients, p.truth)],
        known=np.ones_like(p.known),
      ),
      'all positives of Edema are of one patient (and likewise 1 more)',
    ),
  ],
)
def test_what_cannot_be_told_apart_is_one_line(change, said):
  with pytest.raises(InputError) as error:
    validated(change(hospital(10, 60)))
  assert said in str(error.value) and '\n' not in str(error.value)


@pytest.mark.parametrize(
  ('protocol', 'change', 'said'),
  [
    (PROTOCOL, lambda p: p._replace(truth=np.zeros_like(p.truth)), 'Edema has no positives'),
    (dataclasses.replace(PROTOCOL, level='study'), lambda p: p, "there is no column 'study'"),
    (
      dataclasses.replace(PROTOCOL, level='patient'),
      lambda p: p._replace(known=p.known & (np.arange(len(p.images)) % 2 == 1)[:, None]),
      'Edema has no positives and no negatives',
    ),
    (
      dataclasses.replace(PROTOCOL, head='softmax'),
      lambda p: p._replace(truth=np.zeros_like(p.truth), known=np.ones_like(p.known)),
      'truth is 0 for every class',
    ),
  ],
)
def test_what_would_be_refused_in_the_end_needs_no_probabilities(protocol, change, said):
  several = hospital(10, 60)
  pairs = several._replace(patients=[f'p{row // 2}' for row in range(len(several.images))])
  unseen = pairs._replace(probabilities=np.zeros_like(pairs.probabilities))
  with pytest.raises(InputError, match=said):
    evaluate.check(change(unseen), protocol)


def test_exclusive_classes_are_compared_by_their_decision():
  protocol = dataclasses.replace(PROTOCOL, head='softmax', calibration='temperature')
  parts = [exclusive(seed) for seed in (1, 2, 3)]
  chosen = assessment.freeze(parts[0], protocol)
  found = evaluate.evaluate(*parts, chosen, protocol)
  accuracy = found.contrast.classes['accuracy']
  there = parts[2]
  right = (there.probabilities.argmax(axis=1) == there.truth.argmax(axis=1)).mean()
  assert accuracy.one.value == pytest.approx(right)
  assert isinstance(accuracy.difference, Figure) and accuracy.difference.interval
  assert not any(
    point.chosen_anew
    for part in found.labels.values()
    for way in part.recalibration.ways
    for point in way.operating_points
  )


def exclusive(seed, images=150):
  rng = np.random.default_rng(seed)
  truth = rng.integers(0, 3, images)
  logits = 1.2 * np.eye(3)[truth] + rng.normal(size=(images, 3))
  exponent = np.exp(logits)
  part = hospital(1, 10)
  return part._replace(
    images=[f'{seed}-{row}' for row in range(images)],
    patients=[f'{seed}-{row // 2}' for row in range(images)],
    labels=['none', 'mild', 'severe'],
    probabilities=exponent / exponent.sum(axis=1, keepdims=True),
    truth=np.eye(3, dtype=np.float32)[truth],
    known=np.ones((images, 3), bool),
    about=None,
  )

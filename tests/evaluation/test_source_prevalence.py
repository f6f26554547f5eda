"""A floor enriches validation; what is chosen on it is of the source all the same.

Scores of the ill and the well are normal with one variance, so that the right probability is known:
the log-odds of a score z are 3 z + logit(prevalence), by Bayes' theorem.
"""

import functools

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats

from medjax.config.protocol import Protocol
from medjax.data.split import by_patient, source_weights
from medjax.errors import InputError
from medjax.evaluation import assessment, frozen, joining, notes, predictions
from medjax.evaluation.predictions import Predictions

PREVALENCE, SHIFT, COST = 0.02, 1.5, 20


@functools.cache
def drawn(floor, seed=0, patients=20_000):
  """Returns validation and test of a split with such a floor, as a run would have them."""
  rng = np.random.default_rng(seed)
  ill = rng.random(patients) < PREVALENCE
  z = rng.normal(np.where(ill, SHIFT, -SHIFT))[:, None]
  truth, names = ill[:, None].astype(np.float32), [f'{i:05d}' for i in range(patients)]
  table, known = pd.DataFrame({'image': names, 'patient': names}), np.ones((patients, 1), bool)
  data = table, truth, known, ['x']
  split, how = by_patient.make(
    *data, test=500, validation=500, test_floor={'x': floor} if floor else {}, seed=seed
  )
  parts = []
  for part in ('validation', 'test'):
    rows = np.flatnonzero(split == part)
    weights = source_weights.to_source(table, split, *data[1:], how=how, part=part)
    of_part = [names[row] for row in rows]
    probabilities, log_odds = predictions.probabilities_of(z[rows])
    parts.append(
      Predictions(
        of_part, of_part, ['x'], probabilities, truth[rows], known[rows],
        log_odds=log_odds, weights=None if weights is None else weights[rows],
      )
    )  # fmt: skip
  return parts


def told(level):
  """Returns the mean probability that the source's patients are told, and how far off each is."""
  z = np.random.default_rng(0).normal(np.repeat([SHIFT, -SHIFT], 5000))[:, None]
  weights = np.repeat([PREVALENCE, 1 - PREVALENCE], 5000)
  probabilities, log_odds = predictions.probabilities_of(z)
  names = [''] * len(z)
  new = Predictions(names, names, ['x'], probabilities, z, z > 0, log_odds=log_odds)
  said = frozen.calibrated(level, new).probabilities[:, 0]
  right = special.expit(2 * SHIFT * z[:, 0] + special.logit(PREVALENCE))
  return np.average(said, weights=weights), np.average(np.abs(said - right), weights=weights)


def cost_of(z):
  """What calling all above z costs per patient of the source, exactly."""
  missed, alarms = stats.norm.cdf(z, SHIFT), stats.norm.sf(z, -SHIFT)
  return COST * PREVALENCE * missed + (1 - PREVALENCE) * alarms


def cost_of_level(level):
  fitted = level.calibration.labels['x']
  return cost_of((special.logit(level.threshold('x')) - fitted.intercept) / fitted.slope)


@pytest.mark.parametrize('method', ['platt', 'isotonic'])
def test_a_probability_is_what_bayes_says(method):
  protocol = Protocol(calibration=method)
  answers, without = [], []
  for seed in range(6):
    validation, _ = drawn(0.2, seed)
    assert validation.truth.mean() == pytest.approx(0.2, abs=0.01)
    level = frozen.freeze(validation, protocol)
    assert level.source_prevalence['x'] == pytest.approx(PREVALENCE, rel=0.1)
    assert notes.of_new_patients(level).endswith(
      f'; its prevalence is x {level.source_prevalence["x"]:.1%}, estimated from the weights of '
      'validation'
    )
    answers.append(told(level))
    without.append(told(frozen.freeze(validation._replace(weights=None), protocol)))
  mean, off = np.mean(answers, axis=0)
  assert mean == pytest.approx(PREVALENCE, rel=0.15) and off < 0.009
  mean, off = np.mean(without, axis=0)
  assert mean > 2 * PREVALENCE and off > 0.02


def test_the_threshold_of_a_cost_is_the_source_s():
  protocol = Protocol(calibration='platt', operating_points=(f'cost={COST}',))
  least = cost_of((-np.log(COST) - special.logit(PREVALENCE)) / (2 * SHIFT))
  costs, without = [], []
  for seed in range(6):
    validation, _ = drawn(0.2, seed)
    costs.append(cost_of_level(frozen.freeze(validation, protocol)))
    unlike = frozen.freeze(validation._replace(weights=None), protocol)
    without.append(cost_of_level(unlike))
  assert np.mean(costs) < 1.3 * least < 1.6 * least < np.mean(without)


def test_without_a_floor_nothing_is_weighted():
  validation, test = drawn(0)
  assert validation.weights is None and test.weights is None
  level = frozen.freeze(validation, Protocol(calibration='platt'))
  assert level.source_prevalence is None and notes.of_new_patients(level) == ''
  assert 'source_prevalence' not in frozen.to_plain({'image': level})['image']
  # And a floor that chance meets by itself.
  validation, test = drawn(0.001)
  assert validation.weights is None and test.weights is None
  # Weights of 1 change nothing, to the last bit.
  for method in ('platt', 'temperature', 'isotonic'):
    protocol = Protocol(calibration=method, operating_points=('cost=5', 'youden'))
    plain = frozen.freeze(validation, protocol)
    weighted = frozen.freeze(validation._replace(weights=np.ones(500)), protocol)
    assert plain.calibration == weighted.calibration
    assert plain.operating_points == weighted.operating_points


def test_the_report_s_figures_of_probabilities_are_of_the_source():
  validation, test = drawn(0.2)
  protocol = Protocol(calibration='platt', replicates=100)
  assessed = assessment.assess(validation, test, protocol)
  tested = assessed.result.labels['x']
  scores, truth, weights = assessed.test.probabilities[:, 0], test.truth[:, 0], test.weights
  assert tested.prevalence == pytest.approx(0.2, abs=0.01)
  assert tested.brier.value == pytest.approx(np.average((scores - truth) ** 2, weights=weights))
  assert abs(tested.calibration_intercept.value) < 0.6
  low, high = tested.brier.interval
  assert low < tested.brier.value < high
  shares = [(point.share_positive, point.images) for point in tested.reliability.after]
  assert max(share for share, _ in shares[:5]) < PREVALENCE
  at_source = tested.decision.at_prevalence
  assert at_source.prevalence == pytest.approx(PREVALENCE, rel=0.1)
  called = scores >= tested.decision.threshold
  ppv = np.average(truth[called], weights=weights[called])
  assert at_source.ppv.value == pytest.approx(ppv, rel=0.1)
  assert tested.decision.ppv.value > 2 * ppv  # that of the test set itself
  assert 'stands for in the source (prevalence x 1.9%, estimated' in ' '.join(assessed.result.notes)
  plain = assessment.assess(
    validation._replace(weights=None), test._replace(weights=None), protocol
  ).result.labels['x']
  assert plain.auroc == tested.auroc and plain.decision.specificity.value is not None
  stated = assessment.assess(validation, test, Protocol(prevalence={'x': 0.3}, replicates=0))
  assert stated.result.labels['x'].decision.at_prevalence.prevalence == 0.3


def test_two_floors_and_a_label_that_goes_with_them():
  rng = np.random.default_rng(3)
  patients = 20_000
  one, two = rng.random(patients) < 0.03, rng.random(patients) < 0.05
  other = rng.random(patients) < np.where(one, 0.6, 0.1)
  of_patient = np.stack((one, two, other), axis=1)
  rows = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
  names = [f'{i:05d}' for i in rows]
  table = pd.DataFrame({'image': [str(i) for i in range(len(rows))], 'patient': names})
  truth = of_patient[rows].astype(np.float32)
  data = table, truth, np.ones(truth.shape, bool), ['one', 'two', 'other']
  floors = {'one': 0.2, 'two': 0.2}
  split, how = by_patient.make(*data, test=1000, validation=1000, test_floor=floors, seed=0)
  for part in ('validation', 'test'):
    weights = source_weights.to_source(table, split, *data[1:], how=how, part=part)
    inside = split == part
    assert (weights[~inside] == 0).all()
    first = np.unique(rows[inside], return_index=True)[1]
    assert weights[inside][first].mean() == pytest.approx(1)
    enriched = of_patient[rows[inside][first]].mean(axis=0)
    weighted = np.average(of_patient[rows[inside][first]], axis=0, weights=weights[inside][first])
    np.testing.assert_allclose(weighted[:2], of_patient.mean(axis=0)[:2], rtol=1e-9)
    assert enriched[2] > 0.17 and weighted[2] == pytest.approx(of_patient[:, 2].mean(), abs=0.035)


@pytest.mark.parametrize('with_a', [0.3, 0.5])
def test_a_label_without_a_floor_that_goes_with_one_is_of_the_source_too(with_a):
  rng, patients = np.random.default_rng(1), 4_000
  a = rng.random(patients) < 0.04
  b = rng.random(patients) < np.where(a, with_a, (0.04 - 0.04 * with_a) / 0.96)
  truth, known = np.column_stack([a, b]).astype(np.float32), np.ones((patients, 2), bool)
  names = [f'{i:05d}' for i in range(patients)]
  table = pd.DataFrame({'image': names, 'patient': names})
  data = table, truth, known, ['A', 'B']
  split, how = by_patient.make(*data, test=0.1, validation=0.1, test_floor={'A': 0.2}, seed=0)
  for part in ('validation', 'test'):
    weights = source_weights.to_source(table, split, *data[1:], how=how, part=part)
    of_part = truth[split == part]
    assert of_part[:, 1].mean() > 1.5 * b.mean()
    shares = np.average(truth, axis=0, weights=weights)
    np.testing.assert_allclose(shares, [a.mean(), b.mean()], rtol=1e-6)


def test_weights_travel_through_the_file(tmp_path):
  validation, _ = drawn(0.2, patients=10_000)
  predictions.write(tmp_path / 'v.csv', validation)
  back = predictions.read(tmp_path / 'v.csv')
  np.testing.assert_array_equal(back.weights, validation.weights)
  assert len(np.unique(back.weights)) == 2 and list(back.about) == []


def test_the_prevalence_of_the_source_is_counted_where_it_is_known():
  rng, patients = np.random.default_rng(5), 3_000
  rows = np.repeat(np.arange(patients), rng.integers(1, 6, patients))
  names = [f'{row:05d}' for row in rows]
  table = pd.DataFrame({'image': [str(row) for row in range(len(rows))], 'patient': names})
  truth = (rng.random((patients, 1)) < 0.03)[rows] & (rng.random((len(rows), 1)) < 0.6)
  truth, known = truth.astype(np.float32), rng.random((len(rows), 1)) < 0.9
  data = table, truth, known, ['x']
  split, how = by_patient.make(*data, test=200, validation=200, test_floor={'x': 0.2}, seed=0)
  weights = source_weights.to_source(table, split, *data[1:], how=how, part='validation')

  def predicted(inside, weights=None):
    return Predictions(
      table['image'][inside].tolist(), table['patient'][inside].tolist(), ['x'],
      rng.random((inside.sum(), 1)), truth[inside], known[inside], weights=weights,
    )  # fmt: skip

  inside = split == 'validation'
  validation, protocol = predicted(inside, weights[inside]), Protocol(level='patient')
  levels = assessment.freeze(validation, protocol, predicted(split != 'unused'))
  assert levels['image'].source_prevalence['x'] == pytest.approx(truth[known].mean(), rel=1e-6)
  by_person = pd.DataFrame({'p': names, 't': truth[:, 0] * known[:, 0], 'k': known[:, 0]})
  by_person = by_person.groupby('p').agg({'t': 'max', 'k': 'min'}).query('k')
  assert levels['patient'].source_prevalence['x'] == pytest.approx(by_person['t'].mean(), rel=1e-6)
  estimated = assessment.freeze(validation, protocol)
  for name, level in levels.items():
    assert level.source_counted and estimated[name].source_counted is False
    assert level.source_prevalence != estimated[name].source_prevalence
    assert level.calibration == estimated[name].calibration
    assert ', counted there)' in notes.of_source(level, validation)[0]
    assert (
      ', estimated from the weights of validation)'
      in notes.of_source(estimated[name], validation)[0]
    )
  # A source that does not say what its units are.
  (level, *_) = assessment.freeze(validation, Protocol(), predicted(inside)).values()
  assert level.source_counted


def test_patients_whom_nobody_stands_for_are_named():
  # Of A and B, of A alone, of B alone, and others; all with both are tested.
  counts = {(1, 1): 4, (1, 0): 30, (0, 1): 30, (0, 0): 400}
  of_patient = np.array([kind for kind, number in counts.items() for _ in range(number)])
  truth = np.column_stack([of_patient, np.zeros(len(of_patient))]).astype(np.float32)
  names, labels = [f'{row:03d}' for row in range(len(truth))], ['A', 'B', 'C']
  table, known = pd.DataFrame({'image': names, 'patient': names}), np.ones(truth.shape, bool)
  split = np.full(len(truth), 'train', object)
  split[[0, 1, 2, 3, 4, 34, 64]], split[[5, 35, 65]] = 'test', 'validation'
  truth[64, 2] = 1  # C is seen in the test set alone, and has no floor.
  how = {part: {'from': 'drawn'} for part in ('validation', 'test')}
  how['test'] |= {'enriched': ['A', 'B'], 'floor': {'A': 4, 'B': 4}}
  data = table, split, truth, known, labels
  kinds = source_weights.absent(*data, how=how, part='validation')
  assert kinds == {'positive for C': 1, 'positive for A and B': 4}
  (sentence,) = notes.of_absent('validation', kinds)
  assert '1 patient positive for C; 4 patients positive for A and B' in sentence
  split[35] = 'train'  # Nobody with B at all: it is not said of A and B too.
  kinds = source_weights.absent(*data, how=how, part='validation')
  assert kinds == {'positive for B': 34, 'positive for C': 1}
  assert source_weights.absent(*data, how=how, part='test') == {}
  assert source_weights.absent(*data, how={}, part='validation') == {}
  assert notes.of_absent('test', {}) == []


def test_a_run_s_files_say_the_same_as_the_run(tmp_path):
  validation, test = drawn(0.2)
  of_run = assessment.assess(validation, test, Protocol(calibration='platt', replicates=200))
  paths = []
  for name, part in (('validation', validation), ('test', test)):
    calibrated = frozen.calibrated(of_run.frozen['image'], part).probabilities[:, 0]
    paths.append(tmp_path / f'{name}.csv')
    predictions.write(paths[-1], part, {'prob_x': calibrated})
  read = [joining.read(path, None) for path in paths]
  of_files = assessment.assess(*read, Protocol(replicates=200))
  one, other = (assessed.result.labels['x'] for assessed in (of_run, of_files))
  for name in ('auroc', 'brier', 'ece', 'calibration_slope', 'calibration_intercept'):
    assert getattr(other, name).value == pytest.approx(getattr(one, name).value, rel=1e-6), name
    assert getattr(other, name).interval == pytest.approx(getattr(one, name).interval, rel=1e-5)
  assert other.decision.threshold == pytest.approx(one.decision.threshold, rel=1e-9)
  for mine, theirs in ((one.decision, other.decision),
                       (one.decision.at_prevalence, other.decision.at_prevalence)):  # fmt: skip
    assert theirs.ppv.value == pytest.approx(mine.ppv.value, rel=1e-6)
  # Without validation the test set's own weights are told.
  protocol = Protocol(operating_points=('threshold=0.5',), replicates=0)
  alone = assessment.assess(None, read[1], protocol)
  assert alone.result.labels['x'].brier.value == pytest.approx(one.brier.value)
  assert 'A floor enriched the test set.' in ' '.join(alone.result.notes)
  unweighted = assessment.assess(None, read[1]._replace(weights=None), Protocol(replicates=0))
  assert 'floor' not in ' '.join(unweighted.result.notes)
  assert joining.is_of_run(paths[0]) and list(read[0].about) == []
  text = paths[1].read_text()
  # Somebody else's column of that name may say anything.
  paths[1].write_text(text.replace('raw_x', 'mine').replace('logit_x', 'more'))
  assert joining.read(paths[1], None).weights is None and not joining.is_of_run(paths[1])
  first = text.splitlines()[1].rpartition(',')[2]
  paths[1].write_text(text.replace(f',{first}\n', ',-1\n', 1))
  with pytest.raises(InputError, match="row 2, column 'source_weight': '-1' is no weight"):
    joining.read(paths[1], None)

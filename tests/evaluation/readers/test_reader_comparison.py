"""Readers and the model, against scikit-learn, statsmodels, small cases by hand and a loop."""

import itertools
import json
import math

import numpy as np
import pandas as pd
import pytest
from drawn_readings import (
  LABELS,
  READERS,
  SCORES,
  THRESHOLDS,
  TRUTH,
  compared,
  drawn,
  predicted,
  readings,
)
from scipy import stats
from sklearn import metrics as sklearn_metrics
from statsmodels.stats import inter_rater

from medjax.data.reference import consensus as reader_consensus
from medjax.errors import InputError
from medjax.evaluation import results_file
from medjax.evaluation.readers import comparison, figures
from medjax.evaluation.readers.study import ReaderStudy
from medjax.evaluation.statistics import intervals, proportions


def on_curve(truth, scores, alarms, weights=None):
  """Returns sensitivities at a false positive rate: on the curve, at its last point to the left."""
  rate, sensitivity, _ = sklearn_metrics.roc_curve(
    truth, scores, sample_weight=weights, drop_intermediate=False
  )
  to_the_left = np.flatnonzero(rate < alarms - 1e-12)
  return (
    np.interp(alarms, rate, sensitivity),
    sensitivity[to_the_left[-1]] if len(to_the_left) else 0,
  )


@pytest.mark.parametrize('decimals', [1, 2, 6])
def test_every_figure_is_that_of_scikit_learn(decimals):
  test, answers = drawn(decimals=decimals)
  study = compared(test, answers)
  count, by_competition = [], []
  for column, label in enumerate(LABELS):
    label_study, scores = study.labels[label], test.probabilities[:, column]
    called = scores.astype(np.float64) >= THRESHOLDS[label]
    read = ~np.isnan(answers[:, :, column])
    below, competition = [], []
    for number, reader in enumerate(label_study.readers):
      use = read[number] & test.known[:, column]
      truth, answer = test.truth[use, column], answers[number, use, column]
      (right_no, alarms), (_, hits) = sklearn_metrics.confusion_matrix(truth, answer)
      assert reader.images == use.sum() and reader.positives == truth.sum()
      assert reader.answered == read[number].sum()
      assert reader.answered + reader.unanswered == read.any(axis=(0)).sum()
      assert reader.sensitivity.value == pytest.approx(hits / truth.sum(), abs=1e-12)
      false_rate = alarms / (alarms + right_no)
      assert reader.specificity.value == pytest.approx(1 - false_rate, abs=1e-12)
      curve, left = on_curve(truth, scores[use], false_rate)
      own = hits / truth.sum()
      assert reader.at_specificity.sensitivity == pytest.approx(curve, abs=1e-12)
      assert reader.at_specificity.difference.value == pytest.approx(curve - own, abs=1e-12)
      assert reader.below == (curve > own + 1e-12)
      assert reader.below_in_competition == (left >= own - 1e-12)
      below.append(reader.below)
      competition.append(reader.below_in_competition)
      for positive, name in ((1, 'sensitivity'), (0, 'specificity')):
        model = sklearn_metrics.recall_score(truth, called[use], pos_label=positive)
        reads = sklearn_metrics.recall_score(truth, answer, pos_label=positive)
        assert getattr(reader.at_threshold, name) == pytest.approx(model, abs=1e-12)
        difference = getattr(reader.at_threshold, f'{name}_difference')
        assert difference.value == pytest.approx(model - reads, abs=1e-12)
        low, high = difference.interval
        assert low <= high
    some = read.any(axis=0) & test.known[:, column]
    area = sklearn_metrics.roc_auc_score(test.truth[some, column], scores[some])
    assert label_study.auroc.value == pytest.approx(area, abs=1e-12)
    model = sklearn_metrics.recall_score(test.truth[some, column], called[some])
    assert label_study.model.sensitivity.value == pytest.approx(model, abs=1e-12)
    assert label_study.below.count.value == sum(below)
    assert label_study.below.competition == sum(competition)
    count.append(sum(below))
    by_competition.append(sum(competition))
  assert study.below.average.value == pytest.approx(np.mean(count))
  assert study.below.competition == pytest.approx(np.mean(by_competition))
  plain = json.loads(json.dumps(results_file.to_plain(study), allow_nan=False))
  assert results_file.from_plain(plain, ReaderStudy) == study


def test_kappas_are_those_of_scikit_learn_and_statsmodels():
  test, answers = drawn(seed=3)
  study = compared(test, answers)
  for column, label in enumerate(LABELS):
    model = test.probabilities[:, column].astype(np.float64) >= THRESHOLDS[label]
    columns = [*answers[:, :, column], model.astype(float)]
    pairs = {}
    for one, other in itertools.combinations(range(4), 2):
      both = ~np.isnan(columns[one]) & ~np.isnan(columns[other])
      pairs[one, other] = sklearn_metrics.cohen_kappa_score(
        columns[one][both], columns[other][both]
      )
    of_readers = [value for pair, value in pairs.items() if 3 not in pair]
    of_model = [value for pair, value in pairs.items() if 3 in pair]
    kappa = study.labels[label].kappa
    means = [np.mean(of_readers), np.mean(of_model), np.mean(list(pairs.values()))]
    for name, mean in zip(('readers', 'model', 'with_model'), means):
      assert getattr(kappa.cohen, name).value == pytest.approx(mean, abs=1e-12)
    change = means[2] - means[0]
    assert kappa.cohen.difference.value == pytest.approx(change, abs=1e-12)
    full = ~np.isnan(answers[:, :, column]).any(axis=0)
    assert kappa.images_of_all == full.sum()
    for name, some in (('readers', columns[:3]), ('with_model', columns)):
      table, _ = inter_rater.aggregate_raters(np.stack(some, axis=1)[full].astype(int))
      assert getattr(kappa.fleiss, name).value == pytest.approx(
        inter_rater.fleiss_kappa(table), abs=1e-12
      )


def test_intervals_are_those_of_a_plain_loop_over_resampled_patients():
  test, answers = drawn(seed=5, patients=40)
  study = compared(test, answers, replicates=15)
  patients = np.asarray(test.patients)
  unique = np.unique(patients)
  assert study.patients == len(unique)
  counts = intervals.patient_counts(len(unique), 15, 1)
  below = []
  for row in counts:
    rows = np.concatenate([np.flatnonzero(patients == p).repeat(n) for p, n in zip(unique, row)])
    drawn_figures = []
    for column, label in enumerate(LABELS):
      called = test.probabilities[:, column].astype(np.float64) >= THRESHOLDS[label]
      for answer in answers[:, :, column]:
        use = rows[(~np.isnan(answer) & test.known[:, column])[rows]]
        truth = test.truth[use, column]
        (right_no, alarms), (misses, hits) = sklearn_metrics.confusion_matrix(truth, answer[use])
        own = hits / (hits + misses)
        curve, _ = on_curve(truth, test.probabilities[use, column], alarms / (alarms + right_no))
        model = sklearn_metrics.recall_score(truth, called[use])
        drawn_figures.append((own, curve - own, model - own, curve > own + 1e-12))
    below.append(drawn_figures)
  oracle = np.array(below, np.float64).reshape(15, 2, 3, 4)
  for column, label in enumerate(LABELS):
    for number, reader in enumerate(study.labels[label].readers):
      answer = answers[number, :, column]
      ill = ~np.isnan(answer) & test.known[:, column] & (test.truth[:, column] == 1)
      of_patient = np.unique(patients[ill], return_inverse=True)[1]
      found = np.bincount(of_patient, answer[ill] == 1)
      exact = proportions.wilson(found, np.bincount(of_patient))
      assert reader.sensitivity.interval == pytest.approx(exact, abs=1e-12)
      assert reader.sensitivity.value == found.sum() / ill.sum()
      for place, figure in (
        (1, reader.at_specificity.difference),
        (2, reader.at_threshold.sensitivity_difference),
      ):
        bounds = np.quantile(oracle[:, column, number, place], (0.025, 0.975))
        assert figure.interval == pytest.approx(bounds, abs=1e-12)
  average = oracle[..., 3].sum(axis=2).mean(axis=1)
  bounds = np.quantile(average, (0.025, 0.975))
  assert study.below.average.interval == pytest.approx(bounds, abs=1e-12)


def test_weights_that_are_no_counts_give_the_weighted_curve():
  rng = np.random.default_rng(0)
  truth, answers = rng.random(80) < 0.4, rng.random(80) < 0.5
  scores, weights = np.round(rng.random(80), 1), rng.random((5, 80))
  curves, own, _ = figures.curve_at(scores, truth, answers, weights)
  for row in range(5):
    alarms = weights[row][answers & ~truth].sum() / weights[row][~truth].sum()
    curve, _ = on_curve(truth, scores, alarms, weights[row])
    assert curves[row] == pytest.approx(curve, abs=1e-12)
    oracle = sklearn_metrics.recall_score(truth, answers, sample_weight=weights[row])
    assert own[row] == pytest.approx(oracle, abs=1e-12)


@pytest.mark.parametrize(
  ('answers', 'curve', 'below', 'competition'),
  [
    ([1, 0, 0, 0, 0, 0, 0], 1 / 3, False, False),  # on the curve; nothing lies left of it
    ([0, 0, 0, 0, 0, 0, 0], 1 / 3, True, True),  # as sensitive as (0, 0), below the first rise
    ([1, 0, 0, 1, 0, 0, 0], 2 / 3, True, True),  # left of it the curve is at 1/3, which is enough
    ([1, 1, 0, 1, 0, 0, 0], 2 / 3, False, False),  # the very point where the curve rises to 2/3
    ([1, 1, 0, 1, 1, 0, 0], 1, True, True),
    ([1, 1, 1, 1, 1, 0, 0], 1, False, False),
    ([1, 1, 1, 1, 1, 1, 0], 1, False, True),  # on the level top: as much sensitivity is enough
    ([1, 1, 0, 0, 0, 0, 0], 1 / 3, False, False),  # above
  ],
)
def test_a_reader_beside_a_curve_drawn_by_hand(answers, curve, below, competition):
  study = compared(predicted(SCORES, TRUTH), [answers], labels=['Edema'], thresholds={})
  (reader,) = study.labels['Edema'].readers
  assert reader.at_specificity.sensitivity == pytest.approx(curve)
  assert (reader.below, reader.below_in_competition) == (below, competition)
  assert study.labels['Edema'].roc.sensitivity[0] == 0
  assert study.labels['Edema'].model is None and reader.at_threshold is None
  cohen = study.labels['Edema'].kappa.cohen
  assert (cohen.model, cohen.with_model, cohen.difference) == (None, None, None)


def test_a_tie_of_scores_is_a_straight_line():
  # All seven scores are equal: the curve is the diagonal, the reader (1/4, 1/3) above, (1/2, 1/3)
  # below.
  answers = [[1, 0, 0, 1, 0, 0, 0], [1, 0, 0, 1, 1, 0, 0]]
  study = compared(predicted([0.5] * 7, TRUTH), answers, labels=['Edema'])
  above, under = study.labels['Edema'].readers
  assert above.at_specificity.sensitivity == pytest.approx(0.25) and not above.below
  assert under.at_specificity.sensitivity == pytest.approx(0.5) and under.below
  assert study.labels['Edema'].below.count.value == 1


def test_the_majority_is_that_of_the_reference_standard():
  test, answers = drawn(seed=7, missing=0.4)
  study = compared(test, answers)
  consensus = (
    reader_consensus.consensus(readings(answers, LABELS)).set_index('image').loc[test.images]
  )
  for column, label in enumerate(LABELS):
    vote = consensus[label].to_numpy(np.float64)
    use = (vote >= 0) & test.known[:, column]
    majority = study.labels[label].majority
    assert majority.tied == (vote == -1).sum() > 0
    assert majority.images == use.sum()
    oracle = sklearn_metrics.recall_score(test.truth[use, column], vote[use])
    assert majority.sensitivity.value == pytest.approx(oracle, abs=1e-12)


def test_without_truth_a_reader_is_measured_against_the_others():
  test, answers = drawn(seed=8)
  test = test._replace(known=np.zeros(test.truth.shape, bool))
  study = compared(test, answers)
  assert study.truth == 'other readers' and 'majority of the other readers' in study.notes[0]
  for column, label in enumerate(LABELS):
    label_study = study.labels[label]
    assert label_study.majority is None
    for number, reader in enumerate(label_study.readers):
      first, second = np.delete(answers, number, axis=0)[:, :, column]
      standard = np.where(np.isnan(first), second, first)
      standard[(first != second) & ~np.isnan(first) & ~np.isnan(second)] = np.nan
      use = ~np.isnan(standard) & ~np.isnan(answers[number, :, column])
      oracle = sklearn_metrics.recall_score(standard[use], answers[number, use, column])
      assert reader.sensitivity.value == pytest.approx(oracle, abs=1e-12)
  with pytest.raises(InputError, match="'Ash' is the only reader"):
    compared(test, answers[:1])


def rounded(study):
  """Sums over blocks of other sizes may differ in the last bit."""
  text = json.dumps(results_file.to_plain(study))
  return json.loads(text, parse_float=lambda number: round(float(number), 12))


def test_rows_columns_and_blocks_in_any_order_give_the_same_study(monkeypatch):
  test, answers = drawn(seed=9)
  table = readings(answers, LABELS)
  arguments = {'replicates': 30, 'seed': 2}
  study = comparison.compare(test, table, THRESHOLDS, **arguments)
  assert comparison.compare(test, table, THRESHOLDS, **arguments) == study
  shuffled = table.sample(frac=1, random_state=0)[['reader', *LABELS[::-1], 'image']]
  shuffled['image'] = './' + shuffled['image']
  monkeypatch.setattr(intervals, 'BLOCK_BYTES', 8 * len(test.images) * 7)
  again = comparison.compare(test, shuffled, THRESHOLDS, **arguments)
  assert rounded(again) == rounded(study)


def test_notes_say_what_weakens_the_comparison():
  test, answers = drawn(seed=10)
  votes = figures.majority(answers[:, :, 1].T)
  truth, known = test.truth.copy(), test.known.copy()
  truth[:, 1], known[:, 1] = np.nan_to_num(votes), ~np.isnan(votes)
  answers[0, :, 0] = truth[:, 0]
  table = readings(answers, LABELS)
  table.loc[len(table)] = ['elsewhere.png', 'Dogwood', 1, 1]
  test = test._replace(truth=truth, known=known)
  more = test._replace(
    labels=[*LABELS, 'Mass'],
    probabilities=np.column_stack((test.probabilities, test.probabilities[:, 0])),
    truth=np.column_stack((truth, truth[:, 0])),
    known=np.column_stack((known, known[:, 0])),
  )
  table['Fracture'] = np.float32(1)
  study = comparison.compare(more, table, {}, replicates=0, seed=0)
  text = ' '.join(study.notes)
  for words in (
    "equals the readers' majority on every image (Edema)",
    'The answers of Ash equal the truth on every image (T1',
    '1 image that readers read, but not among those tested, ignored: elsewhere.png',
    'left out: Dogwood',
    'No reader answered Mass',
    'not predicted, ignored: Fracture',
    'answers missing: ',
    'No frozen threshold',
  ):
    assert words in text
  assert study.readers == tuple(READERS) and 'Fracture' not in study.labels
  assert study.below.average.reason == 'no replicates were drawn'


def test_what_does_not_exist_has_a_reason():
  test = predicted(SCORES, TRUTH, patients=['p'] * 3 + list('abcd'))
  answers = np.array([[1, 1, 0, 0, 0, 0, 0], [np.nan] * 3 + [0, 0, 0, 0]])
  study = compared(test, answers, labels=['Edema'], thresholds={'Edema': math.nan})
  first, second = study.labels['Edema'].readers
  assert first.sensitivity.interval is None
  assert first.sensitivity.reason == 'the images are of one patient'
  assert second.sensitivity.value is None and second.below is None
  assert second.sensitivity.reason == 'no positives among the images read'
  assert study.labels['Edema'].below.readers == 1
  assert study.labels['Edema'].kappa.cohen.readers.reason == 'all answers are the same'
  perfect = compared(predicted(SCORES, TRUTH), [TRUTH], labels=['Edema'])
  rate = perfect.labels['Edema'].readers[0].specificity
  assert rate.value == 1 and rate.interval == pytest.approx(
    stats.binomtest(4, 4).proportion_ci(0.95, method='wilson')
  )
  one = compared(predicted(SCORES, TRUTH, patients=['p'] * 7), answers[:1], labels=['Edema'])
  assert one.below.average.interval is None
  assert one.below.average.reason == 'there is one patient only'
  negative = compared(predicted(SCORES, [0] * 7), answers[:1], labels=['Edema'])
  assert negative.below is None and negative.labels['Edema'].roc is None
  assert 'so no curve: Edema' in ' '.join(negative.notes)


def renamed(**columns):
  return lambda table: table.rename(columns=columns)


@pytest.mark.parametrize(
  ('change', 'words'),
  [
    (renamed(Edema='Edma'), r"'Edma' is no label of the predictions; did you mean 'Edema'\?"),
    (lambda t: t[['image', 'reader']].assign(Mass=1),
     'no label in common.*answered Mass, pred.*Edema'),
    (lambda t: t.assign(image='x' + t['image']), "none of their 7 images.*'xi000.png'.*'i000.png'"),
    (lambda t: t.assign(Edema=np.nan, Cough=np.nan), 'no answer to Cough, Edema on an image'),
    (lambda t: t.assign(Edema=2), "column 'Edema': unknown answer '2'"),
    (lambda t: pd.concat([t, t[:1]]), "'Ash' reads image 'i000.png' twice"),
    (lambda t: t.assign(patient='q'),
     "'i000.png' is of patient 'q', in the predictions of 'i000.png'"),
    (lambda t: t[['image', 'reader']].assign(Edema=np.nan, Cough=1), 'has a known truth'),
  ],
)  # fmt: skip
def test_a_mistake_is_one_line(change, words):
  known = np.column_stack((np.zeros(7, bool), np.ones(7, bool)))
  test = predicted(
    np.column_stack((SCORES, SCORES)),
    np.column_stack((TRUTH, TRUTH)),
    known,
    labels=('Cough', 'Edema'),
  )
  table = readings([[1, 0, 1, 0, 0, 0, 0]]).assign(Cough=0)
  with pytest.raises(InputError, match=words) as caught:
    comparison.compare(test, change(table), {}, replicates=5, seed=0)
  assert '\n' not in str(caught.value) and str(caught.value).startswith('readers')


def test_labels_that_are_only_alike_are_passed_over():
  table = readings([[1, 0, 1, 0, 0, 0, 0]]).assign(Pneumonia=1)
  test = predicted(
    np.column_stack((SCORES, SCORES)),
    np.column_stack((TRUTH, TRUTH)),
    labels=('Edema', 'Pneumothorax'),
  )
  study = comparison.compare(test, table, {}, replicates=5, seed=0)
  assert list(study.labels) == ['Edema']

"""Thresholds against a search over every one, scikit-learn's curve and by hand."""

import fractions

import numpy as np
import pytest
from sklearn import metrics as sklearn_metrics

from medjax.config import vocabulary
from medjax.errors import InputError
from medjax.evaluation import operating_points
from medjax.evaluation.statistics import metrics


@pytest.mark.parametrize('digits', [1, 2, 8])
@pytest.mark.parametrize('seed', range(5))
def test_no_threshold_is_better(seed, digits):
  rng = np.random.default_rng(seed)
  truth = (rng.random(300) < 0.2).astype(int)
  scores = np.round(rng.normal(0.4 + 0.1 * truth, 0.2), digits)
  threshold = operating_points.choose('youden', scores, truth)
  false_positive_rate, sensitivity, _ = sklearn_metrics.roc_curve(truth, scores)
  reached = sum(metrics.sensitivity_specificity(scores, truth, threshold)) - 1
  assert reached == pytest.approx((sensitivity - false_positive_rate).max(), abs=1e-12)


def test_lies_midway_between_the_scores():
  assert operating_points.choose('youden', [0.1, 0.3, 0.7, 0.9], [0, 0, 1, 1]) == pytest.approx(0.5)


def test_ties_go_to_the_higher_sensitivity():
  # Calling 0.9 positive, or 0.9 to 0.5, both give an index of 1/2.
  assert operating_points.choose('youden', [0.9, 0.7, 0.5, 0.1], [1, 0, 1, 0]) == pytest.approx(0.3)


def test_useless_scores_call_everything_positive():
  assert operating_points.choose('youden', [0.5, 0.5, 0.5], [0, 1, 1]) == 0.5
  assert operating_points.choose('youden', [0.9, 0.2], [0, 1]) == 0.2


def test_neighbouring_numbers_have_no_middle():
  low = 0.5
  high = np.nextafter(low, 1)
  threshold = operating_points.choose('youden', [low, high], [0, 1])
  assert metrics.sensitivity_specificity([low, high], [0, 1], threshold) == (1, 1)


@pytest.mark.parametrize('truth', [[0, 0], [1, 1]])
def test_one_class_has_no_threshold(truth):
  assert np.isnan(operating_points.choose('youden', [0.1, 0.9], truth))
  assert np.isnan(operating_points.choose('youden', [], []))


def candidates(scores):
  """Every way of calling the highest scores positive, from the highest threshold to the lowest."""
  return [np.inf, *sorted(set(scores), reverse=True)]


def counted(scores, truth, threshold):
  called = scores >= threshold
  return int((called & (truth == 1)).sum()), int((called & (truth == 0)).sum())


def tied(seed):
  rng = np.random.default_rng(seed)
  truth = (rng.random(rng.integers(2, 40)) < rng.choice([0.1, 0.3, 0.7])).astype(int)
  scores = np.round(rng.normal(0.4 + 0.15 * truth, 0.2), int(rng.choice([1, 2, 8])))
  truth[0], truth[-1] = 0, 1
  return scores, truth


@pytest.mark.parametrize('tenths', range(1, 11))
def test_sensitivity_and_specificity_by_brute_force(tenths):
  for seed in range(60):
    scores, truth = tied(seed)
    positives, negatives = truth.sum(), (1 - truth).sum()
    counts = [counted(scores, truth, threshold) for threshold in candidates(scores)]
    # In whole numbers: a share of exactly 0.7 is enough.
    enough = [at for at in counts if 10 * at[0] >= tenths * positives]
    threshold_found = operating_points.choose(f'sensitivity={tenths / 10}', scores, truth)
    assert counted(scores, truth, threshold_found) == enough[0]
    enough = [at for at in counts if 10 * (negatives - at[1]) >= tenths * negatives]
    threshold_found = operating_points.choose(f'specificity={tenths / 10}', scores, truth)
    assert counted(scores, truth, threshold_found) == enough[-1]


@pytest.mark.parametrize(('rule', 'missed', 'alarm'), [
  ('cost=5', 5, 1), ('cost=1', 1, 1), ('cost=0.1', 1, 10), ('cost=0.3', 3, 10),
  ('cost=200', 200, 1),
])  # fmt: skip
def test_cost_by_brute_force(rule, missed, alarm):
  for seed in range(60):
    scores, truth = tied(seed)
    counts = [counted(scores, truth, threshold) for threshold in candidates(scores)]
    costs = [missed * (truth.sum() - hits) + alarm * alarms for hits, alarms in counts]
    lowest = len(costs) - 1 - int(np.argmin(costs[::-1]))  # of equal costs the lowest threshold
    threshold_found = operating_points.choose(rule, scores, truth)
    assert counted(scores, truth, threshold_found) == counts[lowest]


def test_youden_by_brute_force():
  for seed in range(60):
    scores, truth = tied(seed)
    counts = [counted(scores, truth, threshold) for threshold in candidates(scores)]
    index = [hits * (1 - truth).sum() - alarms * truth.sum() for hits, alarms in counts]
    lowest = len(index) - 1 - int(np.argmax(index[::-1]))
    threshold_found = operating_points.choose('youden', scores, truth)
    assert threshold_found == operating_points.choose('youden', scores, truth)
    assert counted(scores, truth, threshold_found) == counts[lowest]


def test_by_hand():
  scores, truth = np.array([0.9, 0.8, 0.6, 0.4, 0.2]), np.array([1, 0, 1, 0, 0])
  for rule, threshold in (
    ('sensitivity=0.5', 0.85),
    ('sensitivity=0.51', 0.5),
    ('specificity=1', 0.85),
    ('specificity=0.6', 0.5),
    ('specificity=0.3', 0.3),
    ('cost=5', 0.5),  # 1 false alarm; at 0.85 one miss, which is 5
    ('cost=0.5', 0.85),  # one miss is half; at 0.5 one false alarm is 1
    ('cost=1', 0.5),  # 1 either way: the lower threshold
    ('threshold=0.37', 0.37),
  ):
    assert operating_points.choose(rule, scores, truth) == pytest.approx(threshold, abs=1e-12), rule


def test_nothing_is_called_positive_where_that_is_best():
  # The highest scores are negative: any alarm is false, and a miss costs next to nothing.
  scores, truth = np.array([0.9, 0.9, 0.3]), np.array([0, 0, 1])
  for rule in ('cost=0.1', 'specificity=0.5'):
    threshold = operating_points.choose(rule, scores, truth)
    assert threshold == np.nextafter(0.9, 1)
    assert counted(scores, truth, threshold) == (0, 0)


def test_float32_scores_are_decided_as_they_were_counted():
  scores = np.float32([0.1, 0.2, 0.3, 0.4])
  threshold = operating_points.choose('sensitivity=1', scores, np.array([0, 0, 1, 1]))
  assert (scores.astype(np.float64) >= threshold).tolist() == [False, False, True, True]


@pytest.mark.parametrize(
  ('rule', 'without_positives', 'without_negatives'),
  [
    ('youden', True, True),
    ('sensitivity=0.9', True, False),
    ('specificity=0.9', False, True),
    ('cost=5', True, True),
    ('threshold=0.5', False, False),
  ],
)
def test_no_threshold_without_the_class_that_the_rule_needs(
  rule, without_positives, without_negatives
):
  scores = np.array([0.1, 0.5, 0.9])
  for truth, none, words in (
    (np.zeros(3), without_positives, 'no positives'),
    (np.ones(3), without_negatives, 'no negatives'),
  ):
    assert np.isnan(operating_points.choose(rule, scores, truth)) == none
    assert operating_points.lacking(rule, truth) == (words if none else '')
  empty = operating_points.choose(rule, [], [])
  assert np.isnan(empty) if rule != 'threshold=0.5' else empty == 0.5
  assert operating_points.lacking('youden', np.array([])) == 'no positives and no negatives'


@pytest.mark.parametrize(
  ('rule', 'words'),
  [
    ('yoden', "did you mean 'youden'"),
    ('Youden', "did you mean 'youden'"),
    ('youden=0.5', 'takes no value'),
    ('sensitivty=0.95', "did you mean 'sensitivity=0.95'"),
    ('specificity>=0.8', "did you mean 'specificity=0.8'"),
    ('sensitivity', 'a share in (0, 1]'),
    ('sensitivity=90', "did you mean 'sensitivity=0.9'"),
    ('sensitivity=90%', 'a share in (0, 1]'),
    ('specificity=0', 'a share in (0, 1]'),
    ('specificity=nan', 'a share in (0, 1]'),
    ('cost=0', 'false alarms'),
    ('cost=-1', 'false alarms'),
    ('cost=inf', 'false alarms'),
    ('cost=1e999999999', 'false alarms'),
    ('threshold=1.5', 'a probability in [0, 1]'),
    ('', 'youden, sensitivity=0.9'),
  ],
)
def test_a_wrong_rule_is_one_clear_line(rule, words):
  for call in (
    lambda: vocabulary.parse_rule(rule),
    lambda: operating_points.choose(rule, [0.1, 0.9], [0, 1]),
  ):
    with pytest.raises(InputError) as error:
      call()
    assert words in str(error.value) and f"'{rule}'" in str(error.value)
    assert '\n' not in str(error.value) and 'operating_points' in str(error.value)


def test_a_rule_is_its_name_and_its_value():
  for rule, name, value in (
    ('youden', 'youden', None),
    ('sensitivity=0.90', 'sensitivity', fractions.Fraction(9, 10)),
    (' specificity = 1 ', 'specificity', 1),
    ('cost=2.5', 'cost', fractions.Fraction(5, 2)),
    ('threshold=0.5', 'threshold', fractions.Fraction(1, 2)),
  ):
    assert vocabulary.parse_rule(rule) == (name, value)


def test_rules_are_there_and_given_once():
  vocabulary.check_rules(vocabulary.RULE_EXAMPLES)
  with pytest.raises(InputError, match='is empty'):
    vocabulary.check_rules(())
  with pytest.raises(InputError, match=r"'sensitivity=0\.90' and 'sensitivity=0\.9' are the same"):
    vocabulary.check_rules(('youden', 'sensitivity=0.9', 'sensitivity=0.90'))

"""Sensitivity and specificity of two runs: plain counts, and intervals that cover."""

import numpy as np
import pytest
from compared_runs import compare, runs
from scipy import stats
from sklearn import metrics
from statsmodels.stats import proportion

from medjax.evaluation.statistics import proportions


def test_rates_are_those_of_each_run_at_its_threshold():
  one, other = runs()
  thresholds = ({'Edema': 0.4, 'Mass': 0.5}, {'Edema': 0.6, 'Mass': None})
  compared = compare(one, other, thresholds=thresholds)
  known = one.known[:, 0]
  truth = one.truth[known, 0]
  for name, positive in (('sensitivity', 1), ('specificity', 0)):
    pair = getattr(compared.labels['Edema'], name)
    rates = [
      metrics.recall_score(truth, run.probabilities[known, 0] >= at, pos_label=positive)
      for run, at in ((one, 0.4), (other, 0.6))
    ]
    assert [pair.one.value, pair.other.value] == pytest.approx(rates)
    assert pair.difference.value == pytest.approx(rates[0] - rates[1])
    low, high = pair.difference.interval
    assert low < pair.difference.value < high
  assert compared.labels['Mass'].sensitivity is None  # a run has no threshold for it
  assert compare(one, other).labels['Edema'].sensitivity is None


def test_exclusive_classes_are_compared_by_the_decision_between_them():
  one, other = runs()
  class_of = np.arange(len(one.images)) % 3
  truth = np.eye(3, dtype=np.float32)[class_of]
  one, other = (run._replace(truth=truth, known=truth >= 0) for run in (one, other))
  compared = compare(one, other, head='softmax')
  recalls = metrics.recall_score(class_of, one.probabilities.argmax(axis=1), average=None)
  ours = [contrast.sensitivity.one.value for contrast in compared.labels.values()]
  assert ours == pytest.approx(recalls)


@pytest.mark.parametrize(
  ('counts', 'published'),
  [((36, 12, 2, 0), (0.0569, 0.3404)), ((36, 14, 0, 0), (0.1528, 0.4167))],
)
def test_intervals_are_newcombes(counts, published):
  # Newcombe 1998, table II, method 10: both right, only the first, only the second, neither.
  one, other = (np.repeat(hits, counts) for hits in ([1, 1, 0, 0], [1, 0, 1, 0]))
  ours = proportions.difference(one, other, np.ones(sum(counts)))
  assert ours == pytest.approx(published, abs=5e-5)


def test_without_correlation_the_interval_is_that_of_two_independent_rates():
  # Hits of the first are spread over those of the second so that the patients' correlation is 0.
  one, other = np.tile([1, 1, 0, 0], 10), np.tile([1, 0, 1, 0], 10)
  ours = proportions.difference(one, other, np.ones(40))
  oracle = proportion.confint_proportions_2indep(20, 40, 20, 40, method='newcomb', compare='diff')
  assert ours == pytest.approx(oracle, abs=1e-9)
  assert proportions.difference(one[:1], other[:1], np.ones(1)) is None
  low, high = proportions.difference(np.ones(15), np.ones(15), np.ones(15))
  assert low < 0 < high  # no error of either is no certainty


@pytest.mark.parametrize(
  ('patients', 'rates', 'most'), [(15, (0.7, 0.6), 1), (30, (0.7, 0.6), 3), (30, (0.7, 0.7), 1)]
)
def test_intervals_of_differences_cover(patients, rates, most):
  rng, covered, sets = np.random.default_rng(0), 0, 600
  for _ in range(sets):
    images = rng.integers(1, most + 1, patients)
    patient = np.repeat(np.arange(patients), images)
    of_patient, of_image = rng.normal(size=patients)[patient], rng.normal(size=len(patient))
    hits = []
    for rate in rates:
      noise = rng.normal(size=len(patient))
      scores = np.sqrt(0.3) * of_patient + np.sqrt(0.35) * (of_image + noise)
      hits.append(np.bincount(patient, scores < stats.norm.ppf(rate), minlength=patients))
    low, high = proportions.difference(*hits, images)
    covered += low <= rates[0] - rates[1] <= high
  assert 0.93 <= covered / sets <= 0.985, covered / sets

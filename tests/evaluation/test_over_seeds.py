"""Seeds: what is over patients and what is over networks stay apart."""

import dataclasses

import numpy as np
import pytest
from drawn_folds import LABELS, PROTOCOL, predicted

from medjax.evaluation import assessment, seeds
from medjax.evaluation.seeds import Seed


def seed_of(test, noise, number):
  rng = np.random.default_rng(number)
  log_odds = test.log_odds + noise * rng.normal(size=test.log_odds.shape)
  changed = test._replace(log_odds=log_odds, probabilities=1 / (1 + np.exp(-log_odds)))
  return Seed(changed, assessment.assess(None, changed, _raw()).result)


def _raw():
  return dataclasses.replace(PROTOCOL, calibration='none', operating_points=('threshold=0.5',))


def test_networks_that_agree_have_the_interval_of_one_and_no_spread():
  test = predicted(np.random.default_rng(0), 't', 60)
  same = [seed_of(test, 0, number) for number in range(5)]
  mean, labels = seeds.over_seeds(same, LABELS, 60)
  for label in LABELS:
    one = same[0].result.labels[label].auroc
    assert labels[label].auroc_mean.value == pytest.approx(one.value)
    assert labels[label].auroc_mean.interval == pytest.approx(one.interval)
    assert labels[label].spread.auroc.sd == pytest.approx(0)
  assert mean.auroc_mean.value == pytest.approx(same[0].result.mean.auroc.value)
  assert mean.auroc_mean.interval == pytest.approx(same[0].result.mean.auroc.interval)


def test_more_seeds_tell_of_seeds_and_not_of_patients():
  test = predicted(np.random.default_rng(1), 't', 60)
  widths = []
  for number in (2, 12):
    networks = [seed_of(test, 1.0, seed) for seed in range(number)]
    mean, labels = seeds.over_seeds(networks, LABELS, 60)
    values = [network.result.labels['Mass'].auroc.value for network in networks]
    spread = labels['Mass'].spread.auroc
    assert spread.values == tuple(values) and spread.mean == pytest.approx(np.mean(values))
    assert labels['Mass'].auroc_mean.value == pytest.approx(np.mean(values))
    low, high = mean.auroc_mean.interval
    widths.append(high - low)
  # Averaging over networks takes away their own noise, never that of having few patients.
  assert widths[1] > 0.6 * widths[0]

"""Net benefit against dcurves, and how often its intervals hold, by simulation."""

import numpy as np
import pytest
from scipy import special

from medjax.evaluation.statistics import net_benefit

TRUTH = [
  0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0,
  0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 1, 0, 1, 0, 1, 0, 0, 1, 1,
]  # fmt: skip
SCORES = [
  0.16, 0.32, 0.89, 0.48, 0.3, 0.19, 0.59, 0.53, 0.36, 0.03, 0.24, 0.75, 0.45, 0.45, 0.65, 0.28,
  0.13, 0.43, 0.61, 0.69, 0.64, 0.44, 0.17, 0.09, 0.08, 0.36, 0.35, 0.52, 0.12, 0.62, 0.18, 0.59,
  0.49, 0.13, 0.28, 0.46, 0.26, 0.14, 0.07, 0.07, 0.33, 0.45, 0.2, 0.09, 0.42, 0.08, 0.42, 0.36,
  0.14, 0.31, 0.14, 0.62, 0.22, 0.65, 0.38, 0.41, 0.56, 0.38, 0.78, 0.83,
]  # fmt: skip
AT = (0.055, 0.105, 0.205, 0.305, 0.405, 0.505, 0.705)
# What dcurves 1.1.7 gives for them: model and all, as they are and at a prevalence of 0.1.
DCURVES = [
  [0.242593, 0.212942, 0.154927, 0.096403, 0.085854, -0.002694, 0.066667],
  [0.241623, 0.199255, 0.098532, -0.031175, -0.204482, -0.447811, -1.429379],
]
AT_ONE_TENTH = [
  [0.048837, 0.011602, -0.046207, -0.104654, -0.102853, -0.123766, 0.023529],
  [0.047619, -0.005587, -0.132075, -0.294964, -0.512605, -0.818182, -2.050847],
]


@pytest.mark.parametrize('weighted', [False, True])
def test_equals_dcurves(weighted):
  truth = np.array(TRUTH)
  weights = np.where(truth, 0.1 / truth.mean(), 0.9 / (1 - truth.mean())) if weighted else None
  points = [
    net_benefit.at_threshold(at, np.arange(60), np.array(SCORES), truth, weights) for at in AT
  ]
  model, treat_all = AT_ONE_TENTH if weighted else DCURVES
  assert [point.model for point in points] == pytest.approx(model, abs=1e-6)
  assert [point.treat_all for point in points] == pytest.approx(treat_all, abs=1e-6)
  # Its net_intervention_avoided is the difference at the rate of exchange.
  avoided = [100 * (one - other) * (1 - at) / at for one, other, at in zip(model, treat_all, AT)]
  assert [point.avoided for point in points] == pytest.approx(avoided, abs=2e-3)


def test_a_probability_at_the_threshold_is_acted_on():
  point = net_benefit.at_threshold(0.5, np.arange(4), np.array([0.5, 0.4, 0.5, 0.1]), [1, 1, 0, 0])
  assert point.model == pytest.approx(0) and point.avoided == pytest.approx(0)


@pytest.mark.parametrize(
  ('patients', 'images', 'prevalence', 'own'), [(300, 1, 0.3, 0), (200, 3, 0.2, 0.6)]
)
def test_intervals_hold_what_they_say_at_every_threshold(patients, images, prevalence, own):
  apart, middle = np.sqrt(2) * special.ndtri(0.85), special.logit(prevalence)
  thresholds = net_benefit.thresholds(prevalence)[[0, 4, 9, 19, 36]]
  exchange = thresholds / (1 - thresholds)
  sensitivity, alarms = (
    special.ndtr((middle + side * apart**2 / 2 - special.logit(thresholds)) / apart)
    for side in (1, -1)
  )
  model = sensitivity * prevalence - exchange * alarms * (1 - prevalence)
  avoided = 100 * (model - prevalence + exchange * (1 - prevalence)) / exchange
  patient, held = np.repeat(np.arange(patients), images), np.zeros((2, len(thresholds)))
  for seed in range(400):
    rng = np.random.default_rng(seed)
    ill = (rng.random(patients) < prevalence)[patient]
    noise = np.sqrt(own) * rng.normal(size=patients)[patient]
    noise = noise + np.sqrt(1 - own) * rng.normal(size=len(patient))
    scores = special.expit(middle + np.where(ill, 1, -1) * apart**2 / 2 + apart * noise)
    for at, threshold in enumerate(thresholds):
      point = net_benefit.at_threshold(threshold, patient, scores, ill)
      held[0, at] += point.model_interval[0] <= model[at] <= point.model_interval[1]
      held[1, at] += point.avoided_interval[0] <= avoided[at] <= point.avoided_interval[1]
  assert ((held / 400 >= 0.92) & (held / 400 <= 0.99)).all(), held / 400


def test_intervals_of_weighted_images_hold():
  # Of a finding of 5 % two fifths are drawn, of the others a twentieth.
  prevalence, thresholds, apart = 0.05, np.array([0.02, 0.1, 0.18]), 1.6
  middle, exchange = special.logit(prevalence), thresholds / (1 - thresholds)
  sensitivity, alarms = (
    special.ndtr((middle + side * apart**2 / 2 - special.logit(thresholds)) / apart)
    for side in (1, -1)
  )
  true, held = sensitivity * prevalence - exchange * alarms * (1 - prevalence), []
  for seed in range(400):
    rng = np.random.default_rng(seed)
    ill = rng.random(6000) < prevalence
    ill = ill[rng.random(6000) < np.where(ill, 0.4, 0.05)]
    weights = np.where(ill, 2.5, 20.0)
    noise = rng.normal(size=len(ill))
    scores = special.expit(middle + np.where(ill, 1, -1) * apart**2 / 2 + apart * noise)
    people = np.arange(len(ill))
    points = [
      net_benefit.at_threshold(at, people, scores, ill, weights / weights.mean())
      for at in thresholds
    ]
    held.append(
      [low <= value <= high for value, (low, high) in zip(true, [p.model_interval for p in points])]
    )
  share = np.mean(held, axis=0)
  assert ((share >= 0.93) & (share <= 0.98)).all(), share
  # Hardly anybody is spared at so low a threshold.
  lowest = net_benefit.at_threshold(0.001, people, scores, ill, weights)
  assert lowest.avoided_interval is None and lowest.model_interval is not None

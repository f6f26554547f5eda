"""How often the intervals of an external validation hold what they claim, by simulation."""

import dataclasses

import numpy as np
import pytest
from drawn_external import hospital
from scipy import special

from medjax.config.protocol import Protocol
from medjax.evaluation import summary
from medjax.evaluation.external import cohorts, recalibrated
from medjax.evaluation.external.cohorts import Cohort
from medjax.evaluation.frozen import FrozenPoint
from medjax.evaluation.statistics import calibration_metrics, metrics, recalibration

TRIALS = 300
PROTOCOL = Protocol(replicates=300)
POINTS = {'Edema': [FrozenPoint('threshold=0.3', 0.3, '')]}
HERE = {'prevalence': (0.45, 0.15), 'moved': -0.6, 'stretched': 1.2}
DIFFERENCES = (
  'auroc', 'auprc', 'brier', 'calibration_slope', 'calibration_intercept', 'observed_expected',
)  # fmt: skip


def drawn(seed, patients, **settings):
  return cohorts.of_labels(hospital(seed, patients, **settings), ['Edema'])


def truths(population):
  """Returns every figure of a hospital with so many patients that chance is out of it."""
  known = population.known[:, 0]
  p, y = population.probabilities[known, 0], population.truth[known, 0]
  z = calibration_metrics.logit(p)
  called = p >= 0.3
  return {
    'auroc': float(metrics.auroc(p, y)),
    'auprc': float(metrics.average_precision(p, y)),
    'brier': float(((p - y) ** 2).mean()),
    'calibration_slope': recalibration.logistic(z, y).slope,
    'calibration_intercept': recalibration.in_the_large(z, y).intercept,
    'observed_expected': float(y.sum() / p.sum()),
    'sensitivity': float(called[y == 1].mean()),
    'ppv': float(y[called].mean()),
  }


def cohort(name, predictions):
  return Cohort(name, predictions, summary.evaluate(None, predictions, POINTS, PROTOCOL))


@pytest.mark.deep
def test_differences_and_recalibrated_figures_cover(monkeypatch):
  populations = drawn(10**6, 60_000, **HERE), drawn(10**6 + 1, 60_000)
  here, there = map(truths, populations)
  held = {}

  def count(name, figure, truth):
    held.setdefault(name, []).append(figure.interval[0] <= truth <= figure.interval[1])

  for trial in range(TRIALS):
    external = drawn(2 * trial + 10, 240, **HERE)
    pair = cohort('external', external), cohort('own test', drawn(2 * trial + 11, 300))
    contrast = cohorts.contrast(*pair, PROTOCOL).labels['Edema']
    count('O:E', contrast.observed_expected.one, here['observed_expected'])
    for name in DIFFERENCES:
      count(name, getattr(contrast, name).difference, here[name] - there[name])
    for name in ('sensitivity', 'ppv'):
      point = getattr(contrast.operating_points[0], name)
      count(name, point.difference, here[name] - there[name])
    settings = dataclasses.replace(PROTOCOL, seed=trial)
    logistic = recalibrated.of_labels(external, POINTS, settings)['Edema'].ways[2]
    z = calibration_metrics.logit(populations[0].probabilities)
    moved = special.expit(logistic.intercept + logistic.slope * z)
    expected = truths(populations[0]._replace(probabilities=moved))
    for name in ('brier', 'calibration_slope', 'calibration_intercept', 'observed_expected'):
      count(f'recalibrated {name}', getattr(logistic, name), expected[name])
  covered = {name: float(np.mean(values)) for name, values in held.items()}
  print(covered)
  error = 2 * np.sqrt(0.95 * 0.05 / TRIALS)  # Of so many trials.
  assert all(0.93 - error < value < 0.97 + error for value in covered.values()), covered

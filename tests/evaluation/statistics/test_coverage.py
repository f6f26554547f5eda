"""How often the intervals hold what they claim, by simulation with a known truth."""

import numpy as np
import pytest
from scipy import special

from medjax.evaluation import notes
from medjax.evaluation.statistics import (
  calibration_metrics,
  delong,
  intervals,
  metrics,
  resampled,
)

TRIALS, PATIENTS, IMAGES, SEPARATION = 800, 300, 4, 1.2
TRUE_AUROC = special.ndtr(SEPARATION / np.sqrt(2))  # of two normal distributions of variance 1
TRUE_SENSITIVITY = special.ndtr(SEPARATION)  # at threshold 0


def trial(seed):
  """Returns (patients, scores in [0, 1], truth): half of a score's variance is the patient's."""
  rng = np.random.default_rng(seed)
  truth = np.repeat(rng.random(PATIENTS) < 0.4, IMAGES)  # a patient is ill in all images or none
  of_patient = np.repeat(rng.normal(size=PATIENTS), IMAGES)
  noise = rng.normal(size=PATIENTS * IMAGES)
  scores = SEPARATION * truth + (of_patient + noise) / np.sqrt(2)
  return np.repeat(np.arange(PATIENTS), IMAGES), special.expit(scores), truth


def bounds(groups, scores, truth, seed):
  """Returns the percentile and BCa intervals of AUROC and sensitivity, resampling `groups`."""
  known = np.ones((len(truth), 1), bool)
  prepared = resampled.prepare(groups, scores[:, None], truth[:, None], known, np.array([[0.5]]))

  def compute(weights):
    return resampled.compute(prepared, weights)

  drawn = intervals.replicate(
    compute, prepared.patients, prepared.images, replicates=400, seed=seed
  )
  left_out = intervals.jackknife(compute, prepared.patients)
  values = compute(np.ones((1, prepared.patients)))
  intervals_found = {}
  for name in ('auroc', 'sensitivity'):
    columns = (np.ravel(figures[name]) for figures in (drawn, values, left_out))
    replicates, (value,), without = columns
    percentile = intervals.percentile(replicates).bounds
    intervals_found[name] = percentile, intervals.bca(replicates, value, without) or percentile
  return intervals_found


@pytest.mark.slow
def test_intervals_by_patient_cover_and_those_by_image_fall_short(monkeypatch):
  # They are not asked for here, and take most of the time.
  nothing = lambda nodes, sums, totals: np.full((2, len(totals)), np.nan)  # noqa: E731
  monkeypatch.setattr(calibration_metrics, 'fits', nothing)
  by_patient = np.mean([covered(seed, by_image=False) for seed in range(TRIALS)], axis=0)
  by_image = np.mean([covered(seed, by_image=True) for seed in range(TRIALS // 4)], axis=0)
  assert ((by_patient >= 0.93) & (by_patient <= 0.97)).all(), by_patient
  assert (by_image < 0.88).all(), by_image


def covered(seed, by_image):
  """Returns whether the intervals of AUROC and sensitivity, percentile and BCa, hold the truth."""
  patients, scores, truth = trial(seed)
  intervals_found = bounds(np.arange(len(patients)) if by_image else patients, scores, truth, seed)
  true = {'auroc': TRUE_AUROC, 'sensitivity': TRUE_SENSITIVITY}
  return [
    [low <= true[name] <= high for low, high in figures]
    for name, figures in intervals_found.items()
  ]


@pytest.mark.parametrize('images', [1, 3])
@pytest.mark.parametrize(('positives', 'auroc'), [(15, 0.75), (15, 0.9), (30, 0.75), (30, 0.9)])
def test_of_few_positive_patients_an_auroc_s_interval_covers(positives, auroc, images):
  held, patient = [], np.repeat(np.arange(positives + 150), images)
  truth, own = patient < positives, 0 if images == 1 else 0.7
  for seed in range(1200):
    rng = np.random.default_rng(seed)
    shift = np.sqrt(2) * special.ndtri(auroc) * truth
    of_patient = rng.normal(0, own, positives + 150)[patient]
    scores = rng.normal(shift + of_patient, np.sqrt(1 - own**2))
    low, high = delong.figure(scores, truth, patient).interval
    held.append(low <= auroc <= high)
  assert 0.93 <= np.mean(held) <= 0.97


def test_near_1_an_auroc_s_interval_of_few_positive_patients_is_too_narrow():
  # What the note on few patients says, and with which number of them it ends.
  def covered_of(positives):
    held, truth = [], np.arange(positives + 150) < positives
    for seed in range(1200):
      scores = np.random.default_rng(seed).normal(np.sqrt(2) * special.ndtri(0.96) * truth)
      low, high = delong.figure(scores, truth).interval or (1, 1)
      held.append(low <= 0.96 <= high)
    return np.mean(held)

  assert covered_of(10) < 0.92
  assert covered_of(notes.NOMINAL) >= 0.93


@pytest.mark.slow
def test_of_few_positive_patients_an_average_precision_s_interval_covers():
  held, positives, negatives = [], 15, 200
  shift = np.sqrt(2) * special.ndtri(0.9)
  truth = np.arange(positives + negatives) < positives
  # Precision over recall, of which the average precision is the mean.
  at = np.linspace(-8, 8 + shift, 20_001)
  recall, false_alarms = special.ndtr(shift - at), special.ndtr(-at)
  precision = positives * recall / (positives * recall + negatives * false_alarms)
  area = -np.sum((precision[1:] + precision[:-1]) / 2 * np.diff(recall))
  for seed in range(400):
    scores = np.random.default_rng(seed).normal(shift * truth)
    counts = intervals.patient_counts(len(truth), 400, seed).astype(float)
    drawn = metrics.areas(metrics.rank(scores, truth), counts)[1]
    low, high = intervals.percentile(drawn).bounds
    held.append(low <= area <= high)
  assert 0.92 <= np.mean(held) <= 0.98

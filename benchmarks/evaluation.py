"""Seconds for every figure of a test set with its bootstrap intervals, against scikit-learn's.

  python benchmarks/evaluation.py
  python benchmarks/evaluation.py --images=5000 --labels=5 --replicates=500

Both resample the same patients and compute the same figures of every label in every replicate:
  AUROC,
average precision, Brier score, expected calibration error, calibration slope and intercept, and at
three thresholds sensitivity, specificity, PPV, NPV and F1. The loop with scikit-learn does `--part`
of the replicates of one label; its time is scaled to all of them. The jackknife behind the BCa
intervals is in medjax's time and not in the loop's.
"""

import argparse
import os
import time

import numpy as np
import sklearn
from scipy import special
from sklearn import linear_model, metrics
from sklearn.calibration import calibration_curve

from medjax.evaluation.statistics import calibration_metrics, intervals, resampled

THRESHOLDS = (0.1, 0.3, 0.5)


def generate(images: int, labels: int, seed: int = 0):
  """Returns patients, probabilities, truth and known, about three images of each patient."""
  rng = np.random.default_rng(seed)
  patients = rng.integers(0, images // 3, images)
  shares = np.geomspace(0.01, 0.4, labels)
  truth = rng.random((images, labels)) < shares
  logits = special.logit(shares) + 1.5 * truth + rng.normal(size=truth.shape)
  return patients, special.expit(logits), truth, np.ones(truth.shape, bool)


def with_medjax(patients, scores, truth, known, replicates: int):
  """Returns all figures in all replicates, f64[R, L] or f64[R, L, K]; computes BCa intervals."""
  thresholds = np.tile(THRESHOLDS, (scores.shape[1], 1))
  prepared = resampled.prepare(patients, scores, truth, known, thresholds)

  def compute(weights):
    return resampled.compute(prepared, weights)

  drawn = intervals.replicate(
    compute, prepared.patients, prepared.images, replicates=replicates, seed=0
  )
  values = compute(np.ones((1, prepared.patients)))
  left_out = intervals.jackknife(compute, prepared.patients)
  for name, figures in drawn.items():
    for place in np.ndindex(figures.shape[1:]):
      replicate, without = figures[:, *place], left_out[name][:, *place]
      intervals.figure(float(values[name][0, *place]), replicate, left_out=without)
  return drawn


def with_scikit_learn(rows, scores, truth):
  """Returns the figures of one label in one replicate, as one would write it with scikit-learn."""
  y, p = truth[rows], scores[rows]
  logits = calibration_metrics.logit(p)[:, None]
  shares, means = calibration_curve(y, p, n_bins=calibration_metrics.BINS)
  counts = np.histogram(p, bins=np.linspace(0, 1, calibration_metrics.BINS + 1))[0]
  slope = linear_model.LogisticRegression(C=np.inf).fit(logits, y).coef_[0, 0]
  figures = {
    'auroc': metrics.roc_auc_score(y, p),
    'auprc': metrics.average_precision_score(y, p),
    'brier': metrics.brier_score_loss(y, p),
    'ece': np.sum(counts[counts > 0] * np.abs(shares - means)) / len(y),
    'calibration_slope': slope,
    'calibration_intercept': _intercept(logits[:, 0], y),
  }
  at_thresholds = []
  for threshold in THRESHOLDS:
    called = p >= threshold
    at_thresholds.append(
      (
        metrics.recall_score(y, called),
        metrics.recall_score(y, called, pos_label=0),
        metrics.precision_score(y, called, zero_division=np.nan),
        metrics.precision_score(y, called, pos_label=0, zero_division=np.nan),
        metrics.f1_score(y, called),
      )
    )
  columns = zip(resampled.AT_THRESHOLD, zip(*at_thresholds))
  return figures | {name: list(values) for name, values in columns}


def _intercept(logits, y) -> float:
  """scikit-learn fits no offset: Newton's method for the constant alone."""
  constant = 0.0
  for _ in range(20):
    chance = special.expit(logits + constant)
    step = (y - chance).sum() / (chance * (1 - chance)).sum()
    constant += step
    if abs(step) < 1e-9:
      break
  return constant


def main() -> None:
  """Prints both times and their ratio, after checking that both computed the same."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--images', type=int, default=25_000)
  parser.add_argument('--labels', type=int, default=14)
  parser.add_argument('--replicates', type=int, default=2_000)
  parser.add_argument('--part', type=int, default=20, help='replicates of the scikit-learn loop')
  settings = parser.parse_args()
  patients, scores, truth, known = generate(settings.images, settings.labels)
  start = time.perf_counter()
  drawn = with_medjax(patients, scores, truth, known, settings.replicates)
  seconds = time.perf_counter() - start
  unique, patient = np.unique(patients, return_inverse=True)
  images_of = np.split(np.argsort(patient, kind='stable'), np.cumsum(np.bincount(patient))[:-1])
  label, loop, part = settings.labels - 1, 0.0, min(settings.part, settings.replicates)
  for replicate, counts in enumerate(intervals.patient_counts(len(unique), part, 0)):
    start = time.perf_counter()
    rows = np.concatenate([images_of[row] for row in np.repeat(np.arange(len(unique)), counts)])
    figures = with_scikit_learn(rows, scores[:, label], truth[:, label])
    loop += time.perf_counter() - start
    for name, value in figures.items():
      tolerance = 1e-3 if name.startswith('calibration') else 1e-9
      np.testing.assert_allclose(
        drawn[name][replicate, label], value, rtol=tolerance, atol=tolerance
      )
  scaled = loop / part * settings.replicates * settings.labels
  print(
    f'{settings.labels} labels × {settings.images:,} images × {settings.replicates:,} replicates, '
    f'{os.cpu_count()} cores, numpy {np.__version__}, scikit-learn {sklearn.__version__}'
  )
  print(f'medjax        {seconds:,.1f} s')
  print(f'scikit-learn  {scaled:,.0f} s ({loop / part * 1e3:,.0f} ms for each label and replicate)')
  print(f'ratio         {scaled / seconds:,.0f}')


if __name__ == '__main__':
  main()

"""Drawn readings of three readers, the predictions beside them, and their comparison."""

import numpy as np
import pandas as pd

from medjax.evaluation.predictions import Predictions
from medjax.evaluation.readers import comparison

LABELS = ['T1 < 2 cm & "N0"', 'Edema']
READERS = ['Ash', 'Birch', 'Cedar']
THRESHOLDS = dict(zip(LABELS, (0.5, 0.4)))

# Positives score 0.9, 0.7, 0.4 and negatives 0.8, 0.6, 0.2, 0.1: the curve rises to 1/3, runs to
# 1/4, rises to 2/3, runs to 1/2, rises to 1.
SCORES = [0.9, 0.7, 0.4, 0.8, 0.6, 0.2, 0.1]
TRUTH = [1, 1, 1, 0, 0, 0, 0]


def predicted(scores, truth, known=None, patients=None, labels=('Edema',)):
  truth = np.asarray(truth, np.float32).reshape(-1, len(labels))
  images = [f'i{n:03}.png' for n in range(len(truth))]
  return Predictions(
    images,
    images if patients is None else [str(patient) for patient in patients],
    list(labels),
    np.asarray(scores, np.float32).reshape(truth.shape),
    truth,
    np.ones(truth.shape, bool) if known is None else np.asarray(known, bool).reshape(truth.shape),
  )


def readings(answers, labels=('Edema',), readers=READERS):
  """Returns readings of answers [readers, images, labels], NaN where not read."""
  answers = np.asarray(answers, np.float32)
  answers = answers.reshape(len(answers), -1, len(labels))
  frames = []
  for name, values in zip(readers, answers):
    images = [f'i{n:03}.png' for n in range(len(values))]
    frames.append(pd.DataFrame({'image': images, 'reader': name, **dict(zip(labels, values.T))}))
  return pd.concat(frames, ignore_index=True)


def drawn(seed=0, patients=60, missing=0.15, decimals=2):
  """Returns (predictions, answers f64[3, N, 2]): tied scores, unknown truth, missing answers."""
  rng = np.random.default_rng(seed)
  patient = np.repeat(np.arange(patients), rng.integers(1, 4, patients))
  truth = (rng.random((len(patient), 2)) < (0.3, 0.4)).astype(np.float32)
  scores = np.round(np.clip(rng.normal(0.35 + 0.25 * truth, 0.2), 0, 1), decimals)
  right = np.array([0.7, 0.8, 0.9])[:, None, None]
  answers = np.where(rng.random((3, *truth.shape)) < right, truth, 1 - truth)
  answers = np.where(rng.random(answers.shape) < missing, np.nan, answers)
  known = rng.random(truth.shape) < 0.9
  return predicted(scores, truth, known, patient, LABELS), answers


def compared(test, answers, replicates=20, labels=LABELS, thresholds=THRESHOLDS):
  table = readings(answers, labels)
  return comparison.compare(test, table, thresholds, replicates=replicates, seed=1)

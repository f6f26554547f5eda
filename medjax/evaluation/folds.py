"""Figures of folds: every patient is tested once, by a network that has not seen them.

Raw scores of networks that were trained apart do not share a scale: put into one list, a positive
of one fold may fall below a negative of another though each network ranks its own patients
perfectly, and the AUROC comes out too low. So each probability is calibrated by its own fold, and
decisions are at the thresholds of the own fold, before they are pooled. A calibration is itself
estimated, on the validation of one fold, and what it misses goes into the pooled AUROC, mostly
downwards; between sites of unlike prevalence, upwards too (Parker, Günter & Bedo, BMC
Bioinformatics 8:326, 2007; Airola et al., Comput. Stat. Data Anal. 55:1828, 2011). The AUROC of
pairs within a fold needs no common scale.

Intervals of both are over patients, the networks being what they are. They do not hold the luck of
the training sets; that of the mean of folds does, see
medjax.evaluation.statistics.strata.over_training_sets.
"""

import dataclasses
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import pandas as pd

from medjax.config.protocol import Protocol
from medjax.evaluation import notes, spreads, summary
from medjax.evaluation.figure import Figure
from medjax.evaluation.frozen import FrozenLevel, FrozenPoint
from medjax.evaluation.label_figures import CONFIDENCE
from medjax.evaluation.pooled_decisions import Decided, with_decisions
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.repeated_result import OverFolds, Spreads
from medjax.evaluation.result import Result
from medjax.evaluation.statistics import strata


class Fold(NamedTuple):
  """What one fold's network says of the patients whom it has not seen.

  Attributes:
    name: such as 'fold 0'.
    test: its predictions at the level that is tested, calibrated by its own validation.
    level: what its own validation chose: the calibration, and the same rules in every fold.
    result: of its own test.
    trained_on: patients who trained it, without those of its validation.
  """

  name: str
  test: Predictions
  level: FrozenLevel
  result: Result
  trained_on: int


class Pooled(NamedTuple):
  """What `pool` returns: of all patients together, of the mean over labels, and of each label."""

  result: Result
  mean: OverFolds
  labels: dict[str, OverFolds]


def pool(folds: Sequence[Fold], protocol: Protocol) -> Pooled:
  """Returns the figures of all folds together.

  Args:
    folds: of the same labels, and of different patients.
    protocol: how the tests were read.

  Raises:
    ValueError: a patient is in two folds.
  """
  everybody = _together([fold.test for fold in folds])
  rules = [point.rule for point in next(iter(folds[0].level.operating_points.values()), ())]
  unlike = {
    label: [FrozenPoint(rule, None, 'each fold has its own') for rule in rules]
    for label in everybody.labels
  }
  result = with_decisions(
    summary.evaluate(None, everybody, unlike, protocol),
    everybody,
    [_decided(folds, number, rule) for number, rule in enumerate(rules)],
    replicates=protocol.replicates,
    seed=protocol.seed,
    prevalence=protocol.prevalence,
  )
  sentences = (*_without_scale(folds), *notes.notes(result, None, everybody))
  result = dataclasses.replace(result, notes=sentences)
  return Pooled(result, *_over_folds(folds, result))


def _without_scale(folds: Sequence[Fold]) -> list[str]:
  """Returns a sentence on the labels whose probabilities some fold has not calibrated."""
  of_label: dict[str, list[str]] = {}
  for fold in folds:
    fitted = fold.level.calibration
    for label in fold.test.labels:
      if fitted.classes is not None:
        is_fitted = not fitted.classes.reason
      else:
        is_fitted = label in (fitted.labels or {}) and not (fitted.labels or {})[label].reason
      if fitted.method == 'none' or not is_fitted:
        of_label.setdefault(label, []).append(fold.name)
  whose = [f'{label} ({", ".join(names)})' for label, names in of_label.items()]
  return (
    [
      'Calibration made no common scale where a fold could not be calibrated, so the pooled areas '
      f'and Brier score compare raw scores; take those within folds: {"; ".join(whose)}.'
    ]
    if whose
    else []
  )


def _together(parts: Sequence[Predictions]) -> Predictions:
  patients = [set(part.patients) for part in parts]
  if sum(map(len, patients)) != len(set().union(*patients)):
    raise ValueError('a patient is in the tests of two folds')
  columns = [summary.with_labels(part, list(parts[0].labels), 'a fold', 'fold 0') for part in parts]
  log_odds = [part.log_odds for part in columns if part.log_odds is not None]
  about = [part.about for part in columns]
  return Predictions(
    images=[image for part in columns for image in part.images],
    patients=[patient for part in columns for patient in part.patients],
    labels=list(parts[0].labels),
    probabilities=np.concatenate([part.probabilities for part in columns]),
    truth=np.concatenate([part.truth for part in columns]),
    known=np.concatenate([part.known for part in columns]),
    about=None if any(part is None for part in about) else pd.concat(about, ignore_index=True),
    stated=any(part.stated for part in columns),
    log_odds=np.concatenate(log_odds) if len(log_odds) == len(columns) else None,
  )


def _decided(folds: Sequence[Fold], number: int, rule: str) -> Decided:
  """Returns the decisions by one rule, at each fold's own threshold."""
  labels = folds[0].test.labels
  reasons: dict[str, str] = {}
  called = []
  for fold in folds:
    test = summary.with_labels(fold.test, list(labels), fold.name, folds[0].name)
    points = [fold.level.operating_points[label][number] for label in labels]
    for label, point in zip(labels, points):
      if point.threshold is None:
        reasons.setdefault(label, f'{fold.name}: {point.reason}')
    thresholds = np.array([np.nan if p.threshold is None else p.threshold for p in points])
    called.append(test.probabilities >= thresholds)
  return Decided(rule, np.concatenate(called), reasons)


def _over_folds(folds: Sequence[Fold], pooled: Result) -> tuple[OverFolds, dict[str, OverFolds]]:
  labels = list(folds[0].test.labels)
  ordered = [summary.with_labels(fold.test, labels, fold.name, folds[0].name) for fold in folds]
  by_fold = [summary.contributions(test) for test in ordered]
  results = [fold.result for fold in folds]
  within = {}
  for column, label in enumerate(labels):
    parts = [of_fold[column] for of_fold in by_fold]
    pairs = [_pairs(test, column) for test in ordered]
    within[label] = strata.by_pairs(parts, pairs)
  figures = {
    label: OverFolds(
      auroc_within=_figure([within[label]], pooled),
      auroc_mean=_mean(spread := spreads.of_label(results, label), folds, pooled),
      spread=spread,
    )
    for label in labels
  }
  entered = pooled.mean.labels
  spread = spreads.of_mean(results, entered)
  over_labels = OverFolds(
    auroc_within=_figure([within[label] for label in entered], pooled),
    auroc_mean=_mean(spread, folds, pooled),
    spread=spread,
  )
  return over_labels, figures


def _pairs(test: Predictions, column: int) -> int:
  positive = test.truth[test.known[:, column], column] == 1
  return int(positive.sum()) * int((~positive).sum())


def _figure(labels: Sequence[strata.Label], pooled: Result) -> Figure:
  if not labels:
    return Figure(None, reason='no label has both classes')
  value = float(np.mean([label.auroc for label in labels]))
  interval = strata.interval(labels, CONFIDENCE)
  return spreads.figure(value, interval, pooled.replicates, 'no fold has both classes')


def _mean(spread: Spreads, folds: Sequence[Fold], pooled: Result) -> Figure:
  """Returns the mean of the folds' AUROCs with its interval over patients and training sets."""
  values = [np.nan if value is None else value for value in spread.auroc.values]
  tested = [fold.result.test.patients for fold in folds]
  value = np.nan if spread.auroc.mean is None else spread.auroc.mean
  trained = [fold.trained_on for fold in folds]
  interval = strata.over_training_sets(values, tested, trained, CONFIDENCE)
  return spreads.figure(value, interval, pooled.replicates, 'no fold has both classes')

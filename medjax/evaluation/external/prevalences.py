"""How common a finding is elsewhere, by its labels and by the scores alone, and what that means."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from medjax.config.protocol import Protocol
from medjax.evaluation.external.result import (
  CohortsLabel,
  PredictiveValues,
  PrevalenceShift,
)
from medjax.evaluation.figure import Figure
from medjax.evaluation.predictions import Predictions, known_of
from medjax.evaluation.statistics import label_shift, unpaired

NOT_CALIBRATED = 'the probabilities are not calibrated to a known prevalence'


def of_labels(
  external: Predictions,
  contrasts: Mapping[str, CohortsLabel],
  calibrated_to: Mapping[str, float],
  protocol: Protocol,
) -> dict[str, PrevalenceShift]:
  """Returns label → its prevalence in both samples, and the predictive values that follow.

  Args:
    external: at the level that is tested, calibrated.
    contrasts: label → the external figures beside those of the own test.
    calibrated_to: label → the prevalence that the probabilities are calibrated to; those that are
      not calibrated to any are left out, and have no prevalence by the scores.
    protocol: its replicates and seed.
  """
  estimated = _estimated(external, calibrated_to, protocol)
  return {
    label: _of_label(contrasts[label], calibrated_to.get(label), estimated[label])
    for label in external.labels
  }


def _estimated(
  external: Predictions, calibrated_to: Mapping[str, float], protocol: Protocol
) -> dict[str, Figure]:
  """Returns label → its prevalence by the scores, of the images whose truth is known.

  So that both estimates are of the same images.
  """
  patients, drawn = np.asarray(external.patients), (protocol.replicates, protocol.seed)
  if protocol.head != 'sigmoid':
    if not all(label in calibrated_to for label in external.labels):
      return dict.fromkeys(external.labels, Figure(None, reason=NOT_CALIBRATED))
    known = external.known.all(axis=1)
    start = np.array([calibrated_to[label] for label in external.labels])
    figures = label_shift.class_figures(
      external.probabilities[known], patients[known], start, replicates=drawn[0], seed=drawn[1]
    )
    return dict(zip(external.labels, figures))
  estimated = {}
  for index, label in enumerate(external.labels):
    if label not in calibrated_to:
      estimated[label] = Figure(None, reason=NOT_CALIBRATED)
      continue
    scores, _ = known_of(external, index)
    estimated[label] = label_shift.figure(
      scores,
      patients[external.known[:, index]],
      calibrated_to[label],
      replicates=drawn[0],
      seed=drawn[1],
    )
  return estimated


def _of_label(
  contrast: CohortsLabel, calibrated_to: float | None, estimated: Figure
) -> PrevalenceShift:
  values = []
  for point in contrast.operating_points:
    if point.threshold is None:
      continue
    own = point.sensitivity.other, point.specificity.other
    carried = unpaired.predictive_values(*own, contrast.prevalence.one)
    # What lies at an end of its range is no estimate to go on with.
    known = estimated
    if not estimated.interval:
      reason = f'the prevalence by the scores: {estimated.reason}'
      known = dataclasses.replace(estimated, value=None, reason=reason)
    at_estimated = unpaired.predictive_values(*own, known)
    values.append(
      PredictiveValues(
        rule=point.rule,
        threshold=point.threshold,
        ppv_carried=carried[0],
        npv_carried=carried[1],
        ppv_estimated=at_estimated[0],
        npv_estimated=at_estimated[1],
      )
    )
  return PrevalenceShift(contrast.prevalence, calibrated_to, estimated, tuple(values))

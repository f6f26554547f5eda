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
    calibrated_to: label → the prevalence that the probabilities are calibrated to.
    protocol: its replicates and seed.
  """
  return {
    label: _of_label(external, index, contrasts[label], calibrated_to.get(label), protocol)
    for index, label in enumerate(external.labels)
  }


def _of_label(
  external: Predictions,
  index: int,
  contrast: CohortsLabel,
  calibrated_to: float | None,
  protocol: Protocol,
) -> PrevalenceShift:
  # Of the images whose truth is known, so that both estimates are of the same ones.
  scores, _ = known_of(external, index)
  patients = np.asarray(external.patients)[external.known[:, index]]
  if calibrated_to is None:
    estimated = Figure(None, reason='no truth is known on validation')
  else:
    estimated = label_shift.figure(
      scores, patients, calibrated_to, replicates=protocol.replicates, seed=protocol.seed
    )
  values = []
  for point in contrast.operating_points:
    if point.threshold is None:
      continue
    own = point.sensitivity.other, point.specificity.other
    carried = unpaired.predictive_values(*own, contrast.prevalence.one)
    # What lies at an end of its range is no estimate to go on with.
    known = estimated if estimated.interval else dataclasses.replace(estimated, value=None)
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

"""From a run's predictions of two samples to everything that is said of the other one."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from medjax.config.protocol import Protocol
from medjax.errors import InputError
from medjax.evaluation import assessment, classes, frozen, levels
from medjax.evaluation.external import cohorts, prevalences, recalibrated, scores, sites
from medjax.evaluation.external.cohorts import Cohort
from medjax.evaluation.external.result import Cohorts, ExternalLabel, Sites
from medjax.evaluation.frozen import FrozenLevel
from medjax.evaluation.predictions import Predictions
from medjax.evaluation.result import Result

OWN, EXTERNAL = 'own test', 'external'


class Evaluated(NamedTuple):
  """What `evaluate` returns; the attributes are those of `ExternalResult`."""

  own: Result
  external: Result
  contrast: Cohorts
  labels: dict[str, ExternalLabel]
  sites: Sites | None


def evaluate(
  validation: Predictions,
  own: Predictions,
  external: Predictions,
  chosen: Mapping[str, FrozenLevel],
  protocol: Protocol,
  *,
  subgroups: Sequence[str] = (),
  by: str = '',
) -> Evaluated:
  """Evaluates the other sample as the run's own test was: nothing is chosen or fitted again.

  Args:
    validation: the run's raw predictions of images; the figures beside those of its own test.
    own: likewise of its own test.
    external: likewise of the other sample, with those labels of the run that are mapped.
    chosen: what the run has frozen, of all its labels.
    protocol: of the run.
    subgroups: columns of the other sample.
    by: a column of its sites, '' for none.

  Raises:
    InputError: nothing in the other sample can be told apart.
  """
  names = list(external.labels)
  check(external, protocol)
  level = chosen[protocol.level]
  if set(names) != set(own.labels):
    own, validation = (cohorts.of_labels(part, names) for part in (own, validation))
    chosen = {name: _restricted(of_level, names) for name, of_level in chosen.items()}
  prevalence = {label: p for label, p in protocol.prevalence.items() if label in names}
  of_own = dataclasses.replace(protocol, prevalence=prevalence, subgroups=())
  first = assessment.assess(validation, own, of_own, frozen=chosen)
  # The source of the split is no source of these patients.
  elsewhere = {
    name: dataclasses.replace(of_level, source_prevalence=None, source_counted=None)
    for name, of_level in chosen.items()
  }
  of_external = dataclasses.replace(of_own, subgroups=tuple(subgroups))
  second = assessment.assess(None, external, of_external, frozen=elsewhere)
  contrast = cohorts.contrast(
    Cohort(EXTERNAL, second.test, second.result), Cohort(OWN, first.test, first.result), of_own
  )
  points = {label: level.operating_points[label] for label in names}
  calibrated_to = _calibrated_to(validation, level, protocol)
  shift = prevalences.of_labels(second.test, contrast.labels, calibrated_to, protocol)
  moved = recalibrated.of_labels(second.test, points, protocol)
  labels = {
    label: ExternalLabel(
      recalibration=moved[label],
      prevalence=shift[label],
      scores=scores.distribution(first.test, second.test, label),
      inverted=scores.inverted(label, contrast.labels[label], 'the external set'),
    )
    for label in names
  }
  at_sites = sites.by_column(second.test, points, by, of_own) if by else None
  return Evaluated(first.result, second.result, contrast, labels, at_sites)


def check(external: Predictions, protocol: Protocol) -> None:
  """Checks what needs no probabilities; those of `external` may be any.

  Raises:
    InputError: images do not say of which unit of the level they are, an image is not of one of
      exclusive classes, no label can be told apart, or no interval could be had.
  """
  if protocol.head != 'sigmoid':
    count = len(external.labels)
    even = np.full((len(external.images), count), 1 / count)
    classes.check(external._replace(probabilities=even), EXTERNAL)
  # At that level a truth may be unknown that is known of images.
  external = levels.to_level(external, protocol.level, protocol.aggregate, protocol.head)
  patients = np.asarray(external.patients, object)
  if len(set(patients)) < 2:
    raise InputError('the external set: all images are of one patient; two are needed at least')
  why = {}
  for index, label in enumerate(external.labels):
    known = external.known[:, index]
    counts = {
      kind: (int(rows.sum()), len(set(patients[rows])))
      for kind, value in (('positives', 1), ('negatives', 0))
      for rows in [known & (external.truth[:, index] == value)]
    }
    absent = [kind for kind, (images, _) in counts.items() if not images]
    alone = [kind for kind, (_, people) in counts.items() if people == 1]
    if absent:
      share = ', a prevalence of 0' if absent == ['positives'] else ''
      why[label] = f'{label} has no {" and no ".join(absent)}{share}'
    elif alone:
      why[label] = f'all {alone[0]} of {label} are of one patient'
  if len(why) == len(external.labels):
    raise InputError(
      f'the external set: nothing to tell apart, since {next(iter(why.values()))}'
      f'{f" (and likewise {len(why) - 1} more)" if len(why) > 1 else ""}; take a set in which two '
      'patients or more have the finding and two or more have not'
    )


def _restricted(level: FrozenLevel, labels: Sequence[str]) -> FrozenLevel:
  """Returns what was chosen for some labels, which is left as it is."""
  calibration, source = level.calibration, level.source_prevalence
  if calibration.labels is not None:
    kept = {label: calibration.labels[label] for label in labels}
    calibration = dataclasses.replace(calibration, labels=kept)
  return dataclasses.replace(
    level,
    calibration=calibration,
    operating_points={label: level.operating_points[label] for label in labels},
    source_prevalence=None
    if source is None
    else {label: share for label, share in source.items() if label in labels},
  )


def _calibrated_to(
  validation: Predictions, level: FrozenLevel, protocol: Protocol
) -> dict[str, float]:
  """Returns label → the prevalence that probabilities are calibrated to: validation's, or that of
  the source where a floor enriched the split. Labels that are not calibrated to it are left out.
  """
  units = levels.to_level(validation, protocol.level, protocol.aggregate, protocol.head)
  shares = {**frozen.prevalence(units), **(level.source_prevalence or {})}
  return {
    label: share for label, share in shares.items() if level.calibration.keeps_prevalence(label)
  }

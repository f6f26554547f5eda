"""What a run's own test says for the planning of the next one: how alike images of a patient are.

A design effect is how many times larger the variance between patients makes that of a figure than
it would be, were every image another patient's.
"""

import dataclasses

import numpy as np
from scipy import special

from medjax.errors import InputError, count
from medjax.evaluation.predictions import Predictions, known_of, ranks_of
from medjax.evaluation.statistics import calibration_metrics, delong, proportions

_FEW = 20  # patients with the finding, of fewer of whom little is known about how alike images are


@dataclasses.dataclass(frozen=True)
class Pilot:
  """One label of a test that was done.

  Attributes:
    label: its name.
    patients: with known truth.
    positive_patients: with an image that has the finding.
    images_per_patient: on average.
    prevalence: share of images with the finding.
    auroc: of the test.
    design_effects: figure → by how much the variance is multiplied, at least 1.
    correlation: of its AUROC with that of another run on the same images; None without.
    notes: sentences on what weakens it.
  """

  label: str
  patients: int
  positive_patients: int
  images_per_patient: float
  prevalence: float
  auroc: float
  design_effects: dict[str, float]
  correlation: float | None
  notes: tuple[str, ...]


def measure(
  test: Predictions, label: str, threshold: float | None, other: Predictions | None = None
) -> Pilot:
  """Returns what a test says of one label.

  Args:
    test: calibrated predictions.
    label: one of its labels.
    threshold: at or above which a probability is called positive; None takes the prevalence.
    other: of another model on the same images.

  Raises:
    InputError: the label has fewer than two patients of a class, or the other predictions are of
      other images.
  """
  index = test.labels.index(label)
  known = test.known[:, index]
  scores, truth = ranks_of(test, index)
  patient = np.unique(np.asarray(test.patients)[known], return_inverse=True)[1]
  columns = [scores]
  if other is not None:
    columns.append(_same_images(test, other, label)[known])
  patients = int(patient.max()) + 1 if len(patient) else 0
  parts = delong.contributions(np.stack(columns), truth, patient, patients)
  clustered = delong.covariance(parts)
  if np.isnan(clustered).any() or not clustered[0, 0] > 0:
    raise InputError(
      f"'{label}': its AUROC has no variance between patients to plan with (two patients with and "
      'without the finding are the least, and scores that overlap); leave --workdir out, or name '
      'another --label'
    )
  alone = delong.covariance(
    delong.contributions(np.stack(columns), truth, np.arange(len(truth)), len(truth))
  )
  probabilities = known_of(test, index)[0]
  prevalence = float(truth.mean())
  called = probabilities >= (prevalence if threshold is None else threshold)
  images = np.bincount(patient)
  effects = {
    'auroc': clustered[0, 0] / alone[0, 0],
    'sensitivity': _of_share(patient, called, truth == 1),
    'specificity': _of_share(patient, ~called, truth == 0),
    'calibration_slope': _of_slope(patient, probabilities, truth),
    'observed_expected': proportions.design_effect(np.bincount(patient, truth), images),
  }
  correlation = None
  if other is not None:
    shared = clustered[0, 1] / np.sqrt(clustered[0, 0] * clustered[1, 1])
    correlation = float(np.clip(shared, 0, 0.999))
  positive_patients = int(parts.patients[0])
  return Pilot(
    label=label,
    patients=patients,
    positive_patients=positive_patients,
    images_per_patient=float(images.mean()),
    prevalence=prevalence,
    auroc=float(parts.aurocs[0]),
    design_effects={name: max(1.0, float(effect)) for name, effect in effects.items()},
    correlation=correlation,
    notes=_notes(label, parts.patients.tolist(), prevalence),
  )


def _notes(label: str, counted: list[int], prevalence: float) -> tuple[str, ...]:
  positive_patients, negative_patients, patients = counted
  rough = (
    '; of so few, how alike their images are and the AUROC are known roughly'
    if positive_patients < _FEW
    else ''
  )
  of_both = positive_patients + negative_patients - patients
  shares = (
    f'{count(of_both, "patient")} of them have images with {label} and without: the share of '
    f'images that have it, {prevalence:.1%}, is taken for that of patients. In truth more patients '
    'have it, and an interval will rather be narrower than is said.',
  )
  return (
    f'Measured on {count(patients, "test patient")}, {positive_patients:,} of them with '
    f'{label}{rough}. It is for another test: that of the run has been read.',
    *(shares if of_both else ()),
  )


def _same_images(test: Predictions, other: Predictions, label: str) -> np.ndarray:
  """Returns the other model's scores f[N] of a label, in the order of `test`."""
  rows = {image: row for row, image in enumerate(other.images)}
  if label not in other.labels or set(rows) != set(test.images):
    raise InputError(
      f"--against: has not the same test images, or no label '{label}'; give a run of the same "
      'split'
    )
  return other.ranks[[rows[image] for image in test.images], other.labels.index(label)]


def _of_share(patient: np.ndarray, hit: np.ndarray, whole: np.ndarray) -> float:
  images = np.bincount(patient, whole)
  hits = np.bincount(patient, hit & whole)
  return proportions.design_effect(hits[images > 0], images[images > 0])


def _of_slope(patient: np.ndarray, probabilities: np.ndarray, truth: np.ndarray) -> float:
  """Returns the ratio of the sandwich variances of a slope, by patient and by image."""
  logits = calibration_metrics.logit(probabilities)
  design = np.stack([np.ones_like(logits), logits], axis=1)
  fitted = special.expit(logits)
  residuals = (truth - fitted)[:, None] * design
  inverse = np.linalg.pinv((design * (fitted * (1 - fitted))[:, None]).T @ design)
  by_patient = np.stack([np.bincount(patient, column) for column in residuals.T], axis=1)
  slopes = [(inverse @ (sums.T @ sums) @ inverse)[1, 1] for sums in (by_patient, residuals)]
  return float(slopes[0] / slopes[1]) if slopes[1] > 0 else 1.0

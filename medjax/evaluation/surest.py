"""Which test images to show: the worst misses and the surest hits, furthest from the threshold."""

import dataclasses
from collections.abc import Mapping

import numpy as np

from medjax.evaluation.predictions import Predictions

# In the order shown: what a reader should look at first comes first.
KINDS = ('false negative', 'false positive', 'true positive', 'true negative')


@dataclasses.dataclass(frozen=True)
class Example:
  """A test image to show, and what is drawn of it.

  Attributes:
    kind: one of `KINDS`.
    label: that it is shown for.
    row: of the image in the predictions.
    image: its name.
    patient: whose it is.
    probability: calibrated.
    threshold: of the label.
    truth: 0 or 1.
    picture: a PNG or JPEG file as a data URI; None where it could not be drawn.
    heat: the same under its heat map; None where there is none.
    boxes: (left, top, width, height) as shares of the picture's sides, where the finding is marked.
  """

  kind: str
  label: str
  row: int
  image: str
  patient: str
  probability: float
  threshold: float
  truth: int
  picture: str | None = None
  heat: str | None = None
  boxes: tuple[tuple[float, float, float, float], ...] = ()


def choose(
  test: Predictions, thresholds: Mapping[str, float | None], of_kind: int = 3
) -> list[Example]:
  """Returns which test images to show: of every kind those furthest from the threshold.

  How far, is counted in log odds from the label's own threshold, so that a rare label, whose
  probabilities are all low, is not ignored. Every label gives its furthest image before any
  gives its second, and no two images are of one patient.

  Args:
    test: what is tested, probabilities calibrated as they are decided on.
    thresholds: label → threshold; labels that are absent or have None or NaN are ignored.
    of_kind: how many of each kind at most.

  Returns:
    Examples without pictures, by kind, the furthest first.
  """
  candidates: dict[str, list[tuple[int, float, int, int]]] = {kind: [] for kind in KINDS}
  for index, label in enumerate(test.labels):
    threshold = thresholds.get(label)
    if threshold is None or np.isnan(threshold):
      continue
    scores = np.asarray(test.probabilities[:, index], np.float64)
    distance = np.abs(_log_odds(scores) - _log_odds(threshold))
    called, true = scores >= threshold, np.asarray(test.truth[:, index]) == 1
    for kind in KINDS:
      right, positive = kind.split(' ')
      group = (called == (positive == 'positive')) & ((called == true) == (right == 'true'))
      rows = np.flatnonzero(group & np.asarray(test.known[:, index], bool))
      # Enough to find others in place of patients who are shown already.
      furthest = rows[np.argsort(-distance[rows], kind='stable')][: 50 * of_kind]
      candidates[kind] += [
        (place, -float(distance[row]), index, int(row)) for place, row in enumerate(furthest)
      ]
  shown: list[Example] = []
  used: set[str] = set()
  for kind, in_order in candidates.items():
    chosen: list[tuple[float, Example]] = []
    for _, nearness, index, row in sorted(in_order):
      patient = str(test.patients[row])
      if patient in used or len(chosen) == of_kind:
        continue
      used.add(patient)
      label = test.labels[index]
      example = Example(
        kind=kind,
        label=label,
        row=row,
        image=str(test.images[row]),
        patient=patient,
        probability=float(test.probabilities[row, index]),
        threshold=float(thresholds[label] or 0),
        truth=int(test.truth[row, index] == 1),
      )
      chosen.append((nearness, example))
    shown += [example for _, example in sorted(chosen, key=lambda pair: pair[0])]
  return shown


def _log_odds(probability: np.ndarray | float) -> np.ndarray:
  bounded = np.clip(probability, 1e-7, 1 - 1e-7)
  return np.log(bounded) - np.log1p(-bounded)

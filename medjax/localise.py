"""Whether a network's heat maps point at what readers marked in its data set."""

import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from medjax import saliency
from medjax.data import boxes, images
from medjax.evaluation import localisation
from medjax.learner import Learner


def score(
  learner: Learner,
  variables: Any,
  method: str,
  root: pathlib.Path,
  names: Sequence[str],
  patients: Sequence[str],
  *,
  batch_size: int = 32,
  replicates: int = 2000,
  seed: int = 0,
) -> dict[str, dict[str, Any]]:
  """Scores heat maps on those of some images that have boxes.

  Args:
    learner, variables: of the network.
    method: one of `saliency.METHODS`.
    root: of the data; its boxes are in the file that `medjax.data.boxes.find` finds.
    names: of images, as the study table has them, such as those of the test set.
    patients: of these images.
    batch_size: images at a time.
    replicates, seed: of the intervals.

  Returns:
    label → what `medjax.evaluation.localisation.score` says of it, for labels that have boxes in these
    images; empty without a file of boxes.

  Raises:
    InputError: a file of boxes that is not one, an image that cannot be read, no such method, or a
      network without a feature map.
  """
  path = boxes.find(root)
  if not path:
    return {}
  given = learner.preprocessing
  there = boxes.in_input(boxes.read(path), root, names, given.image_size, given.fit)
  maps_of = saliency.of_learner(learner, variables, method)
  result = {}
  for number, label in enumerate(learner.config.data.labels):
    of_label = there[there['label'] == label]
    rows = np.unique(of_label['row'])
    if not len(rows):
      continue
    maps = []
    for first in range(0, len(rows), batch_size):
      batch = [_decoded(root / names[row], given) for row in rows[first : first + batch_size]]
      # Of one shape, so that it compiles once.
      padded = np.stack(batch + batch[-1:] * (batch_size - len(batch)))
      maps.append(np.asarray(maps_of(padded, number))[: len(batch)])
    sides = of_label[list(boxes.SIDES)].to_numpy()
    result[label] = localisation.score(
      np.concatenate(maps),
      [sides[of_label['row'] == row] for row in rows],
      [patients[row] for row in rows],
      replicates=replicates,
      seed=seed,
    )
  return result


def _decoded(path: pathlib.Path, given: Any) -> np.ndarray:
  return images.decode(
    path, given.image_size, given.channels, given.interpolation, given.fit, given.intensity
  )

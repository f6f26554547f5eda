"""Which slide a patch is of, and the reference standard of the slides."""

import pathlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from medjax.config import Config
from medjax.data import datasets, labels
from medjax.data.table import label_values, read_csv
from medjax.errors import InputError
from medjax.evaluation import levels
from medjax.evaluation.predictions import Predictions
from medjax.runtime import remote
from medjax.whole_slides import patch_sets


class SlideReference(NamedTuple):
  """The slides of a set of patches.

  Attributes:
    root: the folder of the patches.
    slide_of: image of a patch → its slide.
    patient_of: slide → its patient.
    truth: slide → its truth bool[L] and whether it is known bool[L].
  """

  root: pathlib.Path
  slide_of: dict[str, str]
  patient_of: dict[str, str]
  truth: dict[str, tuple[np.ndarray, np.ndarray]]


def read(config: Config) -> SlideReference:
  """Returns the slides of a run's patches.

  A slide's label is that of slides.csv beside the patches, if it has one; else it follows from its
  patches: tumour if any is, none if none of them is and all are known.

  Raises:
    InputError: the source names no slides.
  """
  remote.refuse(config.data.root, 'config.data.root')
  table = datasets.read(config.data)
  if 'slide' not in table:
    raise InputError(
      f"config.data.source='{config.data.source}': names no slides; a column 'slide' must give the "
      'slide of every image'
    )
  names = list(config.data.labels)
  truth, known = labels.reference(table, names, config.data.blank)
  root = pathlib.Path(config.data.root)
  stated_labels = _stated_labels(root / patch_sets.SLIDES, names)
  slide_truth = {}
  slides, order, starts = levels.grouped(table['slide'])
  for slide, value, certain in zip(slides, *levels.any_of(truth[order], known[order], starts)):
    if slide in stated_labels:
      stated = ~np.isnan(stated_labels[slide])
      value, certain = np.where(stated, stated_labels[slide] == 1, value), stated | certain
    slide_truth[slide] = (value, certain)
  return SlideReference(
    root,
    dict(zip(table['image'], table['slide'])),
    dict(zip(table['slide'], table['patient'])),
    slide_truth,
  )


def _stated_labels(path: pathlib.Path, names: Sequence[str]) -> dict[str, np.ndarray]:
  """Returns slide → its labels f32[L] in slides.csv, NaN where they are unknown."""
  if not path.is_file():
    return {}
  frame = read_csv(path, ['slide'])
  columns = [
    label_values(frame, name, path) if name in frame else np.full(len(frame), np.nan)
    for name in names
  ]
  values = np.stack(columns, axis=1)
  values[values == -1] = np.nan  # Uncertain is unknown.
  return dict(zip(frame['slide'], values))


def slides_of(patches: Predictions, reference: SlideReference, path: pathlib.Path) -> list[str]:
  """Returns the slide of each predicted patch.

  Raises:
    InputError: `path` predicts an image that the source does not have.
  """
  for row, image in enumerate(patches.images):
    if image not in reference.slide_of:
      raise InputError(
        f"{path}: row {row + 2}: image '{image}' is none of the patches in {reference.root}; give "
        'the folder that the run was trained on'
      )
  return [reference.slide_of[image] for image in patches.images]

"""Heat maps of a trained network: for examples in the report, and against readers' boxes."""

import dataclasses
import pathlib
from collections.abc import Callable, Sequence

import jax
import numpy as np
from PIL import Image

from medjax.data.images import boxes
from medjax.data.pipeline import Records, eval_batches
from medjax.evaluation.statistics import localisation
from medjax.evaluation.surest import Example
from medjax.final_test import overlay
from medjax.report.pictures import data_uri
from medjax.training.learner import Learner

DISPLAY = 512  # pixels of a shown picture: to be enlarged, and small enough for many in a page
BATCH = 8


Explain = Callable[
  [np.ndarray, np.ndarray], jax.Array
]  # what medjax.final_test.saliency.of_learner returns


def maps(
  learner: Learner, explain: Explain, paths: Sequence[str], labels: Sequence[int]
) -> np.ndarray:
  """Returns the heat map of a label for each image, f32[N, H, W] of the network's input.

  Args:
    learner: whose input the images become.
    explain: of the network; the same one for all calls, because it is compiled once.
    paths: N images.
    labels: int[N], the label asked for in each.
  """
  parts = []
  for number, batch in enumerate(eval_batches(records(learner, paths), batch_size=BATCH)):
    asked = np.zeros(BATCH, np.int32)
    of_batch = labels[number * BATCH : (number + 1) * BATCH]
    asked[: len(of_batch)] = of_batch
    parts.append(np.asarray(explain(batch['image'], asked)))
  size = learner.image_format.size
  return np.concatenate([*parts, np.zeros((0, size, size), np.float32)])[: len(paths)]


def records(learner: Learner, paths: Sequence[str], image_size: int = 0) -> Records:
  """Returns how these images are read, without labels; at another size if one is given."""
  image_format, nothing = learner.image_format, np.zeros((len(paths), 0), np.float32)
  if image_size:
    image_format = dataclasses.replace(image_format, size=image_size)
  return Records(paths, nothing, nothing, image_format)


def examples(
  learner: Learner,
  explain: Explain | None,
  chosen: Sequence[Example],
  root: pathlib.Path,
  labels: Sequence[str],
) -> list[Example]:
  """Returns the chosen examples with a picture each and, where it can be explained, its heat map.

  Args:
    learner, explain: as for `maps`; None for no heat maps.
    chosen: of medjax.evaluation.surest.
    root: the folder that images are relative to.
    labels: of the network, in order.
  """
  paths = [str(root / example.image) for example in chosen]
  heats: Sequence[np.ndarray | None] = [None] * len(chosen)
  if explain is not None:
    heats = list(maps(learner, explain, paths, [labels.index(example.label) for example in chosen]))
  size = _display(learner)
  pictures = records(learner, paths, size).load(np.arange(len(paths)), len(paths))['image']
  shown = []
  for example, picture, heat_map in zip(chosen, pictures, heats):
    heat = None
    if heat_map is not None:
      resized = Image.fromarray(heat_map).resize((size, size), Image.Resampling.BILINEAR)
      heat = _data_uri(overlay.overlay(picture, np.asarray(resized)))
    shown.append(dataclasses.replace(example, picture=_data_uri(picture), heat=heat))
  return shown


def framed(learner: Learner, shown: Sequence[Example], root: pathlib.Path) -> list[Example]:
  """Returns the examples with 'boxes', as readers drew them, in shares of the picture.

  Raises:
    InputError: boxes beside the data that cannot be read or do not fit the images.
  """
  path = boxes.find(root)
  if path is None:
    return list(shown)
  size = _display(learner)
  names = [example.image for example in shown]
  marked = boxes.in_input(
    boxes.read(path), root, names, dataclasses.replace(learner.image_format, size=size)
  )
  framed_examples = []
  for row, example in enumerate(shown):
    of_example = marked[(marked['row'] == row) & (marked['label'] == example.label)]
    shares = (_sides(of_example) / size).tolist()
    framed_examples.append(dataclasses.replace(example, boxes=tuple(map(tuple, shares))))
  return framed_examples


def localise(
  learner: Learner,
  explain: Explain,
  root: pathlib.Path,
  names: Sequence[str],
  patients: Sequence[str],
  labels: Sequence[str],
  *,
  method: str,
  replicates: int,
  seed: int,
) -> localisation.Localisation | None:
  """Scores heat maps against the boxes beside the data; None where none are of these images.

  Args:
    learner, explain, root: as for `examples`.
    names: of the images tested.
    patients: of each.
    labels: of the network, in order.
    method: of the heat maps, in the words of config.evaluation.saliency.
    replicates, seed: of the intervals.

  Raises:
    InputError: as `framed`.
  """
  path = boxes.find(root)
  if path is None:
    return None
  image_format = learner.image_format
  marked = boxes.in_input(boxes.read(path), root, names, image_format)
  scores = {}
  for index, label in enumerate(labels):
    of_label = marked[marked['label'] == label]
    rows = of_label['row'].unique()
    if not len(rows):
      continue
    paths = [str(root / names[row]) for row in rows]
    scores[label] = localisation.score(
      maps(learner, explain, paths, [index] * len(rows)),
      [_sides(of_label[of_label['row'] == row]) for row in rows],
      [patients[row] for row in rows],
      replicates=replicates,
      seed=seed,
    )
  return localisation.Localisation(method, path.name, scores) if scores else None


def _display(learner: Learner) -> int:
  """Returns the side of a shown picture, pixels."""
  return max(DISPLAY, learner.image_format.size)


def _sides(of_image) -> np.ndarray:
  return of_image[list(boxes.SIDES)].to_numpy(np.float64)


def _data_uri(picture: np.ndarray) -> str:
  """Returns uint8[H, W, 1 or 3] as a JPEG in a data URI."""
  return data_uri(Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture), 'jpeg')

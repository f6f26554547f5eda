"""Heat maps of a trained network: for the report's examples, and against the boxes that readers drew."""

import base64
import io
import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from PIL import Image

from medjax import saliency
from medjax.data import boxes
from medjax.data.pipeline import Records, eval_batches
from medjax.evaluation import heat, localisation
from medjax.learner import Learner

DISPLAY = 256  # pixels of a shown picture; enough to see a finding, small enough for many in a page
BATCH = 8


def maps(
  learner: Learner, variables: Any, method: str, paths: Sequence[str], labels: Sequence[int]
) -> np.ndarray:
  """Returns the heat map of a label for each image, f32[N, H, W] of the network's input.

  Args:
    learner, variables: the network.
    method: of medjax.saliency.
    paths: N images.
    labels: int[N], the label asked for in each.
  """
  explain = saliency.of_learner(learner, variables, method)
  parts = []
  for number, batch in enumerate(eval_batches(records(learner, paths), batch_size=BATCH)):
    asked = np.zeros(BATCH, np.int32)
    of_batch = labels[number * BATCH : (number + 1) * BATCH]
    asked[: len(of_batch)] = of_batch
    parts.append(np.asarray(explain(batch['image'], asked)))
  size = learner.preprocessing.image_size
  return np.concatenate([*parts, np.zeros((0, size, size), np.float32)])[: len(paths)]


def records(learner: Learner, paths: Sequence[str], image_size: int = 0) -> Records:
  """Returns how these images are read, without labels; at another size if one is given."""
  pixels, nothing = learner.preprocessing, np.zeros((len(paths), 0), np.float32)
  return Records(
    paths=paths,
    values=nothing,
    mask=nothing,
    image_size=image_size or pixels.image_size,
    channels=pixels.channels,
    interpolation=pixels.interpolation,
    fit=pixels.fit,
    intensity=pixels.intensity,
  )


def examples(
  learner: Learner,
  variables: Any,
  method: str,
  chosen: Sequence[dict[str, Any]],
  root: pathlib.Path,
  labels: Sequence[str],
) -> list[dict[str, Any]]:
  """Returns the chosen examples with a picture each and, unless the method is 'none', its heat map.

  Args:
    learner, variables, method: as for `maps`.
    chosen: what medjax.evaluation.examples.choose returns.
    root: the folder that images are relative to.
    labels: of the network, in order.
  """
  paths = [str(root / each['image']) for each in chosen]
  heats: Sequence[np.ndarray | None] = [None] * len(chosen)
  if method != 'none':
    heats = list(
      maps(learner, variables, method, paths, [labels.index(each['label']) for each in chosen])
    )
  size = max(DISPLAY, learner.preprocessing.image_size)
  pictures = records(learner, paths, size).load(np.arange(len(paths)), len(paths))['image']
  marked = _boxes(root, [each['image'] for each in chosen], size, learner.preprocessing.fit)
  shown = []
  for row, (each, picture, heat_map) in enumerate(zip(chosen, pictures, heats)):
    drawn = {'picture': _data_uri(picture), 'boxes': marked(row, each['label']) / size}
    if heat_map is not None:
      resized = Image.fromarray(heat_map).resize((size, size), Image.Resampling.BILINEAR)
      drawn['heat'] = _data_uri(heat.overlay(picture, np.asarray(resized)))
    shown.append(each | drawn | {'boxes': drawn['boxes'].tolist()})
  return shown


def localise(
  learner: Learner,
  variables: Any,
  method: str,
  root: pathlib.Path,
  names: Sequence[str],
  patients: Sequence[str],
  labels: Sequence[str],
  *,
  replicates: int,
  seed: int,
) -> dict[str, Any] | None:
  """Scores heat maps against the boxes beside the data; None where none are of these images.

  Args:
    learner, variables, method, root: as for `examples`.
    names: of the images tested.
    patients: of each.
    labels: of the network, in order.
    replicates, seed: of the intervals.

  Returns:
    {'method', 'file', 'labels': {label: what medjax.evaluation.localisation.score returns}}.
  """
  path = boxes.find(root)
  if path is None or method == 'none':
    return None
  pixels = learner.preprocessing
  marked = boxes.in_input(boxes.read(path), root, names, pixels.image_size, pixels.fit)
  found = {}
  for index, label in enumerate(labels):
    of_label = marked[marked['label'] == label]
    rows = of_label['row'].unique()
    if not len(rows):
      continue
    paths = [str(root / names[row]) for row in rows]
    found[label] = localisation.score(
      maps(learner, variables, method, paths, [index] * len(rows)),
      [_sides(of_label[of_label['row'] == row]) for row in rows],
      [patients[row] for row in rows],
      replicates=replicates,
      seed=seed,
    )
  return {'method': method, 'file': path.name, 'labels': found} if found else None


def _boxes(
  root: pathlib.Path, names: Sequence[str], size: int, fit: str
) -> Callable[[int, str], np.ndarray]:
  """Returns a function (image's place, label) → f64[M, 4], its boxes in a picture of that size."""
  path = boxes.find(root)
  if path is None:
    return lambda row, label: np.zeros((0, 4))
  marked = boxes.in_input(boxes.read(path), root, names, size, fit)
  return lambda row, label: _sides(marked[(marked['row'] == row) & (marked['label'] == label)])


def _sides(of_image) -> np.ndarray:
  return of_image[list(boxes.SIDES)].to_numpy(np.float64)


def _data_uri(picture: np.ndarray) -> str:
  """Returns uint8[H, W, 1 or 3] as a JPEG in a data URI."""
  buffer = io.BytesIO()
  Image.fromarray(picture[..., 0] if picture.shape[-1] == 1 else picture).save(
    buffer, 'JPEG', quality=85
  )
  return 'data:image/jpeg;base64,' + base64.b64encode(buffer.getvalue()).decode()

"""Heat maps of predicted images, each drawn over its image and written as a PNG."""

import concurrent.futures
import functools
import os
import pathlib
from collections.abc import Callable, Sequence

import jax
import numpy as np
from jax.sharding import Mesh
from PIL import Image
from PIL.PngImagePlugin import PngInfo

from medjax.data.images.lists import Item
from medjax.errors import InputError, check_option
from medjax.final_test import overlay, saliency
from medjax.inference import result_file
from medjax.runs.trained_network import TrainedNetwork
from medjax.runtime import devices, files, progress


def check_folder(folder: pathlib.Path, source: pathlib.Path) -> None:
  """Raises InputError if heat maps would lie among the images that they are of."""
  if source.is_dir() and folder.resolve().is_relative_to(source.resolve()):
    raise InputError(
      f'--heat_maps={folder}: lies in --images={source}, where they would be predicted next time; '
      'take a folder elsewhere'
    )


def drawer(
  network: TrainedNetwork, folder: pathlib.Path, labels: Sequence[str], mesh: Mesh
) -> Callable[[Sequence[Item], np.ndarray, np.ndarray], None]:
  """Returns a function of N items, uint8[B, H, W, C] with B ≥ N, and probabilities f[N, L].

  It writes the files, and says so once if one of them has another name than `path` gives it.
  A map is that of the run's best checkpoint alone, by the method of config.evaluation.saliency, or
  Grad-CAM where that is 'none'; the file is called as `path` says.

  Args:
    network: whose heat maps.
    folder: where to; made if need be.
    labels: those that are drawn; none draws each image's most probable one.
    mesh: the data mesh.

  Raises:
    InputError: no such label, or the folder cannot be made.
  """
  config = network.learner.config
  known = list(config.data.labels)
  for label in labels:
    check_option('--heat_map_labels', label, known)
  try:
    folder.mkdir(parents=True, exist_ok=True)
  except OSError as error:
    raise InputError(f'--heat_maps={folder}: cannot be made ({error.strerror})') from None
  method = config.evaluation.saliency
  best = jax.device_put(network.best, devices.replicated(mesh))
  maps = saliency.of_learner(network.learner, best, 'grad_cam' if method == 'none' else method)
  draw_one = functools.partial(_draw_one, folder)
  renamed: list[str] = []  # The first that has another name.

  def draw(items: Sequence[Item], images: np.ndarray, probabilities: np.ndarray) -> None:
    asked = [np.full(len(items), known.index(label)) for label in labels]
    on_device = devices.put_batch({'image': images}, mesh)['image']
    for indices in asked or [probabilities.argmax(axis=1)]:
      # One shape, whatever could be read.
      padded = np.pad(indices, (0, len(images) - len(items)))
      heat = np.asarray(maps(on_device, padded))
      names = [known[index] for index in indices]
      with concurrent.futures.ThreadPoolExecutor() as pool:
        are_as_named = list(pool.map(draw_one, items, names, images, heat))
      other = next((item for item, as_named in zip(items, are_as_named) if not as_named), None)
      if other is not None and not renamed:
        renamed.append(other.image)
        progress.say(
          f'note: {result_file.printable(other.image)}: its name is too long for a heat map in '
          f"{folder}, so it is cut there and ends in ~ and digits; the PNG's text 'image' is the "
          'whole. So with others like it'
        )

  return draw


def path(folder: pathlib.Path, item: Item, label: str) -> pathlib.Path:
  """FOLDER/sub/a.png.Edema.png for the image sub/a.png."""
  parts = [part for part in item.image.split('/') if part not in ('', '.', '..')]
  return folder.joinpath(*parts[:-1], f'{parts[-1]}.{label.replace("/", "_")}.png')


def _draw_one(
  folder: pathlib.Path, item: Item, label: str, image: np.ndarray, heat: np.ndarray
) -> bool:
  """Returns whether the file has the name that `path` says."""
  picture, file = Image.fromarray(overlay.overlay(image, heat)), path(folder, item, label)
  try:
    os.makedirs(file.parent, exist_ok=True)
    picture.save(file)
  except OSError as error:
    if not files.name_is_refused(error):
      raise
    text = PngInfo()
    text.add_text('image', result_file.printable(item.image))
    text.add_text('label', label)
    picture.save(folder / files.short_name(str(file.relative_to(folder))), pnginfo=text)
    return False
  return True

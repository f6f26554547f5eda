"""What a config's augmentation does to its training images."""

import io
import pathlib
from collections.abc import Callable

import jax
import numpy as np
from PIL import Image

from medjax.augment import contact_sheet, label_check, policies
from medjax.config import Config
from medjax.data import study
from medjax.data.pipeline import Records
from medjax.data.study import Study
from medjax.runtime import files, import_by_name
from medjax.training import preprocessing
from medjax.training.learner import Learner

SAVED = 4  # images of the picture that a run leaves


def draw(config: Config, *, images: int, draws: int) -> tuple[Image.Image, int]:
  """Draws training images before and after augmentation.

  Args:
    config: of the experiment; its seed chooses the images and seeds the draws.
    images: how many, or all training images if they are fewer.
    draws: of the policy, for each image.

  Returns:
    A picture with a row for each image, and how many there are.

  Raises:
    InputError: no such policy, one that the modality forbids, or whatever is wrong with the data.
  """
  policy = import_by_name.find(config.augment, import_by_name.public(policies), 'config.augment')
  if not config.force_augment:
    label_check.check_policy(policy, config.augment, config.data.modality, config.data.channels)
  data, _ = study.make(config)
  image_format, _ = preprocessing.resolve(config, None)
  data = study.with_decoded(config, data, image_format)
  # Of the training images only: the test set stays unseen.
  chosen = _chosen(config, data.rows('train'), images)
  return _sheet(config, policy, study.records(config, image_format, data, chosen), draws), len(
    chosen
  )


def save(
  config: Config, learner: Learner, data: Study, rows: np.ndarray, path: pathlib.Path
) -> None:
  """Writes a picture of `SAVED` training images as a run sees them, before and after augmentation.

  Args:
    config: of the run.
    learner: its network, with the policy and the format of images.
    data: its study.
    rows: of the training images.
    path: of the picture.
  """
  records = study.records(config, learner.image_format, data, _chosen(config, rows, SAVED))
  content = io.BytesIO()
  _sheet(config, learner.augment, records, draws=3).save(content, 'PNG')
  files.write_whole(path, content.getvalue())


def _chosen(config: Config, rows: np.ndarray, images: int) -> np.ndarray:
  rng = np.random.default_rng(config.seed)
  return np.sort(rng.choice(rows, min(images, len(rows)), False))


def _sheet(config: Config, policy: Callable, records: Records, draws: int) -> Image.Image:
  """Returns a picture with a row for each image: as it is, then as each draw makes it."""
  number_of_images = len(records.paths)
  before = records.load(np.arange(number_of_images), number_of_images)['image']
  augment = jax.jit(policy)
  columns = [before]
  for number in range(draws):
    after = augment(jax.random.key(config.seed + number), before.astype(np.float32) / 255)
    columns.append(np.round(255 * np.asarray(after)).astype(np.uint8))
  return contact_sheet.draw(np.stack(columns, axis=1), ['before', *[config.augment] * draws])

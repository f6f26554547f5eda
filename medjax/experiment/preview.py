"""What a config's augmentation does to its training images."""

import jax
import numpy as np
from PIL import Image

from medjax.augment import contact_sheet, label_check, policies
from medjax.config import Config
from medjax.data import study
from medjax.runtime import import_by_name
from medjax.training import preprocessing


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
  # Of the training images only: the test set stays unseen.
  rows = data.rows('train')
  chosen = np.random.default_rng(config.seed).choice(rows, min(images, len(rows)), False)
  image_format, _ = preprocessing.resolve(config, None)
  records = study.records(config, image_format, data, np.sort(chosen))
  before = records.load(np.arange(len(chosen)), len(chosen))['image']
  augment = jax.jit(policy)
  columns = [before]
  for number in range(draws):
    after = augment(jax.random.key(config.seed + number), before.astype(np.float32) / 255)
    columns.append(np.round(255 * np.asarray(after)).astype(np.uint8))
  titles = ['before', *[config.augment] * draws]
  return contact_sheet.draw(np.stack(columns, axis=1), titles), len(chosen)

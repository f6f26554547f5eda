"""The generated retinal, skin and tissue sets, made if missing, then read like the real ones."""

import pathlib

import pandas as pd

from medjax.data.datasets import eyepacs, isic2020, patchcamelyon


def read_retina(
  root: pathlib.Path, images: int = 1000, image_size: int = 96, seed: int = 0
) -> pd.DataFrame:
  """Generates retinal photographs under `root` unless they are there; returns their study table."""
  from medjax.data.phantom import retina  # What draws is imported where it draws.

  retina.generate(root, images=images, image_size=image_size, seed=seed)
  return eyepacs.read(root)


def read_skin(
  root: pathlib.Path, images: int = 1000, image_size: int = 96, seed: int = 0
) -> pd.DataFrame:
  """Generates pictures of skin under `root` unless they are there; returns their study table."""
  from medjax.data.phantom import skin

  skin.generate(root, images=images, image_size=image_size, seed=seed)
  return isic2020.read(root)


def read_tissue(
  root: pathlib.Path, images: int = 1000, image_size: int = 96, seed: int = 0
) -> pd.DataFrame:
  """Generates lymph node patches under `root` unless they are there; returns their study table."""
  from medjax.data.phantom import tissue

  tissue.generate(root, images=images, image_size=image_size, seed=seed)
  return patchcamelyon.read(root)

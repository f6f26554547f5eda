"""The generated chest data set, made if it is missing and then read like CheXpert itself."""

import pathlib

import pandas as pd

from medjax.data.datasets import chexpert
from medjax.data.phantom import chest


def read(
  root: pathlib.Path, images: int = 2000, image_size: int = 128, seed: int = 0
) -> pd.DataFrame:
  """Generates the phantom under `root` unless it is there already; returns its study table."""
  chest.generate(root, images=images, image_size=image_size, seed=seed)
  return chexpert.read(root)

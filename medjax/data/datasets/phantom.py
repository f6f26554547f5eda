"""The generated chest data set, made if it is missing and then read like CheXpert itself."""

import pathlib

import pandas as pd

from medjax.data.datasets import chexpert


def read(
  root: pathlib.Path,
  images: int = 2000,
  image_size: int = 128,
  seed: int = 0,
  exposure: float = 0.0,
  prevalence: float = 1.0,
) -> pd.DataFrame:
  """Generates the phantom under `root` unless it is there already; returns its study table.

  Args:
    root: folder of the set.
    images: how many films.
    image_size: pixels a side.
    seed: of all that is drawn.
    exposure, prevalence: of the hospital, see `chest.Hospital`.
  """
  from medjax.data.phantom import chest  # What draws is imported where it draws.

  hospital = chest.Hospital(float(exposure), float(prevalence))
  chest.generate(root, images=images, image_size=image_size, seed=seed, hospital=hospital)
  return chexpert.read(root)

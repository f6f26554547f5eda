"""The images of a study, decoded once as its network is given them."""

import dataclasses
import pathlib

from medjax.config import Config
from medjax.data import datasets, prepared_pieces
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.prepared import Prepared
from medjax.runs import weights_of_run
from medjax.runtime import files, progress
from medjax.runtime.shards import Shard
from medjax.training import preprocessing

BROKEN = 'broken.csv'


def prepare(config: Config, folder: pathlib.Path, shard: Shard | None = None) -> Prepared | None:
  """Decodes every image of the study's table, and lists in `BROKEN` those that are refused.

  Args:
    config: of the study.
    folder: where to.
    shard: the piece to decode; see medjax.data.prepared_pieces.

  Returns:
    What is prepared, None where pieces of others are not finished yet.

  Raises:
    InputError: anything about the table, the weights that say how images are resized, or the
      folder; see medjax.data.prepared_pieces.make.
  """
  with progress.waiting(f'reading the table of images and their labels in {config.data.root}'):
    images, image_format = images_of(config)
  made = prepared_pieces.make(
    folder, config.data.root, images, image_format, config.data.workers, shard
  )
  if made is None:
    return None
  broken = made.index.loc[made.index['reason'] != '', ['image', 'reason']]
  files.write_whole(folder / BROKEN, broken.to_csv(index=False))
  return made


def images_of(config: Config) -> tuple[list[str], ImageFormat]:
  """Returns the names of all images of the study's table, and what they become.

  Raises:
    InputError: anything about the table, or the weights that say how images are resized.
  """
  weights = weights_of_run.find(config.model.pretrained) if config.model.pretrained else None
  image_format, _ = preprocessing.resolve(config, weights)
  return datasets.read(config.data)['image'].tolist(), image_format


def reading(config: Config, folder: pathlib.Path) -> Config:
  """Returns the config by which images are read: from the folder, where it holds them decoded."""
  if config.data.prepared or not folder.is_dir():
    return config
  return dataclasses.replace(config, data=dataclasses.replace(config.data, prepared=str(folder)))

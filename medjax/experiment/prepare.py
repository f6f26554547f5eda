"""The images of a study, decoded once as its network is given them."""

import dataclasses
import functools
import math
import pathlib

from medjax.config import Config
from medjax.data import datasets, prepared
from medjax.data.prepared import Prepared
from medjax.errors import count
from medjax.runs import weights_of_run
from medjax.runtime import files, progress, storage
from medjax.training import preprocessing

BROKEN, _LOCK = 'broken.csv', '.decoding.lock'


def prepare(config: Config, folder: pathlib.Path) -> Prepared:
  """Decodes every image of the study's table, and lists in `BROKEN` those that are refused.

  Raises:
    InputError: anything about the table, the weights that say how images are resized, or the
      folder; see medjax.data.prepared.make.
  """
  weights = weights_of_run.find(config.model.pretrained) if config.model.pretrained else None
  image_format, _ = preprocessing.resolve(config, weights)
  images = datasets.read(config.data)['image'].tolist()
  made = prepared.make(folder, config.data.root, images, image_format, config.data.workers)
  broken = made.index.loc[made.index['reason'] != '', ['image', 'reason']]
  files.write_whole(folder / BROKEN, broken.to_csv(index=False))
  return made


def for_several(config: Config, folder: pathlib.Path, what: str) -> None:
  """Decodes the images of several runs once, while whoever else asks for them waits.

  Args:
    config: that the runs have in common.
    folder: where to.
    what: what the runs are, such as 'fold'.

  Raises:
    InputError: as `prepare`.
  """
  waiting = f'another process decodes the images in {folder}; waiting for it'
  with files.waited_lock(folder.parent / _LOCK, functools.partial(progress.say, waiting)):
    made = prepare(config, folder)
  images = len(made.index)
  size = storage.size(images * math.prod(made.image_format.shape))
  progress.say(
    f'images    {count(images, "image")} decoded once in {folder} ({size}), which every {what} '
    'reads; it may be deleted when all are finished (config.data.cache)'
  )


def reading(config: Config, folder: pathlib.Path) -> Config:
  """Returns the config by which images are read: from the folder, where it holds them decoded."""
  if config.data.prepared or not folder.is_dir():
    return config
  return dataclasses.replace(config, data=dataclasses.replace(config.data, prepared=str(folder)))

"""The images of a study, decoded once as its network is given them."""

import pathlib

from medjax.config import Config
from medjax.data import datasets, prepared
from medjax.data.prepared import Prepared
from medjax.runs import weights_of_run
from medjax.runtime import files
from medjax.training import preprocessing

BROKEN = 'broken.csv'


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

"""Images decoded once for a run, in a folder of its own while it is at work: config.data.cache.

They are the bytes that decoding gives every time, and are compared with their files at each start;
see medjax.data.prepared. Whatever is wrong with them, the run decodes the files, as without them.
"""

import math
import pathlib
import shutil
from collections.abc import Sequence

from medjax.config import Config
from medjax.data import prepared, study
from medjax.data.images import containers
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.study import Study
from medjax.errors import InputError, count
from medjax.experiment import prepare
from medjax.runs.layout import Layout
from medjax.runtime import devices, progress, storage

SHARE = 0.2  # of the disk's free bytes
_TIMES = 2  # that the training images are read, from which on it pays


def keep(
  config: Config, layout: Layout, images: Sequence[str], train: int, image_format: ImageFormat
) -> None:
  """Decodes the images of a new run into its folder, where that is asked for, pays and fits.

  Args:
    config: of the run.
    layout: of its work directory, which may not exist yet.
    images: their names.
    train: how many of them train.
    image_format: what they become.
  """
  data = config.data
  is_read_often = config.steps * config.batch_size >= _TIMES * train
  is_file = not any(map(containers.is_inside, images[:1]))
  if data.cache == 'none' or data.prepared or not (is_read_often and is_file):
    return
  size = len(images) * math.prod(image_format.shape)
  try:
    layout.workdir.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(layout.workdir).free
    if size > SHARE * free:
      progress.say(
        f'images    decoded in every epoch: once decoded they would take {storage.size(size)} of '
        f'the {storage.size(free)} free in {layout.workdir} (config.data.cache)'
      )
      return
    for is_last_try in (False, True):
      try:
        prepared.make(layout.decoded, data.root, images, image_format, data.workers)
        break
      except InputError:  # Of other settings or files, from a start before this one.
        remove(layout)
        if is_last_try:
          return
  except OSError:
    remove(layout)
    return
  progress.say(
    f'images    {count(len(images), "image")} decoded once in {layout.decoded} '
    f'({storage.size(size)}), until the run has ended (config.data.cache)'
  )


def with_decoded(
  config: Config, folder: pathlib.Path, data: Study, image_format: ImageFormat
) -> Study:
  """Returns the study with its images decoded before, where a folder holds them.

  Args:
    config: of the run; config.data.prepared goes before `folder`.
    folder: of images decoded for this run or several, which may not exist.
    data: the study.
    image_format: what its images become.

  Raises:
    InputError: config.data.prepared is no folder of these images, or one has changed since.
  """
  try:
    return study.with_decoded(prepare.reading(config, folder), data, image_format)
  except InputError as error:
    if config.data.prepared:
      raise
    if devices.is_first():
      progress.say(f'images    decoded anew, for what was kept of them does not serve: {error}')
    return data


def remove(layout: Layout) -> None:
  """Removes what a run keeps."""
  shutil.rmtree(layout.decoded, ignore_errors=True)

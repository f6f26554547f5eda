"""Images decoded once for a run, in a folder of its own while it is at work: config.data.cache.

They are the bytes that decoding gives every time, and are compared with their files at each start;
see medjax.data.prepared. Whatever is wrong with them, the run decodes the files, as without them.
"""

import functools
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
from medjax.runtime import devices, files, progress, storage

SHARE = 0.2  # of the disk's free bytes
_LOCK = '.decoding.lock'
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
  is_read_often = config.steps * config.batch_size >= _TIMES * train
  if is_asked(config) and is_read_often:
    _decode(config, layout.decoded, images, image_format, 'until the run has ended')


def keep_for_several(config: Config, folder: pathlib.Path, what: str) -> None:
  """Decodes the images of several runs once, where they fit; whoever else asks for them waits.

  Args:
    config: that the runs have in common.
    folder: where to.
    what: what the runs are, such as 'fold'.

  Raises:
    InputError: anything about the table, or the weights that say how images are resized.
  """
  images, image_format = prepare.images_of(config)
  waiting = f'another process decodes the images in {folder}; waiting for it'
  until = f'which every {what} reads; it may be deleted when all are finished'
  with files.waited_lock(folder.parent / _LOCK, functools.partial(progress.say, waiting)):
    _decode(config, folder, images, image_format, until)


def is_asked(config: Config) -> bool:
  """Whether a config leaves it to the run to decode its images once."""
  return config.data.cache == 'auto' and not config.data.prepared


def _decode(
  config: Config,
  folder: pathlib.Path,
  images: Sequence[str],
  image_format: ImageFormat,
  until: str,
) -> None:
  """Decodes images into a folder; leaves none where there is no room for it."""
  first = images[:1]
  if any(map(containers.is_inside, first)) and not any(map(containers.is_read_in_order, first)):
    return
  size = len(images) * math.prod(image_format.shape)
  try:
    folder.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(folder.parent).free
    if size > SHARE * free and not folder.is_dir():
      progress.say(
        f'images    decoded in every epoch: once decoded they would take {storage.size(size)} of '
        f'the {storage.size(free)} free in {folder.parent} (config.data.cache)'
      )
      return
    arguments = folder, config.data.root, images, image_format, config.data.workers
    try:
      prepared.make(*arguments)
    except InputError:  # Of other settings or files, from a start before this one.
      if files.is_locked(folder / prepared.LOCK):
        return
      shutil.rmtree(folder, ignore_errors=True)
      prepared.make(*arguments)
  except OSError as error:
    shutil.rmtree(folder, ignore_errors=True)
    progress.say(f'images    decoded in every epoch: {folder} cannot hold them ({error.strerror})')
    return
  progress.say(
    f'images    {count(len(images), "image")} decoded once in {folder} ({storage.size(size)}), '
    f'{until} (config.data.cache)'
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

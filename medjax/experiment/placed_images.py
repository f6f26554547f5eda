"""All training images in the memory of the devices: a step then takes its batch by row number.

Every device of the mesh holds as many rows of one array as any other. A step looks up all rows of
its batch on each device, which has some of them, and the devices exchange them: the same images in
the same order as from files.
"""

import contextlib
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, PartitionSpec

from medjax.config import Config
from medjax.data import pipeline
from medjax.data.pipeline import Records
from medjax.errors import InputError
from medjax.runtime import devices
from medjax.runtime.progress import Progress

SHARE = 0.4  # of a device's free memory; the rest is for the step
_TOGETHER = 256  # images in a copy to a device


def bytes_per_device(records: Records, mesh: Mesh) -> int:
  """Returns how much memory of each device the images take."""
  return -(-len(records.paths) // mesh.size) * math.prod(records.image_format.shape)


def free_bytes() -> int:
  """Returns the free memory of each device of this process."""
  statistics = jax.local_devices()[0].memory_stats()
  if statistics:
    return statistics['bytes_limit'] - statistics['bytes_in_use']
  import psutil  # It has a part for each operating system, which only this needs.

  return psutil.virtual_memory().available // jax.local_device_count()


def is_chosen(config: Config, records: Records, mesh: Mesh) -> bool:
  """Whether the training images are to be placed on the devices: config.data.placement.

  Raises:
    InputError: they must be and do not fit.
  """
  placement, size, free = config.data.placement, bytes_per_device(records, mesh), free_bytes()
  fits = size <= SHARE * free
  if placement == 'auto':
    # A CPU's memory is the host's: there is nothing to be won.
    return devices.all_agree(fits) and jax.default_backend() != 'cpu'
  if placement == 'device' and not devices.all_agree(size <= free):
    raise InputError(
      f"config.data.placement='device': each device would hold {_gigabytes(size)} of training "
      f"images, and {_gigabytes(free)} of its memory are free; take placement='host', a smaller "
      'data.image_size, or more devices'
    )
  return placement == 'device'


def in_words(records: Records, mesh: Mesh) -> str:
  """Returns what placing them means, for the first screen."""
  size, free = bytes_per_device(records, mesh), free_bytes()
  return f'on the devices, {_gigabytes(size)} each of {_gigabytes(free)} free'


def _gigabytes(size: int) -> str:
  return f'{size / 1e9:.2g} GB' if size < 1e10 else f'{size / 1e9:,.0f} GB'


def place(records: Records, mesh: Mesh, workers: int) -> jax.Array:
  """Reads all images once; returns uint8[N, H, W, C], its rows spread over the devices.

  Rows of zeros follow where the number of devices does not divide N.

  Args:
    records: of all training images; each process reads the rows of its devices.
    mesh: the data mesh.
    workers: input processes; 0 reads in threads.
  """
  shape, images = records.image_format.shape, len(records.paths)
  rows, sharding = -(-images // mesh.size), devices.sharded(mesh)
  own = {
    device: np.arange(number * rows, max(number * rows, min((number + 1) * rows, images)))
    for number, device in enumerate(mesh.devices)
    if device.process_index == jax.process_index()
  }
  done, total, parts = 0, sum(map(len, own.values())), []
  put = jax.jit(_put, donate_argnums=0)
  with contextlib.closing(
    Progress('image placed', 0, total, quiet=not devices.is_first())
  ) as progress:
    for device, positions in own.items():
      part = jnp.zeros((rows, *shape), jnp.uint8, device=device)
      selected = records.select(positions)
      batches = pipeline.eval_batches(selected, batch_size=_TOGETHER, workers=workers)
      with contextlib.closing(batches):
        for start, batch in zip(range(0, len(positions), _TOGETHER), batches):
          count = min(_TOGETHER, len(positions) - start)
          part = put(part, jax.device_put(batch['image'][:count], device), start)
          done += count
          progress.update(done)
      parts.append(part)
  return jax.make_array_from_single_device_arrays((rows * mesh.size, *shape), sharding, parts)


def _put(part: jax.Array, images: jax.Array, start: jax.Array) -> jax.Array:
  return jax.lax.dynamic_update_slice_in_dim(part, images, start, axis=0)


def pick(images: jax.Array, rows: jax.Array, mesh: Mesh) -> jax.Array:
  """Returns the images of these rows, uint8[B, H, W, C], spread over the devices as a batch is.

  Args:
    images: from `place`.
    rows: int32[B], spread likewise.
    mesh: the data mesh.
  """
  spread = PartitionSpec('data')

  @functools.partial(jax.shard_map, mesh=mesh, in_specs=(spread, spread), out_specs=spread)
  def exchange(part: jax.Array, own_rows: jax.Array) -> jax.Array:
    every_row = jax.lax.all_gather(own_rows, 'data', tiled=True)
    here = every_row - jax.lax.axis_index('data') * len(part)
    is_here = (here >= 0) & (here < len(part))
    looked_up = jnp.where(is_here[:, None, None, None], part[jnp.clip(here, 0, len(part) - 1)], 0)
    # One device has the image and all others add zeros.
    return jax.lax.psum_scatter(looked_up, 'data', tiled=True)

  return exchange(images, rows)

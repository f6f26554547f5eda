"""New images on their way through a run's networks: read ahead, in batches, averaged."""

import contextlib
import itertools
from collections.abc import Generator, Sequence
from typing import NamedTuple

import jax
import numpy as np
from jax.sharding import Mesh

from medjax.data import pipeline
from medjax.data.images import decoding, lists
from medjax.data.images.lists import ImageList, Item
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError, one_line
from medjax.runs import averaging
from medjax.runs.trained_network import TrainedNetwork
from medjax.runtime import devices, progress, remote, storage

_TOGETHER = 8  # images that a thread reads at a time


class Read(NamedTuple):
  """An image read, or not.

  Attributes:
    item: the image.
    arrays: uint8[H, W, C] for each way that the networks read images, the run's own first; empty if
      it could not be read.
    reason: why it could not be read, else ''.
  """

  item: Item
  arrays: tuple[np.ndarray, ...]
  reason: str


def size_of_batch(batch_size: int, mesh: Mesh) -> int:
  """Returns the batch size of a run, rounded up to what the devices here share evenly."""
  return -(-batch_size // mesh.size) * mesh.size


def predict(
  networks: Sequence[TrainedNetwork],
  images: ImageList,
  *,
  span: range | None = None,
  batch_size: int,
  mesh: Mesh,
) -> Generator[tuple[list[Read], np.ndarray], None, None]:
  """Yields each batch with its log-odds f64[B, L], the averages of all networks.

  Which images make a batch depends on the list alone, and not on where to begin.

  Args:
    networks: of the run, then of its members.
    images: the list.
    span: the numbers of the images, the first being that of a batch; None is all of them.
    batch_size: divisible by the devices.
    mesh: the data mesh.
  """
  formats = _formats(networks)
  span = range(images.count) if span is None else span
  replicated = devices.replicated(mesh)
  steps = [
    (
      formats.index(network.learner.image_format),
      jax.jit(
        averaging.step(network.learner),
        out_shardings=replicated,
        compiler_options=devices.compiler_options(network.learner.config.deterministic),
      ),
      jax.device_put(network.variables, replicated),
    )
    for network in networks
  ]

  def dispatch(batch: list[Read]) -> list[jax.Array]:
    arrays = [
      devices.put_batch({'image': stacked(batch, place, batch_size, image_format)}, mesh)['image']
      for place, image_format in enumerate(formats)
    ]
    return [step(variables, arrays[place]) for place, step, variables in steps]

  def fetch(batch: list[Read], results: list[jax.Array]) -> tuple[list[Read], np.ndarray]:
    log_odds = averaging.mean([np.asarray(result) for result in results])[: len(batch)]
    if not np.isfinite(log_odds).all():
      raise InputError('the outputs of the network are not finite: the parameters have diverged')
    return batch, log_odds

  pending = None
  with contextlib.closing(_batches(images, formats, span, batch_size)) as batches:
    for batch in batches:
      with contextlib.nullcontext() if pending else progress.waiting('compiling the network'):
        results = dispatch(batch)
      if pending is not None:
        yield fetch(*pending)
      pending = batch, results  # Read one batch later, so that the device never waits for the host.
  if pending is not None:
    yield fetch(*pending)


def stacked(
  batch: Sequence[Read], place: int, batch_size: int, image_format: ImageFormat
) -> np.ndarray:
  """Returns uint8[batch_size, H, W, C]; black where an image could not be read, and as padding."""
  stack = np.zeros((batch_size, *image_format.shape), np.uint8)
  for row, read in enumerate(batch):
    if not read.reason:
      stack[row] = read.arrays[place]
  return stack


def _formats(networks: Sequence[TrainedNetwork]) -> list[ImageFormat]:
  """Returns each way that images are read for these networks once."""
  return list(dict.fromkeys(network.learner.image_format for network in networks))


def _batches(
  images: ImageList, formats: Sequence[ImageFormat], span: range, batch_size: int
) -> Generator[list[Read], None, None]:
  # A few images at a time: one by one, handing them over would cost a tenth of the time.
  def load(number: int) -> list[Read]:
    places = span[number * _TOGETHER : (number + 1) * _TOGETHER]
    return [_read(lists.item(images, place), formats) for place in places]

  groups = pipeline.read_ahead(
    load,
    start=0,
    stop=-(-len(span) // _TOGETHER),
    buffered=-(-2 * batch_size // _TOGETHER),
  )
  with contextlib.closing(groups):
    reads = itertools.chain.from_iterable(groups)
    while batch := list(itertools.islice(reads, batch_size)):
      yield batch


def _read(item: Item, formats: Sequence[ImageFormat]) -> Read:
  try:
    arrays = tuple(decoding.decode(item.path, image_format) for image_format in formats)
    return Read(item, arrays, '')
  except remote.Unreachable:
    raise
  except InputError as error:
    return Read(item, (), str(error))
  except MemoryError:  # Smaller ones after it may have room.
    return Read(item, (), f'{item.path}: not enough memory to read it; where there is more, it is')
  except Exception as error:  # Whatever it is, it must not end a job of days.
    if storage.is_gone(error):  # Then no image after it could be read.
      raise
    return Read(item, (), f'{item.path}: cannot be read as an image ({one_line(error)})')

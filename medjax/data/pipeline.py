"""Batches of uint8 images through grain, in threads or in worker processes.

The element that grain moves is a whole batch, and its number says everything about it: training
batch g holds positions [g·B, (g+1)·B) of the index stream, evaluation batch g the rows [g·B,
(g+1)·B). So a batch is the same for any number of workers, nothing is lost or counted twice at the
end of an evaluation, and the input's position in a checkpoint is the number of the next batch.
"""

import dataclasses
import functools
import os
import signal
import threading
import time
from collections.abc import Callable, Generator, Sequence
from typing import Any, TypeVar

import numpy as np
from absl import flags

from medjax.data.images import decoding
from medjax.data.images.mapped import MappedImages
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.runtime import processors

Element = TypeVar('Element')

# Images, below which an evaluation is read in threads: workers start and end with it, which takes
# them seconds, in which threads have read so many.
FEW = 10_000


@dataclasses.dataclass(frozen=True)
class Records:
  """What a batch is made of: rows of the study table that are ready to be read.

  Attributes:
    paths: image files, or `container#key`.
    values: f32[N, L], labels in [0, 1].
    mask: f32[N, L], 1 where the label is known.
    image_format: of the images in a batch.
    mapped: the same images, decoded before; None decodes the files.
  """

  paths: Sequence[str]
  values: np.ndarray
  mask: np.ndarray
  image_format: ImageFormat
  mapped: MappedImages | None = None

  def load(self, rows: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Returns the batch of these rows, padded to `size` with rows of weight 0."""
    batch = self.targets(rows, size)
    batch['image'] = np.zeros((size, *self.image_format.shape), np.uint8)
    if self.mapped is not None:
      self.mapped.read_into(batch['image'], rows)
    else:
      for position, row in enumerate(rows):
        batch['image'][position] = decoding.decode(self.paths[row], self.image_format)
    return batch

  def targets(self, rows: np.ndarray, size: int) -> dict[str, np.ndarray]:
    """Returns that batch without its images."""
    batch: dict[str, np.ndarray] = {
      'label': np.zeros((size, self.values.shape[1]), np.float32),
      'mask': np.zeros((size, self.values.shape[1]), np.float32),
      'weight': np.zeros(size, np.float32),
    }
    batch['label'][: len(rows)] = self.values[rows]
    batch['mask'][: len(rows)] = self.mask[rows]
    batch['weight'][: len(rows)] = 1
    return batch

  def select(self, rows: np.ndarray) -> 'Records':
    """Returns the records of these rows alone."""
    mapped = self.mapped and dataclasses.replace(self.mapped, rows=self.mapped.rows[rows])
    paths = [self.paths[row] for row in rows]
    return dataclasses.replace(
      self, paths=paths, values=self.values[rows], mask=self.mask[rows], mapped=mapped
    )


@dataclasses.dataclass(frozen=True)
class Share:
  """Which part of every global batch this process reads."""

  process: int = 0
  processes: int = 1

  def rows(self, batch: np.ndarray, batch_size: int) -> tuple[np.ndarray, int]:
    """Returns this process's rows of a global batch of `batch_size` and the size it pads to."""
    size = batch_size // self.processes
    return batch[self.process * size : (self.process + 1) * size], size


class _Source:
  """A random-access source of elements, as grain wants one."""

  def __init__(self, load: Callable[[int], Any], start: int, stop: int):
    self._load, self._start, self._length = load, start, max(stop - start, 0)

  def __len__(self) -> int:
    return self._length

  def __getitem__(self, index: int) -> Any:
    return self._load(self._start + int(index))


def train_batches(
  records: Records,
  stream: Callable[[int, int], np.ndarray],
  *,
  batch_size: int,
  start: int,
  stop: int,
  workers: int = 0,
  share: Share = Share(),
) -> Generator[dict[str, np.ndarray], None, None]:
  """Yields this process's part of the training batches numbered `start` … `stop` − 1.

  `stream(g, batch_size)` gives the rows of global batch g, int64[batch_size].
  """

  def load(number: int) -> dict[str, np.ndarray]:
    return records.load(*share.rows(stream(number, batch_size), batch_size))

  return _batches(_Source(load, start, stop), workers)


def placed_batches(
  records: Records,
  stream: Callable[[int, int], np.ndarray],
  *,
  batch_size: int,
  start: int,
  stop: int,
  share: Share = Share(),
) -> Generator[dict[str, np.ndarray], None, None]:
  """Yields what `train_batches` does, but for each image its row, int32, in place of its pixels."""
  for number in range(start, stop):
    rows, size = share.rows(stream(number, batch_size), batch_size)
    yield {**records.targets(rows, size), 'row': rows.astype(np.int32)}


def eval_batches(
  records: Records, *, batch_size: int, workers: int = 0, share: Share = Share()
) -> Generator[dict[str, np.ndarray], None, None]:
  """Yields this process's part of every row once, in order; the last batch is padded.

  Fewer than `FEW` images are read in threads, however many workers there may be.
  """
  rows = np.arange(len(records.paths))
  workers = workers if len(rows) >= FEW else 0

  def load(number: int) -> dict[str, np.ndarray]:
    batch = rows[number * batch_size : (number + 1) * batch_size]
    return records.load(*share.rows(batch, batch_size))

  return _batches(_Source(load, 0, -(-len(rows) // batch_size)), workers)


def read_ahead(
  load: Callable[[int], Element], *, start: int, stop: int, buffered: int, workers: int = 0
) -> Generator[Element, None, None]:
  """Yields `load(start)` … `load(stop - 1)` in order, read ahead; closing ends that.

  Args:
    load: number → an element, which is not None.
    start: the first number.
    stop: the number after the last.
    buffered: how many elements may wait to be taken.
    workers: processes that read; 0 reads in threads.

  Raises:
    InputError: one of the workers was killed.
  """
  # Decoding releases Python's lock; beyond some threads they only wait for each other.
  threads = 1 if workers else min(16, processors.available(), buffered)
  return _iterate(_Source(load, start, stop), threads, buffered, workers)


def _batches(source: _Source, workers: int) -> Generator[dict[str, np.ndarray], None, None]:
  # Every thread reads whole batches. Beyond a few they only wait for each other: then use workers.
  threads = 1 if workers else min(4, processors.available())
  return _iterate(source, threads, 2 * threads, workers)


def _iterate(
  source: _Source, threads: int, buffered: int, workers: int = 0
) -> Generator[Any, None, None]:
  import grain  # It brings jax along, for which commands that read no image do not wait.

  read = grain.ReadOptions(num_threads=threads, prefetch_buffer_size=buffered)
  dataset = grain.MapDataset.source(source).to_iter_dataset(read)
  if workers:
    # grain reads absl's flags, which only `app.run` parses: a notebook or a test has not.
    if not flags.FLAGS.is_parsed():
      flags.FLAGS.mark_as_parsed()
    dataset = dataset.mp_prefetch(
      grain.MultiprocessingOptions(num_workers=workers, per_worker_buffer_size=2),
      worker_init_fn=functools.partial(_end_with_parent, os.getpid()),
    )
  iterator = iter(dataset)
  try:
    yield from iterator
  except RuntimeError as error:
    if not workers or 'Worker process was terminated unexpectedly' not in str(error):
      raise
    raise InputError(
      'one of the input workers was ended from outside, as the system does where memory runs out; '
      'the same command goes on; fewer config.data.workers take less memory'
    ) from None
  finally:
    iterator.close()


def _end_with_parent(parent: int, worker: int, workers: int) -> None:
  """Makes a worker leave when process `parent` is gone: after a kill -9 nobody else ends it."""
  del worker, workers
  # Ctrl-C reaches every process of a terminal; the main one saves first and then ends its workers.
  signal.signal(signal.SIGINT, signal.SIG_IGN)

  def watch() -> None:
    while os.getppid() == parent:
      time.sleep(1)
    os._exit(1)

  threading.Thread(target=watch, daemon=True).start()

"""Images/s from JPEG files to batches here and with torch's DataLoader and Pillow, in one run.

  pip install torch     # the other side; not a dependency of medjax
  python benchmarks/input.py --workers=2

medjax is measured twice: from the files, and from what medjax.prepare has made of them. Both sides
read the same generated chest X-rays in the same shuffled order, decode them with Pillow, resize
them bilinearly to the network's size and give uint8 batches. The sides take turns; the clock starts
after a turn's first batches and stops with the last, so that starting and ending workers, which
happens once a training, does not count; neither does the first turn, which warms the page cache.
The median of the other turns counts. What medjax.prepare has made is compared with the DataLoader
at its best number of workers: 0, as many as there are processors, or --workers.
"""

import argparse
import pathlib
import statistics
import tempfile
import time
from collections.abc import Iterable

import numpy as np
from PIL import Image

from medjax.data import pipeline, prepared, sampling
from medjax.data.images.mapped import MappedImages
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.phantom import chest
from medjax.runtime import processors

WARM_UP = 12  # batches


class Files:
  """A map-style data set as PyTorch's users write it."""

  def __init__(self, paths: list[str], image_size: int):
    self.paths, self.image_size = paths, image_size

  def __len__(self) -> int:
    return len(self.paths)

  def __getitem__(self, index: int) -> np.ndarray:
    with Image.open(self.paths[index]) as image:
      size = (self.image_size, self.image_size)
      return np.array(image.convert('L').resize(size, Image.Resampling.BILINEAR))


def with_medjax(
  paths: list[str],
  image_size: int,
  batch_size: int,
  workers: int,
  mapped: MappedImages | None = None,
) -> float:
  """Returns images/s over an epoch, from the files or from what was decoded before."""
  values = np.zeros((len(paths), 1), np.float32)
  records = pipeline.Records(paths, values, values + 1, ImageFormat(image_size, 1), mapped)
  stream = sampling.IndexStream('none', values, values + 1, seed=0)
  batches = len(paths) // batch_size
  return _rate(
    batch['image']
    for batch in pipeline.train_batches(
      records, stream.batch, batch_size=batch_size, start=0, stop=batches, workers=workers
    )
  )


def with_torch(paths: list[str], image_size: int, batch_size: int, workers: int) -> float:
  """Returns the same for torch's DataLoader."""
  import torch.utils.data

  loader = torch.utils.data.DataLoader(
    Files(paths, image_size), batch_size, shuffle=True, num_workers=workers, drop_last=True
  )
  return _rate(loader)


def _rate(batches: Iterable) -> float:
  """Returns images/s, from the batch on by which every worker has started."""
  iterator = iter(batches)
  for _ in range(WARM_UP):
    next(iterator)
  start = last = time.perf_counter()
  images = 0
  for batch in iterator:
    images, last = images + len(batch), time.perf_counter()
  return images / (last - start)


def main() -> None:
  """Prints the rates and their ratios."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--images', type=int, default=4_000)
  parser.add_argument('--file_size', type=int, default=390, help='of the JPEG files, pixels')
  parser.add_argument('--image_size', type=int, default=224)
  parser.add_argument('--batch_size', type=int, default=64)
  parser.add_argument('--workers', type=int, default=0)
  parser.add_argument('--turns', type=int, default=3)
  arguments = parser.parse_args()
  least = (WARM_UP + 1) * arguments.batch_size
  if arguments.images < least:
    parser.error(
      f'--images={arguments.images}: the first {WARM_UP} batches of {arguments.batch_size} do not '
      f'count, so {least:,} images at least, or a smaller --batch_size'
    )
  with tempfile.TemporaryDirectory() as folder:
    root = pathlib.Path(folder, 'phantom')
    print(f'generating {arguments.images:,} JPEG files of {arguments.file_size} px')
    chest.generate(root, images=arguments.images, image_size=arguments.file_size)
    paths = [str(path) for path in sorted(root.glob('*/*/*/*.jpg'))]
    settings = (paths, arguments.image_size, arguments.batch_size, arguments.workers)
    image_format = ImageFormat(arguments.image_size, 1)
    start = time.perf_counter()
    made = prepared.make(pathlib.Path(folder, 'prepared'), root, paths, image_format)
    preparing_rate = len(paths) / (time.perf_counter() - start)
    mapped = made.select(paths)
    counts = sorted({0, processors.available(), arguments.workers})
    turns = [
      (
        with_medjax(*settings),
        with_medjax(*settings[:3], 0, mapped),
        *(with_torch(*settings[:3], workers) for workers in counts),
      )
      for _ in range(arguments.turns + 1)
    ]
  our_rate, prepared_rate, *rates = (statistics.median(side) for side in zip(*turns[1:]))
  their_rate, best_rate = rates[counts.index(arguments.workers)], max(rates)
  print(
    f'grey JPEG of {arguments.file_size} px to uint8 batches of {arguments.batch_size} × '
    f'{arguments.image_size} px, {arguments.workers} workers, median of '
    f'{arguments.turns}'
  )
  print(f'medjax.prepare, once   {preparing_rate:8.0f} images/s')
  print(f'medjax, prepared       {prepared_rate:8.0f} images/s')
  print(f'medjax, from files     {our_rate:8.0f} images/s')
  for workers, rate in zip(counts, rates):
    print(f'DataLoader, {workers:2} workers {rate:8.0f} images/s')
  print(f'ratio, prepared to best{prepared_rate / best_rate:8.2f}  (8 is the goal)')
  print(f'ratio                  {our_rate / their_rate:8.2f}')


if __name__ == '__main__':
  main()

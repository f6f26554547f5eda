"""Patches/s that medjax cuts from a whole slide, beside plain OpenSlide reading the same regions.

  pip install 'medjax[slides]' tifffile
  python benchmarks/slides.py

One generated slide, a tiled pyramid packed by zlib, lies once for each process. Both
sides read the same patches at the resolution of level 0, in the same order, and encode none:
OpenSlide by a `read_region` for each patch, converted to RGB, as one writes it by hand; medjax as
`medjax.slides` reads them. From one process and from as many as there are processors; the sides
take turns, and the median counts.
"""

import argparse
import concurrent.futures
import multiprocessing
import os
import pathlib
import shutil
import statistics
import tempfile
import time

import numpy as np
import pandas as pd
import tifffile
from PIL import Image

from medjax.whole_slides import patches, pyramid

MPP = 0.5  # µm per pixel


def write_slide(path: pathlib.Path, side: int, seed: int = 0) -> None:
  """Writes a slide of side × side pixels with levels of 1, 4 and 16, each tiled."""
  rng = np.random.default_rng(seed)
  coarse = rng.integers(90, 230, (side // 16, side // 16, 3)).astype(np.uint8)
  picture = Image.fromarray(coarse).resize((side, side), Image.Resampling.BICUBIC)
  with tifffile.TiffWriter(path) as file:
    for level, factor in enumerate((1, 4, 16)):
      file.write(
        np.asarray(picture.reduce(factor)), tile=(256, 256), photometric='rgb',
        compression='zlib', subfiletype=int(level > 0), resolutionunit='CENTIMETER',
        resolution=(1e4 / (MPP * factor),) * 2, metadata=None,
      )  # fmt: skip


def with_medjax(path: pathlib.Path, side: int, patch_size: int) -> int:
  """Reads every patch of the grid and returns how many."""
  slide = pyramid.open_slide(path)
  rows = side // patch_size
  grid = np.divmod(np.arange(rows * rows), rows)
  positions = pd.DataFrame({'row': grid[0], 'column': grid[1]})
  cutting = patches.Cutting(mpp=MPP, patch_size=patch_size, centre=32, tissue=0.25)
  return sum(1 for _ in patches._images(slide, cutting, positions))


def with_openslide(path: pathlib.Path, side: int, patch_size: int) -> int:
  """Reads the same patches one by one."""
  import openslide

  slide, rows = openslide.OpenSlide(path), side // patch_size
  size = (patch_size, patch_size)
  for row, column in np.ndindex(rows, rows):
    location = (column * patch_size, row * patch_size)
    np.asarray(slide.read_region(location, 0, size).convert('RGB'))
  return rows * rows


def rate(read, pool, files: list[pathlib.Path], side: int, patch_size: int) -> float:
  """Returns patches/s of a process for each file."""
  start = time.perf_counter()
  counts = list(pool.map(read, files, [side] * len(files), [patch_size] * len(files)))
  return sum(counts) / (time.perf_counter() - start)


def main() -> None:
  """Prints both rates from one process and from all, and their ratios."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--side', type=int, default=8192, help='of the slide, pixels')
  parser.add_argument('--patch_size', type=int, default=96)
  parser.add_argument('--turns', type=int, default=3)
  arguments = parser.parse_args()
  processes = os.cpu_count() or 1
  with tempfile.TemporaryDirectory() as folder:
    files = [pathlib.Path(folder, f'{number}.tif') for number in range(processes)]
    write_slide(files[0], arguments.side)
    for file in files[1:]:
      shutil.copy(files[0], file)
    for number in dict.fromkeys((1, processes)):
      spawned = multiprocessing.get_context('spawn')
      with concurrent.futures.ProcessPoolExecutor(number, mp_context=spawned) as pool:
        settings = (files[:number], arguments.side, arguments.patch_size)
        turns = [
          [rate(read, pool, *settings) for read in (with_medjax, with_openslide)]
          for _ in range(arguments.turns + 1)
        ][1:]  # The first warms the page cache, and starts the processes.
      ours, theirs = (statistics.median(side) for side in zip(*turns))
      print(f'patches of {arguments.patch_size} px, {number} processes')
      print(f'medjax        {ours:8.0f} patches/s')
      print(f'OpenSlide     {theirs:8.0f} patches/s')
      print(f'ratio         {ours / theirs:8.2f}')


if __name__ == '__main__':
  main()

"""A generated set of lymph node patches in PatchCamelyon's layout and its hidden truth.

    root/camelyonpatch_level_2_split_{train,valid,test}_x.h5      'x', uint8[N, 96, 96, 3]
    root/camelyonpatch_level_2_split_{train,valid,test}_y.h5      'y', uint8[N, 1, 1, 1]
    root/camelyonpatch_level_2_split_{train,valid,test}_meta.csv
    root/truth.csv                   the share of the centre, and of the patch, that is tumour
    root/phantom.json                the settings that made it

A patch is positive where its central third holds any tumour. Slides differ in stain, focus and
cells, and in whether they hold tumour at all. So a split by patch flatters a model here as it does
on real slides; as in PatchCamelyon, no slide is in two of the three parts.
"""

import csv
import pathlib
from typing import Any

import numpy as np

from medjax.data.phantom import folder, tissue_drawing

# Raise it with every change of the pixels (tissue_drawing.py) or the tables.
FORMAT = 1
LEAST = {'images': 12, 'image_size': 32}
META_HEADER = ('', 'coord_y', 'coord_x', 'tumor_patch', 'center_tumor_patch', 'wsi')
TRUTH_HEADER = ('wsi', 'coord_y', 'coord_x', 'tumour_centre', 'tumour_patch')
PARTS = {'train': 0.7, 'valid': 0.15, 'test': 0.15}  # shares of the patches
PATCHES = 12  # of a slide, about
# Of every five slides three hold tumour, so that the patches are about half positive in every part.
WITH_TUMOUR = (True, False, True, False, True)
POSITIVE = 0.8  # share of positive patches in them


def generate(
  root: pathlib.Path, *, images: int = 1000, image_size: int = 96, seed: int = 0
) -> None:
  """Writes the data set at `root`: all of it or, when interrupted, nothing.

  What the files hold depends on `images`, `image_size` (pixels a side; 96 is PatchCamelyon's) and
  `seed` alone. A root that holds these settings already is left as it is.

  Raises:
    InputError: a setting is out of range, or `root` exists and holds anything else.
  """
  numbers = {'images': images, 'image_size': image_size, 'seed': seed}
  folder.check_least(numbers, LEAST)
  settings: dict[str, int | str] = {'kind': 'tissue', 'format': FORMAT, **numbers}
  folder.make(root, settings, lambda path: _write(path, images, image_size, seed))


def _write(root: pathlib.Path, images: int, size: int, seed: int) -> None:
  import h5py

  root.mkdir()
  counts = {part: max(4, round(share * images)) for part, share in PARTS.items()}
  counts['train'] = images - counts['valid'] - counts['test']
  slide = 0
  truths: list[dict[str, Any]] = []
  for part, count in counts.items():
    pixels: list[np.ndarray] = []
    rows: list[dict[str, Any]] = []
    # Two slides at least, one of them with tumour.
    slides = max(2, round(count / PATCHES))
    for number, patches in enumerate(np.diff(np.linspace(0, count, slides + 1).astype(int))):
      slide += 1
      rng = np.random.default_rng([seed, slide])
      tumour = WITH_TUMOUR[number % len(WITH_TUMOUR)]
      slide_pixels, slide_rows = _draw_slide(rng, slide, tumour, int(patches), size)
      pixels += slide_pixels
      rows += slide_rows
    # PatchCamelyon's patches come in no order of the slides.
    order = np.random.default_rng([seed, 0, len(truths)]).permutation(count)
    rows = [rows[index] for index in order]
    truths += rows
    stem = f'camelyonpatch_level_2_split_{part}'
    with h5py.File(root / f'{stem}_x.h5', 'w') as file:
      file.create_dataset(
        'x', data=np.stack([pixels[index] for index in order]), chunks=(1, size, size, 3)
      )
    with h5py.File(root / f'{stem}_y.h5', 'w') as file:
      label = np.array([row['center_tumor_patch'] for row in rows], np.uint8)
      file.create_dataset('y', data=label[:, None, None, None])
    _write_csv(
      root / f'{stem}_meta.csv',
      META_HEADER,
      [{'': number, **row} for number, row in enumerate(rows)],
    )
  _write_csv(root / 'truth.csv', TRUTH_HEADER, truths)


def _draw_slide(
  rng: np.random.Generator, number: int, tumour: bool, count: int, size: int
) -> tuple[list[np.ndarray], list[dict[str, Any]]]:
  """Returns a slide's patches and their rows of the meta file."""
  slide = tissue_drawing.draw_slide(rng)
  # No two patches of a slide come from one place.
  places = rng.permutation(64 * 64)[:count]
  pixels, rows = [], []
  for place in places.tolist():
    where = 'elsewhere' if tumour and rng.random() < 0.5 else 'nowhere'
    if tumour and rng.random() < POSITIVE:
      where = 'centre'
    patch, mask = tissue_drawing.draw_patch(rng, slide, tumour=where, size=size)
    third = size // 3
    centre = mask[third : size - third, third : size - third]
    pixels.append(patch)
    rows.append(
      {
        'coord_y': 4096 + 384 * (place // 64),
        'coord_x': 4096 + 384 * (place % 64),
        'tumor_patch': bool(mask.any()),
        'center_tumor_patch': bool(centre.any()),
        'wsi': f'camelyon16_train_{"tumor" if tumour else "normal"}_{number:03d}',
        'tumour_centre': round(float(centre.mean()), 3),
        'tumour_patch': round(float(mask.mean()), 3),
      }
    )
  return pixels, rows


def _write_csv(path: pathlib.Path, header: tuple[str, ...], rows: list[dict[str, Any]]) -> None:
  with open(path, 'w', newline='', encoding='utf-8') as file:
    writer = csv.DictWriter(file, header, lineterminator='\n', extrasaction='ignore')
    writer.writeheader()
    writer.writerows(rows)

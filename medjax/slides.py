"""Cuts whole slides into patches to train on: python -m medjax.slides --slides=DIR --output=DIR

Patches lie side by side in a grid, at --mpp µm per pixel whatever levels a slide has. Those with at
least --tissue of tissue are kept. A patch is tumour if any pixel of its centre is, by the outlines,
and unknown where they leave it open. medjax/whole_slides/patch_sets.py lists the files that are
written; configs/slides.py trains on them. Look at the pictures in grids/ to check where tissue was
found.

The same command continues after an interruption, and tries again the slides that were set aside.
--shard=0/3 cuts every third slide, from the first, so that a cluster can share them; the last to
finish writes the tables, or the command without it.
The exit status is 0 if at least one slide could be cut.

Camelyon16, as downloaded, its outlines unpacked:

  python -m medjax.slides --source=camelyon16 --slides=CAMELYON16 --output=data/slides --mpp=1
"""

import contextlib
import itertools
import os
import pathlib

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line, progress, shards

_EXAMPLE = 'try --slides=data/CAMELYON16 --source=camelyon16 --output=data/slides'
_SLIDES = flags.DEFINE_string('slides', None, 'Folder of slides, searched with its folders.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for the patches.')
_SOURCE = flags.DEFINE_string('source', 'folder', "'folder' (any slides) or 'camelyon16'.")
_MPP = flags.DEFINE_float('mpp', 0.5, 'Resolution of the patches, µm per pixel.')
_PATCH_SIZE = flags.DEFINE_integer('patch_size', 96, 'Width and height of a patch, pixels.')
_CENTRE = flags.DEFINE_integer('centre', 32, 'Part of a patch that decides its label, pixels.')
_TISSUE = flags.DEFINE_float('tissue', 0.25, 'Least share of a patch that is tissue.')
_TABLE = flags.DEFINE_string(
  'table', None, 'CSV: slide, and any of patient, tumor (1, 0 or empty), official_split, site.'
)
_OUTLINES = flags.DEFINE_string(
  'outlines', None, 'Folder of ASAP XML files named after the slides.'
)
_SLIDE_MPP = flags.DEFINE_float(
  'slide_mpp', 0.0, 'µm per pixel (of level 0) of slides without a resolution.'
)
_WORKERS = flags.DEFINE_integer('workers', os.cpu_count() or 1, 'Slides cut at a time.')
_SHARD = flags.DEFINE_string('shard', None, shards.HELP)


def main() -> None:
  """Cuts the slides and prints what became of them."""
  if not _SLIDES.value:
    raise InputError(f'--slides is missing; {_EXAMPLE}')
  if not _OUTPUT.value:
    raise InputError(f'--output is missing; {_EXAMPLE}')

  shard = shards.asked(_SHARD.value)

  from medjax.whole_slides import patch_pieces, patch_sets, slide_tables
  from medjax.whole_slides.patches import Cutting

  output = pathlib.Path(_OUTPUT.value)
  table = slide_tables.find(
    pathlib.Path(_SLIDES.value),
    _SOURCE.value,
    pathlib.Path(_TABLE.value) if _TABLE.value else None,
    pathlib.Path(_OUTLINES.value) if _OUTLINES.value else None,
  )
  cutting = Cutting(_MPP.value, _PATCH_SIZE.value, _CENTRE.value, _TISSUE.value)
  slides = len(patch_pieces.of_piece(table['slide'], shard))
  bar = progress.Progress('slide', 0, slides, images=0)
  done = itertools.count(1)

  def say(line: str) -> None:
    progress.say(line)
    bar.update(next(done))

  with contextlib.closing(bar), progress.waiting('cutting slides'):
    made = patch_pieces.make(
      table,
      output,
      cutting,
      shard,
      stated_mpp=_SLIDE_MPP.value,
      workers=_WORKERS.value,
      progress=say,
    )
  if made is None:
    return
  print('\n'.join(patch_sets.in_words(made, output)))


if __name__ == '__main__':
  command_line.run(main)

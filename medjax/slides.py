"""Cuts whole slides into patches to train on: python -m medjax.slides --slides=DIR --output=DIR

Patches lie side by side in a grid, at --mpp µm per pixel whatever levels a slide has. Those that are
tissue to --tissue are kept; a patch is tumour if any pixel of its centre is, by the outlines, and unknown
where they leave it open. What is written, and how the config of a run names it, stands in
medjax/whole_slides/patch_sets.py and configs/slides.py. Look at grids/: a person sees at once whether tissue was found.

The same command goes on where it was interrupted, and tries again what was set aside. The exit status
is 0 if at least one slide could be cut.

Camelyon16, as it was downloaded, its outlines unpacked:

  python -m medjax.slides --source=camelyon16 --slides=CAMELYON16 --output=data/slides --mpp=1 --workers=8
"""

import os
import pathlib
import sys

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line

_SLIDES = flags.DEFINE_string('slides', None, 'Folder of slides, searched through.')
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for the patches.')
_SOURCE = flags.DEFINE_string('source', 'folder', "'folder' (any slides) or 'camelyon16'.")
_MPP = flags.DEFINE_float('mpp', 0.5, 'Resolution of the patches, µm per pixel.')
_PATCH_SIZE = flags.DEFINE_integer('patch_size', 96, 'Width and height of a patch, pixels.')
_CENTRE = flags.DEFINE_integer('centre', 32, 'Part of a patch that decides its label, pixels.')
_TISSUE = flags.DEFINE_float('tissue', 0.25, 'Least share of a patch that is tissue.')
_TABLE = flags.DEFINE_string(
  'table', None, 'CSV: slide, and any of patient, tumor (1, 0 or empty), official_split, site.'
)
_OUTLINES = flags.DEFINE_string('outlines', None, 'Folder of ASAP XML files named as the slides.')
_SLIDE_MPP = flags.DEFINE_float(
  'slide_mpp', 0.0, 'µm per pixel (of level 0) of slides that do not say.'
)
_WORKERS = flags.DEFINE_integer('workers', os.cpu_count() or 1, 'Slides cut at a time.')


def main() -> None:
  """Cuts the slides and says what became of them."""
  for flag, value in (('slides', _SLIDES.value), ('output', _OUTPUT.value)):
    if not value:
      raise InputError(
        f'--{flag} is missing; try --slides=data/CAMELYON16 --source=camelyon16 --output=data/slides'
      )

  import tqdm

  from medjax.whole_slides import patch_sets, slide_tables
  from medjax.whole_slides.patches import Cutting

  output = pathlib.Path(_OUTPUT.value)
  table = slide_tables.find(
    pathlib.Path(_SLIDES.value),
    _SOURCE.value,
    pathlib.Path(_TABLE.value) if _TABLE.value else None,
    pathlib.Path(_OUTLINES.value) if _OUTLINES.value else None,
  )
  cutting = Cutting(_MPP.value, _PATCH_SIZE.value, _CENTRE.value, _TISSUE.value)
  with tqdm.tqdm(total=len(table), unit='slide', disable=not sys.stderr.isatty()) as bar:

    def progress(line: str) -> None:
      tqdm.tqdm.write(line)
      sys.stdout.flush()
      bar.update()

    made = patch_sets.make(
      table,
      output,
      cutting,
      stated_mpp=_SLIDE_MPP.value,
      workers=_WORKERS.value,
      progress=progress,
    )
  print(
    f'{len(made.patches):,} patches of {len(made.slides):,} slides of '
    f'{made.slides["patient"].nunique():,} {_groups(made.slides["grouped_by"])}'
  )
  if len(made.set_aside):
    names = ', '.join(made.set_aside['slide'])
    print(f'{len(made.set_aside):,} slides set aside ({output / patch_sets.SET_ASIDE}): {names}')
  print(f'written: {output / patch_sets.PATCHES}; look at the pictures in {output / "grids"}')


def _groups(grouped_by) -> str:
  if (grouped_by == 'patient').all():
    return 'patients'
  return 'patients (nobody says whose slides they are, so each counts as a patient of its own)'


if __name__ == '__main__':
  command_line.run(main)

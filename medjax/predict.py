"""Predicts images with a trained run: python -m medjax.predict --workdir=runs/phantom
--images=FOLDER --output=out.csv

--images is a folder, searched through for JPEG, PNG, TIFF, DICOM and other images, or a CSV with a
column image (paths relative to the CSV's folder or --root, or container#key) and maybe patient.
Written are

  out.csv         one row per image: prob_<label>, calibrated, and decision_<label>, 1 or 0 at the
                  threshold that validation chose and the run has frozen; of exclusive classes and
                  grades `decision` instead, the one that is decided for. --raw adds the
                  probabilities as they were before calibration, raw_<label>
  out.broken.csv  the images that could not be read, with the reason
  out.csv.json    what all of that hangs on

The same command goes on where it was interrupted. --shard=0/3 predicts the first of three pieces,
so that a cluster can share them; the last to finish puts them together, or the command without it.
What the config of the run averages (checkpoints, runs, augmented passes) is averaged here too.
Images and patients that trained the model are refused.
"""

import pathlib

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line, shards

_WORKDIR = flags.DEFINE_string('workdir', None, 'Work directory of a finished run.')
_IMAGES = flags.DEFINE_string('images', None, 'Folder of images, or CSV that names them.')
_OUTPUT = flags.DEFINE_string('output', None, 'CSV to write.')
_ROOT = flags.DEFINE_string('root', None, "Folder that the CSV's paths are relative to.")
_RAW = flags.DEFINE_bool('raw', False, 'Adds the probabilities before calibration.')
_ALLOW = flags.DEFINE_bool(
  'allow_training_images', False, 'Predicts images that trained the model too.'
)
_HEAT_MAPS = flags.DEFINE_string(
  'heat_maps', None, 'Folder for heat maps drawn over the images, IMAGE.LABEL.png.'
)
_HEAT_MAP_LABELS = flags.DEFINE_list(
  'heat_map_labels', [], "Labels of the heat maps; each image's most probable one by default."
)
_SHARD = flags.DEFINE_string('shard', None, shards.HELP)


def main() -> None:
  """Predicts, and says what became of the images."""
  for flag, value in (('workdir', _WORKDIR), ('images', _IMAGES), ('output', _OUTPUT)):
    if not value.value:
      raise InputError(
        f'--{flag} is missing; try --workdir=runs/phantom --images=FOLDER --output=out.csv'
      )
  if _HEAT_MAP_LABELS.value and not _HEAT_MAPS.value:
    raise InputError(
      '--heat_map_labels is given without --heat_maps=FOLDER, where they would be written'
    )
  workdir, images, output = (
    pathlib.Path(flag.value or '') for flag in (_WORKDIR, _IMAGES, _OUTPUT)
  )

  shard = shards.asked(_SHARD.value)

  from medjax.inference import result_file
  from medjax.runs import finished

  # Before jax is imported, which takes seconds.
  result_file.check_writable(output)
  run = finished.open_run(workdir)

  from medjax.inference import new_images

  new_images.predict_to_csv(
    run,
    images,
    output,
    root=pathlib.Path(_ROOT.value) if _ROOT.value else None,
    raw=_RAW.value,
    allow_training_images=_ALLOW.value,
    heat_maps=pathlib.Path(_HEAT_MAPS.value) if _HEAT_MAPS.value else None,
    heat_map_labels=_HEAT_MAP_LABELS.value,
    shard=shard,
  )


if __name__ == '__main__':
  command_line.run(main, read=('workdir',), files=('output',))

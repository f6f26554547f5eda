"""Exports a trained run for use without medjax: python -m medjax.export --workdir=runs/phantom

Writes, into --output or the work directory's export/:

  run.py             runs the program; with Pillow, python run.py film.png answers for a picture, at
                     the frozen thresholds
  frozen.json        calibration and thresholds, as validation chose them
  README.md          the model card

and the network with its weights, preprocessing and calibration, uint8 images to probabilities, for
any batch size, in each --format:

  stablehlo  model.stablehlo    for jax, on CPU, CUDA and TPU; run.py then needs jax and numpy alone
             model.safetensors  the weights, named and laid out as torch's are
             config.json        their architecture, settings and preprocessing, in timm's words
  onnx       model.onnx         for ONNX Runtime and others, tried on images of validation; run.py
                                then needs onnxruntime and numpy alone
  triton     model_repository/  the ONNX program as Triton and KServe serve it
"""

import pathlib

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line, progress, storage

_WORKDIR = flags.DEFINE_string('workdir', None, 'Work directory of a finished run.')
_FORMAT = flags.DEFINE_list(
  'format', ['stablehlo'], 'Of the program: stablehlo, onnx, triton, or several, by commas.'
)
_OUTPUT = flags.DEFINE_string('output', None, "Folder to write to; the run's export/ by default.")


def main() -> None:
  """Writes the export and says where."""
  if not _WORKDIR.value:
    raise InputError('--workdir is missing; try --workdir=runs/phantom')

  from medjax.runs import finished

  run = finished.open_run(_WORKDIR.value)

  from medjax.inference import export_files, export_program

  directory = pathlib.Path(_OUTPUT.value) if _OUTPUT.value else run.layout.export
  with progress.waiting('reading the checkpoint and exporting the program'):
    paths = export_files.write(run, directory, _FORMAT.value)
  for path in paths:
    print(f'{path}  {storage.size(path.stat().st_size)}')
  if 'stablehlo' not in _FORMAT.value:
    return
  for note in export_program.notes_on_timm(run.config, run.model_file.image_format):
    print(f'note: {note}')


if __name__ == '__main__':
  command_line.run(main)

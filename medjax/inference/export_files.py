"""What is exported of a trained run: its program in the formats that are asked for, with a card."""

import dataclasses
import importlib.resources
import json
import pathlib
import re
from collections.abc import Sequence

from jax import export

from medjax.errors import InputError, check_option
from medjax.evaluation import assessment, frozen
from medjax.evaluation.assessment import Assessment
from medjax.inference import export_program, model_card, onnx_of_run, triton_folder
from medjax.inference.tensor_bytes import tensor_bytes
from medjax.runs import averaging
from medjax.runs.finished import Run
from medjax.runs.trained_network import TrainedNetwork
from medjax.runtime import files

FORMATS = ('stablehlo', 'onnx', 'triton')


def write(
  run: Run, directory: pathlib.Path, formats: Sequence[str] = FORMATS[:1]
) -> list[pathlib.Path]:
  """Writes the export of a finished run into `directory` and returns the files.

  Args:
    run: the run.
    directory: where to; it is made.
    formats: of the program, from FORMATS.

  Raises:
    InputError: the run is not whole, there is no such format, or the program cannot be of it.
  """
  if not formats:
    raise InputError(f'--format is empty; allowed: {", ".join(FORMATS)}')
  for name in formats:
    check_option('--format', name, FORMATS)
  network, result, chosen = run.network, run.result, run.frozen
  if averaging.averages(run.config.evaluation):
    alone = _single_model(run)
    result = alone.result.with_study_of(result)
    chosen = dataclasses.replace(chosen, levels=alone.frozen)
  calibration = chosen.levels['image'].calibration
  contents: dict[str, str | bytes] = {}
  sections: list[str] = []
  program = None
  if 'stablehlo' in formats:
    program = export_program.stablehlo(network, calibration)
    contents |= _of_jax(run, network, program)
  if {'onnx', 'triton'} & {*formats}:
    made = onnx_of_run.make(run, calibration)
    sections.append(made.in_words)
    if 'onnx' in formats:
      contents['model.onnx'] = made.content
    if 'triton' in formats:
      name = triton_folder.name_of(run.workdir.resolve().name)
      served = triton_folder.files_of(name, network.learner, made.content)
      contents |= {f'{triton_folder.FOLDER}/{path}': content for path, content in served.items()}
      sections.append(triton_folder.in_words(name))
  contents |= {
    'frozen.json': json.dumps(frozen.to_plain(chosen), indent=2) + '\n',
    'README.md': model_card.render(run, result, formats, sections),
  }
  if {'stablehlo', 'onnx'} & {*formats}:
    contents['run.py'] = _runner(network, program)
  for name, content in contents.items():
    (directory / name).parent.mkdir(parents=True, exist_ok=True)
    files.write_whole(directory / name, content)
  return [directory / name for name in contents]


def _of_jax(run: Run, network: TrainedNetwork, program: export.Exported) -> dict[str, str | bytes]:
  tensors, scheme = export_program.published_tensors(network)
  # An export is for others to have, so whom the weights were trained on stays in the work
  # directory.
  metadata = {
    'format': 'pt',
    'names': scheme,
    'step': str(network.steps[0]),
    'split_sha256': run.split_sha256,
  }
  return {
    'model.stablehlo': bytes(program.mlir_module_serialized),
    'model.safetensors': tensor_bytes(tensors, metadata),
    'config.json': json.dumps(export_program.description(network.learner), indent=2) + '\n',
  }


def _single_model(run: Run) -> Assessment:
  """Assesses the one checkpoint that is exported: what the run has frozen is of its average."""
  return assessment.assess(
    run.raw_predictions('validation', averaging.SINGLE),
    run.raw_predictions('test', averaging.SINGLE),
    dataclasses.replace(run.config.protocol, subgroups=()),
  )


def _runner(network: TrainedNetwork, program: export.Exported | None) -> str:
  template = (
    importlib.resources.files(__package__).joinpath('export_run_template.py').read_text('utf-8')
  )
  learner = network.learner
  facts: dict[str, object] = {
    'IMAGES': learner.image_format.in_words,
    'IMAGE_SHAPE': learner.image_format.shape,
    'FIT': learner.image_format.fit,
    'INTERPOLATION': learner.image_format.interpolation,
    'LABELS': tuple(learner.config.data.labels),
    'HEAD': learner.config.model.head,
  }
  if program is not None:
    facts |= {
      'PLATFORMS': tuple(program.platforms),
      'CALLING_CONVENTION': program.calling_convention_version,
    }
  for name, value in facts.items():
    line = f'{name} = {value!r}'.replace('\\', r'\\')
    template = re.sub(rf'^{name} = .*$', line, template, flags=re.M)
  return template

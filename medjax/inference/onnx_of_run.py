"""The network of a run as ONNX, its agreement tried on images of validation and on noise."""

import dataclasses
import json
import os
from importlib import metadata
from typing import NamedTuple

import jax
import numpy as np

from medjax import __version__
from medjax.data import targets
from medjax.data.images import decoding
from medjax.errors import InputError
from medjax.evaluation.calibration import Calibration
from medjax.inference import export_program, onnx_program
from medjax.models import building
from medjax.runs.finished import Run
from medjax.runs.trained_network import TrainedNetwork

_REAL, _NOISE = 'images of validation', 'images of noise'
_IMAGES, _AT_A_TIME = 32, 8


class OnnxOfRun(NamedTuple):
  """A program that agrees with its run.

  Attributes:
    content: the file.
    in_words: a section of the model card.
  """

  content: bytes
  in_words: str


def make(run: Run, calibration: Calibration) -> OnnxOfRun:
  """Returns the run's best checkpoint as ONNX, calibrated.

  It computes in float32, also where the run did in bfloat16, which few runtimes know.

  Args:
    run: whose images of validation must be there to be read.
    calibration: of single images.

  Raises:
    InputError: no image of validation can be read, the converter is not installed or has no form
      for the network, or ONNX Runtime computes anything else than jax.
  """
  network = _in_float32(run.network)
  learner, labels = network.learner, list(run.config.data.labels)
  predict = export_program.predictor(network, calibration)
  facts = {
    'made_with': f'medjax {__version__}',
    'labels': json.dumps(labels),
    'images': learner.image_format.in_words,
    'split_sha256': run.split_sha256,
    'step': str(network.steps[0]),
  }
  batches = _batches(run)
  content = onnx_program.program(predict, learner.image_format.shape, facts)
  differences = onnx_program.largest_difference(content, predict, batches)
  noise = max(value for name, value in differences.items() if name.startswith(_NOISE))
  real = max(value for name, value in differences.items() if not name.startswith(_NOISE))
  shape = ', '.join(map(str, learner.image_format.shape))
  words = [
    '### ONNX',
    f'`model.onnx`, opset {onnx_program.OPSET}: `{onnx_program.INPUT}`, '
    f'uint8[batch, {shape}], {learner.image_format.in_words} → `{onnx_program.OUTPUT}`, '
    f'float32[batch, {len(labels)}], calibrated, in the order of Output above; any number of '
    'images in a batch.',
    f'ONNX Runtime {metadata.version("onnxruntime")} on a CPU and jax give the same probabilities, '
    f'to {real:.1g} on {_count(batches, _REAL)} images of validation and to {noise:.1g} on '
    f'{_count(batches, _NOISE)} of noise.',
  ]
  if run.config.precision != 'float32':
    own = jax.jit(export_program.predictor(run.network, calibration))
    both = (np.asarray(own(images) - jax.jit(predict)(images)) for images in batches.values())
    apart = max(float(np.abs(difference).max()) for difference in both)
    words.append(
      f'It computes in float32 and the run did in {run.config.precision}, which moves a '
      f'probability of these by up to {apart:.1g}.'
    )
  return OnnxOfRun(content, '\n\n'.join(words))


def _in_float32(network: TrainedNetwork) -> TrainedNetwork:
  config = network.learner.config
  outputs = targets.outputs(config.model.head, len(config.data.labels))
  built = building.build(config.model.name, outputs, config.model.settings)
  return dataclasses.replace(network, learner=dataclasses.replace(network.learner, network=built))


def _batches(run: Run) -> dict[str, np.ndarray]:
  """Returns name → uint8[B, H, W, C], of several sizes: images of validation, and noise."""
  image_format = run.model_file.image_format
  names = run.raw_predictions('validation').images
  chosen = [names[at] for at in np.unique(np.linspace(0, len(names) - 1, _IMAGES).astype(int))]
  try:
    files = (os.path.join(run.config.data.root, name) for name in chosen)
    real = np.stack([decoding.decode(file, image_format) for file in files])
  except InputError as error:
    raise InputError(
      f'an ONNX program is tried on images of validation, which must be there: {error}'
    ) from None
  random = np.random.default_rng(0)
  noise = random.integers(0, 256, (4, *image_format.shape), np.uint8)
  flat = np.stack([np.full(image_format.shape, value, np.uint8) for value in (0, 255)])
  starts = range(0, len(real), _AT_A_TIME)
  return {
    **{f'{_REAL} from {at}': real[at : at + _AT_A_TIME] for at in starts},
    'one of these alone': real[:1],
    _NOISE: np.concatenate([noise, flat]),
  }


def _count(batches: dict[str, np.ndarray], kind: str) -> int:
  return sum(len(images) for name, images in batches.items() if name.startswith(kind))

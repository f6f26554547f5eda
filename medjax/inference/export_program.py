"""What is exported of a trained run: a StableHLO program, its weights, and a model card."""

import dataclasses
import importlib.resources
import json
import pathlib
import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax import export
from safetensors.numpy import save

from medjax.config import Config
from medjax.config.published import NETWORKS, OURS, weights_of
from medjax.data.images.preprocessing import ImageFormat
from medjax.evaluation import assessment, frozen
from medjax.evaluation.assessment import Assessment
from medjax.evaluation.calibration import Calibration
from medjax.inference import export_calibration, model_card
from medjax.models.pretrained import fit
from medjax.runs import averaging
from medjax.runs.finished import Run
from medjax.runs.trained_network import TrainedNetwork
from medjax.runtime import files
from medjax.training.learner import Learner

PLATFORMS = ('cpu', 'cuda', 'tpu')
# timm's words. Its 'border' pads with the mean, not with black: see `notes_on_timm`.
_CROP_MODES = {'pad': 'border', 'crop': 'center', 'stretch': 'squash'}


def write(run: Run, directory: pathlib.Path) -> list[pathlib.Path]:
  """Writes the export of a finished run into `directory` and returns the files.

  Raises:
    InputError: the run is not whole.
  """
  network, result, chosen = run.network, run.result, run.frozen
  if averaging.averages(run.config.evaluation):
    alone = _single_model(run)
    result = alone.result.with_study_of(result)
    chosen = dataclasses.replace(chosen, levels=alone.frozen)
  card = model_card.render(run, result)
  directory.mkdir(parents=True, exist_ok=True)
  program = stablehlo(network, chosen.levels['image'].calibration)
  tensors, scheme = published_tensors(network)
  # An export is for others to have, so whom the weights were trained on stays in the work
  # directory.
  metadata = {
    'format': 'pt',
    'names': scheme,
    'step': str(network.steps[0]),
    'split_sha256': run.split_sha256,
  }
  contents: dict[str, str | bytes] = {
    'model.stablehlo': bytes(program.mlir_module_serialized),
    'model.safetensors': save(tensors, metadata=metadata),
    'config.json': json.dumps(description(network.learner), indent=2) + '\n',
    'frozen.json': json.dumps(frozen.to_plain(chosen), indent=2) + '\n',
    'run.py': _runner(network.learner, program),
    'README.md': card,
  }
  for name, content in contents.items():
    files.write_whole(directory / name, content)
  return [directory / name for name in contents]


def _single_model(run: Run) -> Assessment:
  """Assesses the one checkpoint that is exported: what the run has frozen is of its average."""
  return assessment.assess(
    run.raw_predictions('validation', averaging.SINGLE),
    run.raw_predictions('test', averaging.SINGLE),
    dataclasses.replace(run.config.protocol, subgroups=()),
  )


def stablehlo(network: TrainedNetwork, calibration: Calibration) -> export.Exported:
  """Returns the program uint8[batch, H, W, C] → calibrated probabilities f32[batch, L].

  Args:
    network: the weights of its best checkpoint are included.
    calibration: from medjax.evaluation.calibration.fit, of single images.
  """
  variables = jax.tree.map(jnp.asarray, network.best)
  learner, labels = network.learner, network.learner.config.data.labels
  (batch,) = export.symbolic_shape('batch')
  images = jax.ShapeDtypeStruct((batch, *learner.image_format.shape), jnp.uint8)

  def predict(images: jax.Array) -> jax.Array:
    log_odds = learner.eval_step(variables, images)
    return export_calibration.apply(calibration, log_odds, labels)

  return export.export(jax.jit(predict), platforms=PLATFORMS)(images)


def published_tensors(network: TrainedNetwork) -> tuple[dict[str, np.ndarray], str]:
  """Returns the weights by published names in torch's layouts, and the naming scheme."""
  names = getattr(network.learner.network, 'names', None) or {'medjax': ()}
  scheme = 'timm' if 'timm' in names else next(iter(names))
  leaves = traverse_util.flatten_dict(network.best, sep='/')
  tensors = {
    fit.published_name(path.partition('/')[2], names[scheme]): np.ascontiguousarray(
      fit.to_torch(np.asarray(leaf), path)
    )
    for path, leaf in leaves.items()
  }
  return tensors, scheme


def description(learner: Learner) -> dict[str, Any]:
  """Returns the architecture and preprocessing in the format of timm's config.json."""
  image_format, labels = learner.image_format, list(learner.config.data.labels)
  channels, size = image_format.channels, image_format.size
  outputs = len(labels) - (learner.config.model.head == 'ordinal')
  network = learner.network
  of_timm = getattr(network, 'timm_settings', {})
  return {
    'architecture': _timm_name(learner.config.model.name),
    'settings': learner.config.model.settings,
    'model_args': {timm_name: getattr(network, field) for field, timm_name in of_timm.items()},
    'num_classes': outputs,
    'label_names': labels,
    'head': learner.config.model.head,
    'pretrained_cfg': {
      'num_classes': outputs,
      'input_size': [channels, size, size],
      # timm's transformers are then built for this size; its other networks refuse the argument.
      'fixed_input_size': hasattr(network, 'patch_size'),
      'interpolation': image_format.interpolation,
      'crop_pct': 1.0,
      'crop_mode': _CROP_MODES[image_format.fit],
      'mean': _for_each(learner.normalisation.mean, channels),
      'std': _for_each(learner.normalisation.std, channels),
    },
  }


def notes_on_timm(config: Config, image_format: ImageFormat) -> list[str]:
  """Returns what a person must know who builds the exported network in timm."""
  if config.model.name not in NETWORKS or config.model.name in OURS:
    return [
      f'timm has no network {config.model.name}, so it does not open config.json; run.py needs none'
    ]
  if image_format.fit == 'pad':
    return [
      'timm pads a picture that is not square with the mean, and the run padded with black: give '
      "its transform what run.py's picture(path) returns"
    ]
  return []


def _timm_name(network: str) -> str:
  """timm adds the image size to the names of some networks: vit_small_patch16_224."""
  _, _, tag = weights_of(network).rpartition('/')
  return tag.partition('.')[0] or network


def _for_each(values: tuple[float, ...], channels: int) -> list[float]:
  return list(values) * channels if len(values) == 1 else list(values)


def _runner(learner: Learner, program: export.Exported) -> str:
  template = (
    importlib.resources.files(__package__).joinpath('export_run_template.py').read_text('utf-8')
  )
  facts = {
    'IMAGES': learner.image_format.in_words,
    'IMAGE_SHAPE': learner.image_format.shape,
    'FIT': learner.image_format.fit,
    'INTERPOLATION': learner.image_format.interpolation,
    'LABELS': tuple(learner.config.data.labels),
    'HEAD': learner.config.model.head,
    'PLATFORMS': tuple(program.platforms),
    'CALLING_CONVENTION': program.calling_convention_version,
  }
  for name, value in facts.items():
    line = f'{name} = {value!r}'.replace('\\', r'\\')
    template = re.sub(rf'^{name} = .*$', line, template, flags=re.M)
  return template

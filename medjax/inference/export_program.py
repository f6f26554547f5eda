"""A trained network as a StableHLO program, and its weights by published names."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import traverse_util
from jax import export

from medjax.config import Config
from medjax.config.published import NETWORKS, OURS, weights_of
from medjax.data.images.preprocessing import ImageFormat
from medjax.evaluation.calibration import Calibration
from medjax.inference import export_calibration
from medjax.models.pretrained import fit
from medjax.runs.trained_network import TrainedNetwork
from medjax.training.learner import Learner

PLATFORMS = ('cpu', 'cuda', 'tpu')
# timm's words. Its 'border' pads with the mean, not with black: see `notes_on_timm`.
_CROP_MODES = {'pad': 'border', 'crop': 'center', 'stretch': 'squash'}


def stablehlo(network: TrainedNetwork, calibration: Calibration) -> export.Exported:
  """Returns the program uint8[batch, H, W, C] → calibrated probabilities f32[batch, L].

  Args:
    network: the weights of its best checkpoint are included.
    calibration: from medjax.evaluation.calibration.fit, of single images.
  """
  (batch,) = export.symbolic_shape('batch')
  images = jax.ShapeDtypeStruct((batch, *network.learner.image_format.shape), jnp.uint8)
  return export.export(jax.jit(predictor(network, calibration)), platforms=PLATFORMS)(images)


def predictor(
  network: TrainedNetwork, calibration: Calibration
) -> Callable[[jax.Array], jax.Array]:
  """Returns the function that `stablehlo` makes a program of, for jax to trace."""
  variables = jax.tree.map(jnp.asarray, network.best)
  learner, labels = network.learner, network.learner.config.data.labels

  def predict(images: jax.Array) -> jax.Array:
    log_odds = learner.eval_step(variables, images)
    return export_calibration.apply(calibration, log_odds, labels)

  return predict


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

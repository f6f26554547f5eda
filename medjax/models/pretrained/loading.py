"""Published weights in a network: whether they belong together, and the network filled with
them.
"""

import functools
import json
from collections.abc import Mapping
from typing import Any, NamedTuple

import flax.linen as nn
import jax
from flax import traverse_util

from medjax.config.published import NETWORKS
from medjax.errors import InputError
from medjax.models import building
from medjax.models.normalisation import Normalisation, for_channels
from medjax.models.pretrained import fit
from medjax.models.pretrained import weights as pretrained_weights
from medjax.models.pretrained.weights import Weights

# Settings that change nothing that evaluation computes; fitting accounts for auxiliary parameters.
_OF_TRAINING = ('dropout', 'stochastic_depth', 'auxiliary', 'momentum')
_ADVICE = 'medjax/models/__init__.py says'


class Loaded(NamedTuple):
  """A network with published weights.

  Attributes:
    network: called as `network.apply(variables, images, train=False)`, logits f32[B, num_labels].
    variables: {'params', 'batch_stats'}, nested, float32.
    normalisation: from images f32[B, H, W, C] in [0, 1] to what the network takes.
  """

  network: nn.Module
  variables: dict[str, Any]
  normalisation: Normalisation


def load(
  name: str,
  pretrained: str,
  num_labels: int | None = None,
  *,
  channels: int = 3,
  image_size: int = 0,
  seed: int = 0,
  **settings: Any,
) -> Loaded:
  """Returns a network with published weights, its variables and the normalisation of its images.

  Args:
    name: a network of medjax.models, or 'package.module:class' of your own.
    pretrained: a name of the hub, 'timm/densenet121.tv_in1k', or a .safetensors file.
    num_labels: outputs of a new head, drawn at random; None keeps the head of the weights.
    channels: of the images, 3 (RGB) or 1 (grey), for which the stem is summed over its channels.
    image_size: pixels; 0 takes that of the weights. Only a transformer's positions depend on it.
    seed: of a new head.
    **settings: keyword arguments of the network.

  Raises:
    InputError: no such network or weights, weights that do not fit, or that do not say how many
      labels they have, what size their images or how they were normalised.
  """
  weights = pretrained_weights.find(pretrained, 'pretrained')
  where = f"pretrained='{pretrained}'"
  size = image_size or weights.image_size
  if not size and name in NETWORKS:
    size = NETWORKS[name].image_size
  if not size:
    raise InputError(f'{where}: nothing says the size of its images; give image_size')
  if not weights.mean or not weights.std:
    raise InputError(
      f'{where}: nothing says how its images were normalised; put the config.json published with '
      'the weights beside them'
    )
  keeps_head = num_labels is None
  outputs = 1 if num_labels is None else num_labels
  network = building.build(name, outputs, settings, prefix='')
  if num_labels is None:
    outputs = _labels(weights, network, where)
    network = building.build(name, outputs, settings, prefix='')
  init = functools.partial(building.init_variables, network, (size, size, channels), seed)
  shapes = jax.eval_shape(init)
  fitted = fit_network(weights, shapes, network, name, settings, keeps_head=keeps_head, prefix='')
  leaves = traverse_util.flatten_dict(fitted.variables, sep='/')

  def new_leaves() -> dict[str, jax.Array]:
    drawn = traverse_util.flatten_dict(init(), sep='/')
    return {path: drawn[path] for path in fitted.new}

  # Compiled, because then only what is new is computed.
  leaves |= jax.jit(new_leaves)()
  variables = {'params': {}, 'batch_stats': {}, **traverse_util.unflatten_dict(leaves, sep='/')}
  mean, std = for_channels(weights.mean, channels), for_channels(weights.std, channels)
  return Loaded(network, variables, Normalisation(mean, std, size, weights.interpolation))


def _labels(weights: Weights, network: nn.Module, where: str) -> int:
  """Returns how many labels the head of these weights has."""
  for rules in _schemes(weights, network, where).values():
    name = fit.published_name('head/bias', rules)
    for tensors in fit.bare(weights.tensors).values():
      if name in tensors:
        return len(tensors[name])
  raise InputError(f'{where}: nothing says how many labels its head has; give num_labels')


def fit_network(
  weights: Weights,
  variables: Any,
  network: nn.Module,
  architecture: str,
  settings: Mapping[str, Any],
  keeps_head: bool = False,
  prefix: str = 'config.model.',
) -> fit.Fitted:
  """Fits the weights to the network with these variables (shapes suffice).

  Args:
    weights: from medjax.models.pretrained.weights.find.
    variables: {'params', 'batch_stats'} of the network.
    network: whose attributes say what weights it takes; see medjax.models.
    architecture: the network's name.
    settings: the network's.
    keeps_head: whether the head is that of the weights; else it stays new.
    prefix: stands before the names of settings in messages.

  Raises:
    InputError: they do not fit, they are of another architecture or need other settings though
      their shapes may fit, or a network of one's own has no head or says no names.
  """
  where = f'{prefix}pretrained ({weights.origin["from"]})'
  _check_architecture(weights, architecture, settings, where, prefix)
  if not any(name.split('_')[0] == 'head' for name in variables['params']):
    raise InputError(
      f'{where}: the network has no module named head, so nothing says what is new for the labels; '
      f'{_ADVICE} how to name it'
    )
  schemes = _schemes(weights, network, where)
  spare = getattr(network, 'spare', ())
  fitted = fit.fit(variables, weights.tensors, schemes, where, head=keeps_head, spare=spare)
  required = getattr(network, 'required', {}).get(fitted.scheme, {})
  missing = [
    f'{prefix}settings.{name}={value!r}'
    for name, value in required.items()
    if getattr(network, name) != value
  ]
  if missing:
    raise InputError(
      f"{where}: {fitted.scheme}'s weights of {architecture} need {' and '.join(missing)}"
    )
  return fitted


def _schemes(weights: Weights, network: nn.Module, where: str) -> Mapping[str, Any]:
  """Returns naming scheme → rules by which the weights may be named."""
  schemes = {'medjax': ()} if weights.own_names else getattr(network, 'names', None)
  if not schemes:
    raise InputError(
      f'{where}: the network has no `names`, so published weights cannot be fitted to it; '
      f'{_ADVICE} what to add'
    )
  return schemes


def _check_architecture(
  weights: Weights, architecture: str, settings: Mapping[str, Any], where: str, prefix: str
) -> None:
  """Two networks may have the same shapes and compute otherwise: other padding, other epsilon."""
  # timm's names go on with the image size: vit_small_patch16_224.
  known = weights.architecture and architecture in NETWORKS
  if known and not f'{weights.architecture}_'.startswith(f'{architecture}_'):
    raise InputError(f'{where}: weights of {weights.architecture}; {prefix}name is {architecture}')
  if weights.settings is None:
    return
  needed, given = _of_evaluation(weights.settings), _of_evaluation(settings)
  if needed != given:
    raise InputError(
      f'{where}: weights of a network with settings {needed}; {prefix}settings is {given}'
    )


def _of_evaluation(settings: Mapping[str, Any]) -> dict[str, Any]:
  """Returns the settings that evaluation depends on, as JSON gives them back."""
  kept = {name: value for name, value in settings.items() if name not in _OF_TRAINING}
  return json.loads(json.dumps(kept))

"""Networks written in Flax NNX, as the Linen modules that the rest of medjax works with.

A network of NNX keeps its variables in itself. Training wants them outside, as one pytree that is
updated, averaged and saved. `FromNNX` builds the network anew whenever it is traced and puts the
variables in; a compiled program does not compute the random values that are replaced.
`flax.nnx.bridge.ToLinen` works alike, but names the members of an `nnx.List` by integers, which
neither checkpoints nor files of weights can hold, and knows no stages.
"""

import inspect
import re
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
from flax import nnx, traverse_util

_KINDS = {'params': nnx.Param, 'batch_stats': nnx.BatchStat}
# The conventions of medjax/models/__init__.py that a class of NNX follows by a class attribute.
_ATTRIBUTES = ('names', 'required', 'spare', 'timm_settings')


def is_nnx(network: Callable[..., Any]) -> bool:
  """Returns whether `network` is a class of NNX modules, or a function of `rngs` that makes one."""
  if inspect.isclass(network):
    return issubclass(network, nnx.Module)
  return 'rngs' in inspect.signature(network).parameters


def constructor(network: Callable[..., Any]) -> Callable[..., Any]:
  """Returns the function whose parameters those of `network` are; NNX hides them of its classes."""
  return network.__init__ if inspect.isclass(network) else network


class FromNNX(nn.Module):
  """A network of NNX as a Linen module: `module(images f[B, H, W, C], train) -> logits`.

  Training and evaluation differ by NNX's own `train()` and `eval()`, which set `deterministic` and
  `use_running_average` of the modules inside. All random streams come from the one of Linen's named
  'dropout', so that they are random only through (seed, step).

  Attributes:
    network: class of NNX modules, or function that makes one. Called with `settings`, `rngs` and,
      if it takes that, `channels`, the number C of the images.
    settings: other keyword arguments.
    frozen_stages: how many stages, from the stem on, compute as in evaluation.

  Raises:
    TypeError: `network` makes no NNX module, or one that cannot be called.
    ValueError: it keeps variables other than parameters and running statistics.
  """

  network: Callable[..., nnx.Module]
  settings: Mapping[str, Any]
  frozen_stages: int = 0

  @nn.compact
  def __call__(self, images: jax.Array, train: bool) -> jax.Array:
    module = self._build(images.shape[-1])
    if self.is_initializing():
      _check(module, self.network)
      self._write(module, 'params')
      self._write(module, 'batch_stats')
    else:
      for collection, kind in _KINDS.items():
        _replace(module, kind, self.variables.get(collection, {}))
    if train:
      module.train()
      module.set_attributes(
        lambda path, _: bool(path) and _stage(str(path[0])) < self.frozen_stages,
        deterministic=True,
        use_running_average=True,
        raise_if_not_found=False,
      )
    else:
      module.eval()
    logits = module(images)
    if train and self.is_mutable_collection('batch_stats'):
      self._write(module, 'batch_stats')
    return logits

  def __getattr__(self, name: str) -> Any:
    if name in _ATTRIBUTES:
      return getattr(self.network, name)
    return super().__getattr__(name)

  def _build(self, channels: int) -> nnx.Module:
    takes_channels = 'channels' in inspect.signature(constructor(self.network)).parameters
    settings = {**({'channels': channels} if takes_channels else {}), **self.settings}
    stream = 'params' if self.is_initializing() else 'dropout'
    rngs = nnx.Rngs(self.make_rng(stream) if self.has_rng(stream) else 0)
    return self.network(**settings, rngs=rngs)

  def _write(self, module: nnx.Module, collection: str) -> None:
    for name, value in _values(module, _KINDS[collection]).items():
      self.put_variable(collection, name, value)


def _values(module: nnx.Module, kind: type[nnx.Variable]) -> dict[str, Any]:
  """Returns the module's variables of a kind, nested dicts; members of lists are '0', '1', …"""
  leaves = traverse_util.flatten_dict(nnx.to_pure_dict(nnx.state(module, kind)))
  return traverse_util.unflatten_dict(
    {tuple(map(str, path)): value for path, value in leaves.items()}
  )


def _replace(module: nnx.Module, kind: type[nnx.Variable], values: Mapping[str, Any]) -> None:
  """Puts `values`, named as by `_values`, in place of the module's variables of a kind."""
  state = nnx.state(module, kind)
  paths = traverse_util.flatten_dict(nnx.to_pure_dict(state))
  leaves = traverse_util.flatten_dict(values)
  new = {path: leaves[tuple(map(str, path))] for path in paths}
  nnx.replace_by_pure_dict(state, traverse_util.unflatten_dict(new))
  nnx.update(module, state)


def _stage(name: str) -> float:
  """Returns the stage of a top-level module; infinity for the head and names that name none."""
  match = re.match(r'stem(_|$)|stage(\d+)(_|$)', name)
  return int(match[2] or 0) if match else float('inf')


def _check(module: Any, network: Callable[..., Any]) -> None:
  name = getattr(network, '__name__', 'the function')
  if not isinstance(module, nnx.Module):
    raise TypeError(f'{name} returned {type(module).__name__}; it must be a module of flax.nnx')
  if not callable(module):
    raise TypeError(f'{name} has no __call__, which takes images f[B, H, W, C] and returns logits')
  others = nnx.to_flat_state(nnx.state(module, nnx.Not((*_KINDS.values(), nnx.RngState))))
  if others:
    path, variable = next(iter(others))
    raise ValueError(
      f"{name} keeps '{'.'.join(map(str, path))}', a variable of kind {type(variable).__name__}; "
      'only '
      'nnx.Param and nnx.BatchStat are kept between steps'
    )

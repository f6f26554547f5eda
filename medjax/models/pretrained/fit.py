"""Fits a file's tensors to a network's parameters: every one is accounted for, or nothing is
loaded.

Published weights are named and laid out as torch does it. A network's class attribute `names` says
how our names become theirs; the layouts follow from the kind of parameter.
"""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from medjax.errors import InputError, nearest

_LEAVES = {'kernel': 'weight', 'scale': 'weight', 'mean': 'running_mean', 'var': 'running_var'}
# Stored beside weights without being any: torch's step counts, TorchXRayVision's thresholds.
_NO_PARAMETERS = re.compile(r'(^|\.)(num_batches_tracked|op_threshs)$')
_SHOWN = 12  # problems of one kind that a message names


class Fitted(NamedTuple):
  """What a file gave.

  Attributes:
    variables: {'params', 'batch_stats'}, nested, float32: the filled leaves alone.
    new: our names 'params/head/kernel' that the file does not fill: the head.
    unused: the file's names that have no place here: its head, counters, and what may be spared.
    scheme: the naming scheme of the file.
    adapted: what was done to tensors of another shape, in words.
  """

  variables: dict[str, Any]
  new: list[str]
  unused: list[str]
  scheme: str
  adapted: list[str]


def published_name(path: str, rules: Sequence[tuple[str, Any]]) -> str:
  """'stage1_block0/conv1/kernel' → 'layer1.0.conv1.weight', by rules (pattern, replacement) in
  turn.
  """
  *modules, leaf = path.split('/')
  name = '.'.join([*modules, _LEAVES.get(leaf, leaf)])
  for pattern, replacement in rules:
    name = re.sub(pattern, replacement, name)
  return name


def is_head(path: str) -> bool:
  """Whether a path belongs to a head, which is new for the task's labels."""
  return 'head' in path.split('/')


def fit(
  variables: Mapping[str, Any],
  tensors: Mapping[str, np.ndarray],
  names: Mapping[str, Sequence[tuple[str, Any]]],
  where: str,
  head: bool = False,
  spare: Sequence[str] = (),
) -> Fitted:
  """Fits tensors in torch's layouts to a network.

  Args:
    variables: of the network, arrays or shapes: {'params', 'batch_stats'}.
    tensors: the file's, by their published names.
    names: naming scheme → rules, the network's; the scheme that fits most names is taken.
    where: the file, for messages.
    head: also take the file's head, whose labels are then ours.
    spare: how names may begin that have no place in the network.

  Three-channel stems are summed over their input channels where the network takes grey images, so
  that a grey image gives the features of its tripled copy. Position embeddings are resized to the
  network's grid, bicubic and antialiased (as timm does).

  Raises:
    InputError: a tensor missing, one without a place, of another shape or not finite; all of them.
  """
  leaves = traverse_util.flatten_dict(dict(variables), sep='/')
  schemes = {
    scheme: {path: published_name(path.partition('/')[2], rules) for path in leaves}
    for scheme, rules in names.items()
  }
  fitting = {
    scheme: sum(name in tensors for name in published.values())
    for scheme, published in schemes.items()
  }
  scheme = max(fitting, key=lambda scheme: fitting[scheme])
  published = schemes[scheme]
  heads = {name for path, name in published.items() if is_head(path)}
  filled, new, adapted = {}, [], []
  problems: dict[str, list[str]] = {'missing': [], 'of another shape': [], 'not finite': []}
  for path, name in published.items():
    if is_head(path) and not head:
      new.append(path)
    elif name not in tensors:
      problems['missing'].append(name)
    else:
      tensor = to_flax(tensors[name], path)
      array = adapt(tensor, leaves[path].shape, path)
      if array.size != tensor.size:
        adapted.append(f'{name} {_how_adapted(tensor)}')
      if array.shape != leaves[path].shape:
        wanted = to_torch(np.empty(leaves[path].shape, np.bool_), path).shape
        problems['of another shape'].append(f'{name} {tensors[name].shape}, needs {wanted}')
      elif not np.isfinite(array).all():
        problems['not finite'].append(name)
      filled[path] = array
  known = set(published.values())
  heads_modules = {name.rpartition('.')[0] for name in heads}
  unused = [name for name in tensors if name not in known or (name in heads and not head)]
  problems['without a place'] = [
    name
    for name in unused
    if not _NO_PARAMETERS.search(name)
    and not name.startswith(tuple(spare))
    and name.rpartition('.')[0] not in heads_modules
  ]
  for at, name in enumerate(problems['missing'][:_SHOWN]):
    problems['missing'][at] = name + nearest(name, problems['without a place'])
  _raise_all(problems, where, len(known & set(tensors)), len(known))
  return Fitted(traverse_util.unflatten_dict(filled, sep='/'), new, unused, scheme, adapted)


def _raise_all(problems: Mapping[str, list[str]], where: str, filled: int, known: int) -> None:
  if not any(problems.values()):
    return
  kinds = []
  for kind, names in problems.items():
    if names:
      more = f' and {len(names) - _SHOWN:,} more' if len(names) > _SHOWN else ''
      kinds.append(f'{len(names):,} {kind}: {", ".join(names[:_SHOWN])}{more}')
  raise InputError(
    f'{where}: its tensors do not fit the network, so nothing is loaded ({filled:,} of the '
    f"network's {known:,} names are in the file): {'; '.join(kinds)}. Is this the network of their "
    'architecture?'
  )


def to_flax(tensor: np.ndarray, path: str) -> np.ndarray:
  """A tensor in torch's layout → ours, float32: OIHW kernels → HWIO, linear ones transposed."""
  tensor = np.asarray(tensor, np.float32)
  if not path.endswith('/kernel'):
    return tensor
  return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T


def to_torch(array: np.ndarray, path: str) -> np.ndarray:
  """The inverse of `to_flax`."""
  if not path.endswith('/kernel'):
    return array
  return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def adapt(array: np.ndarray, shape: tuple[int, ...], path: str) -> np.ndarray:
  """Returns the array, in our layout, in the shape that the network has for it, where one can.

  What cannot be adapted is returned as it is.
  """
  if array.shape == shape:
    return array
  if path.startswith('params/stem') and array.ndim == 4 and array.shape[2] == 3 and shape[2] == 1:
    return array.sum(axis=2, keepdims=True)
  if path.endswith('pos_embed') and array.ndim == len(shape) == 3:
    return resize_positions(array, shape[1])
  squeezed = tuple(size for size in array.shape if size != 1)
  return array.reshape(shape) if squeezed == tuple(size for size in shape if size != 1) else array


def _how_adapted(array: np.ndarray) -> str:
  if array.ndim == 4:
    return f'summed over its {array.shape[2]} input channels'
  side = math.isqrt(array.shape[1] - 1)
  return f'resized from a grid of {side} × {side}'


def resize_positions(embedding: np.ndarray, tokens: int) -> np.ndarray:
  """f32[1, 1 + h², D] → f32[1, tokens, D]; the first one, the class token's, stays."""
  grids = [math.isqrt(count - 1) for count in (embedding.shape[1], tokens)]
  if [grid**2 + 1 for grid in grids] != [embedding.shape[1], tokens]:
    return embedding
  old, new = grids
  grid = embedding[0, 1:].reshape(old, old, -1)
  with jax.default_device(jax.local_devices(backend='cpu')[0]):
    resized = jax.image.resize(grid, (new, new, grid.shape[-1]), 'cubic', antialias=True)
  return np.concatenate([embedding[:, :1], np.asarray(resized).reshape(1, new * new, -1)], axis=1)

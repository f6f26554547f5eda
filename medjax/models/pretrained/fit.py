"""Fits a file's tensors to a network's parameters: every one is accounted for, or nothing is
loaded.

Published weights are named and laid out as torch does it. A network's class attribute `names` says
how our names become theirs; the layouts follow from the kind of parameter.
"""

import itertools
import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
from flax import traverse_util

from medjax.errors import InputError, nearest

_LEAVES = {'kernel': 'weight', 'scale': 'weight', 'mean': 'running_mean', 'var': 'running_var'}
# Stored beside weights without being any: torch's counts of steps (of BatchNorm, and of averaged
# models), TorchXRayVision's thresholds.
_NO_PARAMETERS = re.compile(r'(^|\.)(num_batches_tracked|n_averaged|op_threshs)$')
# Modules that torch puts around others: torch.compile, FSDP, activation checkpointing.
_WRAPPERS = re.compile(r'(?<![^.])(_orig_mod|_fsdp_wrapped_module|_checkpoint_wrapped_module)\.')
# Of other numbers, such as int8 and float8, a scale that stands elsewhere makes weights.
_FLOATS = ('float16', 'bfloat16', 'float32', 'float64')
_SHOWN = 12  # problems of one kind that a message names
_QUANTISED = 'of no floating-point numbers'
_DEQUANTISE = 'Quantised weights are none without their scales: save them as float32.'
_ARCHITECTURE = 'Is this the network of their architecture?'


class Fitted(NamedTuple):
  """What a file gave.

  Attributes:
    variables: {'params', 'batch_stats'}, nested, float32: the filled leaves alone.
    new: our names 'params/head/kernel' that the file does not fill: the head.
    unused: the file's names that have no place here: its head, counters, and what may be spared.
    scheme: the naming scheme of the file.
    adapted: what was done to names, and to tensors of another shape, in words.
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
  bared = bare(tensors)
  taken_off, scheme = max(
    itertools.product(bared, schemes),
    key=lambda way: sum(name in bared[way[0]] for name in schemes[way[1]].values()),
  )
  tensors, published = bared[taken_off], schemes[scheme]
  heads = {name for path, name in published.items() if is_head(path)}
  filled, new = {}, []
  adapted = [f'{taken_off} taken off the names'] if taken_off else []
  problems: dict[str, list[str]] = {
    kind: [] for kind in ('missing', _QUANTISED, 'of another shape', 'not finite', 'negative')
  }
  for path, name in published.items():
    if is_head(path) and not head:
      new.append(path)
    elif name not in tensors:
      problems['missing'].append(name)
    elif tensors[name].dtype.name not in _FLOATS:
      problems[_QUANTISED].append(f'{name} {tensors[name].dtype.name}')
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
      elif path.endswith('/var') and (array < 0).any():
        problems['negative'].append(name)
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
  if any(problems.values()):
    body = [name for path, name in published.items() if not is_head(path)]
    advice = _some_begin(body, tensors) or (_DEQUANTISE if problems[_QUANTISED] else _ARCHITECTURE)
    filled_names = len(known & set(tensors))
    raise InputError(
      f'{where}: its tensors do not fit the network, so nothing is loaded ({filled_names:,} of the '
      f"network's {len(known):,} names are in the file): {_listed(problems)}. {advice}"
    )
  return Fitted(traverse_util.unflatten_dict(filled, sep='/'), new, unused, scheme, adapted)


def bare(tensors: Mapping[str, np.ndarray]) -> dict[str, Mapping[str, np.ndarray]]:
  """Returns what may be taken off the names of tensors, in words → the tensors without it.

  That is what torch puts around modules, and what all names begin with, such as 'module.' of
  DataParallel and 'model.' of Lightning. The first takes nothing off, each other more.
  """
  bared = {'': tensors}
  wrappers = {match[0]: None for name in tensors for match in _WRAPPERS.finditer(name)}
  inner = {_WRAPPERS.sub('', name): tensor for name, tensor in tensors.items()}
  if len(inner) < len(tensors):
    return bared
  bared[_quoted(wrappers)] = inner
  parameters = [name for name in inner if not _NO_PARAMETERS.search(name)]
  for beginning in _beginnings(parameters[:1]):
    shorter = {name.removeprefix(beginning): tensor for name, tensor in inner.items()}
    if all(name.startswith(beginning) for name in parameters) and len(shorter) == len(inner):
      bared[_quoted([*wrappers, beginning])] = shorter
  return bared


def _quoted(words: Iterable[str]) -> str:
  return ' and '.join(f"'{word}'" for word in words)


def _beginnings(names: Iterable[str]) -> list[str]:
  """Returns 'a.' and 'a.b.' of a.b.c, the shortest first."""
  every = {name[: dot.end()] for name in names for dot in re.finditer(r'\.', name)}
  return sorted(every, key=lambda beginning: (len(beginning), beginning))


def _some_begin(wanted: Collection[str], tensors: Collection[str]) -> str:
  """Says so if the names that begin alike are, without that, all that is wanted."""
  for beginning in _beginnings(tensors):
    if all(beginning + name in tensors for name in wanted):
      return f"Those that begin with '{beginning}' fit without it: save them alone, others do not."
  return ''


def _listed(problems: Mapping[str, list[str]]) -> str:
  kinds = []
  for kind, names in problems.items():
    if names:
      more = f' and {len(names) - _SHOWN:,} more' if len(names) > _SHOWN else ''
      kinds.append(f'{len(names):,} {kind}: {", ".join(names[:_SHOWN])}{more}')
  return '; '.join(kinds)


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

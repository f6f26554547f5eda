"""Slides as bags, in the sense of multiple-instance learning: the features of all their patches.

The network stays as it is; the input of its head are the features of a patch.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from medjax.errors import InputError


class Bags(NamedTuple):
  """The slides of a split.

  Attributes:
    slides: S names.
    features: S arrays f32[n, D], standardised or not.
    truth: f32[S, L], 0 or 1; 0 where not known.
    known: bool[S, L].
  """

  slides: list[str]
  features: list[np.ndarray]
  truth: np.ndarray
  known: np.ndarray


def features(
  network: nn.Module, normalise: Callable[[jax.Array], jax.Array], variables: Any, images: jax.Array
) -> jax.Array:
  """uint8[B, H, W, C] → the input of the network's head, f32[B, D].

  Raises:
    InputError: the network has no dense layer named 'head'.
  """
  head_inputs: list[jax.Array] = []

  def record(call: Callable, arguments: tuple, keywords: dict, context: Any) -> Any:
    if context.module.path == ('head',) and isinstance(context.module, nn.Dense):
      head_inputs.append(arguments[0])
    return call(*arguments, **keywords)

  with nn.intercept_methods(record):
    network.apply(variables, normalise(images.astype(jnp.float32) / 255), train=False)
  if not head_inputs or head_inputs[-1].ndim != 2:
    raise InputError(
      f"{type(network).__name__}: has no dense layer named 'head', whose input would be its "
      'features; '
      'medjax/models/__init__.py says how a network names its layers'
    )
  return head_inputs[-1].astype(jnp.float32)


def gather(
  slides: Sequence[str],
  features: np.ndarray,
  truth: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Bags:
  """Returns the bags of N patches.

  Args:
    slides: N names, the slide of each patch.
    features: f32[N, D].
    truth: slide → its truth [L] and whether it is known bool[L].
  """
  rows: dict[str, list[int]] = {}
  for row, slide in enumerate(slides):
    rows.setdefault(slide, []).append(row)
  return Bags(
    list(rows),
    [features[slide_rows] for slide_rows in rows.values()],
    np.stack([np.where(truth[slide][1], truth[slide][0], 0) for slide in rows]).astype(np.float32),
    np.stack([truth[slide][1] for slide in rows]),
  )

"""Heat maps: where in an image is what speaks for a label.

- 'grad_cam' (Selvaraju et al. 2017, arXiv 1610.02391): the last feature map's channels, each
  weighted by the mean of the score's gradient over the map, are added up; what is positive is kept.
- 'grad_cam_plus_plus' (Chattopadhay et al. 2018, arXiv 1710.11063, equations 10, 11 and 19):
  weighted by a sum of the gradient's positive parts instead, so that each of several findings
  counts.
- 'integrated_gradients' (Sundararajan, Taly and Yan 2017, arXiv 1703.01365): the gradient by each
  pixel, averaged on the straight way from a black image, times the pixel. What is black gets
  nothing.

The score that is differentiated is the label's logit, before any sigmoid or softmax; of the
'ordinal' head, see `score`.

The last feature map is the last array f[B, h, w, C] that a module inside the network takes or
gives, such as what is averaged before the head; or, if the network has an attribute `feature_map`,
what the module of that path gives, such as 'stage12/norm1'. Tokens f[B, N, C] are laid out as the
largest square grid that they fill; those before it, of the class and the registers, are left out.
"""

import collections
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from medjax.config.vocabulary import SALIENCIES
from medjax.errors import InputError, check_option
from medjax.models.nnx_bridge import FromNNX
from medjax.training.learner import Learner


def of_learner(learner: Learner, variables: Any, method: str) -> Callable[..., jax.Array]:
  """Returns (images uint8[B, H, W, C], labels int[B] or int) → f32[B, H, W], jitted.

  See `heat_maps`.

  Raises:
    InputError: no such method; and, on its first call, as `heat_maps`.
  """
  check_option('the method of heat maps', method, SALIENCIES)

  def maps(variables, images, labels):
    return heat_maps(
      method,
      learner.network,
      variables,
      images,
      labels,
      head=learner.config.model.head,
      normalise=learner.normalisation,
    )

  # Once, not with every batch.
  return functools.partial(jax.jit(maps), jax.device_put(variables))


def check_feature_map(learner: Learner) -> None:
  """Raises InputError where Grad-CAM would find no feature map; computes nothing."""
  pixels = jax.ShapeDtypeStruct((1, *learner.image_format.shape), jnp.float32)
  apply = functools.partial(learner.network.apply, train=False)
  _find(learner.network, apply, learner.shapes, jax.eval_shape(learner.normalisation, pixels))


def heat_maps(
  method: str,
  model: nn.Module,
  variables: Mapping[str, Any],
  images: jax.Array,
  labels: jax.Array | int,
  *,
  head: str,
  normalise: Callable[[jax.Array], jax.Array],
  steps: int = 32,
) -> jax.Array:
  """How much each pixel speaks for a label, 0 where it does not or speaks against it.

  Each map has a scale of its own: only shares of it mean anything. It is all 0 where nothing speaks
  for the label. Those of `grad_cam…` are as coarse as the feature map and resized bilinearly.

  Args:
    method: one of `SALIENCIES`.
    model: see medjax.models; it runs as in evaluation.
    variables: {'params', 'batch_stats'}.
    images: uint8[B, H, W, C].
    labels: int[B], of the L labels the one asked for in each image; or one for all.
    head: 'sigmoid', 'softmax' or 'ordinal'.
    normalise: f32[B, H, W, C] in [0, 1] → the network's input.
    steps: of integrated gradients, gradients per image.

  Returns:
    f32[B, H, W], not negative.

  Raises:
    InputError: no such method, or a network without a feature map.
  """
  check_option('the method of heat maps', method, SALIENCIES)
  labels = jnp.broadcast_to(jnp.asarray(labels, jnp.int32), images.shape[:1])
  pixels = images.astype(jnp.float32) / 255
  if method == 'integrated_gradients':
    by_channel = integrated_gradients(
      model, variables, pixels, labels, head=head, normalise=normalise, steps=steps
    )
    return nn.relu(by_channel.sum(axis=-1))
  features, gradient = feature_gradients(
    model, variables, pixels, labels, head=head, normalise=normalise
  )
  weigh = {'grad_cam': _mean, 'grad_cam_plus_plus': _plus_plus}[method]
  coarse = nn.relu(jnp.einsum('bhwc,bc->bhw', features, weigh(features, gradient)))
  return jax.image.resize(coarse, images.shape[:3], 'linear', antialias=False)


def score(head: str, logits: jax.Array, labels: jax.Array) -> jax.Array:
  """The number that a heat map explains, for each image.

  Of 'sigmoid' and 'softmax' it is the label's logit. Of 'ordinal' it is the logit of reaching the
  grade, log P(grade ≥ g) / P(grade < g), so that a map shows what speaks for that grade or a graver
  one; of the lowest grade, which all reach, it is the logit of not going beyond.

  Args:
    head: of the network.
    logits: f32[B, K] of the network.
    labels: int[B] of the labels.

  Returns:
    f32[B].
  """
  if head != 'ordinal':
    return jnp.take_along_axis(logits, labels[:, None], axis=1)[:, 0]
  asked = jnp.arange(logits.shape[1]) < labels[:, None]
  # Of the outputs "beyond grade k, given that it reaches k?", all below grade g must say yes.
  reaches = jnp.sum(jnp.where(asked, nn.log_sigmoid(logits), 0), axis=1)
  # 1 - P must not round to 0.
  reaches = jnp.where(labels == 0, -1.0, jnp.minimum(reaches, -1e-30))
  return jnp.where(labels == 0, -logits[:, 0], reaches - jnp.log(-jnp.expm1(reaches)))


def integrated_gradients(
  model: nn.Module,
  variables: Mapping[str, Any],
  pixels: jax.Array,
  labels: jax.Array,
  *,
  head: str,
  normalise: Callable[[jax.Array], jax.Array],
  steps: int = 32,
) -> jax.Array:
  """What each value of an image adds to the score, compared with a black image.

  Over the image they sum to the difference between the scores of the image and of a black one, as
  nearly as so many steps allow (completeness, proposition 1 of the paper). Equation 3, taken at the
  middle of each step; one step after another, so that memory does not grow with them.

  Args:
    model, variables, labels, head, normalise, steps: as in `heat_maps`, labels int[B].
    pixels: f32[B, H, W, C] in [0, 1].

  Returns:
    f32[B, H, W, C], of either sign.
  """

  def total(pixels):
    logits = jnp.asarray(model.apply(variables, normalise(pixels), train=False), jnp.float32)
    return jnp.sum(score(head, logits, labels))

  def step(sum_so_far, number):
    return sum_so_far + jax.grad(total)(pixels * (number + 0.5) / steps), None

  gradients, _ = jax.lax.scan(step, jnp.zeros_like(pixels), jnp.arange(steps, dtype=jnp.float32))
  return pixels * gradients / steps


def feature_gradients(
  model: nn.Module,
  variables: Mapping[str, Any],
  pixels: jax.Array,
  labels: jax.Array,
  *,
  head: str,
  normalise: Callable[[jax.Array], jax.Array],
) -> tuple[jax.Array, jax.Array]:
  """Returns the last feature map and the score's gradient by it, f32[B, h, w, C] each.

  Arguments as in `integrated_gradients`.

  Raises:
    InputError: the network has no feature map.
  """
  apply = functools.partial(model.apply, train=False)
  inputs = normalise(pixels)
  place, shape = _find(model, apply, variables, inputs)

  def total(offset):
    taken: list[jax.Array] = []
    with nn.intercept_methods(_adding(offset, place, taken)):
      logits = jnp.asarray(apply(variables, inputs), jnp.float32)
    return jnp.sum(score(head, logits, labels)), taken[0]

  # Images do not see each other in evaluation, so the gradient of their sum is that of each.
  gradient, features = jax.grad(total, has_aux=True)(jnp.zeros(shape, jnp.float32))
  return _grid(features.astype(jnp.float32)), _grid(gradient)


def _mean(features: jax.Array, gradient: jax.Array) -> jax.Array:
  """Grad-CAM's weights f32[B, C], equation 1."""
  return gradient.mean(axis=(1, 2))


def _plus_plus(features: jax.Array, gradient: jax.Array) -> jax.Array:
  """Grad-CAM++'s weights f32[B, C] for exp(score), without that factor, which all pixels share.

  Equation 19 divided by the squared gradient. The paper's features are not negative. Of networks
  whose are, only the positive ones are summed: the weights had poles else.
  """
  sums = nn.relu(features).sum(axis=(1, 2), keepdims=True)
  positive = nn.relu(gradient)
  return (positive / (2 + sums * positive)).sum(axis=(1, 2))


# ---- the last feature map ----------------------------------------------------

# (path of a module, name of its method, 'takes' or 'gives', how many such calls came before)
_Place = tuple[tuple[str, ...], str, str, int]


def _visiting(visit: Callable[[_Place, jax.Array], jax.Array]) -> Callable:
  """Returns a flax interceptor that passes what inner modules take and give to `visit`.

  What `visit` returns takes its place.
  """
  calls: collections.Counter[tuple[tuple[str, ...], str]] = collections.Counter()

  def intercept(next_function, args, kwargs, context):
    path = context.module.path if context.module.scope else ()
    if not path:  # The network itself, or a module that is just being made.
      return next_function(*args, **kwargs)
    call = (path, context.method_name)
    number = calls[call]
    calls[call] += 1
    if args and isinstance(args[0], jax.Array):
      args = (visit((*call, 'takes', number), args[0]), *args[1:])
    given = next_function(*args, **kwargs)
    return visit((*call, 'gives', number), given) if isinstance(given, jax.Array) else given

  return intercept


def _adding(offset: jax.Array, place: _Place, taken: list[jax.Array]) -> Callable:
  """Returns an interceptor that notes the array at `place` and adds `offset` to it."""

  def visit(here, array):
    if here != place:
      return array
    taken.append(array)
    return array + offset.astype(array.dtype)

  return _visiting(visit)


def _find(
  model: nn.Module, apply: Callable, variables: Mapping[str, Any], inputs: jax.Array
) -> tuple[_Place, tuple[int, ...]]:
  """Returns where the last feature map is, and its shape; computes nothing."""
  named = getattr(model, 'feature_map', '')
  candidates: list[tuple[_Place, tuple[int, ...]]] = []

  def visit(place, array):
    path, method, side, _ = place
    if named:
      if '/'.join(path) == named and (method, side) == ('__call__', 'gives'):
        candidates.append((place, array.shape))
    elif array.ndim == 4 and array.shape[1] * array.shape[2] > 1:
      candidates.append((place, array.shape))
    elif array.ndim == 3:
      # Tokens: what comes before them is no last feature map, and which of them are is not known.
      candidates.clear()
    return array

  with nn.intercept_methods(_visiting(visit)):
    jax.eval_shape(apply, variables, inputs)
  if isinstance(model, FromNNX):
    raise InputError(
      'Grad-CAM finds no feature map inside a network of Flax NNX; '
      "config.evaluation.saliency='integrated_gradients' needs none"
    )
  if not candidates or len(candidates[-1][1]) not in (3, 4):
    name = type(model).__name__
    missing = f"{name} has no module '{named}' that gives one" if named else f'{name} shows none'
    raise InputError(
      f'Grad-CAM needs a feature map f[B, h, w, C], or tokens f[B, N, C], and {missing}; give it '
      "an attribute feature_map, the path of the module that gives it, such as 'stage12/norm1', or "
      'take integrated_gradients, which need none'
    )
  return candidates[-1]


def _grid(features: jax.Array) -> jax.Array:
  """f[B, N, C] → f[B, h, h, C] without the tokens before the largest square; maps stay."""
  if features.ndim == 4:
    return features
  side = math.isqrt(features.shape[1])
  return features[:, -(side**2) :].reshape(features.shape[0], side, side, features.shape[2])

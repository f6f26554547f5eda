"""Learning what a slide is from its patches: features of a trained network, pooled by attention.

The network stays as it is; what it puts before its head are the features of a patch. A slide is a bag of
them, and one slide is a step of training, as in the paper (see medjax.whole_slides.pooling_model).
"""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from medjax import losses
from medjax.errors import InputError
from medjax.evaluation.statistics import metrics
from medjax.losses.binary import binary_cross_entropy
from medjax.whole_slides.pooling_model import AttentionPooling

# Bags are padded to a power of two, so that a few compilations serve slides of any size.
_LEAST_BAG = 16


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


class Pooling(NamedTuple):
  """A trained pooling.

  Attributes:
    variables: of AttentionPooling.
    epoch: after which it was best on validation.
    history: a row for each epoch: epoch, loss (train), validation_loss, validation_auroc.
    mean: f32[D] of the features of training, subtracted.
    std: f32[D], divided by.
  """

  variables: Any
  epoch: int
  history: list[dict[str, float | int | None]]
  mean: np.ndarray
  std: np.ndarray


def features(
  network: nn.Module, normalise: Callable[[jax.Array], jax.Array], variables: Any, images: jax.Array
) -> jax.Array:
  """uint8[B, H, W, C] → what the network puts before its head, f32[B, D].

  Raises:
    InputError: the network has no dense layer named 'head'.
  """
  caught: list[jax.Array] = []

  def catch(call: Callable, arguments: tuple, keywords: dict, context: Any) -> Any:
    if context.module.path == ('head',) and isinstance(context.module, nn.Dense):
      caught.append(arguments[0])
    return call(*arguments, **keywords)

  with nn.intercept_methods(catch):
    network.apply(variables, normalise(images.astype(jnp.float32) / 255), train=False)
  if not caught or caught[-1].ndim != 2:
    raise InputError(
      f"{type(network).__name__}: has no dense layer named 'head', before which its features would be; "
      'medjax/models/__init__.py says how a network names its layers'
    )
  return caught[-1].astype(jnp.float32)


def train(bags: Bags, validation: Bags, *, epochs: int, learning_rate: float, seed: int) -> Pooling:
  """Trains on the slides of known truth, one a step, and keeps the best epoch on validation.

  Best is the highest AUROC, a mean over the labels with both classes, and of equals the one of the
  lowest loss; with no such label, the lowest loss.

  Args:
    bags: to train on.
    validation: to choose the epoch on.
    epochs: times that every slide is seen.
    learning_rate: of Adam, constant.
    seed: of the parameters and of the order of slides.

  Raises:
    InputError: no slide to train or to choose on has a known truth.
  """
  rows = np.flatnonzero(bags.known.any(axis=1))
  for name, known in (('train', bags.known), ('validation', validation.known)):
    if not known.any():
      raise InputError(f'of no {name} slide it is known what it shows; label some in slides.csv')
  mean, std = _moments([bags.features[row] for row in rows])
  model = AttentionPooling(bags.truth.shape[1])
  optimizer = optax.adamw(learning_rate, weight_decay=1e-4)
  variables = model.init(jax.random.key(seed), jnp.zeros((1, 1, len(mean))), jnp.ones((1, 1), bool))
  state = (variables, optimizer.init(variables))
  step = jax.jit(functools.partial(_step, model, optimizer))
  rng = np.random.default_rng(seed)
  best, history = None, []
  for epoch in range(1, epochs + 1):
    total = 0.0
    for row in rng.permutation(rows):
      bag = _padded((bags.features[row] - mean) / std)
      *state, loss = step(*state, *bag, bags.truth[row], bags.known[row])
      total += float(loss)
    pooling = Pooling(jax.tree.map(np.asarray, state[0]), epoch, history, mean, std)
    probabilities, _ = predict(pooling, validation)
    loss, auroc = _figures(probabilities, validation)
    history.append(
      {
        'epoch': epoch,
        'loss': total / len(rows),
        'validation_loss': loss,
        'validation_auroc': auroc,
      }
    )
    if not np.isfinite(loss):
      raise InputError('the loss is not finite; try a lower --learning_rate')
    merit = (-1.0 if auroc is None else auroc, -loss)
    if best is None or merit > best[0]:
      best = (merit, pooling)
  return best[1]


def _moments(features: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
  """Returns mean and standard deviation f32[D] of all rows, without a second copy of them."""
  count = sum(map(len, features))
  mean = sum(each.sum(axis=0, dtype=np.float64) for each in features) / count
  variance = sum(np.square(each - mean).sum(axis=0) for each in features) / count
  return mean.astype(np.float32), (np.sqrt(variance) + 1e-6).astype(np.float32)


def predict(pooling: Pooling, bags: Bags) -> tuple[np.ndarray, list[np.ndarray]]:
  """Returns probabilities f32[S, L] of slides, and the attention f32[n] of the patches of each."""
  model = AttentionPooling(bags.truth.shape[1])
  apply = _apply(model)
  probabilities, attention = [], []
  for each in bags.features:
    bag, mask = _padded((each - pooling.mean) / pooling.std)
    logits, weights = apply(pooling.variables, bag, mask)
    probabilities.append(np.asarray(jax.nn.sigmoid(logits[0])))
    attention.append(np.asarray(weights[0, : len(each)]))
  return np.stack(probabilities), attention


@functools.lru_cache
def _apply(model: AttentionPooling) -> Callable:
  return jax.jit(model.apply)


def _step(model, optimizer, variables, opt_state, bag, mask, truth, known):
  def loss_of(variables):
    logits, _ = model.apply(variables, bag, mask)
    weights = jnp.ones(1)
    known_row = known[None].astype(jnp.float32)
    return losses.reduce(
      binary_cross_entropy(logits, truth[None]),
      known_row,
      weights,
      losses.known_images(known_row, weights),
    )

  loss, gradients = jax.value_and_grad(loss_of)(variables)
  updates, opt_state = optimizer.update(gradients, opt_state, variables)
  return optax.apply_updates(variables, updates), opt_state, loss


def _padded(bag: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns f32[1, N, D] and bool[1, N], N a power of two."""
  length = max(_LEAST_BAG, 1 << (len(bag) - 1).bit_length())
  padded = np.zeros((1, length, bag.shape[1]), np.float32)
  padded[0, : len(bag)] = bag
  return padded, np.arange(length)[None] < len(bag)


def _figures(probabilities: np.ndarray, bags: Bags) -> tuple[float, float | None]:
  """Returns the cross-entropy, nats per label and slide, and the mean AUROC, None if there is none."""
  scores = np.clip(probabilities.astype(np.float64), 1e-7, 1 - 1e-7)
  each = -np.where(bags.truth == 1, np.log(scores), np.log1p(-scores))
  areas = [
    metrics.auroc(scores[known, label], bags.truth[known, label])
    for label in range(bags.truth.shape[1])
    for known in [bags.known[:, label]]
  ]
  defined = [area for area in areas if not np.isnan(area)]
  return float(each[bags.known].mean()), float(np.mean(defined)) if defined else None


def gather(
  slides: Sequence[str],
  rows: np.ndarray,
  truth: Mapping[str, tuple[np.ndarray, np.ndarray]],
) -> Bags:
  """Returns the bags of patches with features f32[N, D], given the slide of each."""
  order: dict[str, list[int]] = {}
  for row, slide in enumerate(slides):
    order.setdefault(slide, []).append(row)
  return Bags(
    list(order),
    [rows[each] for each in order.values()],
    np.stack([np.where(truth[slide][1], truth[slide][0], 0) for slide in order]).astype(np.float32),
    np.stack([truth[slide][1] for slide in order]),
  )

"""Trains attention pooling on bags of features, and predicts with it.

One slide is a step of training, as in the paper (see medjax.whole_slides.attention_pooling).
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax

from medjax import losses
from medjax.errors import InputError
from medjax.evaluation.statistics import metrics
from medjax.losses.binary import binary_cross_entropy
from medjax.runtime import progress
from medjax.whole_slides.attention_pooling import AttentionPooling
from medjax.whole_slides.bags import Bags

# Bags are padded to a power of two, so that a few compilations serve slides of any size.
_LEAST_BAG = 16


@dataclasses.dataclass(frozen=True)
class Epoch:
  """One epoch of training; its fields are a row of metrics.jsonl.

  Attributes:
    epoch: counted from 1.
    loss: mean over the training slides, nats.
    validation_loss: cross-entropy, nats per label and slide.
    validation_auroc: mean over the labels with both classes, None without any.
  """

  epoch: int
  loss: float
  validation_loss: float
  validation_auroc: float | None


class Pooling(NamedTuple):
  """A trained pooling.

  Attributes:
    variables: of AttentionPooling.
    best: the epoch after which it was best on validation.
    history: all epochs.
    mean: f32[D] of the features of training, subtracted.
    std: f32[D], divided by.
  """

  variables: Any
  best: Epoch
  history: tuple[Epoch, ...]
  mean: np.ndarray
  std: np.ndarray


def train(bags: Bags, validation: Bags, *, epochs: int, learning_rate: float, seed: int) -> Pooling:
  """Trains on the slides of known truth, one a step, and keeps the best epoch on validation.

  Best is the highest AUROC, a mean over the labels with both classes, and among equals the lowest
  loss; with no such label, the lowest loss.

  Args:
    bags: to train on.
    validation: to choose the epoch on.
    epochs: times that every slide is seen, 1 or more.
    learning_rate: of Adam, constant.
    seed: of the parameters and of the order of slides.

  Raises:
    InputError: no slide to train or to choose on has a known truth, or the loss is not finite.
  """
  rows = np.flatnonzero(bags.known.any(axis=1))
  for name, known in (('train', bags.known), ('validation', validation.known)):
    if not known.any():
      raise InputError(f'no {name} slide has a known label; label some in slides.csv')
  mean, std = _moments([bags.features[row] for row in rows])
  model = AttentionPooling(bags.truth.shape[1])
  optimizer = optax.adamw(learning_rate, weight_decay=1e-4)
  variables = model.init(jax.random.key(seed), jnp.zeros((1, 1, len(mean))), jnp.ones((1, 1), bool))
  opt_state = optimizer.init(variables)
  step = jax.jit(functools.partial(_step, model, optimizer))
  rng = np.random.default_rng(seed)
  best, best_merit = None, (-math.inf, -math.inf)
  history: list[Epoch] = []
  bar = progress.Progress('epoch', 0, epochs, images=0)
  for number in progress.counted(range(1, epochs + 1), bar):
    total = 0.0
    for row in rng.permutation(rows):
      bag, mask = _padded((bags.features[row] - mean) / std)
      variables, opt_state, loss = step(
        variables, opt_state, bag, mask, bags.truth[row], bags.known[row]
      )
      total += float(loss)
    on_host = jax.tree.map(np.asarray, variables)
    log_odds, _ = _predict(on_host, mean, std, validation)
    validation_loss, auroc = _figures(log_odds, validation)
    epoch = Epoch(number, total / len(rows), validation_loss, auroc)
    history.append(epoch)
    if not np.isfinite(validation_loss):
      raise InputError('the loss is not finite; try a lower --learning_rate')
    merit = (-1.0 if auroc is None else auroc, -validation_loss)
    if merit > best_merit:
      best, best_merit = (on_host, epoch), merit
  bar.close()
  assert best is not None  # Every finite loss beats the first merit.
  return Pooling(*best, tuple(history), mean, std)


def predict(pooling: Pooling, bags: Bags) -> tuple[np.ndarray, list[np.ndarray]]:
  """Returns log-odds f32[S, L] of slides, and the attention f32[n] of the patches of each."""
  return _predict(pooling.variables, pooling.mean, pooling.std, bags)


def _predict(
  variables: Any, mean: np.ndarray, std: np.ndarray, bags: Bags
) -> tuple[np.ndarray, list[np.ndarray]]:
  apply = _apply(AttentionPooling(bags.truth.shape[1]))
  log_odds, attention = [], []
  for features in bags.features:
    bag, mask = _padded((features - mean) / std)
    logits, weights = apply(variables, bag, mask)
    log_odds.append(np.asarray(logits[0]))
    attention.append(np.asarray(weights[0, : len(features)]))
  return np.stack(log_odds), attention


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


def _moments(features: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
  """Returns mean and standard deviation f32[D] of all rows, without a second copy of them."""
  count = sum(map(len, features))
  mean = np.sum([rows.sum(axis=0, dtype=np.float64) for rows in features], axis=0) / count
  variance = np.sum([np.square(rows - mean).sum(axis=0) for rows in features], axis=0) / count
  return mean.astype(np.float32), (np.sqrt(variance) + 1e-6).astype(np.float32)


def _padded(bag: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
  """Returns f32[1, N, D] and bool[1, N], N a power of two."""
  length = max(_LEAST_BAG, 1 << (len(bag) - 1).bit_length())
  padded = np.zeros((1, length, bag.shape[1]), np.float32)
  padded[0, : len(bag)] = bag
  return padded, np.arange(length)[None] < len(bag)


def _figures(log_odds: np.ndarray, bags: Bags) -> tuple[float, float | None]:
  """Returns the cross-entropy, nats per label and slide, and the mean AUROC, None without any."""
  scores = log_odds.astype(np.float64)
  entropies = np.logaddexp(0, np.where(bags.truth == 1, -scores, scores))
  areas = []
  for label in range(bags.truth.shape[1]):
    known = bags.known[:, label]
    areas.append(float(metrics.auroc(scores[known, label], bags.truth[known, label])))
  defined = [area for area in areas if not math.isnan(area)]
  return float(entropies[bags.known].mean()), float(np.mean(defined)) if defined else None

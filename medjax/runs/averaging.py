"""Test time: probabilities averaged over augmented passes, over checkpoints and over runs.

Averaged are probabilities, not logits. The mean of probabilities is the probability of the mixture:
its log loss and its Brier score are never above the mean of those averaged (both are convex,
Jensen), one network that is all too sure cannot overrule the others, and those of exclusive classes
go on summing to 1 under every head. Every run weighs alike, and within a run every checkpoint and
pass.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import special

from medjax.config import Config, Evaluation
from medjax.training.learner import Learner

SINGLE = 'single model'


def averages(evaluation: Evaluation) -> bool:
  """Whether more than one checkpoint's view of the images as they are is asked for."""
  return bool(evaluation.test_augment or evaluation.checkpoints > 1 or evaluation.members)


def in_words(config: Config, count: int) -> str:
  """Returns what is averaged, for a person; `count` is how many checkpoints there are."""
  evaluation = config.evaluation
  if not averages(evaluation):
    return 'the best checkpoint, each image as it is'
  times, members = evaluation.test_augment, len(evaluation.members)
  parts = [f'the {count} best checkpoints' if count > 1 else 'the best checkpoint']
  if times:
    passes = '1 time' if times == 1 else f'{times} times'
    parts.append(f'each image as it is and {passes} under {config.augment!r}')
  else:
    parts.append('each image as it is')
  if members:
    parts.append('and 1 further run' if members == 1 else f'and {members} further runs')
  return 'mean probability of ' + ', '.join(parts)


def step(learner: Learner) -> Callable[[dict[str, Any], jax.Array], jax.Array]:
  """Returns a function (variables, images) → log-odds, to be jitted.

  It takes variables [K, …] and images uint8[B, H, W, C] and returns f32[B, K, P, L]. Pass 0 shows
  the image as it is, each of the config.evaluation.test_augment others under the policy of
  config.augment. What is random about a pass depends on the config's seed, the pass and the image's
  own pixels alone: an image is predicted alike in whatever batch, order and run of the program.
  """
  config = learner.config

  def one_pass(variables, images, number):
    def augmented(pixels):
      key = jax.random.fold_in(jax.random.key(config.seed), number)
      return jax.lax.cond(
        number == 0,
        lambda pixels: pixels,
        lambda pixels: _augment_each(learner.augment, key, images, pixels),
        pixels,
      )

    return learner.eval_step(
      variables, images, augmented if config.evaluation.test_augment else None
    )

  def one_checkpoint(variables, images):
    passes = jnp.arange(1 + config.evaluation.test_augment)
    return jax.lax.map(lambda number: one_pass(variables, images, number), passes)

  def all_checkpoints(variables, images):
    # One after another, so that neither memory nor what must be compiled grows with them.
    results = jax.lax.map(lambda one: one_checkpoint(one, images), variables)  # [K, P, B, L]
    return results.transpose(2, 0, 1, 3)

  return all_checkpoints


def _augment_each(
  policy: Callable, key: jax.Array, images: jax.Array, pixels: jax.Array
) -> jax.Array:
  """The policy with a key for every image that its uint8 pixels make, f32[B, H, W, C]."""
  values = images.reshape(len(images), -1).astype(jnp.uint32)
  # Whole numbers: no device rounds them otherwise. Which two images share a sum does not matter.
  weights = 2 * jnp.arange(values.shape[1], dtype=jnp.uint32) + 1
  digests = jnp.sum(values * weights, axis=1, dtype=jnp.uint32)
  keys = jax.vmap(jax.random.fold_in, (None, 0))(key, digests)
  return jax.vmap(lambda key, image: policy(key, image[None])[0])(keys, pixels)


def mean(runs: Sequence[np.ndarray]) -> np.ndarray:
  """Returns what is reported, f64[N, L], of the log-odds f32[N, K, P, L] of each run."""
  return mean_log_odds([_of_passes(log_odds) for log_odds in runs])


def ablations(config: Config, runs: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
  """Returns name → f64[N, L]: the single model, and each kind of averaging alone.

  Args:
    config: of the run.
    runs: log-odds f32[N, K, P, L] of this run, then of its members.
  """
  own, evaluation = runs[0], config.evaluation
  alone = {}
  if evaluation.test_augment:
    alone['test-time augmentation alone'] = _of_passes(own[:, :1])
  if evaluation.checkpoints > 1:
    alone['several checkpoints alone'] = _of_passes(own[:, :, :1])
  if evaluation.members:
    alone['several runs alone'] = mean_log_odds([log_odds[:, 0, 0] for log_odds in runs])
  # What is the only one is the mean itself.
  return {SINGLE: own[:, 0, 0].astype(np.float64), **(alone if len(alone) > 1 else {})}


def _of_passes(log_odds: np.ndarray) -> np.ndarray:
  images, checkpoints, passes, labels = log_odds.shape
  return mean_log_odds(list(log_odds.reshape(images, checkpoints * passes, labels).swapaxes(0, 1)))


def mean_log_odds(parts: Sequence[np.ndarray]) -> np.ndarray:
  """Returns the log-odds f64[N, L] of the mean probability of parts f[N, L], themselves log-odds.

  The means of p and of 1 − p are both taken, so that neither is lost in the rounding of the other.
  """
  stacked = np.stack(parts).astype(np.float64)
  if len(stacked) == 1:
    return stacked[0]
  return special.logsumexp(special.log_expit(stacked), axis=0) - special.logsumexp(
    special.log_expit(-stacked), axis=0
  )

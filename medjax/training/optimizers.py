"""The learning-rate schedule and the optax transformation that a config asks for."""

from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import optax

from medjax.config import Optimizer
from medjax.training import fine_tuning

_NOT_DECAYED = ('pos_embed', 'cls_token')


def schedule(settings: Optimizer, steps: int) -> optax.Schedule:
  """Linear warm-up from 0 to the peak, then a cosine to 0 at `steps` (SGDR, arXiv 1608.03983)."""
  return optax.warmup_cosine_decay_schedule(
    init_value=0.0 if settings.warmup_steps else settings.learning_rate,
    peak_value=settings.learning_rate,
    warmup_steps=settings.warmup_steps,
    decay_steps=steps,
  )


def decayed(params: Any) -> Any:
  """True for the leaves that weight decay belongs to: kernels, not biases, normalisation or
  tokens.
  """
  return jax.tree_util.tree_map_with_path(
    lambda path, leaf: leaf.ndim > 1 and not str(path[-1].key).endswith(_NOT_DECAYED), params
  )


def optimizer(
  settings: Optimizer, steps: int, stage_of: Mapping[str, int] | None = None
) -> optax.GradientTransformation:
  """Returns clipping by global norm, then adamw or sgd with momentum, under the schedule.

  Args:
    settings: of the config.
    steps: of the whole run.
    stage_of: top-level name of the parameters → stage, where stages differ; parameters of
      other names are refused then. A stage that joins later starts with moments of its own.
  """
  clip = optax.clip_by_global_norm(settings.clip_norm) if settings.clip_norm else optax.identity()
  decay = optax.add_decayed_weights(settings.weight_decay, mask=decayed)
  rate = optax.scale_by_learning_rate(schedule(settings, steps))
  if settings.name == 'sgd':
    momentum = optax.trace(settings.momentum)
    chain = [clip, decay, _apart(momentum) if stage_of else momentum]
  else:
    adam = optax.scale_by_adam()
    chain = [clip, _apart(adam) if stage_of else adam, decay]
  if stage_of:
    head = settings.head_learning_rate or settings.learning_rate
    factors = fine_tuning.rates(stage_of, settings.layer_decay, head / settings.learning_rate)
    chain.append(_scale(factors))
  return optax.chain(*chain, rate)


def _apart(inner: optax.GradientTransformation) -> optax.GradientTransformation:
  """Returns `inner` with a state of its own for each top-level name.

  Adam corrects its moments by the number of steps they have seen, which is less for a stage that
  was unfrozen later.
  """

  def init(params: Mapping[str, Any]) -> dict[str, Any]:
    return {name: inner.init(params[name]) for name in params}

  def update(
    updates: Mapping[str, Any], state: Mapping[str, Any], params: Any
  ) -> tuple[dict, dict]:
    new_updates, new_state = {}, {}
    for name in updates:
      new_updates[name], new_state[name] = inner.update(updates[name], state[name], params[name])
    return new_updates, new_state

  return optax.GradientTransformation(init, update)


def _scale(factors: Mapping[str, float]) -> optax.GradientTransformation:
  """Scales by top-level name; a head has its own factor wherever it stands, such as an auxiliary
  one.
  """

  def scale(path: tuple, leaf: jax.Array) -> jax.Array:
    names = [key.key for key in path]
    return leaf * jnp.float32(factors['head' if 'head' in names else names[0]])

  return optax.stateless(lambda updates, params: jax.tree_util.tree_map_with_path(scale, updates))


def carry_over(old: Any, new: Any) -> Any:
  """Returns the optimizer state `new` with every leaf that `old` has at the same place."""
  known = dict(jax.tree_util.tree_leaves_with_path(old))
  return jax.tree_util.tree_map_with_path(lambda path, leaf: known.get(path, leaf), new)

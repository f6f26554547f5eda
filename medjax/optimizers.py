"""The learning-rate schedule and the optax transformation that a config asks for."""

from typing import Any

import jax
import optax

from medjax.config import Optimizer


def schedule(settings: Optimizer, steps: int) -> optax.Schedule:
  """Linear warm-up from 0 to the peak, then a cosine to 0 at `steps` (SGDR, arXiv 1608.03983)."""
  return optax.warmup_cosine_decay_schedule(
    init_value=0.0 if settings.warmup_steps else settings.learning_rate,
    peak_value=settings.learning_rate,
    warmup_steps=settings.warmup_steps,
    decay_steps=steps,
  )


def decayed(params: Any) -> Any:
  """True for the leaves that weight decay belongs to: kernels, not biases or normalisation."""
  return jax.tree.map(lambda leaf: leaf.ndim > 1, params)


def optimizer(settings: Optimizer, steps: int) -> optax.GradientTransformation:
  """Returns clipping by global norm, then adamw or sgd with momentum, under the schedule."""
  rate = schedule(settings, steps)
  clip = optax.clip_by_global_norm(settings.clip_norm) if settings.clip_norm else optax.identity()
  if settings.name == 'sgd':
    decay = optax.add_decayed_weights(settings.weight_decay, mask=decayed)
    return optax.chain(clip, decay, optax.sgd(rate, momentum=settings.momentum))
  return optax.chain(clip, optax.adamw(rate, weight_decay=settings.weight_decay, mask=decayed))

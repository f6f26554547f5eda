"""The state of training and the two pure functions that a step consists of."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from medjax import losses

Batch = Mapping[str, jax.Array]


class TrainState(flax.struct.PyTreeNode):
  """Everything a step reads and writes.

  Attributes:
    step: i32[], optimizer steps done; also the number of the next batch of the input.
    params: trainable parameters, float32.
    batch_stats: running statistics of normalisation, float32.
    opt_state: the optimizer's.
    average: exponential moving averages of {'params', 'batch_stats'}, or None.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  average: Any = None

  @property
  def variables(self) -> dict[str, Any]:
    """What evaluation uses: the moving averages where they are kept."""
    return self.average or {'params': self.params, 'batch_stats': self.batch_stats}


def init_state(
  model: nn.Module,
  optimizer: optax.GradientTransformation,
  image_shape: tuple[int, int, int],
  seed: int,
  average: bool,
) -> TrainState:
  """Returns the state before the first step; the same seed gives the same bits."""
  images = jnp.zeros((1, *image_shape), jnp.float32)
  variables = model.init(jax.random.key(seed), images, train=False)
  params, batch_stats = variables['params'], variables.get('batch_stats', {})
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    batch_stats=batch_stats,
    opt_state=optimizer.init(params),
    # Copies, because the step donates its state and a buffer cannot be donated twice.
    average=jax.tree.map(jnp.copy, {'params': params, 'batch_stats': batch_stats})
    if average
    else None,
  )


def normalise(images: jax.Array, mean: float = 0.5, deviation: float = 0.25) -> jax.Array:
  """f32 in [0, 1] → about zero mean and unit spread."""
  return (images - mean) / deviation


def train_step(
  state: TrainState,
  batch: Batch,
  *,
  model: nn.Module,
  loss: Callable[[jax.Array, jax.Array], jax.Array],
  optimizer: optax.GradientTransformation,
  augment: Callable[[jax.Array, jax.Array], jax.Array],
  seed: int,
  accumulate: int = 1,
  ema: float = 0.0,
) -> tuple[TrainState, dict[str, jax.Array]]:
  """One optimizer step; pure, and random only through (seed, step).

  Args:
    state: donated by the caller's jit.
    batch: image uint8[B, H, W, C], label f32[B, L], mask f32[B, L], weight f32[B].
    model: see medjax.models.
    loss: see medjax.losses; settings already bound.
    optimizer: from medjax.optimizers.
    augment: see medjax.data.augment.
    seed: of augmentation and dropout.
    accumulate: the batch is computed in this many parts; the gradient is that of the whole batch,
      BatchNorm sees one part at a time.
    ema: decay of the moving averages, unused where the state keeps none.

  Returns:
    the next state and the metrics of this step: loss (nats per image) and gradient_norm.
  """
  key = jax.random.fold_in(jax.random.key(seed), state.step)
  augment_key, dropout_key = jax.random.split(key)
  images_known = losses.known_images(batch['mask'], batch['weight'])

  def part_loss(params, batch_stats, part, part_number):
    images = augment(
      jax.random.fold_in(augment_key, part_number), part['image'].astype(jnp.float32) / 255
    )
    if images.shape != part['image'].shape:
      raise ValueError(
        f'the augmentation changed the shape {part["image"].shape} to {images.shape}'
      )
    logits, updated = model.apply(
      {'params': params, 'batch_stats': batch_stats},
      normalise(images),
      train=True,
      mutable=['batch_stats'],
      rngs={'dropout': jax.random.fold_in(dropout_key, part_number)},
    )
    _check_shape('the model', logits, part['label'])
    per_element = loss(logits.astype(jnp.float32), part['label'])
    _check_shape('the loss', per_element, part['label'])
    value = losses.reduce(per_element, part['mask'], part['weight'], images_known)
    return value, updated.get('batch_stats', {})

  def accumulated(carry, part_and_number):
    total, gradients, batch_stats = carry
    part, number = part_and_number
    (value, batch_stats), part_gradients = jax.value_and_grad(part_loss, has_aux=True)(
      state.params, batch_stats, part, number
    )
    return (total + value, jax.tree.map(jnp.add, gradients, part_gradients), batch_stats), None

  if accumulate == 1:
    (value, batch_stats), gradients = jax.value_and_grad(part_loss, has_aux=True)(
      state.params, state.batch_stats, dict(batch), 0
    )
  else:
    start = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, state.params), state.batch_stats)
    parts = jax.tree.map(lambda array: _interleaved(array, accumulate), dict(batch))
    (value, gradients, batch_stats), _ = jax.lax.scan(
      accumulated, start, (parts, jnp.arange(accumulate))
    )

  updates, opt_state = optimizer.update(gradients, state.opt_state, state.params)
  params = optax.apply_updates(state.params, updates)
  average = state.average
  if average is not None:
    # Early on the average follows the parameters instead of remembering their random start.
    decay = jnp.minimum(ema, (1.0 + state.step) / (10.0 + state.step))
    average = jax.tree.map(
      lambda old, new: decay * old + (1 - decay) * new,
      average,
      {'params': params, 'batch_stats': batch_stats},
    )
  state = state.replace(
    step=state.step + 1,
    params=params,
    batch_stats=batch_stats,
    opt_state=opt_state,
    average=average,
  )
  return state, {'loss': value, 'gradient_norm': optax.tree.norm(gradients)}


def _check_shape(what: str, array: jax.Array, labels: jax.Array) -> None:
  # Broadcasting would hide the mistake and train on something else.
  if array.shape != labels.shape:
    raise ValueError(
      f'{what} returned shape {array.shape}; it must be that of the labels, {labels.shape}: one value '
      'for each image and label'
    )


def _interleaved(array: jax.Array, parts: int) -> jax.Array:
  """[B, …] → [parts, B / parts, …], every part taking rows from every device's share."""
  return array.reshape(-1, parts, *array.shape[1:]).swapaxes(0, 1)


def eval_step(variables: Mapping[str, Any], images: jax.Array, *, model: nn.Module) -> jax.Array:
  """uint8[B, H, W, C] → probabilities f32[B, L], without augmentation."""
  logits = model.apply(variables, normalise(images.astype(jnp.float32) / 255), train=False)
  return jax.nn.sigmoid(logits.astype(jnp.float32))

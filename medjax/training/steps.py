"""The state of training and the two pure functions that a step consists of."""

from collections.abc import Callable, Mapping
from typing import Any

import flax.linen as nn
import flax.struct
import jax
import jax.numpy as jnp
import optax

from medjax import losses
from medjax.runtime import import_by_name
from medjax.training import optimizers

Batch = Mapping[str, jax.Array]


# The weight of auxiliary logits' loss beside that of the head: torchvision's for Inception-v3.
AUXILIARY_WEIGHT = 0.4


class TrainState(flax.struct.PyTreeNode):
  """Everything a step reads and writes.

  Attributes:
    step: i32[], optimizer steps done; also the number of the next batch of the input.
    params: float32, those that train and those that are frozen.
    batch_stats: running statistics of normalisation, float32.
    opt_state: the optimizer's, of the parameters that train.
    average: exponential moving averages {'params', 'batch_stats'} of what trains, or None.
  """

  step: jax.Array
  params: Any
  batch_stats: Any
  opt_state: Any
  average: Any = None

  @property
  def variables(self) -> dict[str, Any]:
    """What evaluation uses: the moving averages where they are kept."""
    average = self.average or {'params': {}, 'batch_stats': {}}
    return {
      'params': {**self.params, **average['params']},
      'batch_stats': {**self.batch_stats, **average['batch_stats']},
    }


def init_state(
  variables: Mapping[str, Any],
  optimizer: optax.GradientTransformation,
  trained: Callable[[Any], dict[str, Any]],
  average: bool,
) -> TrainState:
  """Returns the state before the first step.

  Args:
    variables: {'params', 'batch_stats'}.
    optimizer: from medjax.training.optimizers.
    trained: params or batch_stats → the top-level modules of them that train.
    average: whether to keep moving averages.
  """
  params, batch_stats = variables['params'], variables['batch_stats']
  # Copies, because the step donates its state and a buffer cannot be donated twice.
  copies = {'params': trained(params), 'batch_stats': trained(batch_stats)}
  return TrainState(
    step=jnp.zeros((), jnp.int32),
    params=params,
    batch_stats=batch_stats,
    opt_state=optimizer.init(trained(params)),
    average=jax.tree.map(jnp.copy, copies) if average else None,
  )


def unfreeze(
  state: TrainState,
  optimizer: optax.GradientTransformation,
  trained: Callable[[Any], dict[str, Any]],
) -> TrainState:
  """Returns the state in which more modules train: what they need starts anew."""
  new = init_state(
    {'params': state.params, 'batch_stats': state.batch_stats},
    optimizer,
    trained,
    average=state.average is not None,
  )
  average = state.average and {
    kind: {**new.average[kind], **state.average[kind]} for kind in new.average
  }
  opt_state = optimizers.carry_over(state.opt_state, new.opt_state)
  return state.replace(opt_state=opt_state, average=average)


def train_step(
  state: TrainState,
  batch: Batch,
  *,
  model: nn.Module,
  loss: Callable[[jax.Array, jax.Array], jax.Array],
  optimizer: optax.GradientTransformation,
  prepare: Callable[[jax.Array, jax.Array], jax.Array],
  trained: Callable[[Any], dict[str, Any]] = dict,
  seed: int | jax.Array,
  accumulate: int = 1,
  ema: float = 0.0,
) -> tuple[TrainState, dict[str, jax.Array]]:
  """One optimizer step; pure, and random only through (seed, step).

  Args:
    state: donated by the caller's jit.
    batch: image uint8[B, H, W, C], label f32[B, L], mask f32[B, L], weight f32[B].
    model: see medjax.models.
    loss: see medjax.losses; settings already bound. That of auxiliary logits is added.
    optimizer: from medjax.training.optimizers.
    prepare: (key, uint8[B, H, W, C]) → the network's input; `augmented` with a policy bound.
    trained: params or batch_stats → the top-level modules of them that train.
    seed: of augmentation and dropout; as an array it is no part of the compiled program.
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
    """The loss of a part of the batch, given the parameters that train."""
    images = prepare(jax.random.fold_in(augment_key, part_number), part['image'])
    logits, updated = model.apply(
      {'params': {**state.params, **params}, 'batch_stats': batch_stats},
      images,
      train=True,
      mutable=['batch_stats', 'auxiliary'],
      rngs={'dropout': jax.random.fold_in(dropout_key, part_number)},
    )
    value = _batch_loss(loss, logits, part, images_known)
    for auxiliary in jax.tree.leaves(updated.get('auxiliary', {})):
      value += AUXILIARY_WEIGHT * _batch_loss(loss, auxiliary, part, images_known)
    return value, updated.get('batch_stats', {})

  params = trained(state.params)

  def accumulated(carry, part_and_number):
    total, gradients, batch_stats = carry
    part, number = part_and_number
    (value, batch_stats), part_gradients = jax.value_and_grad(part_loss, has_aux=True)(
      params, batch_stats, part, number
    )
    return (total + value, jax.tree.map(jnp.add, gradients, part_gradients), batch_stats), None

  if accumulate == 1:
    (value, batch_stats), gradients = jax.value_and_grad(part_loss, has_aux=True)(
      params, state.batch_stats, dict(batch), 0
    )
  else:
    start = (jnp.zeros(()), jax.tree.map(jnp.zeros_like, params), state.batch_stats)
    parts = jax.tree.map(lambda array: _interleaved(array, accumulate), dict(batch))
    # On a CPU what stands in a loop loses XLA's threads and its fast convolutions.
    unroll = accumulate if jax.default_backend() == 'cpu' else 1
    (value, gradients, batch_stats), _ = jax.lax.scan(
      accumulated, start, (parts, jnp.arange(accumulate)), unroll=unroll
    )

  updates, opt_state = optimizer.update(gradients, state.opt_state, params)
  params = optax.apply_updates(params, updates)
  average = state.average
  if average is not None:
    # Early on the average follows the parameters instead of remembering their random start.
    decay = jnp.minimum(ema, (1.0 + state.step) / (10.0 + state.step))
    average = jax.tree.map(
      lambda old, new: decay * old + (1 - decay) * new,
      average,
      {'params': params, 'batch_stats': trained(batch_stats)},
    )
  state = state.replace(
    step=state.step + 1,
    params={**state.params, **params},
    batch_stats=batch_stats,
    opt_state=opt_state,
    average=average,
  )
  return state, {'loss': value, 'gradient_norm': optax.tree.norm(gradients)}


def augmented(
  key: jax.Array,
  images: jax.Array,
  *,
  augment: Callable[[jax.Array, jax.Array], jax.Array],
  normalise: Callable[[jax.Array], jax.Array],
) -> jax.Array:
  """uint8[B, H, W, C] → the network's input in training.

  Args:
    key: of the draws.
    images: of a batch.
    augment: see medjax.augment.policies.
    normalise: f32[B, H, W, C] in [0, 1] → the network's input.
  """
  changed = augment(key, images.astype(jnp.float32) / 255)
  if changed.shape != images.shape:
    raise ValueError(f'the augmentation changed the shape {images.shape} to {changed.shape}')
  return normalise(changed)


def _batch_loss(loss: Callable, logits: jax.Array, batch: Batch, images: jax.Array) -> jax.Array:
  labels, mask, weight = batch['label'], batch['mask'], batch['weight']
  _check_shape('the model', logits, labels.shape, 'one value for each image and label')
  logits = logits.astype(jnp.float32)
  if import_by_name.takes(loss, 'mask'):
    by_label = loss(logits, labels, mask=mask * weight[:, None])
    _check_shape('the loss', by_label, labels.shape[1:], 'one value for each label')
    return jnp.sum(by_label)
  per_element = loss(logits, labels)
  _check_shape('the loss', per_element, labels.shape, 'one value for each image and label')
  return losses.reduce(per_element, mask, weight, images)


def _check_shape(what: str, array: jax.Array, shape: tuple[int, ...], meaning: str) -> None:
  # Broadcasting would hide the mistake and train on something else.
  if array.shape != shape:
    raise ValueError(f'{what} returned shape {array.shape}; it must be {shape}: {meaning}')


def _interleaved(array: jax.Array, parts: int) -> jax.Array:
  """[B, …] → [parts, B / parts, …], every part taking rows from every device's share."""
  return array.reshape(-1, parts, *array.shape[1:]).swapaxes(0, 1)


def eval_step(
  variables: Mapping[str, Any],
  images: jax.Array,
  *,
  model: nn.Module,
  normalise: Callable[[jax.Array], jax.Array],
  log_odds: Callable[[jax.Array], jax.Array],
  augment: Callable[[jax.Array], jax.Array] | None = None,
) -> jax.Array:
  """uint8[B, H, W, C] → log-odds of each label f32[B, L].

  Settings are as in `train_step` and `augmented`. `log_odds` turns logits into them. `augment`,
  f32[B, H, W, C] in [0, 1] → the same, has its randomness bound; None takes images as they are.
  """
  pixels = images.astype(jnp.float32) / 255
  if augment is not None:
    pixels = augment(pixels)
  logits: Any = model.apply(variables, normalise(pixels), train=False)
  return log_odds(logits.astype(jnp.float32))

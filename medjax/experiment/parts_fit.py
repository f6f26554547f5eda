"""Whether loss, augmentation and network do what they must; what does not is named by itself."""

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Sharding

from medjax.config import Config
from medjax.data import targets
from medjax.errors import InputError, one_line
from medjax.runs import averaging
from medjax.runtime import devices, garbage, import_by_name
from medjax.training.learner import Learner

# Logits that any network gives in its first steps.
_LOGITS = (-4.0, -1.0, -0.1, 0.0, 0.1, 1.0, 4.0)


@garbage.uncollected()
def check(config: Config, built: Learner, loss: Callable) -> None:
  """Raises InputError naming the part that cannot be used, or gives no finite numbers.

  Only a loss is computed, of a few logits; of the rest, shapes are followed.

  Args:
    config: of the run.
    built: its network.
    loss: with its settings bound.
  """
  outputs = targets.outputs(config.model.head, len(config.data.labels))
  images = jax.ShapeDtypeStruct((config.batch_size, *built.image_format.shape), jnp.uint8)
  _check_loss(config, loss, outputs)
  _check_augmentation(config, built, images)
  per_label = jax.ShapeDtypeStruct((config.batch_size, outputs), jnp.float32)
  weight = jax.ShapeDtypeStruct((config.batch_size,), jnp.float32)
  seed = jax.ShapeDtypeStruct((), jnp.uint32)
  batch = {'image': images, 'label': per_label, 'mask': per_label, 'weight': weight}
  # On the devices where they will be, so that the program that trains finds its step traced.
  mesh = devices.data_mesh()
  batch = _placed(batch, devices.sharded(mesh))
  try:
    for step in {0, *config.model.unfreeze_at}:
      state = _placed(built.state_after(step + 1), devices.replicated(mesh))
      train_step = built.train_step(loss, built.frozen(step))
      jax.eval_shape(functools.partial(train_step, seed=seed), state, batch)
  except Exception as error:  # Whatever a network or optimizer of anybody's may raise.
    raise InputError(
      f"config.model.name='{config.model.name}' cannot be trained by "
      f"config.optimizer.name='{config.optimizer.name}': {one_line(error)}"
    ) from error
  _check_prediction(config, built, images)


def _placed(shapes: Any, sharding: Sharding) -> Any:
  return jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=sharding), shapes
  )


def _check_loss(config: Config, loss: Callable, outputs: int) -> None:
  """Every pair of logit and label, in every output; values and gradients must be finite."""
  what = f"config.loss.name='{config.loss.name}'"
  head, of_batch = config.model.head, import_by_name.takes(loss, 'mask')
  rows = [np.resize(np.roll(_LOGITS, shift), outputs) for shift in range(len(_LOGITS))]
  logits = jnp.asarray(np.repeat(rows, 2, axis=0), jnp.float32)
  kinds = np.eye(outputs) if head == 'softmax' else np.resize((0.0, 1.0, 1.0, 0.0), (2, outputs))
  labels = jnp.asarray(np.resize(kinds, logits.shape), jnp.float32)
  mask = {'mask': jnp.ones_like(logits)} if of_batch else {}

  def total(logits: jax.Array) -> tuple[jax.Array, jax.Array]:
    values = loss(logits, labels, **mask)
    return jnp.sum(values), values

  try:
    (_, values), gradients = jax.jit(jax.value_and_grad(total, has_aux=True))(logits)
  except Exception as error:  # Whatever anybody's loss may raise.
    raise InputError(f'{what}: {one_line(error)}') from error
  expected = (outputs,) if of_batch else logits.shape
  if values.shape != expected:
    meaning = 'label' if of_batch else 'image and label'
    raise InputError(
      f'{what} returned shape {values.shape} of logits {logits.shape}; it must be {expected}: one '
      f'value for each {meaning}'
    )
  for name, numbers in (('value', values), ('gradient', gradients)):
    bad = np.argwhere(~np.isfinite(np.asarray(numbers)))
    if not len(bad):
      continue
    at = tuple(bad[0])
    example = ''
    if numbers.shape == logits.shape:
      example = f' at the logit {logits[at]:g} and the label {labels[at]:g}'
    raise InputError(
      f'{what}: its {name} is {numbers[at]}{example}; value and gradient must be finite (jnp.where '
      'does not keep the NaN of its other branch out of the gradient)'
    )


def _check_augmentation(config: Config, built: Learner, images: jax.ShapeDtypeStruct) -> None:
  what = f"config.augment='{config.augment}'"
  pixels = jax.ShapeDtypeStruct(images.shape, jnp.float32)
  try:
    changed = jax.eval_shape(built.augment, jax.random.key(0), pixels)
  except InputError:
    raise
  except Exception as error:  # Whatever anybody's policy may raise.
    raise InputError(f'{what}: {one_line(error)}') from error
  if getattr(changed, 'shape', None) != images.shape:
    raise InputError(
      f'{what}: changed the shape {images.shape} to {getattr(changed, "shape", changed)}'
    )


def _check_prediction(config: Config, built: Learner, images: jax.ShapeDtypeStruct) -> None:
  """Goes through what is done at a validation and at the end; computes nothing."""
  what, labels = f"config.model.name='{config.model.name}'", len(config.data.labels)
  one_checkpoint = jax.tree.map(
    lambda leaf: jax.ShapeDtypeStruct((1, *leaf.shape), leaf.dtype), built.shapes
  )
  try:
    predicted = jax.eval_shape(averaging.step(built), one_checkpoint, images)
  except Exception as error:  # Whatever a network of anybody's may raise.
    if config.evaluation.test_augment:
      what += f" under config.augment='{config.augment}', as config.evaluation.test_augment asks,"
    raise InputError(f'{what} cannot be evaluated: {one_line(error)}') from error
  if predicted.shape[-1] != labels:
    raise InputError(f'{what}: evaluated, it predicts {predicted.shape[-1]} labels of {labels}')

"""The training step: what it must compute, whatever the devices, the parts and the padding."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medjax import config, losses, models
from medjax.augment import policies
from medjax.models import building
from medjax.models.normalisation import Normalisation
from medjax.training import optimizers, steps

NORMALISE = Normalisation((0.5,), (0.25,))
SETTINGS = config.Optimizer('sgd', learning_rate=0.1, weight_decay=0.0)


class Linear(nn.Module):
  """Logistic regression: its steps can be written down by hand."""

  num_labels: int

  @nn.compact
  def __call__(self, images, train):
    return nn.Dense(self.num_labels)(images.reshape(len(images), -1))


def batch_of(size, labels=2, seed=0):
  rng = np.random.default_rng(seed)
  return {
    'image': jnp.asarray(rng.integers(0, 256, (size, 16, 16, 1), np.uint8)),
    'label': jnp.asarray(rng.integers(0, 2, (size, labels)), jnp.float32),
    'mask': jnp.asarray(rng.integers(0, 2, (size, labels)), jnp.float32),
    'weight': jnp.ones(size),
  }


def make_step(model, settings=SETTINGS, policy=policies.none, ema=0.0):
  optimizer = optimizers.optimizer(settings, steps=10)
  init = functools.partial(building.init_variables, model, (16, 16, 1), seed=0)
  variables = jax.jit(init)()
  state = steps.init_state(variables, optimizer, trained=dict, average=ema > 0)
  step = functools.partial(
    steps.train_step,
    model=model,
    loss=losses.binary_cross_entropy,
    optimizer=optimizer,
    prepare=functools.partial(steps.augmented, augment=policy, normalise=NORMALISE),
    seed=0,
    accumulate=settings.accumulate,
    ema=ema,
  )
  return state, jax.jit(step)


def test_a_step_is_gradient_descent_on_the_masked_mean():
  state, step = make_step(Linear(2))
  batch = batch_of(8)
  x = (np.asarray(batch['image'], np.float64).reshape(8, -1) / 255 - 0.5) / 0.25
  kernel = np.asarray(state.params['Dense_0']['kernel'], np.float64)
  probability = 1 / (1 + np.exp(-x @ kernel))
  mask, label = np.asarray(batch['mask']), np.asarray(batch['label'])
  known = mask.any(axis=1).sum()
  gradient = x.T @ (mask * (probability - label)) / known
  after, metrics = step(state, batch)
  np.testing.assert_allclose(after.params['Dense_0']['kernel'], kernel - 0.1 * gradient, atol=1e-5)
  element = -np.log(np.where(label == 1, probability, 1 - probability))
  assert float(metrics['loss']) == pytest.approx((element * mask).sum() / known, rel=1e-5)
  assert int(after.step) == 1


def test_accumulated_parts_give_the_gradient_of_the_whole_batch():
  whole, step = make_step(Linear(2))
  parts, part_step = make_step(Linear(2), config.Optimizer('sgd', 0.1, 0.0, accumulate=4))
  for seed in range(3):
    whole, metrics = step(whole, batch_of(8, seed=seed))
    parts, part_metrics = part_step(parts, batch_of(8, seed=seed))
    assert float(metrics['loss']) == pytest.approx(float(part_metrics['loss']), rel=1e-5)
  jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), whole.params, parts.params)


@pytest.mark.slow
def test_accumulation_updates_statistics_and_stays_finite():
  state, step = make_step(models.resnet_tiny(num_labels=2, width=4), config.Optimizer(accumulate=2))
  after, metrics = step(state, batch_of(8))
  assert np.isfinite(float(metrics['loss']))
  assert not np.array_equal(
    after.batch_stats['stem_bn1']['mean'], state.batch_stats['stem_bn1']['mean']
  )


def test_randomness_is_a_function_of_seed_and_step_alone():
  state, step = make_step(Linear(2), policy=policies.chest)
  batch = batch_of(8)
  first, again = step(state, batch)[1], step(state, batch)[1]
  later = step(state.replace(step=state.step + 1), batch)[1]
  assert float(first['loss']) == float(again['loss']) != float(later['loss'])


def test_moving_average_follows_its_formula():
  state, step = make_step(Linear(2), ema=0.9)
  old = np.asarray(state.params['Dense_0']['kernel'])
  after, _ = step(state, batch_of(8))
  new = np.asarray(after.params['Dense_0']['kernel'])
  decay = min(0.9, 1 / 10)
  np.testing.assert_allclose(
    after.average['params']['Dense_0']['kernel'], decay * old + (1 - decay) * new, rtol=1e-5
  )
  np.testing.assert_array_equal(
    after.variables['params']['Dense_0']['kernel'], after.average['params']['Dense_0']['kernel']
  )


def test_images_are_uint8_until_the_device_and_scores_are_the_logits():
  model = Linear(2)
  state, _ = make_step(model)
  images = batch_of(4)['image']
  log_odds = steps.eval_step(
    state.variables, images, model=model, normalise=NORMALISE, log_odds=lambda logits: logits
  )
  logits = model.apply(state.variables, (images / 255.0 - 0.5) / 0.25, train=False)
  np.testing.assert_allclose(log_odds, logits, rtol=1e-5, atol=1e-6)


def test_weight_decay_is_for_kernels_only():
  init = functools.partial(
    building.init_variables, models.resnet_tiny(2, width=4), (16, 16, 1), seed=0
  )
  params = jax.jit(init)()['params']
  decayed = jax.tree_util.tree_flatten_with_path(optimizers.decayed(params))[0]
  for path, value in decayed:
    assert value == (path[-1].key == 'kernel')
  zero = jax.tree.map(jnp.zeros_like, params)
  for name in ('adamw', 'sgd'):
    optimizer = optimizers.optimizer(config.Optimizer(name, 0.1, weight_decay=0.5), 10)
    updates, _ = optimizer.update(zero, optimizer.init(params), params)
    assert float(optax.tree.norm(updates['stem_conv1'])) > 0
    assert float(optax.tree.norm(updates['stem_bn1'])) == 0
    assert float(jnp.abs(updates['head']['bias']).max()) == 0


def test_schedule_warms_up_and_ends_at_zero():
  rate = optimizers.schedule(config.Optimizer(learning_rate=0.4, warmup_steps=9), 109)
  assert float(rate(0)) == pytest.approx(0.04)  # The first step does something.
  assert float(rate(4)) == pytest.approx(0.2)
  assert float(rate(9)) == pytest.approx(0.4)
  assert float(rate(59)) == pytest.approx(0.2)  # Half-way down the cosine.
  assert float(rate(108)) > 0 and float(rate(109)) == pytest.approx(0.0, abs=1e-7)
  assert float(optimizers.schedule(config.Optimizer(learning_rate=0.4), 100)(0)) == pytest.approx(
    0.4
  )


def test_clipping_bounds_the_global_norm():
  optimizer = optimizers.optimizer(
    config.Optimizer('sgd', 1.0, 0.0, momentum=0.0, clip_norm=0.5), 10
  )
  gradients = {'a': jnp.array([3.0, 0.0]), 'b': jnp.array([4.0])}
  updates, _ = optimizer.update(gradients, optimizer.init(gradients), gradients)
  assert float(optax.tree.norm(updates)) == pytest.approx(0.5)


@pytest.mark.parametrize(
  'precision', [jnp.float32, pytest.param(jnp.bfloat16, marks=pytest.mark.slow)]
)
def test_training_learns_something_it_can(precision):
  model = models.resnet_tiny(num_labels=1, width=4, dtype=precision)
  state, step = make_step(model, config.Optimizer('adamw', 1e-2))
  batch = batch_of(16, labels=1) | {'mask': jnp.ones((16, 1))}
  bright = (np.arange(16) % 2)[:, None].astype(np.float32)
  batch['image'] = (batch['image'] // 4 + (128 * bright[..., None, None]).astype(np.uint8)).astype(
    jnp.uint8
  )
  batch['label'] = jnp.asarray(bright)
  losses_seen = []
  for _ in range(8):
    state, metrics = step(state, batch)
    losses_seen.append(float(metrics['loss']))
  assert losses_seen[-1] < 0.3 * losses_seen[0]

"""Stages: which parameters train when, and how fast."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from medjax import config
from medjax.errors import InputError
from medjax.training import fine_tuning, optimizers

STAGES = {'stem': 0, 'stage1_block0': 1, 'stage1_block1': 1, 'stage2_block0': 2, 'head': 3}
PARAMS = {name: {'kernel': jnp.ones((2, 2)), 'bias': jnp.ones(2)} for name in STAGES}


def model(**settings):
  return config.Model('resnet18', pretrained='weights.safetensors', **settings)


def test_stages_follow_the_names():
  assert fine_tuning.stages_of(STAGES) == STAGES
  assert fine_tuning.stages_of(['stem_conv1', 'stem_bn1', 'stage10_norm', 'head']) == {
    'stem_conv1': 0,
    'stem_bn1': 0,
    'stage10_norm': 10,
    'head': 11,
  }


@pytest.mark.parametrize(
  'names', [['Dense_0'], ['stem', 'stage1'], ['stages1', 'head'], ['header']]
)
def test_a_network_that_does_not_tell_is_refused(names):
  with pytest.raises(InputError, match='stage1'):
    fine_tuning.stages_of(names)


def test_unfreezing_goes_from_the_head_down():
  gradual = model(finetune='head', unfreeze_at=(10, 20))
  assert [fine_tuning.frozen(gradual, STAGES, step) for step in (0, 9, 10, 19, 20, 99)] == [
    3,
    3,
    2,
    2,
    1,
    1,
  ]
  assert set(fine_tuning.trained(PARAMS, STAGES, 3)) == {'head'}
  assert set(fine_tuning.trained(PARAMS, STAGES, 2)) == {'head', 'stage2_block0'}
  assert fine_tuning.frozen(model(), STAGES, 0) == 0
  assert set(fine_tuning.trained(PARAMS, STAGES, 0)) == set(PARAMS)


def updates_of(settings, steps, stage_of, gradients=1.0):
  """Returns the updates of each step under constant gradients."""
  transformation = optimizers.optimizer(settings, steps=1000, stage_of=stage_of)
  params, updates = PARAMS, []
  state = transformation.init(params)
  for _ in range(steps):
    update, state = transformation.update(
      jax.tree.map(lambda leaf: jnp.full_like(leaf, gradients), params), state, params
    )
    params = optax.apply_updates(params, update)
    updates.append(update)
  return updates


@pytest.mark.parametrize('name', ['adamw', 'sgd'])
def test_rates_fall_from_the_head_to_the_stem(name):
  plain = config.Optimizer(name, learning_rate=0.01, weight_decay=0.1)
  decayed = config.Optimizer(
    name, learning_rate=0.01, weight_decay=0.1, layer_decay=0.5, head_learning_rate=0.04
  )
  before, after = updates_of(plain, 1, None)[0], updates_of(decayed, 1, STAGES)[0]
  factors = {
    'stem': 0.125,
    'stage1_block0': 0.25,
    'stage1_block1': 0.25,
    'stage2_block0': 0.5,
    'head': 4,
  }
  for stage, factor in factors.items():
    for leaf in ('kernel', 'bias'):
      np.testing.assert_allclose(after[stage][leaf], factor * before[stage][leaf], rtol=1e-5)


def test_the_head_s_rate_is_an_auxiliary_head_s_too():
  settings = config.Optimizer('sgd', learning_rate=0.01, layer_decay=0.5, head_learning_rate=0.04)
  params = {'stage1_aux': {'conv': jnp.ones(2), 'head': {'bias': jnp.ones(2)}}, 'head': jnp.ones(2)}
  transformation = optimizers.optimizer(settings, 1000, {'stage1_aux': 1, 'head': 2})
  updates, _ = transformation.update(params, transformation.init(params), params)
  np.testing.assert_allclose(updates['head'], -0.04, rtol=1e-5)
  np.testing.assert_allclose(updates['stage1_aux']['head']['bias'], -0.04, rtol=1e-5)
  np.testing.assert_allclose(updates['stage1_aux']['conv'], -0.005, rtol=1e-5)


def test_without_differences_stages_change_nothing():
  settings = config.Optimizer('adamw', learning_rate=0.01, weight_decay=0.1, clip_norm=1.0)
  jax.tree.map(
    lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-6),
    updates_of(settings, 3, None),
    updates_of(settings, 3, STAGES),
  )


def test_a_stage_that_joins_late_starts_as_adam_starts():
  settings = config.Optimizer('adamw', learning_rate=0.01, weight_decay=0.0)
  transformation = optimizers.optimizer(settings, steps=1000, stage_of=STAGES)
  head = fine_tuning.trained(PARAMS, STAGES, 3)
  state = transformation.init(head)
  for _ in range(50):
    _, state = transformation.update(jax.tree.map(jnp.ones_like, head), state, head)
  pair = fine_tuning.trained(PARAMS, STAGES, 2)
  joined = optimizers.carry_over(state, transformation.init(pair))
  updates, after = transformation.update(jax.tree.map(jnp.ones_like, pair), joined, pair)
  # Adam's corrected first step is one learning rate long (Kingma and Ba 2014, section 2.1).
  rate = float(optimizers.schedule(settings, 1000)(50))
  np.testing.assert_allclose(updates['stage2_block0']['kernel'], -rate, rtol=1e-4)
  expected, _ = transformation.update(jax.tree.map(jnp.ones_like, head), state, head)
  np.testing.assert_allclose(updates['head']['kernel'], expected['head']['kernel'], rtol=1e-6)
  counts = {int(leaf) for leaf in jax.tree.leaves(after) if leaf.ndim == 0}
  assert counts == {1, 51}  # the new stage's; the head's and the schedule's


def test_frozen_parameters_take_no_optimizer_memory():
  transformation = optimizers.optimizer(config.Optimizer('adamw'), steps=10, stage_of=STAGES)
  head = fine_tuning.trained(PARAMS, STAGES, 3)
  moments = sum(leaf.size for leaf in jax.tree.leaves(transformation.init(head)) if leaf.ndim)
  assert moments == 2 * sum(leaf.size for leaf in jax.tree.leaves(head))

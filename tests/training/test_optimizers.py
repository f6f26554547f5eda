"""Optimizers and schedules: what is taken by default, and anybody's by import path."""

import functools
import importlib

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracle
import pytest
from flax import traverse_util

from medjax import config, models
from medjax.config import Config, Data, Model, Optimizer
from medjax.errors import InputError
from medjax.models.pretrained import fit
from medjax.training import fine_tuning, optimizers

PARAMS = {
  'stage1': {'kernel': jnp.full((2, 2), 0.5), 'bias': jnp.ones(2)},
  'head': {'kernel': jnp.ones((2, 2))},
}


def halving(learning_rate, steps, half=10):
  """A schedule of somebody's: half as much every `half` steps."""
  del steps
  return lambda step: learning_rate * 0.5 ** (step // half)


def no_optimizer(learning_rate):
  return learning_rate


def checked(**settings):
  made = Config(Data('phantom', '', ('x', 'y')), Model('resnet_tiny'), steps=100)
  made.optimizer = Optimizer(**settings)
  config.check(made)
  return made.optimizer


def after_steps(transformation, steps=5):
  params, state = PARAMS, transformation.init(PARAMS)
  for number in range(steps):
    shift = functools.partial(jnp.add, number)
    gradients = jax.tree.map(jnp.cos, jax.tree.map(shift, params))
    updates, state = transformation.update(gradients, state, params)
    params = optax.apply_updates(params, updates)
  return params


def test_what_is_left_open_suits_the_optimizer():
  adamw, sgd = checked(), checked(name='sgd')
  assert (adamw.learning_rate, adamw.weight_decay) == (1e-4, 0.05)
  assert (sgd.learning_rate, sgd.weight_decay) == (0.01, 1e-4)
  chosen = checked(name='sgd', learning_rate=0.3, weight_decay=0.0)
  assert (chosen.learning_rate, chosen.weight_decay) == (0.3, 0.0)


def test_optax_s_own_optimizers_are_taken_by_import_path():
  lion = checked(
    name='optax:lion', learning_rate=0.01, weight_decay=0.1, warmup_steps=3, settings={'b1': 0.8}
  )
  rate = optimizers.cosine(0.01, 3, 100)
  expected = optax.lion(rate, b1=0.8, weight_decay=0.1, mask=optimizers.decayed)
  ours = after_steps(optimizers.optimizer(lion, 100))
  jax.tree.map(np.testing.assert_array_equal, ours, after_steps(expected))
  plain = after_steps(optax.lion(rate, b1=0.8))
  assert float(jnp.abs(ours['head']['kernel'] - plain['head']['kernel']).max()) > 1e-6


def test_stages_have_their_rates_under_an_optimizer_of_anybody_s():
  settings = checked(name='optax:sgd', learning_rate=0.1, layer_decay=0.5)
  transformation = optimizers.optimizer(settings, 100, {'stage1': 1, 'head': 2})
  updates, _ = transformation.update(PARAMS, transformation.init(PARAMS), PARAMS)
  np.testing.assert_allclose(updates['stage1']['bias'], -0.05)
  np.testing.assert_allclose(updates['head']['kernel'], -0.1)


def test_a_schedule_of_anybody_s_is_followed():
  settings = checked(
    name='sgd', learning_rate=0.8, schedule='test_optimizers:halving', schedule_settings={'half': 2}
  )
  rate = jax.jit(optimizers.schedule(settings, 100))
  np.testing.assert_allclose([float(rate(step)) for step in range(5)], [0.8, 0.8, 0.4, 0.4, 0.2])


@pytest.mark.parametrize(
  ('settings', 'words'),
  [
    ({'name': 'adamv'}, "config.optimizer.name is 'adamv'.*did you mean 'adamw'"),
    ({'name': 'optax:lion'}, 'config.optimizer.learning_rate is missing'),
    ({'settings': {'b1': 0.8}}, r'settings=.*are for an optimizer of your own'),
    ({'schedule': 'cosin'}, "config.optimizer.schedule is 'cosin'.*did you mean 'cosine'"),
    ({'schedule_settings': {'half': 2}}, 'are for a schedule of your own'),
    ({'name': 'optax:lyon', 'learning_rate': 1e-3}, "optax has no function or class 'lyon'"),
    (
      {'name': 'optax:lion', 'learning_rate': 1e-3, 'settings': {'beta': 1}},
      "config.optimizer.settings: the setting is 'beta'",
    ),
    (
      {'name': 'optax:sgd', 'learning_rate': 1e-3, 'weight_decay': 0.1},
      r'config.optimizer.weight_decay=0.1: optax:sgd takes none',
    ),
    (
      {'name': 'test_optimizers:no_optimizer', 'learning_rate': 1e-3},
      'returned function, not an optax.GradientTransformation',
    ),
    (
      {'schedule': 'test_optimizers:halving', 'schedule_settings': {'hlaf': 2}},
      "the setting is 'hlaf'.*did you mean 'half'",
    ),
  ],
)
def test_what_does_not_fit_is_one_line(settings, words):
  with pytest.raises(InputError, match=words) as raised:
    optimizers.optimizer(checked(**settings), 100)
  assert '\n' not in str(raised.value)


@pytest.mark.parametrize(
  ('name', 'of_timm', 'size'),
  [
    ('vit_small_patch16', 'vit_small_patch16_224', 224),
    ('vit_small_patch14_dinov2', 'vit_small_patch14_dinov2', 518),
  ],
)
def test_a_vit_s_rates_and_decays_are_timm_s(name, of_timm, size):
  _, timm = oracle.torch_or_skip()
  network = timm.create_model(of_timm, num_classes=2)
  names = {id(leaf): name for name, leaf in network.named_parameters()}
  groups = importlib.import_module('timm.optim').param_groups_layer_decay(
    network, 0.05, no_weight_decay_list=network.no_weight_decay(), layer_decay=0.75
  )
  expected = {
    names[id(leaf)]: (pytest.approx(group['lr_scale']), group['weight_decay'] > 0)
    for group in groups
    for leaf in group['params']
  }
  ours = functools.partial(getattr(models, name), num_labels=2)()
  params = oracle.shapes(ours, size)['params']
  rates = fine_tuning.rates(fine_tuning.stages_of(params), 0.75, 1.0)
  decayed = traverse_util.flatten_dict(optimizers.decayed(params), sep='/')
  assert {
    fit.published_name(path, ours.names['timm']): (rates[path.partition('/')[0]], is_decayed)
    for path, is_decayed in decayed.items()
  } == expected

"""ConvNeXts against timm and torchvision, where they are installed."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

from medjax.models import convnext

NAMES = (
  'convnext_tiny',
  'convnext_small',
  'convnext_base',
)


def small(**settings):
  """Returns a network of all its parts, of three stages of a few channels."""
  return convnext.ConvNeXt(num_labels=3, depths=(1, 1, 1), widths=(8, 16, 24), **settings)


@functools.cache
def outputs(train, **settings):
  """Returns what each part of a network of random weights gives; the head gives the logits."""
  generator = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda leaf: generator.normal(scale=0.5, size=leaf.shape), oracle.shapes(small(), 32)
  )
  images = generator.normal(size=(4, 32, 32, 3))
  run = functools.partial(small(**settings).apply, train=train, capture_intermediates=True)
  _, state = jax.jit(run)(variables, images, rngs={'dropout': jax.random.key(2)})
  return {
    name: parts['__call__'][0]
    for name, parts in state['intermediates'].items()
    if name.startswith(('stem', 'stage', 'head'))
  }


def changed(ones, others):
  return {name for name in others if not np.allclose(ones[name], others[name], atol=1e-4)}


@pytest.mark.parametrize('name', oracle.first_slow_rest_deep(NAMES))
def test_equals_timm(name, tmp_path):
  _, timm = oracle.torch_or_skip()
  oracle.check(
    getattr(convnext, name)(num_labels=10), timm.create_model(name, num_classes=10), 79, tmp_path
  )


@pytest.mark.parametrize('name', oracle.first_slow_rest_deep(NAMES))
def test_equals_torchvision(name, tmp_path):
  oracle.torch_or_skip()
  torchvision = pytest.importorskip('torchvision')
  reference = getattr(torchvision.models, name)(num_classes=10, stochastic_depth_prob=0.0)
  oracle.check(getattr(convnext, name)(num_labels=10), reference, 79, tmp_path)


def test_branches_start_from_the_papers_scale():
  block = convnext.Block(drop_rate=0.0, dtype=jnp.float32)
  variables = block.init(jax.random.key(0), jnp.zeros((1, 1, 1, 2)), train=False)
  np.testing.assert_array_equal(variables['params']['gamma'], np.float32([1e-6, 1e-6]))


def test_images_too_small_for_the_last_stage_are_refused():
  with pytest.raises(ValueError, match=r'15 × 20 px .* 16 px or more'):
    small().apply({}, jnp.zeros((1, 15, 20, 1)), train=False)


@pytest.mark.slow
def test_nothing_is_dropped_in_evaluation_or_in_frozen_stages():
  wanted = outputs(train=False)
  assert not changed(outputs(train=False, stochastic_depth=0.5), wanted)
  assert not changed(outputs(train=True, stochastic_depth=0.5, frozen_stages=4), wanted)
  # What is kept of a branch is scaled, so that training changes what every such block gives.
  assert changed(outputs(train=True, stochastic_depth=0.5, frozen_stages=3), wanted) == {
    'stage3_block0',
    'stage3_norm',
    'head',
  }


@pytest.mark.slow
def test_dropout_acts_in_training_only():
  wanted = outputs(train=False)
  assert not changed(outputs(train=False, dropout=0.5), wanted)
  assert changed(outputs(train=True, dropout=0.5), wanted) == {'head'}


@pytest.mark.slow
def test_bfloat16_agrees_and_keeps_parameters_and_logits_in_float32():
  model = small(dtype=jnp.bfloat16)
  assert {leaf.dtype for leaf in jax.tree.leaves(oracle.shapes(model, 32))} == {
    jnp.dtype('float32')
  }
  wanted, actual = (outputs(train=False, dtype=dtype) for dtype in (jnp.float32, jnp.bfloat16))
  assert actual['stage3_block0'].dtype == jnp.bfloat16
  assert actual['head'].dtype == jnp.float32
  assert np.abs(actual['head'] - wanted['head']).max() <= 0.05 * np.abs(wanted['head']).max()


def test_starts_as_timm_does():
  _, timm = oracle.torch_or_skip()
  depths, widths = (1, 1, 1, 1), (8, 16, 24, 32)
  reference = timm.models.convnext.ConvNeXt(num_classes=3, depths=depths, dims=widths)
  actual = convnext.ConvNeXt(num_labels=3, depths=depths, widths=widths)
  oracle.check_initialisation(actual, reference, 32)

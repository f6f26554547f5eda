"""ResNets and relatives against timm, where it is installed."""

import jax
import jax.numpy as jnp
import oracle
import pytest

from medjax import models

NAMES = (
  'resnet18',
  'resnet34',
  'resnet50',
  'resnet101',
  'resnet152',
  'resnext50_32x4d',
  'resnext101_32x8d',
  'wide_resnet50_2',
)
DEEP = ('resnet101', 'resnet152', 'resnext101_32x8d', 'wide_resnet50_2')


@pytest.mark.parametrize(
  'name', [pytest.param(name, marks=pytest.mark.deep if name in DEEP else ()) for name in NAMES]
)
def test_equals_timm(name, tmp_path):
  _, timm = oracle.torch_or_skip()
  oracle.check(
    getattr(models, name)(num_labels=10), timm.create_model(name, num_classes=10), 97, tmp_path
  )


def test_grey_images_enter_as_one_channel():
  variables = oracle.shapes(models.resnet18(num_labels=2), 64, channels=1)
  assert variables['params']['stem_conv1']['kernel'].shape == (7, 7, 1, 64)


@pytest.mark.slow
def test_bfloat16_keeps_parameters_and_statistics_in_float32():
  model = models.resnet_tiny(num_labels=2, dtype=jnp.bfloat16)
  images = jnp.ones((2, 32, 32, 1))
  variables = jax.jit(lambda: model.init(jax.random.key(0), images, train=False))()
  apply = jax.jit(lambda item: model.apply(item, images, train=True, mutable=['batch_stats']))
  logits, updated = apply(variables)
  assert logits.dtype == jnp.float32
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
  assert {leaf.dtype for leaf in jax.tree.leaves(updated)} == {jnp.dtype('float32')}


def test_starts_as_timm_does():
  _, timm = oracle.torch_or_skip()
  model = models.resnet18(num_labels=10)
  reference = timm.create_model('resnet18', num_classes=10, zero_init_last=False)
  # Theirs is uniform, and a third as wide.
  oracle.check_initialisation(model, reference, 64, otherwise=['fc'])

"""ResNets against the published parameter counts, torch's geometry and timm where it is installed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax import models

# He et al. 2015 in torchvision's and timm's published models, 1,000 classes, RGB.
PUBLISHED = {
  'resnet18': 11_689_512,
  'resnet34': 21_797_672,
  'resnet50': 25_557_032,
  'resnet101': 44_549_160,
  'resnet152': 60_192_808,
}


def shapes(model, image_shape):
  return jax.eval_shape(
    lambda: model.init(jax.random.key(0), jnp.zeros((1, *image_shape)), train=False)
  )


@pytest.mark.parametrize('name', PUBLISHED)
def test_parameters_are_as_published(name):
  variables = shapes(getattr(models, name)(num_labels=1000), (224, 224, 3))
  assert sum(leaf.size for leaf in jax.tree.leaves(variables['params'])) == PUBLISHED[name]


def test_grey_images_enter_as_one_channel():
  variables = shapes(models.resnet18(num_labels=2), (64, 64, 1))
  assert variables['params']['conv1']['kernel'].shape == (7, 7, 1, 64)


def test_bfloat16_keeps_parameters_and_statistics_in_float32():
  model = models.resnet_tiny(num_labels=2, dtype=jnp.bfloat16)
  images = jnp.ones((2, 32, 32, 1))
  variables = model.init(jax.random.key(0), images, train=False)
  logits, updated = model.apply(variables, images, train=True, mutable=['batch_stats'])
  assert logits.dtype == jnp.float32
  assert {leaf.dtype for leaf in jax.tree.leaves(variables)} == {jnp.dtype('float32')}
  assert {leaf.dtype for leaf in jax.tree.leaves(updated)} == {jnp.dtype('float32')}


def to_flax(weights, variables):
  """timm's names and layouts → ours."""

  def array(path):
    *modules, leaf = [key.key for key in path]
    collection, modules = modules[0], modules[1:]
    name = (
      '.'.join(modules)
      .replace('downsample_conv', 'downsample.0')
      .replace('downsample_bn', 'downsample.1')
    )
    if name.startswith('layer'):
      name = name.replace('_', '.', 1)
    if collection == 'batch_stats':
      return weights[f'{name}.running_{leaf}']
    tensor = weights[f'{name}.{"bias" if leaf == "bias" else "weight"}']
    return tensor.transpose(2, 3, 1, 0) if tensor.ndim == 4 else tensor.T

  return jax.tree_util.tree_map_with_path(lambda path, _: jnp.asarray(array(path)), variables)


@pytest.mark.parametrize('name', ['resnet18', 'resnet50'])
def test_logits_equal_those_of_timm(name):
  timm = pytest.importorskip('timm', reason='the oracle, timm with torch, is not installed')
  torch = pytest.importorskip('torch')
  torch.manual_seed(0)
  theirs = timm.create_model(name, pretrained=False, num_classes=10)
  for module in theirs.modules():  # Otherwise statistics of 0 and 1 would hide a mistake.
    if isinstance(module, torch.nn.BatchNorm2d):
      torch.nn.init.uniform_(module.running_mean, -0.1, 0.1)
      torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
      torch.nn.init.uniform_(module.weight, 0.5, 1.5)
  theirs.eval()
  images = np.random.default_rng(0).normal(size=(2, 97, 97, 3)).astype(np.float32)
  with torch.no_grad():
    expected = theirs(torch.tensor(images.transpose(0, 3, 1, 2))).numpy()
  weights = {key: value.numpy() for key, value in theirs.state_dict().items()}
  model = getattr(models, name)(num_labels=10)
  variables = to_flax(weights, shapes(model, (97, 97, 3)))
  ours = model.apply(variables, images, train=False)
  assert np.abs(ours - expected).max() / np.abs(expected).max() < 1e-4

  theirs.train()
  theirs(torch.tensor(images.transpose(0, 3, 1, 2)))
  _, updated = model.apply(variables, images, train=True, mutable=['batch_stats'])
  mean = theirs.state_dict()['bn1.running_mean'].numpy()
  np.testing.assert_allclose(updated['batch_stats']['bn1']['mean'], mean, atol=1e-5)

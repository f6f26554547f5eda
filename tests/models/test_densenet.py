"""DenseNets against timm and torchvision, where they are installed."""

import functools
import re

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from flax import traverse_util

from medjax.models import densenet
from medjax.models.pretrained import fit

NAMES = (
  'densenet121',
  'densenet161',
  'densenet169',
  'densenet201',
)
# Fast to compile.
SMALL = functools.partial(densenet.DenseNet, depths=(2, 1, 1, 1), growth=8)


@functools.cache
def shapes(name):
  return oracle.shapes(getattr(densenet, name)(num_labels=1000), 224)


@functools.cache
def small_variables():
  """Of SMALL with two labels and grey images, at the scale of an initialisation."""
  generator = np.random.default_rng(0)

  def draw(leaf):
    if leaf.ndim > 1:
      values = generator.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
    else:
      values = generator.uniform(0.5, 1.5, size=leaf.shape)
    return values.astype(np.float32)

  return jax.tree.map(draw, oracle.shapes(SMALL(num_labels=2), 32, channels=1))


def apply(model, images, **settings):
  return jax.jit(functools.partial(model.apply, **settings))(small_variables(), images)


def trace(model, **settings):
  """Returns the shapes that `apply` returns, computing nothing."""
  return jax.eval_shape(functools.partial(model.apply, **settings), small_variables(), noise(32))


def noise(image_size):
  pixels = np.random.default_rng(0).normal(size=(4, image_size, image_size, 1))
  return pixels.astype(np.float32)


@pytest.mark.parametrize('library', ['timm', 'torchvision'])
@pytest.mark.parametrize('name', NAMES)
def test_names_and_shapes_are_those_of_both_libraries(name, library):
  torch, timm = oracle.torch_or_skip()
  import torchvision

  create = {'timm': timm.create_model, 'torchvision': torchvision.models.get_model}[library]
  with torch.device('meta'):
    reference = create(name).state_dict()
  tensors = {key: np.zeros(value.shape, np.float32) for key, value in reference.items()}
  fitted = fit.fit(shapes(name), tensors, densenet.DenseNet.names, library, head=True)
  assert fitted.new == []
  assert {key.rpartition('.')[2] for key in fitted.unused} == {'num_batches_tracked'}


# The grids 25, 12, 6 and 3: the first transition leaves a row and a column out.
def test_geometry_equals_timm(tmp_path):
  oracle.torch_or_skip()
  from timm.models.densenet import DenseNet

  reference = DenseNet(growth_rate=8, block_config=(2, 1, 1, 1), num_classes=10)
  oracle.check(SMALL(num_labels=10), reference, 97, tmp_path)


def test_geometry_equals_torchvision(tmp_path):
  oracle.torch_or_skip()
  from torchvision.models import DenseNet

  reference = DenseNet(
    growth_rate=8, block_config=(2, 1, 1, 1), num_init_features=16, num_classes=10
  )
  oracle.check(SMALL(num_labels=10), reference, 97, tmp_path)


@pytest.mark.parametrize('name', oracle.first_slow_rest_deep(NAMES))
def test_equals_timm(name, tmp_path):
  _, timm = oracle.torch_or_skip()
  oracle.check(
    getattr(densenet, name)(num_labels=10), timm.create_model(name, num_classes=10), 97, tmp_path
  )


@pytest.mark.parametrize('frozen_stages', [0, 3, 5])
def test_statistics_of_frozen_stages_are_kept(frozen_stages):
  model = SMALL(num_labels=2, frozen_stages=frozen_stages)
  _, updated = apply(model, noise(32), train=True, mutable=['batch_stats'])
  before = traverse_util.flatten_dict(small_variables()['batch_stats'])
  for path, after in traverse_util.flatten_dict(updated['batch_stats']).items():
    stage = 0 if path[0].startswith('stem') else int(path[0].removeprefix('stage')[0])
    assert np.array_equal(after, before[path]) == (stage < frozen_stages), path


# flax asks for a key wherever dropout acts.
def test_dropout_acts_in_training_only():
  model = SMALL(num_labels=2, dropout=0.5)
  trace(model, train=False)
  with pytest.raises(flax.errors.InvalidRngError, match='dropout'):
    trace(model, train=True, mutable=['batch_stats'])


def test_computes_in_bfloat16_and_keeps_the_rest_in_float32():
  logits, state = trace(
    SMALL(num_labels=2, dtype=jnp.bfloat16),
    train=True,
    mutable=['batch_stats', 'intermediates'],
    capture_intermediates=lambda module, _: isinstance(module, nn.Conv | nn.BatchNorm),
  )
  computed, others = state['intermediates'], (logits, state['batch_stats'])
  assert {leaf.dtype for leaf in jax.tree.leaves(computed)} == {jnp.dtype('bfloat16')}
  assert {leaf.dtype for leaf in jax.tree.leaves(others)} == {jnp.dtype('float32')}


# torchvision's `min_size` of every DenseNet.
def test_the_least_image_is_as_published():
  model = SMALL(num_labels=2)
  assert jnp.isfinite(apply(model, noise(29), train=False)).all()
  with pytest.raises(ValueError, match=r'28×28 pixels.* 29×29'):
    apply(model, noise(28), train=False)


def test_a_network_without_channels_is_refused():
  with pytest.raises(ValueError, match='growth=0'):
    oracle.shapes(SMALL(num_labels=2, growth=0), 64)


def test_names_of_torchvisions_downloads_fit():
  # The pattern by which torchvision's `_load_state_dict` renames its own files, joining groups 1
  # and 2.
  renamed = re.compile(
    r'^(.*denselayer\d+\.(?:norm|relu|conv))\.'
    r'((?:[12])\.(?:weight|bias|running_mean|running_var))$'
  )
  paths = [
    path.partition('/')[2]
    for path in traverse_util.flatten_dict(dict(shapes('densenet121')), sep='/')
  ]
  old, new = (
    [fit.published_name(path, densenet.DenseNet.names[scheme]) for path in paths]
    for scheme in ('legacy torchvision', 'timm')
  )
  matches = [renamed.match(name) for name in old]
  assert sum(map(bool, matches)) == 58 * 2 * 5  # layers, norm and conv of each, their tensors
  assert [match[1] + match[2] if match else name for match, name in zip(matches, old)] == new


def test_starts_as_timm_does():
  oracle.torch_or_skip()
  from timm.models.densenet import DenseNet

  reference = DenseNet(growth_rate=8, block_config=(2, 1, 1, 1), num_classes=10)
  oracle.check_initialisation(SMALL(num_labels=10), reference, 64, otherwise=['classifier'])

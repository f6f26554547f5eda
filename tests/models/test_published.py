"""The table of networks, against torchvision's and timm's own."""

import jax
import network_sizes
import oracle
import pytest
from conftest import PROJECT

from medjax import models
from medjax.config import published
from medjax.models import __main__ as listing
from medjax.training import fine_tuning

# torchvision's `num_params`, and timm's of the networks that torchvision lacks: 1,000 classes, and
# none for the networks of DINOv2.
PARAMETERS = {
  'resnet18': 11_689_512,
  'resnet34': 21_797_672,
  'resnet50': 25_557_032,
  'resnet101': 44_549_160,
  'resnet152': 60_192_808,
  'resnext50_32x4d': 25_028_904,
  'resnext101_32x8d': 88_791_336,
  'wide_resnet50_2': 68_883_240,
  'densenet121': 7_978_856,
  'densenet161': 28_681_000,
  'densenet169': 14_149_480,
  'densenet201': 20_013_928,
  'inception_v3': 27_161_264,
  'efficientnet_b0': 5_288_548,
  'efficientnet_b1': 7_794_184,
  'efficientnet_b2': 9_109_994,
  'efficientnet_b3': 12_233_232,
  'efficientnet_b4': 19_341_616,
  'efficientnet_b5': 30_389_784,
  'efficientnet_b6': 43_040_704,
  'efficientnet_b7': 66_347_960,
  'efficientnetv2_s': 21_458_488,
  'efficientnetv2_m': 54_139_356,
  'convnext_tiny': 28_589_128,
  'convnext_small': 50_223_688,
  'convnext_base': 88_591_464,
  'vit_small_patch16': 22_050_664,
  'vit_base_patch16': 86_567_656,
  'vit_small_patch14_dinov2': 22_056_192,
  'vit_base_patch14_dinov2': 86_579_712,
}
# torchvision's `_ops`, in billions, at the size of its weights' crop.
OPERATIONS = {
  'resnet18': (224, 1.814),
  'resnext101_32x8d': (224, 16.414),
  'densenet121': (224, 2.834),
  'efficientnet_b0': (224, 0.386),
  'efficientnetv2_s': (384, 8.366),
  'convnext_tiny': (224, 4.456),
}


def test_every_network_is_in_the_table():
  assert set(published.NETWORKS) == set(models.__all__)


@pytest.mark.slow
@pytest.mark.parametrize('name', OPERATIONS)
def test_multiply_adds_are_as_published(name):
  size, billions = OPERATIONS[name]
  _, operations = network_sizes.measure(getattr(models, name)(num_labels=1000), size)
  assert operations / 1e9 == pytest.approx(billions, rel=0.005)


def test_the_hub_has_weights_of_these_names():
  _, timm = oracle.torch_or_skip()
  for name, (*_, weights) in published.NETWORKS.items():
    if name not in published.OURS:
      assert timm.is_model(timm_name(name)), name
    if weights:
      organisation, _, tag = weights.partition('/')
      config = timm.models.get_pretrained_cfg(tag)
      assert organisation == 'timm' and config is not None, weights
      assert config.hf_hub_id and tag.startswith(name), weights


def test_weights_of_a_network_of_ones_own_are_none():
  assert published.weights_of('my_lab.nets:Net') == ''
  assert published.weights_of('densenet121') == 'timm/densenet121.tv_in1k'


def timm_name(name):
  """timm adds the image size to the names of some networks."""
  return f'{name}_224' if name.endswith('patch16') else name


def test_the_docs_show_the_table():
  printed = listing.table()
  assert printed in (PROJECT / 'docs/networks.md').read_text()
  assert len(printed.splitlines()) == 2 + len(models.__all__)


QUICK = ('resnet_tiny', 'resnet18', 'densenet121', 'efficientnet_b0', 'convnext_tiny')
QUICK += ('vit_small_patch16',)


@pytest.mark.parametrize(
  'name',
  [
    pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
    for name in published.NETWORKS
  ],
)
def test_sizes_are_as_published_and_those_of_the_table(name):
  stored = published.NETWORKS[name]
  variables, operations = network_sizes.measure(
    getattr(models, name)(num_labels=1000), stored.image_size
  )
  params = variables['params']
  assert round(operations / 1e9, 2) == stored.operations
  assert round(size(params) / 1e6, 1) == stored.parameters
  stages = fine_tuning.stages_of(params)
  assert sorted(set(stages.values())) == list(range(stages['head'] + 1))
  assert set(variables.get('batch_stats', {})) <= set(stages)
  if name not in published.OURS:
    if 'dinov2' in name:
      del params['head']
    assert size(params) == PARAMETERS[name.removeprefix('tf_')]


def size(params):
  return sum(leaf.size for leaf in jax.tree.leaves(params))

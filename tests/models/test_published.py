"""The table of networks, against torchvision's and timm's own."""

import jax
import oracle
import pytest
from conftest import PROJECT

from medjax import models
from medjax.models import __main__ as listing
from medjax.models import published

# torchvision's `_ops`, in billions, at the size of its weights' crop.
OPERATIONS = {
  'resnet18': (224, 1.814),
  'resnet50': (224, 4.089),
  'resnext101_32x8d': (224, 16.414),
  'wide_resnet50_2': (224, 11.398),
  'densenet121': (224, 2.834),
  'densenet201': (224, 4.291),
  'efficientnet_b0': (224, 0.386),
  'efficientnet_b4': (380, 4.394),
  'efficientnetv2_s': (384, 8.366),
  'convnext_tiny': (224, 4.456),
  'convnext_base': (224, 15.355),
}


def test_every_network_but_the_tiny_one_is_in_the_table():
  assert set(published.NETWORKS) == set(models.__all__) - {'resnet_tiny'}


@pytest.mark.parametrize('name', OPERATIONS)
def test_multiply_adds_are_as_published(name):
  size, billions = OPERATIONS[name]
  _, operations = listing.measure(getattr(models, name)(num_labels=1000), size)
  assert operations / 1e9 == pytest.approx(billions, rel=0.005)


def test_the_hub_has_weights_of_these_names():
  _, timm = oracle.torch_or_skip()
  for name, (_, weights) in published.NETWORKS.items():
    if weights:
      organisation, _, tag = weights.partition('/')
      config = timm.models.get_pretrained_cfg(tag)
      assert organisation == 'timm' and config is not None, weights
      assert config.hf_hub_id and tag.startswith(name), weights


def test_weights_of_a_network_of_ones_own_are_none():
  assert published.weights_of('my_lab.nets:Net') == ''
  assert published.weights_of('densenet121') == 'timm/densenet121.tv_in1k'


@pytest.mark.slow
def test_the_docs_show_the_table(command):
  printed = command('models', check=True).stdout.strip()
  assert printed in (PROJECT / 'docs/networks.md').read_text()
  assert len(printed.splitlines()) == 2 + len(published.NETWORKS)


@pytest.mark.parametrize('name', published.NETWORKS)
def test_the_published_size_is_one_that_the_network_takes(name):
  network = getattr(models, name)(num_labels=2)
  variables = oracle.shapes(network, published.NETWORKS[name].image_size, channels=1)
  assert jax.tree.leaves(variables)

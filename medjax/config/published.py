"""What the networks were published with: the size of their images, weights, and what suits them."""

import dataclasses
import re
from collections.abc import Sequence
from typing import NamedTuple

from medjax.config import Config
from medjax.errors import InputError, nearest


class Published(NamedTuple):
  """Attributes:
  image_size: pixels, of the paper's evaluation.
  parameters: millions, with a head of 1,000 classes.
  operations: billions of multiply-adds of one RGB image of that size, all convolutions and matrix
    products, which papers call FLOPs.
  weights: a name of the hub for config.model.pretrained; its last part says what it was trained on.
    '' where the hub has none: EfficientNet-B6, -B7 and V2 are published as TensorFlow's alone, and
    resnet_tiny is ours.
  """

  image_size: int
  parameters: float
  operations: float
  weights: str


NETWORKS = {
  'resnet18': Published(224, 11.7, 1.81, 'timm/resnet18.tv_in1k'),
  'resnet34': Published(224, 21.8, 3.66, 'timm/resnet34.tv_in1k'),
  'resnet50': Published(224, 25.6, 4.09, 'timm/resnet50.tv_in1k'),
  'resnet101': Published(224, 44.5, 7.80, 'timm/resnet101.tv_in1k'),
  'resnet152': Published(224, 60.2, 11.51, 'timm/resnet152.tv_in1k'),
  'resnext50_32x4d': Published(224, 25.0, 4.23, 'timm/resnext50_32x4d.tv_in1k'),
  'resnext101_32x8d': Published(224, 88.8, 16.41, 'timm/resnext101_32x8d.tv_in1k'),
  'wide_resnet50_2': Published(224, 68.9, 11.40, 'timm/wide_resnet50_2.tv_in1k'),
  'densenet121': Published(224, 8.0, 2.83, 'timm/densenet121.tv_in1k'),
  'densenet161': Published(224, 28.7, 7.73, 'timm/densenet161.tv_in1k'),
  'densenet169': Published(224, 14.1, 3.36, 'timm/densenet169.tv_in1k'),
  'densenet201': Published(224, 20.0, 4.29, 'timm/densenet201.tv_in1k'),
  'inception_v3': Published(299, 27.2, 5.71, 'timm/inception_v3.tv_in1k'),
  'efficientnet_b0': Published(224, 5.3, 0.39, 'timm/efficientnet_b0.ra_in1k'),
  'efficientnet_b1': Published(240, 7.8, 0.69, 'timm/efficientnet_b1.ft_in1k'),
  'efficientnet_b2': Published(260, 9.1, 0.99, 'timm/efficientnet_b2.ra_in1k'),
  'efficientnet_b3': Published(300, 12.2, 1.83, 'timm/efficientnet_b3.ra2_in1k'),
  'efficientnet_b4': Published(380, 19.3, 4.39, 'timm/efficientnet_b4.ra2_in1k'),
  'efficientnet_b5': Published(456, 30.4, 10.27, 'timm/efficientnet_b5.sw_in12k_ft_in1k'),
  'efficientnet_b6': Published(528, 43.0, 19.07, ''),
  'efficientnet_b7': Published(600, 66.3, 37.75, ''),
  'efficientnetv2_s': Published(384, 21.5, 8.37, ''),
  'efficientnetv2_m': Published(480, 54.1, 24.58, ''),
  'tf_efficientnet_b0': Published(224, 5.3, 0.39, 'timm/tf_efficientnet_b0.ns_jft_in1k'),
  'tf_efficientnet_b1': Published(240, 7.8, 0.69, 'timm/tf_efficientnet_b1.ns_jft_in1k'),
  'tf_efficientnet_b2': Published(260, 9.1, 0.99, 'timm/tf_efficientnet_b2.ns_jft_in1k'),
  'tf_efficientnet_b3': Published(300, 12.2, 1.83, 'timm/tf_efficientnet_b3.ns_jft_in1k'),
  'tf_efficientnet_b4': Published(380, 19.3, 4.39, 'timm/tf_efficientnet_b4.ns_jft_in1k'),
  'tf_efficientnet_b5': Published(456, 30.4, 10.27, 'timm/tf_efficientnet_b5.ns_jft_in1k'),
  'tf_efficientnet_b6': Published(528, 43.0, 19.07, 'timm/tf_efficientnet_b6.ns_jft_in1k'),
  'tf_efficientnet_b7': Published(600, 66.3, 37.75, 'timm/tf_efficientnet_b7.ns_jft_in1k'),
  'tf_efficientnetv2_s': Published(384, 21.5, 8.37, 'timm/tf_efficientnetv2_s.in21k_ft_in1k'),
  'tf_efficientnetv2_m': Published(480, 54.1, 24.58, 'timm/tf_efficientnetv2_m.in21k_ft_in1k'),
  'convnext_tiny': Published(224, 28.6, 4.46, 'timm/convnext_tiny.fb_in22k_ft_in1k'),
  'convnext_small': Published(224, 50.2, 8.68, 'timm/convnext_small.fb_in22k_ft_in1k'),
  'convnext_base': Published(224, 88.6, 15.35, 'timm/convnext_base.fb_in22k_ft_in1k'),
  'vit_small_patch16': Published(
    224, 22.1, 4.60, 'timm/vit_small_patch16_224.augreg_in21k_ft_in1k'
  ),
  'vit_base_patch16': Published(
    224, 86.6, 17.56, 'timm/vit_base_patch16_224.augreg2_in21k_ft_in1k'
  ),
  'vit_small_patch14_dinov2': Published(518, 22.4, 46.70, 'timm/vit_small_patch14_dinov2.lvd142m'),
  'vit_base_patch14_dinov2': Published(518, 87.3, 151.57, 'timm/vit_base_patch14_dinov2.lvd142m'),
  'resnet_tiny': Published(64, 0.1, 0.01, ''),
}
OURS = ('resnet_tiny',)  # timm has all others.


def weights_of(network: str) -> str:
  """Returns published weights for config.model.pretrained, '' where a network has none."""
  return NETWORKS[network].weights if network in NETWORKS else ''


def image_size_for(network: str, wanted: int) -> int:
  """Returns the size nearest to the wanted one, pixels, that a network takes in training.

  A transformer's is a multiple of its patches; Inception-v3's auxiliary head needs 299.
  """
  if network == 'inception_v3':
    return max(wanted, NETWORKS[network].image_size)
  match = re.search(r'_patch(\d+)', network)
  patch = int(match[1]) if match else 1
  return max(round(wanted / patch), 1) * patch


class Recipe(NamedTuple):
  """What AdamW takes to fine-tune a family of networks.

  Attributes:
    weight_decay: config.optimizer.weight_decay.
    layer_decay: config.optimizer.layer_decay.
  """

  weight_decay: float
  layer_decay: float


def recipe_for(network: str) -> Recipe:
  """Returns the recipe of the network's family.

  ViT: He et al. 2021, arXiv 2111.06377, table 9; transformers forget what they were pre-trained on
  unless their lower layers move slowly. ConvNeXt: the decay that it was trained with, Liu et al.
  2022, arXiv 2201.03545, table 5. Others: the decay of Wightman et al. 2021, "ResNet strikes back",
  arXiv 2110.00476, table 2, A1.
  """
  if network.startswith('vit'):
    return Recipe(weight_decay=0.05, layer_decay=0.75)
  if network.startswith('convnext'):
    return Recipe(weight_decay=0.05, layer_decay=1.0)
  return Recipe(weight_decay=0.01, layer_decay=1.0)


def fine_tuned(config: Config, others: Sequence[str] = ()) -> Config:
  """Returns the config with what fine-tuning its network takes, as the shipped configs share it.

  The published weights, the nearest image size that the network takes, and the recipe of its family
  replace model.pretrained, data.image_size, optimizer.layer_decay and optimizer.weight_decay. Every
  other choice is the config's.

  Args:
    config: whose network may be what stands after the colon of --config=file.py:NETWORK.
    others: what else the config file takes there.

  Raises:
    InputError: there is no such network.
  """
  network = config.model.name
  if ':' not in network and network not in NETWORKS:
    raise InputError(
      f"'{network}' is no network{nearest(network, (*others, *NETWORKS)) or ';'} "
      'python -m medjax.models lists them'
    )
  recipe = recipe_for(network)
  return dataclasses.replace(
    config,
    data=dataclasses.replace(
      config.data, image_size=image_size_for(network, config.data.image_size)
    ),
    model=dataclasses.replace(config.model, pretrained=weights_of(network)),
    optimizer=dataclasses.replace(config.optimizer, **recipe._asdict()),
  )

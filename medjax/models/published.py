"""What the networks were published with: the size of their images, and weights to start from."""

from typing import NamedTuple


class Published(NamedTuple):
  """Attributes:
  image_size: pixels, of the paper's or the weights' evaluation.
  weights: a name of the hub for config.model.pretrained, trained on ImageNet-1k unless it says else.
  """

  image_size: int
  weights: str


NETWORKS = {
  'resnet18': Published(224, 'timm/resnet18.tv_in1k'),
  'resnet34': Published(224, 'timm/resnet34.tv_in1k'),
  'resnet50': Published(224, 'timm/resnet50.tv_in1k'),
  'resnet101': Published(224, 'timm/resnet101.tv_in1k'),
  'resnet152': Published(224, 'timm/resnet152.tv_in1k'),
  'resnext50_32x4d': Published(224, 'timm/resnext50_32x4d.tv_in1k'),
  'resnext101_32x8d': Published(224, 'timm/resnext101_32x8d.tv_in1k'),
  'wide_resnet50_2': Published(224, 'timm/wide_resnet50_2.tv_in1k'),
}


def weights_of(network: str) -> str:
  """Returns published weights for config.model.pretrained, '' where a network has none."""
  return NETWORKS[network].weights if network in NETWORKS else ''

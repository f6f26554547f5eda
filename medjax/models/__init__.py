"""Networks in Flax Linen: `model(images f[B, H, W, C], train) -> logits f32[B, L]`.

A network is a callable that takes `num_labels` and `dtype`, and settings of its own.
"""

from medjax.models.resnet import resnet18, resnet34, resnet50, resnet101, resnet152, resnet_tiny

__all__ = ['resnet18', 'resnet34', 'resnet50', 'resnet101', 'resnet152', 'resnet_tiny']

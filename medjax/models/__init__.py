"""Networks in Flax Linen: `model(images f[B, H, W, C], train) -> logits f32[B, num_labels]`.

A network is a callable that takes `num_labels` and, where it can compute in bfloat16, `dtype`, and
settings of its own. Four conventions, all optional, open more of medjax to it:

- The names of its top-level parameters say where they stand: 'stem…', then 'stage1…', 'stage2…' in
  the order of computation, then 'head'. Fine-tuning freezes, unfreezes and scales by stage.
- With an attribute `frozen_stages`, stages below that number (the stem is 0) compute as in evaluation
  whatever `train` says: running statistics are used and kept, nothing is dropped.
- With a class attribute `names`, naming scheme → pairs (pattern, replacement), applied one after
  another to 'stage1_block0.conv1.weight', published weights in that naming fit it.
- In training, further logits f32[B, num_labels] may be sown into the collection 'auxiliary'.
"""

from medjax.models.resnet import (
  resnet18,
  resnet34,
  resnet50,
  resnet101,
  resnet152,
  resnet_tiny,
  resnext50_32x4d,
  resnext101_32x8d,
  wide_resnet50_2,
)

__all__ = [
  'resnet18',
  'resnet34',
  'resnet50',
  'resnet101',
  'resnet152',
  'resnet_tiny',
  'resnext50_32x4d',
  'resnext101_32x8d',
  'wide_resnet50_2',
]

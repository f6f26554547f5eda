"""Networks in Flax: `model(images f[B, H, W, C], train) -> logits f32[B, num_labels]`.

A network is a callable that takes `num_labels` and, where it can compute in bfloat16, `dtype`, and
settings of its own, and returns a module of Flax Linen. Eight conventions, all optional, open more
of medjax to it:

- The names of its top-level parameters say where they stand: 'stem…', then 'stage1…', 'stage2…' in
  the order of computation, then 'head'. Fine-tuning freezes, unfreezes and scales by stage.
- With an attribute `frozen_stages`, stages below that number (the stem is 0) compute as in
  evaluation
  whatever `train` says: running statistics are used and kept, nothing is dropped.
- With a class attribute `names`, naming scheme → pairs (pattern, replacement), applied one after
  another to 'stage1_block0.conv1.weight', published weights in that naming fit it.
- With an attribute `required`, naming scheme → settings, weights in that naming are refused unless
  the network has these settings: they were made with others than its defaults.
- With a class attribute `timm_settings`, our names of settings → timm's, an export's config.json
  tells timm these settings.
- With an attribute `spare`, published weights may hold tensors whose names begin with one of these
  and which have no place in the network.
- Heat maps show the last array f[B, h, w, C] that a module inside takes or gives; or, with an
  attribute `feature_map`, what the module of that path gives, which may be tokens f[B, N, C].
- In training, further logits f32[B, num_labels] may be sown into the collection 'auxiliary'.

A network may also be a class of Flax NNX modules, or a function that makes one: called with
`num_labels`, `rngs` and, where it takes them, `dtype` and `channels` (of the images), it returns a
module called with the images alone. Whether it trains is set by NNX's `train()` and `eval()`; it
keeps nothing but `nnx.Param` and `nnx.BatchStat`; and its attributes are the names of its top-level
parameters. Stages that do not train are set to `eval()`, so it needs no `frozen_stages`. It has no
feature map that
Grad-CAM could find: config.evaluation.saliency='integrated_gradients' draws its heat maps.
"""

from medjax.models.convnext import (
  convnext_base,
  convnext_small,
  convnext_tiny,
)
from medjax.models.densenet import (
  densenet121,
  densenet161,
  densenet169,
  densenet201,
)
from medjax.models.efficientnet import (
  efficientnet_b0,
  efficientnet_b1,
  efficientnet_b2,
  efficientnet_b3,
  efficientnet_b4,
  efficientnet_b5,
  efficientnet_b6,
  efficientnet_b7,
  efficientnetv2_m,
  efficientnetv2_s,
  tf_efficientnet_b0,
  tf_efficientnet_b1,
  tf_efficientnet_b2,
  tf_efficientnet_b3,
  tf_efficientnet_b4,
  tf_efficientnet_b5,
  tf_efficientnet_b6,
  tf_efficientnet_b7,
  tf_efficientnetv2_m,
  tf_efficientnetv2_s,
)
from medjax.models.inception import (
  inception_v3,
)
from medjax.models.pretrained.loading import load as load  # Not in __all__, which lists networks.
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
from medjax.models.vit import (
  vit_base_patch14_dinov2,
  vit_base_patch16,
  vit_small_patch14_dinov2,
  vit_small_patch16,
)

# In the order of their papers.
__all__ = [  # noqa: RUF022
  'resnet18',
  'resnet34',
  'resnet50',
  'resnet101',
  'resnet152',
  'resnext50_32x4d',
  'resnext101_32x8d',
  'wide_resnet50_2',
  'densenet121',
  'densenet161',
  'densenet169',
  'densenet201',
  'inception_v3',
  'efficientnet_b0',
  'efficientnet_b1',
  'efficientnet_b2',
  'efficientnet_b3',
  'efficientnet_b4',
  'efficientnet_b5',
  'efficientnet_b6',
  'efficientnet_b7',
  'efficientnetv2_s',
  'efficientnetv2_m',
  'tf_efficientnet_b0',
  'tf_efficientnet_b1',
  'tf_efficientnet_b2',
  'tf_efficientnet_b3',
  'tf_efficientnet_b4',
  'tf_efficientnet_b5',
  'tf_efficientnet_b6',
  'tf_efficientnet_b7',
  'tf_efficientnetv2_s',
  'tf_efficientnetv2_m',
  'convnext_tiny',
  'convnext_small',
  'convnext_base',
  'vit_small_patch16',
  'vit_base_patch16',
  'vit_small_patch14_dinov2',
  'vit_base_patch14_dinov2',
  'resnet_tiny',
]

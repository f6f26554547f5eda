"""Vision Transformers against timm and torchvision, where they are installed."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

from medjax.models import vit
from medjax.models.pretrained import fit

# Ours → timm's name, and the pixels of its weights.
TIMM = {
  'vit_small_patch16': ('vit_small_patch16_224', 224),
  'vit_base_patch16': ('vit_base_patch16_224', 224),
  'vit_small_patch14_dinov2': ('vit_small_patch14_dinov2', 518),
  'vit_base_patch14_dinov2': ('vit_base_patch14_dinov2', 518),
}
NETWORKS = oracle.first_slow_rest_deep(TIMM, [name for name in TIMM if 'small' in name])


def small(**settings):
  """Returns a network of all its parts, of three blocks of a few channels."""
  return vit.VisionTransformer(
    num_labels=3, patch_size=8, width=24, heads=3, depth=3, layer_scale=1e-5, **settings
  )


@functools.cache
def outputs(train, **settings):
  """Returns what each part of a network of random weights gives; the head gives the logits."""
  generator = np.random.default_rng(0)
  variables = jax.tree.map(
    lambda leaf: generator.normal(scale=0.5, size=leaf.shape), oracle.shapes(small(), 32)
  )
  images = generator.normal(size=(4, 32, 32, 3))
  run = functools.partial(small(**settings).apply, train=train, capture_intermediates=True)
  _, state = jax.jit(run)(variables, images, rngs={'dropout': jax.random.key(2)})
  return {
    name: parts['__call__'][0]
    for name, parts in state['intermediates'].items()
    if name.startswith(('stem', 'stage', 'head'))
  }


def changed(ones, others):
  return {name for name in others if not np.allclose(ones[name], others[name], atol=1e-4)}


def torchvisions(name):
  """Returns torchvision's network for 48 px; it has no small one by name."""
  torch, _ = oracle.torch_or_skip()
  published = pytest.importorskip('torchvision').models
  if name == 'vit_base_patch16':
    reference = published.vit_b_16(image_size=48, num_classes=10)
  else:
    reference = published.VisionTransformer(
      image_size=48,
      patch_size=16,
      num_layers=12,
      num_heads=6,
      hidden_dim=384,
      mlp_dim=1536,
      num_classes=10,
    )
  # The head starts from zeros, which would hide the rest.
  torch.nn.init.normal_(reference.heads.head.weight, std=0.02)
  return reference


@pytest.mark.parametrize('name', NETWORKS)
def test_equals_timm(name, tmp_path):
  _, timm = oracle.torch_or_skip()
  image_size = 4 * getattr(vit, name).keywords['patch_size']
  reference = timm.create_model(TIMM[name][0], num_classes=10, img_size=image_size)
  oracle.check(getattr(vit, name)(num_labels=10), reference, image_size, tmp_path)


@pytest.mark.parametrize('name', NETWORKS[:2])
def test_equals_torchvision(name, tmp_path):
  oracle.check(getattr(vit, name)(num_labels=10), torchvisions(name), 48, tmp_path)


def test_names_of_torchvisions_first_files_fit():
  reference = torchvisions('vit_small_patch16')
  old = {
    key.replace('mlp.0', 'mlp.linear_1').replace('mlp.3', 'mlp.linear_2'): value
    for key, value in reference.state_dict().items()
  }
  # torchvision itself still reads these names.
  torchvisions('vit_small_patch16').load_state_dict(dict(old))
  model = vit.vit_small_patch16(num_labels=10)
  tensors = {key: value.numpy() for key, value in old.items()}
  fitted = fit.fit(oracle.shapes(model, 48), tensors, model.names, 'the file', head=True)
  assert (fitted.new, fitted.unused) == ([], [])


@pytest.mark.parametrize('name', ['vit_small_patch16', 'vit_small_patch14_dinov2'])
@pytest.mark.parametrize('patches', [5, 16])
@pytest.mark.slow
def test_files_of_another_image_size_load_as_in_timm(name, patches, tmp_path):
  torch, timm = oracle.torch_or_skip()
  from safetensors.numpy import load_file
  from safetensors.torch import save_file

  image_size = patches * getattr(vit, name).keywords['patch_size']
  architecture, own_size = TIMM[name]
  file = tmp_path / 'published.safetensors'
  published = timm.create_model(architecture, num_classes=10)
  assert published.patch_embed.img_size == (own_size, own_size)
  # LayerScale starts from almost nothing, which would hide the images.
  for key, parameter in published.named_parameters():
    if key.endswith('gamma'):
      torch.nn.init.ones_(parameter)
  save_file(published.state_dict(), file)
  reference = timm.create_model(
    architecture,
    pretrained=True,
    pretrained_cfg_overlay={'file': str(file), 'num_classes': 10, 'custom_load': False},
    num_classes=10,
    img_size=image_size,
  ).eval()
  model = getattr(vit, name)(num_labels=10)
  fitted = fit.fit(
    oracle.shapes(model, image_size), load_file(file), model.names, 'the file', head=True
  )
  np.testing.assert_allclose(
    fitted.variables['params']['stem_pos_embed'], reference.pos_embed.detach().numpy(), atol=1e-6
  )
  pixels = np.random.default_rng(0).normal(size=(2, image_size, image_size, 3)).astype(np.float32)
  with torch.no_grad():
    expected = reference(torch.tensor(pixels.transpose(0, 3, 1, 2))).numpy()
  logits = model.apply(fitted.variables, pixels, train=False)
  assert np.abs(logits - expected).max() <= 1e-4 * np.abs(expected).max()


@pytest.mark.parametrize(
  'shape, nearest',
  [
    ((100, 100), '96 × 96 or 112 × 112 px'),
    ((96, 128), '96 × 96 or '),
    ((9, 9), 'are: 16 × 16 px'),
  ],
)
def test_sizes_that_do_not_divide_into_patches_are_refused(shape, nearest):
  with pytest.raises(ValueError, match=f'{shape[0]} × {shape[1]} px are no square .*{nearest}'):
    vit.vit_small_patch16(num_labels=2).apply({}, jnp.zeros((1, *shape, 1)), train=False)


@pytest.mark.slow
def test_nothing_is_dropped_in_evaluation_or_in_frozen_stages():
  wanted = outputs(train=False)
  assert not changed(outputs(train=False, stochastic_depth=0.5), wanted)
  assert not changed(outputs(train=True, stochastic_depth=0.5, frozen_stages=4), wanted)
  # What is kept of a branch is scaled, so that training changes what every such block gives.
  assert changed(outputs(train=True, stochastic_depth=0.5, frozen_stages=3), wanted) == {
    'stage3',
    'stage3_norm',
    'head',
  }


def test_dropout_acts_in_training_only():
  wanted = outputs(train=False)
  assert not changed(outputs(train=False, dropout=0.5), wanted)
  assert changed(outputs(train=True, dropout=0.5), wanted) == {'head'}


def test_bfloat16_agrees_and_keeps_parameters_and_logits_in_float32():
  model = small(dtype=jnp.bfloat16)
  assert {leaf.dtype for leaf in jax.tree.leaves(oracle.shapes(model, 32))} == {
    jnp.dtype('float32')
  }
  wanted, actual = (outputs(train=False, dtype=dtype) for dtype in (jnp.float32, jnp.bfloat16))
  assert actual['stage3'].dtype == jnp.bfloat16
  assert actual['head'].dtype == jnp.float32
  assert np.abs(actual['head'] - wanted['head']).max() <= 0.05 * np.abs(wanted['head']).max()


@pytest.mark.slow
def test_each_branch_is_dropped_on_its_own():
  block = vit.Block(heads=1, layer_scale=None, drop_rate=0.5, dtype=jnp.float32)
  x = jnp.broadcast_to(jax.random.normal(jax.random.key(1), (1, 5, 8)), (64, 5, 8))
  variables = block.init(jax.random.key(0), x, train=False)
  y = block.apply(variables, x, train=True, rngs={'dropout': jax.random.key(2)})
  # Of equal images: both branches kept, the first alone, the second alone, neither.
  assert len(np.unique(np.round(y.reshape(64, -1), 4), axis=0)) == 4


def test_starts_as_timm_does():
  _, timm = oracle.torch_or_skip()
  reference = timm.models.VisionTransformer(
    img_size=32, patch_size=8, embed_dim=24, num_heads=3, depth=3, init_values=1e-5, num_classes=3
  )
  # The patches start as the paper's do and torchvision's.
  oracle.check_initialisation(small(), reference, 32, otherwise=['patch_embed.proj'])

"""Heat maps: worked cases, torch with hooks where it is installed, and every family."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from random_networks import drawn, random_variables
from scipy.special import expit, logit

from medjax import config as configs
from medjax import models
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.final_test import saliency
from medjax.models import convnext, densenet, efficientnet, heads, inception, resnet, vit
from medjax.models.normalisation import Normalisation
from medjax.models.pretrained import fit
from medjax.training import learner

CAMS = ('grad_cam', 'grad_cam_plus_plus')


def normalise(pixels):
  return (pixels - 0.5) / 0.25


@functools.cache
def jitted(method, model, head, steps):
  call = functools.partial(saliency.heat_maps, method, model, head=head, normalise=normalise)
  return jax.jit(functools.partial(call, steps=steps))


def maps_of(model, variables, images, labels=0, method='grad_cam', head='sigmoid', steps=4):
  return np.asarray(jitted(method, model, head, steps)(variables, images, jnp.asarray(labels)))


class Averaged(nn.Module):
  """Anybody's network: convolutions, their average, a linear head."""

  num_labels: int = 3

  @nn.compact
  def __call__(self, images, train):
    x = nn.relu(nn.Conv(8, (3, 3), (2, 2))(images))
    x = nn.relu(nn.Conv(5, (3, 3), (2, 2), name='last')(x))
    x = nn.Dropout(0.5)(x, deterministic=not train)
    return nn.Dense(self.num_labels, name='head')(jnp.mean(x, axis=(1, 2)))


class Linear(nn.Module):
  @nn.compact
  def __call__(self, images, train):
    return nn.Dense(3, name='head')(images.reshape(len(images), -1))


class Tokens(nn.Module):
  """Two tokens before a grid of 4 × 4, which are averaged or of which the first is read."""

  averaged: bool
  feature_map: str = ''

  @nn.compact
  def __call__(self, images, train):
    x = nn.Conv(6, (8, 8), (8, 8))(images).reshape(len(images), 16, 6)
    extra = self.param('extra', nn.initializers.normal(), (2, 6))
    x = jnp.concatenate([jnp.broadcast_to(extra, (len(x), 2, 6)), x], axis=1)
    y = nn.LayerNorm(name='norm')(x)
    x = x + nn.MultiHeadDotProductAttention(2)(y)
    return nn.Dense(3, name='head')(x.mean(axis=1) if self.averaged else x[:, 0])


# ---- worked cases ------------------------------------------------------------


def test_of_an_average_and_a_linear_head_grad_cam_is_the_class_activation_map():
  """Zhou et al. 2016, arXiv 1512.04150, equation 2; Selvaraju et al., section 3.1, show it."""
  model, images = Averaged(), drawn()
  variables = random_variables(model, images)
  _, state = model.apply(
    variables, normalise(images / 255.0), train=False, capture_intermediates=True
  )
  features = np.maximum(state['intermediates']['last']['__call__'][0], 0)
  assert features.shape == (2, 8, 8, 5)
  labels = np.array([2, 0])
  kernel = variables['params']['head']['kernel'][:, labels]  # [5, 2]
  activation = np.einsum('bhwc,cb->bhw', features, kernel)
  wanted = jax.image.resize(np.maximum(activation, 0) / 64, (2, 32, 32), 'linear')
  assert (wanted > 0).any(axis=(1, 2)).all()
  np.testing.assert_allclose(maps_of(model, variables, images, labels), wanted, atol=1e-6)


def test_of_a_linear_network_integrated_gradients_is_weight_times_pixel():
  model, images = Linear(), drawn(size=4)
  variables = random_variables(model, images)
  pixels, labels = images / np.float32(255), np.array([1, 2])
  heat = saliency.integrated_gradients(
    model, variables, pixels, labels, head='softmax', normalise=normalise, steps=3
  )
  kernel = variables['params']['head']['kernel'][:, labels].T.reshape(pixels.shape)
  np.testing.assert_allclose(heat, pixels * kernel / 0.25, atol=1e-5)
  maps = maps_of(model, variables, images, labels, 'integrated_gradients')
  np.testing.assert_allclose(maps, np.maximum(np.sum(heat, axis=-1), 0), atol=1e-5)


@pytest.mark.parametrize('head', ['sigmoid', 'ordinal'])
def test_integrated_gradients_add_up_to_the_difference_from_black(head):
  model, images = Averaged(), drawn(size=16)
  variables = random_variables(model, images)
  pixels, labels = jnp.asarray(images / np.float32(255)), jnp.array([1, 2])
  settings = {'head': head, 'normalise': normalise, 'steps': 200}
  heat = saliency.integrated_gradients(model, variables, pixels, labels, **settings)

  def score(pixels):
    return saliency.score(head, model.apply(variables, normalise(pixels), train=False), labels)

  wanted = score(pixels) - score(jnp.zeros_like(pixels))
  assert np.abs(wanted).max() > 0.1
  np.testing.assert_allclose(heat.sum(axis=(1, 2, 3)), wanted, rtol=0.01, atol=0.002)


def test_of_grades_the_score_is_the_logit_of_reaching_them():
  logits = np.random.default_rng(0).normal(scale=2, size=(5, 3)).astype(np.float32)
  chances = expit(np.asarray(heads.log_odds('ordinal', logits), np.float64))
  for grade in range(4):
    heat = saliency.score('ordinal', logits, np.full(5, grade))
    wanted = chances[:, :1] if grade == 0 else chances[:, grade:]
    np.testing.assert_allclose(heat, logit(wanted.sum(axis=1)), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('extreme', [-200.0, 0.0, 40.0, 200.0])
def test_of_grades_the_score_stays_finite(extreme):
  for grade in range(4):
    call = functools.partial(saliency.score, 'ordinal', labels=jnp.array([grade]))
    value, gradient = jax.value_and_grad(lambda x, call=call: call(x)[0])(jnp.full((1, 3), extreme))
    assert np.isfinite(value) and np.isfinite(gradient).all()


# ---- torch -------------------------------------------------------------------


def _families(torch, timm):
  """Name → our and their network, their module with the last feature map, and its tokens."""
  cnn, net = timm.models, timm.models.resnet
  small, widths = (1, 1, 1, 1), (8, 16, 24, 32)
  return {
    'resnet': lambda: (
      resnet.ResNet(3, depths=small, block=resnet.BasicBlock),
      net.ResNet(net.BasicBlock, small, num_classes=3),
      'layer4',
    ),
    'densenet': lambda: (
      densenet.DenseNet(3, depths=(1, 2), growth=32),
      cnn.densenet.DenseNet(32, (1, 2), num_classes=3),
      'features',
    ),
    'convnext': lambda: (
      convnext.ConvNeXt(3, depths=small, widths=widths),
      cnn.convnext.ConvNeXt(num_classes=3, depths=small, dims=widths),
      'stages',
    ),
    'vit': lambda: (
      vit.VisionTransformer(3, patch_size=8, width=24, heads=3, depth=2),
      cnn.vision_transformer.VisionTransformer(
        img_size=64, patch_size=8, embed_dim=24, num_heads=3, depth=2, num_classes=3
      ),
      'blocks.1.norm1',
    ),
    'efficientnet': lambda: (
      models.efficientnet_b0(3),
      timm.create_model('efficientnet_b0', num_classes=3),
      'bn2',
    ),
  }


@pytest.mark.parametrize(
  'family',
  ['resnet', 'densenet', 'convnext', 'vit', pytest.param('efficientnet', marks=pytest.mark.slow)],
)
def test_equals_torch_with_hooks(family):
  torch, timm = oracle.torch_or_skip()
  ours, torchs, name = _families(torch, timm)[family]()
  images = drawn(size=64)
  inputs = torch.tensor(normalise(images / 255.0).transpose(0, 3, 1, 2).astype(np.float32))
  oracle.randomise(torch, torchs, inputs)
  torchs.zero_grad()
  tensors = {key: value.numpy() for key, value in torchs.state_dict().items()}
  fitted = fit.fit(oracle.shapes(ours, 64), tensors, ours.names, 'the oracle', head=True)
  assert fitted.new == []

  kept = {}
  hook = lambda module, given, output: kept.update(output=output)  # noqa: E731
  torchs.get_submodule(name).register_forward_hook(hook)
  labels = [2, 1]
  scores = torchs(inputs)[range(2), labels]
  gradient = torch.autograd.grad(scores.sum(), kept['output'])[0].double()
  features = kept['output'].detach().double()
  if family == 'vit':
    features, gradient = (
      tokens[:, 1:].reshape(2, 8, 8, 24).permute(0, 3, 1, 2) for tokens in (features, gradient)
    )
  # Of the second paper, equation 19 for Y = exp(S), and 11, as they stand.
  e = scores.detach().double().exp()[:, None, None, None]
  sums = features.clamp(min=0).sum(dim=(2, 3), keepdim=True)
  alpha = e * gradient**2 / (2 * e * gradient**2 + sums * e * gradient**3)
  plus_plus = (alpha.nan_to_num(0) * (e * gradient).clamp(min=0)).sum(dim=(2, 3)) / e[..., 0, 0]
  for method, weights in (
    ('grad_cam', gradient.mean(dim=(2, 3))),
    ('grad_cam_plus_plus', plus_plus),
  ):
    coarse = torch.einsum('bchw,bc->bhw', features, weights).clamp(min=0)
    wanted = torch.nn.functional.interpolate(coarse[None], (64, 64), mode='bilinear')[0].numpy()
    heat = maps_of(ours, fitted.variables, images, np.array(labels), method)
    assert wanted.max() > 0
    assert np.abs(heat - wanted).max() <= 1e-3 * wanted.max(), method


# ---- every family ------------------------------------------------------------

_STAGES = (
  efficientnet.Stage(efficientnet.MBConv, 1, 3, 1, 8, 1),
  efficientnet.Stage(efficientnet.MBConv, 4, 5, 2, 16, 1),
)
FAMILIES = {
  'resnet_tiny': (models.resnet_tiny, 32),
  'densenet': (functools.partial(densenet.DenseNet, depths=(2, 2), growth=4), 32),
  'efficientnet': (functools.partial(efficientnet.EfficientNet, stages=_STAGES, stem=8), 32),
  'convnext': (functools.partial(convnext.ConvNeXt, depths=(1, 1), widths=(8, 16)), 32),
  'vit': (
    functools.partial(vit.VisionTransformer, patch_size=8, width=24, heads=3, depth=2),
    32,
  ),
  'inception_v3': (functools.partial(inception.InceptionV3, auxiliary=False), 107),
  'resnet18': (models.resnet18, 64),
  'densenet121': (models.densenet121, 64),
  'efficientnet_b0': (models.efficientnet_b0, 64),
  'convnext_tiny': (models.convnext_tiny, 64),
  'vit_small_patch16': (models.vit_small_patch16, 64),
}
_LARGEST = ('inception_v3', 'densenet121', 'efficientnet_b0', 'convnext_tiny', 'vit_small_patch16')


@pytest.mark.parametrize(
  'name',
  [
    'resnet_tiny',
    *(
      pytest.param(name, marks=pytest.mark.slow)
      for name in FAMILIES
      if name not in ('resnet_tiny', *_LARGEST)
    ),
    *(pytest.param(name, marks=pytest.mark.deep) for name in _LARGEST),
  ],
)
def test_every_family_has_heat_maps(name):
  make, size = FAMILIES[name]
  model, images = make(num_labels=3), drawn(size=size)
  variables = random_variables(model, images)
  for method in saliency.SALIENCIES:
    both = maps_of(model, variables, images, np.array([0, 1]), method)
    other = maps_of(model, variables, images, np.array([1, 2]), method)
    assert both.shape == (2, size, size) and both.dtype == np.float32
    assert np.isfinite(both).all() and (both >= 0).all()
    assert (both != other).any()  # Each image was asked for its own label.
    assert (both > 0).any() or (other > 0).any()


@pytest.mark.parametrize('method', saliency.SALIENCIES)
def test_an_image_has_the_same_map_alone(method):
  model, images = models.resnet_tiny(num_labels=3, width=4), drawn(3)
  variables = random_variables(model, images)
  together = maps_of(model, variables, images, np.array([0, 1, 2]), method)
  alone = maps_of(model, variables, images[1:2], 1, method)
  np.testing.assert_allclose(together[1:2], alone, rtol=1e-3, atol=1e-5)


def test_bfloat16_shows_about_the_same():
  images = drawn()
  model = models.resnet_tiny(num_labels=3, width=8)
  variables = random_variables(model, images)
  wanted = maps_of(model, variables, images, 1)
  heat = maps_of(model.clone(dtype=jnp.bfloat16), variables, images, 1)
  assert wanted.max() > 0
  assert np.abs(heat - wanted).max() <= 0.1 * wanted.max()


# ---- anybody's network -------------------------------------------------------


def test_a_network_without_a_feature_map_reports_what_it_needs():
  images = drawn(size=4)
  variables = random_variables(Linear(), images)
  for method in CAMS:
    with pytest.raises(InputError, match='Linear shows none; give it an attribute feature_map'):
      maps_of(Linear(), variables, images, method=method)
  assert maps_of(Linear(), variables, images, method='integrated_gradients').any()


@pytest.mark.parametrize('averaged', [True, False])
def test_tokens_are_laid_out_as_a_grid(averaged):
  images = drawn()
  images[:, :, 16:] = images[:, :, :16]
  variables = random_variables(Tokens(averaged), images)
  with pytest.raises(InputError, match='Tokens shows none'):
    maps_of(Tokens(averaged), variables, images)
  with pytest.raises(InputError, match="no module 'norm1' that gives one"):
    maps_of(Tokens(averaged, feature_map='norm1'), variables, images)
  model = Tokens(averaged, feature_map='norm')
  call = functools.partial(saliency.feature_gradients, model, head='softmax', normalise=normalise)
  features, gradient = jax.jit(call)(variables, images / np.float32(255), jnp.array([0, 1]))
  assert features.shape == gradient.shape == (2, 4, 4, 6)
  # The right half of the image is the left one again, and nothing tells tokens their place.
  np.testing.assert_allclose(features[:, :, 2:], features[:, :, :2], atol=1e-5)
  np.testing.assert_allclose(gradient[:, :, 2:], gradient[:, :, :2], atol=1e-5)
  assert np.abs(gradient).max() > 1e-4
  assert not np.allclose(features[:, 2:], features[:, :2], atol=1e-2)


# ---- of a run ----------------------------------------------------------------


def test_of_learner_uses_the_runs_own_head_and_normalisation():
  config = configs.load('configs/phantom.py', ['data.image_size=32', 'model.settings.width=4'])
  learn = learner.build(config, ImageFormat(32, 1), Normalisation((0.4,), (0.2,)))
  images = drawn(channels=1)
  variables = random_variables(learn.network, images)
  heat = saliency.of_learner(learn, variables, 'grad_cam')(images, np.array([2, 1]))
  wanted = jax.jit(
    functools.partial(
      saliency.heat_maps,
      'grad_cam',
      learn.network,
      head='sigmoid',
      normalise=lambda pixels: (pixels - 0.4) / 0.2,
    )
  )(variables, images, np.array([2, 1]))
  assert np.max(wanted) > 0
  np.testing.assert_allclose(heat, wanted, rtol=1e-3, atol=1e-5)


def test_a_misspelt_method_is_named():
  with pytest.raises(InputError, match=r"'gradcam'; allowed: grad_cam, .* did you mean 'grad_cam'"):
    saliency.of_learner(None, {}, 'gradcam')

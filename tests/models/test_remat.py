"""Activations computed again for the gradient: the same gradient, and fewer of them kept."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax import config as configs
from medjax import models
from medjax.config import Config, Data, Model, Optimizer
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.experiment import memory
from medjax.models.convnext import ConvNeXt
from medjax.models.densenet import DenseNet
from medjax.models.efficientnet import EfficientNet, MBConv, Stage
from medjax.models.normalisation import Normalisation
from medjax.models.resnet import Bottleneck, ResNet
from medjax.models.vit import VisionTransformer
from medjax.training import learner

NETWORKS = {
  'resnet': (lambda **given: ResNet(2, (1, 2), Bottleneck, width=4, **given), 32),
  'densenet': (lambda **given: DenseNet(2, (2, 2), growth=4, **given), 32),
  'efficientnet': (
    lambda **given: EfficientNet(2, (Stage(MBConv, 6, 3, 1, 80, 2),), 80, 0.1, **given), 32,
  ),
  'convnext': (
    lambda **given: ConvNeXt(2, (1, 2), (4, 8), **given), 32,
  ),
  'vit': (lambda **given: VisionTransformer(2, 8, 8, 2, depth=2, **given), 32),
  'inception': (lambda **given: models.inception_v3(2, auxiliary=False, **given), 75),
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
  'name',
  [pytest.param(name, marks=[pytest.mark.deep] * (name == 'inception')) for name in NETWORKS],
)
def test_the_gradient_is_the_same_and_less_is_kept_for_it(name):
  make, size = NETWORKS[name]
  images = jnp.asarray(np.random.default_rng(0).normal(size=(2, size, size, 1)), jnp.float32)
  variables = jax.jit(lambda: make().init(jax.random.key(0), images, train=False))()
  params, statistics = variables['params'], variables.get('batch_stats', {})

  def of(network):
    def loss(params):
      logits, updated = network.apply(
        {'params': params, 'batch_stats': statistics},
        images,
        train=True,
        mutable=['batch_stats'],
        rngs={'dropout': jax.random.key(1)},
      )
      return jnp.sum(logits**2), updated

    (value, updated), gradients = jax.jit(jax.value_and_grad(loss, has_aux=True))(params)
    kept = jax.eval_shape(lambda params: jax.vjp(lambda params: loss(params)[0], params)[1], params)
    size = sum(leaf.size for leaf in jax.tree.leaves(kept))
    return jax.tree.leaves((value, updated, gradients)), size

  assert jax.tree.structure(make(remat=True).init(jax.random.key(0), images, train=False)) == (
    jax.tree.structure(variables)
  )
  (plain, all_kept), (again, kept) = of(make()), of(make(remat=True))
  parameters = sum(leaf.size for leaf in jax.tree.leaves(params))
  for one, other in zip(plain, again, strict=True):
    np.testing.assert_allclose(one, other, rtol=2e-3, atol=1e-4)
  assert kept - parameters < 0.6 * (all_kept - parameters)


def test_a_network_without_it_is_refused_and_a_setting_is_not_a_way_around():
  config = Config(Data('', '', ('x',)), Model('nnx_nets:Net', remat=True))
  with pytest.raises(InputError, match=r'config.model.remat=True: nnx_nets:Net has no attribute'):
    learner.build(config, ImageFormat(32, 1), Normalisation((0.5,), (0.25,)))
  config = Config(Data('', '', ('x',)), Model('resnet_tiny', settings={'remat': True}))
  with pytest.raises(InputError, match='remat'):
    learner.build(config, ImageFormat(32, 1), Normalisation((0.5,), (0.25,)))


def test_too_little_memory_names_what_would_help_with_numbers():
  config = Config(
    Data('', '', ('x',)), Model('resnet_tiny'), optimizer=Optimizer(accumulate=2), batch_size=32
  )
  configs.check(config)
  with pytest.raises(InputError) as refused, memory.errors_in_words(config):
    raise jax.errors.JaxRuntimeError('RESOURCE_EXHAUSTED: Out of memory allocating 9 bytes.\nmore')
  (line,) = str(refused.value).splitlines()
  for words in (
    'allocating 9 bytes', 'model.remat=True', 'batch_size=16 instead of 32',
    'accumulate=4, so that 8 images are computed at a time instead of 16', 'data.placement=host',
  ):  # fmt: skip
    assert words in line
  with pytest.raises(jax.errors.JaxRuntimeError), memory.errors_in_words(config):
    raise jax.errors.JaxRuntimeError('INTERNAL: something else')

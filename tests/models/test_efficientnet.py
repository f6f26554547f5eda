"""EfficientNets against timm and torchvision, where they are installed."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest

from medjax.models import efficientnet
from medjax.models.pretrained import fit

NAMES = (
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
)
# What torchvision's weights of the same geometry need besides.
TORCHVISION = {
  'efficientnet_b5': {'epsilon': 1e-3, 'momentum': 0.99},
  'efficientnet_b6': {'epsilon': 1e-3, 'momentum': 0.99},
  'efficientnet_b7': {'epsilon': 1e-3, 'momentum': 0.99},
  'efficientnetv2_s': {'epsilon': 1e-3},
  'efficientnetv2_m': {'epsilon': 1e-3},
}
TIMM = (*NAMES, *(f'tf_{name}' for name in NAMES))
FIRST = ('efficientnet_b0', 'tf_efficientnet_b0', 'efficientnetv2_s')
# Fast to compile.
SMALL = functools.partial(
  efficientnet.EfficientNet,
  stages=(
    efficientnet.Stage(efficientnet.FusedMBConv, expansion=1, kernel=3, stride=1, width=8, depth=1),
    efficientnet.Stage(
      efficientnet.FusedMBConv, expansion=4, kernel=3, stride=2, width=16, depth=2
    ),
    efficientnet.Stage(efficientnet.MBConv, expansion=6, kernel=5, stride=1, width=16, depth=1),
  ),
  stem=8,
)


def network(name, **settings):
  return getattr(efficientnet, name)(**settings)


def timm_network(name, **settings):
  _, timm = oracle.torch_or_skip()
  return timm.create_model(name, **settings)


def torchvision_network(name, **settings):
  oracle.torch_or_skip()
  import torchvision

  return torchvision.models.get_model(
    name.replace('netv2', 'net_v2'), dropout=0.0, stochastic_depth_prob=0.0, **settings
  )


def check(model, reference, tmp_path):
  """Compares by the oracle, on a batch under which float32 suffices."""
  # Even down to the last stride, where 'SAME' pads otherwise than torch; odd, where it does not.
  image_size = 96 if model.same_padding else 97
  oracle.check(model, reference, image_size, tmp_path, batch=4)


@functools.cache
def shapes(name):
  return oracle.shapes(network(name, num_labels=1000), 224)


@pytest.mark.parametrize('create', [timm_network, torchvision_network])
@pytest.mark.parametrize('name', NAMES)
def test_names_and_shapes_are_those_of_both_libraries(name, create):
  torch, _ = oracle.torch_or_skip()
  with torch.device('meta'):
    reference = create(name).state_dict()
  tensors = {key: np.zeros(value.shape, np.float32) for key, value in reference.items()}
  fitted = fit.fit(shapes(name), tensors, network(name, num_labels=1).names, 'theirs', head=True)
  assert fitted.new == []
  assert {key.rpartition('.')[2] for key in fitted.unused} == {'num_batches_tracked'}


def batch_norms(create, name):
  """Returns the (epsilon, momentum), flax's, of all BatchNorms."""
  torch, _ = oracle.torch_or_skip()
  with torch.device('meta'):
    modules = create(name).modules()
  norms = [module for module in modules if isinstance(module, torch.nn.BatchNorm2d)]
  return {(norm.eps, 1 - norm.momentum) for norm in norms}


@pytest.mark.parametrize('name', TIMM)
def test_batch_norms_are_those_of_timm(name):
  model = network(name, num_labels=1)
  assert batch_norms(timm_network, name) == {(model.epsilon, model.momentum)}


@pytest.mark.parametrize('name', NAMES)
def test_batch_norms_can_be_those_of_torchvision(name):
  model = network(name, num_labels=1, **TORCHVISION.get(name, {}))
  assert batch_norms(torchvision_network, name) == {(model.epsilon, model.momentum)}
  assert model.required['torchvision'] == {'epsilon': model.epsilon, 'same_padding': False}


@pytest.mark.parametrize('name', oracle.first_slow_rest_deep(TIMM, FIRST))
def test_equals_timm(name, tmp_path):
  check(network(name, num_labels=10), timm_network(name, num_classes=10), tmp_path)


@pytest.mark.slow
def test_fused_blocks_equal_timm(tmp_path):
  model = network('efficientnetv2_s', num_labels=10, depth_multiplier=0.2)
  reference = timm_network('efficientnetv2_s', num_classes=10, depth_multiplier=0.2)
  check(model, reference, tmp_path)


@pytest.mark.parametrize('name', oracle.first_slow_rest_deep(NAMES, FIRST))
def test_equals_torchvision(name, tmp_path):
  # The oracle steps with torch's default momentum.
  model = network(name, num_labels=10, **(TORCHVISION.get(name, {}) | {'momentum': 0.9}))
  check(model, torchvision_network(name, num_classes=10), tmp_path)


@functools.cache
def small_variables():
  """Returns random numbers: compiling an initialisation takes longer than the tests."""
  random = np.random.default_rng(0)

  def fill(leaf):
    drawn = random.normal(size=leaf.shape) if leaf.ndim > 1 else random.uniform(0.5, 1, leaf.shape)
    return drawn.astype(np.float32)

  return jax.tree.map(fill, oracle.shapes(SMALL(num_labels=2), 32, channels=1))


@functools.cache
def compiled(train, **settings):
  apply = SMALL(num_labels=2, **settings).apply
  return jax.jit(functools.partial(apply, train=train, mutable=['batch_stats']))


def run(train, seed=0, **settings):
  """Returns logits and statistics after eight noise images."""
  images = np.random.default_rng(0).normal(size=(8, 32, 32, 1)).astype(np.float32)
  rngs = {'dropout': jax.random.key(seed)}
  logits, updated = compiled(train, **settings)(small_variables(), images, rngs=rngs)
  return jax.device_get((logits, updated['batch_stats']))


def test_frozen_stages_keep_their_statistics():
  old = small_variables()['batch_stats']
  _, new = run(train=True, frozen_stages=3)
  kept = {name for name in old if jax.tree.all(jax.tree.map(np.array_equal, old[name], new[name]))}
  assert kept == {'stem', 'stage1_block0', 'stage2_block0', 'stage2_block1'}
  assert old.keys() - kept == {'stage3_block0', 'stage3_last'}


@pytest.mark.parametrize('setting', ['dropout', 'stochastic_depth'])
def test_drops_in_training_alone(setting):
  drops = {setting: 0.5}
  assert np.array_equal(run(train=False, **drops)[0], run(train=False)[0])
  assert not np.array_equal(run(True, seed=0, **drops)[0], run(True, seed=1, **drops)[0])


def test_momentum_is_the_share_of_statistics_kept():
  old = small_variables()['batch_stats']
  moved = [
    jax.tree.map(np.subtract, run(train=True, momentum=momentum)[1], old)
    for momentum in (0.9, 0.99)
  ]
  for fast, slow in zip(*map(jax.tree.leaves, moved)):
    np.testing.assert_allclose(slow, fast / 10, rtol=1e-3, atol=1e-6)


def test_depthwise_convolutions_begin_as_the_authors_do():
  layer = efficientnet.ConvNorm(
    features=96,
    kernel=5,
    same_padding=False,
    epsilon=1e-5,
    momentum=0.9,
    dtype=jnp.float32,
    depthwise=True,
  )
  variables = layer.init(jax.random.key(0), jnp.ones((1, 8, 8, 96)), train=False)
  # Normal, of variance 2 / 25 for filters of 25 weights.
  assert variables['params']['conv']['kernel'].std() == pytest.approx((2 / 25) ** 0.5, rel=0.1)


def test_bfloat16_keeps_parameters_statistics_and_logits_in_float32():
  model = SMALL(num_labels=2, dtype=jnp.bfloat16)
  every = (oracle.shapes(model, 32, channels=1), run(train=True, dtype=jnp.bfloat16))
  assert {leaf.dtype for leaf in jax.tree.leaves(every)} == {jnp.dtype('float32')}


def test_starts_as_timm_does():
  model = network('efficientnetv2_s', num_labels=10, depth_multiplier=0.2)
  reference = timm_network('efficientnetv2_s', num_classes=10, depth_multiplier=0.2)
  # The head's range would be 1 / √labels, made for a thousand of them.
  oracle.check_initialisation(model, reference, 64, otherwise=['classifier'])

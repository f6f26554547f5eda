"""A network with published weights, from Python."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from flax import traverse_util
from safetensors.numpy import load_file, save_file

import medjax.models
from medjax.errors import InputError
from medjax.models.pretrained import fit

WIDTH, LABELS = 4, 5
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
DESCRIPTION = {
  'architecture': 'resnet_tiny',
  'pretrained_cfg': {
    'input_size': [3, 64, 64], 'mean': MEAN, 'std': STD, 'interpolation': 'bicubic',
  },
}  # fmt: skip


@pytest.fixture(scope='module')
def file(tmp_path_factory):
  """Weights as timm publishes them, with their description."""
  folder = tmp_path_factory.mktemp('published')
  network = medjax.models.resnet_tiny(num_labels=LABELS, width=WIDTH)
  rng = np.random.default_rng(0)
  leaves = traverse_util.flatten_dict(dict(oracle.shapes(network, 64)), sep='/')
  tensors = {
    fit.published_name(path.partition('/')[2], network.names['timm']): np.ascontiguousarray(
      fit.to_torch(rng.uniform(0.1, 0.3, leaf.shape).astype(np.float32), path)
    )
    for path, leaf in leaves.items()
  }
  save_file(tensors, folder / 'model.safetensors')
  (folder / 'config.json').write_text(json.dumps(DESCRIPTION))
  return folder / 'model.safetensors'


def test_a_network_with_the_head_of_its_weights_computes_their_logits(file):
  network, variables, normalisation = medjax.models.load('resnet_tiny', str(file), width=WIDTH)
  images = np.random.default_rng(1).uniform(size=(2, 64, 64, 3)).astype(np.float32)
  logits, taken = network.apply(
    variables, normalisation(images), train=False, capture_intermediates=True
  )
  assert logits.shape == (2, LABELS)
  # The head by hand: the means of the last feature map, times torch's [out, in] kernel.
  maps = [
    value[0]
    for path, value in traverse_util.flatten_dict(taken['intermediates']).items()
    if getattr(value[0], 'ndim', 0) == 4
  ]
  tensors = load_file(file)
  by_hand = maps[-1].mean(axis=(1, 2)) @ tensors['fc.weight'].T + tensors['fc.bias']
  np.testing.assert_allclose(logits, by_hand, rtol=1e-4)
  np.testing.assert_allclose(
    normalisation(images)[0, 3, 4], (images[0, 3, 4] - MEAN) / STD, rtol=1e-4
  )
  assert (normalisation.image_size, normalisation.interpolation) == (64, 'bicubic')


def test_a_new_head_is_drawn_by_the_seed_and_all_else_is_of_the_file(file):
  one, same, other = (
    medjax.models.load('resnet_tiny', str(file), 3, seed=seed, width=WIDTH).variables
    for seed in (0, 0, 1)
  )
  kernel = one['params']['head']['kernel']
  assert kernel.shape[1] == 3 and np.std(kernel) > 0.01
  np.testing.assert_array_equal(kernel, same['params']['head']['kernel'])
  assert not np.allclose(kernel, other['params']['head']['kernel'])
  tensors = load_file(file)
  stem = np.asarray(one['params']['stem_conv1']['kernel'])
  np.testing.assert_array_equal(stem, tensors['conv1.weight'].transpose(2, 3, 1, 0))
  statistics = one['batch_stats']['stem_bn1']['mean']
  np.testing.assert_array_equal(statistics, tensors['bn1.running_mean'])


def test_grey_images_take_the_summed_stem_and_the_average_normalisation(file):
  loaded = medjax.models.load('resnet_tiny', str(file), 3, channels=1, width=WIDTH)
  stem = np.asarray(loaded.variables['params']['stem_conv1']['kernel'])
  summed = load_file(file)['conv1.weight'].sum(axis=1, keepdims=True).transpose(2, 3, 1, 0)
  np.testing.assert_allclose(stem, summed, rtol=1e-6)
  assert loaded.normalisation.mean == (pytest.approx(0.449),)
  logits = loaded.network.apply(
    loaded.variables, loaded.normalisation(jnp.zeros((1, 64, 64, 1))), train=False
  )
  assert logits.shape == (1, 3) and jnp.isfinite(logits).all()


def test_the_variables_are_those_that_the_network_would_draw(file):
  network, variables, _ = medjax.models.load('resnet_tiny', str(file), 3, width=WIDTH)
  expected = jax.tree.map(jnp.shape, dict(oracle.shapes(network, 64)))
  assert jax.tree.map(jnp.shape, variables) == expected


@pytest.mark.parametrize(
  ('name', 'settings', 'words'),
  [
    ('resnet_tine', {}, ["name is 'resnet_tine'", "did you mean 'resnet_tiny'?"]),
    ('resnet_tiny', {'wdth': 4}, ["settings: the setting is 'wdth'", 'width']),
    ('resnet_tiny', {'width': 8}, ['of another shape', 'needs (32,)']),
    ('resnet18', {}, ['weights of resnet_tiny', 'name is resnet18']),
  ],
)
def test_what_does_not_fit_is_one_line_in_the_words_of_the_call(file, name, settings, words):
  with pytest.raises(InputError) as raised:
    medjax.models.load(name, str(file), 3, **settings)
  message = str(raised.value)
  assert '\n' not in message and 'config.' not in message
  for word in words:
    assert word in message


def test_weights_that_do_not_say_what_they_need_ask(file, tmp_path):
  alone = tmp_path / 'model.safetensors'
  alone.write_bytes(file.read_bytes())
  with pytest.raises(InputError, match=r"pretrained='.*': nothing says the size of its images"):
    medjax.models.load('nnx_nets:Net', str(alone), 3)
  with pytest.raises(InputError, match='nothing says how its images were normalised'):
    medjax.models.load('resnet_tiny', str(alone), 3, image_size=64, width=WIDTH)
  with pytest.raises(InputError, match=r"pretrained='.*nowhere.safetensors': no such file"):
    medjax.models.load('resnet_tiny', str(tmp_path / 'nowhere.safetensors'), 3)

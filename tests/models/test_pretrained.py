"""Published weights: found, read without unpickling, and fitted whole or not at all."""

import dataclasses
import json

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import published_file
import pytest
from flax import traverse_util
from published_file import DESCRIPTION, NETWORK, random_tensors
from safetensors.numpy import load_file, save_file

from medjax import models
from medjax.config import Config, Data, Model
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.models.normalisation import Normalisation
from medjax.models.pretrained import fit, loading, weights
from medjax.training import preprocessing


@pytest.fixture
def file(tmp_path):
  """A complete safetensors file."""
  return published_file.write(tmp_path)


def load(path, network=NETWORK, channels=3, architecture='resnet_tiny'):
  shapes = oracle.shapes(network, 64, channels)
  return loading.fit_network(weights.find(str(path)), shapes, network, architecture, settings={})


def test_names_are_those_of_the_published_files():
  names = random_tensors(NETWORK)
  for name in ('conv1.weight', 'bn1.running_var', 'layer2.0.downsample.0.weight', 'fc.bias'):
    assert name in names


def test_everything_is_filled_or_new_and_used_or_unused(file):
  fitted = load(file)
  filled = traverse_util.flatten_dict(fitted.variables, sep='/')
  every = traverse_util.flatten_dict(dict(oracle.shapes(NETWORK, 64)), sep='/')
  assert sorted([*filled, *fitted.new]) == sorted(every)
  assert sorted(fitted.new) == ['params/head/bias', 'params/head/kernel']
  assert sorted(fitted.unused) == ['bn1.num_batches_tracked', 'fc.bias', 'fc.weight']
  reference = load_file(file)
  # torch: [out, in, height, width]; flax: [height, width, in, out].
  np.testing.assert_array_equal(
    fitted.variables['params']['stem_conv1']['kernel'][2, 5, 1, 3],
    reference['conv1.weight'][3, 1, 2, 5],
  )


def test_a_grey_image_gives_the_features_of_its_tripled_copy(file):
  head = {'head': {'kernel': jnp.ones((16, 2)), 'bias': jnp.zeros(2)}}
  grey, colour = (load(file, channels=channels).variables for channels in (1, 3))
  image = jnp.asarray(np.random.default_rng(1).normal(size=(2, 64, 64, 1)), jnp.float32)
  logits = [
    NETWORK.apply(
      {**variables, 'params': {**variables['params'], **head}, 'batch_stats': positive(variables)},
      images,
      train=False,
    )
    for variables, images in ((grey, image), (colour, jnp.repeat(image, 3, axis=3)))
  ]
  assert np.abs(logits[0]).max() > 0
  np.testing.assert_allclose(logits[0], logits[1], rtol=1e-4, atol=1e-4)


def test_what_was_done_to_a_tensor_is_told(file):
  assert load(file).adapted == []
  assert load(file, channels=1).adapted == ['conv1.weight summed over its 3 input channels']
  vit = models.vit_small_patch16(num_labels=2, depth=1, width=24, heads=3)
  at_64, at_96 = oracle.shapes(vit, 64), oracle.shapes(vit, 96)
  tensors = of_scheme(vit.names['timm'], at_64)
  assert fit.fit(at_96, tensors, vit.names, 'the file').adapted == [
    'pos_embed resized from a grid of 4 × 4'
  ]


def of_scheme(rules, shapes):
  """A published file in one naming, all zeros."""
  return {
    fit.published_name(path.partition('/')[2], rules): fit.to_torch(
      np.zeros(leaf.shape, np.float32), path
    )
    for path, leaf in traverse_util.flatten_dict(dict(shapes), sep='/').items()
  }


@pytest.mark.parametrize(
  ('name', 'scheme', 'settings', 'needs'),
  [
    ('efficientnetv2_s', 'torchvision', {}, 'epsilon=0.001'),
    ('efficientnetv2_s', 'torchvision', {'epsilon': 1e-3}, ''),
    ('efficientnetv2_s', 'timm', {}, ''),
    ('efficientnet_b0', 'torchvision', {}, ''),
    ('efficientnet_b0', 'torchvision', {'epsilon': 1e-3}, 'epsilon=1e-05'),
    ('tf_efficientnet_b0', 'torchvision', {'epsilon': 1e-5}, 'same_padding=False'),
  ],
)
def test_weights_made_with_other_settings_are_refused(name, scheme, settings, needs):
  network = getattr(models, name)(num_labels=2, **settings)
  shapes = oracle.shapes(network, 64)
  tensors = of_scheme(network.names[scheme], shapes)
  result = weights.Weights(tensors, {'from': 'the file'})
  if not needs:
    assert loading.fit_network(result, shapes, network, name, settings).scheme == scheme
    return
  with pytest.raises(InputError) as raised:
    loading.fit_network(result, shapes, network, name, settings)
  assert f"torchvision's weights of {name} need config.model.settings.{needs}" in str(raised.value)


@pytest.mark.slow
@pytest.mark.parametrize('scheme', ['timm', 'run'])
def test_an_auxiliary_head_may_be_left_out(scheme):
  pair = models.inception_v3(num_labels=2)
  rules = pair.names['timm'] if scheme == 'timm' else ()
  tensors = of_scheme(rules, oracle.shapes(pair, 299))
  alone = models.inception_v3(num_labels=2, auxiliary=False)
  result = weights.Weights(tensors, {'from': 'the file'}, own_names=scheme == 'run')
  fitted = loading.fit_network(
    result, oracle.shapes(alone, 128), alone, 'inception_v3', {'auxiliary': False}
  )
  assert {name.split('.')[0] for name in fitted.unused} == (
    {'AuxLogits', 'fc'} if scheme == 'timm' else {'stage2_aux', 'head'}
  )
  # The other way round there would be parameters that nothing fills.
  result = dataclasses.replace(
    result,
    tensors={name: element for name, element in tensors.items() if name not in fitted.unused},
  )
  with pytest.raises(InputError, match=r'missing: (AuxLogits|stage2_aux)'):
    loading.fit_network(result, oracle.shapes(pair, 299), pair, 'inception_v3', {})


def positive(variables):
  return jax.tree.map(lambda leaf: jnp.abs(leaf) + 0.5, variables['batch_stats'])


def spoiled(file, change):
  tensors = load_file(file)
  change(tensors)
  save_file(tensors, file)


@pytest.mark.parametrize(
  ('change', 'says'),
  [
    (lambda t: t.pop('layer2.0.conv1.weight'), '1 missing: layer2.0.conv1.weight'),
    (lambda t: t.update(extra=np.ones(3)), '1 without a place: extra'),
    (
      lambda t: t.update({'bn1.weight': np.ones(5, np.float32)}),
      '1 of another shape: bn1.weight (5,), needs (4,)',
    ),
    (
      lambda t: t.update({'bn1.weight': np.full(4, np.nan, np.float32)}),
      '1 not finite: bn1.weight',
    ),
  ],
)
def test_a_tensor_that_does_not_fit_is_named_and_nothing_is_loaded(file, change, says):
  spoiled(file, change)
  with pytest.raises(InputError) as raised:
    load(file)
  assert says in str(raised.value) and '\n' not in str(raised.value)
  assert str(file) in str(raised.value)


@pytest.mark.parametrize('dtype', ['int8', 'uint8', 'bool', 'int64', 'complex64'])
def test_numbers_that_are_no_weights_are_named(file, dtype):
  spoiled(file, lambda t: t.update({'conv1.weight': (t['conv1.weight'] * 9).astype(dtype)}))
  with pytest.raises(InputError) as raised:
    load(file)
  line = str(raised.value)
  assert f'1 of no floating-point numbers: conv1.weight {dtype}' in line and str(file) in line
  assert 'save them as float32' in line and '\n' not in line


def test_a_variance_is_not_negative(file):
  spoiled(file, lambda t: t.update({'bn1.running_var': -t['bn1.running_var']}))
  with pytest.raises(InputError, match=r'1 negative: bn1\.running_var'):
    load(file)


@pytest.mark.parametrize(
  ('written', 'taken_off'),
  [
    ('module.{}', ["'module.'"]),  # DataParallel
    ('model.{}', ["'model.'"]),  # Lightning
    ('module.model.backbone.{}', ["'module.model.backbone.'"]),
    ('_orig_mod.{}', ["'_orig_mod.'"]),  # torch.compile
    ('_orig_mod.module.{}', ["'_orig_mod.'", "'module.'"]),
    ('my_lab_s_net.{}', ["'my_lab_s_net.'"]),
  ],
)
def test_what_all_names_begin_with_is_taken_off_and_told(file, written, taken_off):
  expected, tensors = load(file), load_file(file)
  save_file({written.format(name): tensor for name, tensor in tensors.items()}, file)
  fitted = load(file)
  assert fitted.adapted == [f'{" and ".join(taken_off)} taken off the names']
  assert sorted(fitted.new) == sorted(expected.new) and fitted.unused == expected.unused
  for one, other in zip(*(jax.tree.leaves(some.variables) for some in (fitted, expected))):
    np.testing.assert_array_equal(one, other)


LEAVES = ('weight', 'bias')


def test_the_names_of_torch_s_own_wrappers_are_taken_off(file):
  torch, _ = oracle.torch_or_skip()

  class Net(torch.nn.Module):
    def __init__(self):
      super().__init__()
      self.layer1 = torch.nn.Sequential(torch.nn.Linear(2, 2))

  net = Net()
  averaged = torch.optim.swa_utils.AveragedModel(torch.nn.DataParallel(net))
  tensors = {name: tensor.numpy() for name, tensor in averaged.state_dict().items()}
  assert tensors.keys() == {'n_averaged', *(f'module.module.layer1.0.{leaf}' for leaf in LEAVES)}
  # As torch.compile writes one layer's; importing it takes seconds.
  tensors = {name.replace('1.0.', '1.0._orig_mod.'): tensor for name, tensor in tensors.items()}
  bare = fit.bare(tensors)["'_orig_mod.' and 'module.module.'"]
  assert bare.keys() == {'n_averaged', *(f'layer1.0.{leaf}' for leaf in LEAVES)}


def test_a_beginning_that_some_names_lack_is_told(file):
  tensors = {f'net.model.{name}': tensor for name, tensor in load_file(file).items()}
  save_file({**tensors, 'net.loss.weight': np.ones(2, np.float32)}, file)
  with pytest.raises(
    InputError, match=r"begin with 'net\.model\.' fit without it: save them alone"
  ):
    load(file)


def test_a_network_whose_names_all_begin_alike_keeps_them(file):
  # 'layer2.' is no wrapper where the network's own names begin so.
  tensors = {'layer2.0.weight': np.ones((2, 2)), 'layer2.1.weight': np.ones((2, 2))}
  shapes = {
    'params': {'body_0': {'kernel': np.ones((2, 2))}, 'body_1': {'kernel': np.ones((2, 2))}}
  }
  fitted = fit.fit(shapes, tensors, {'lab': [('body_', 'layer2.')]}, 'the file')
  assert fitted.adapted == [] and not fitted.unused


def test_all_problems_are_told_at_once(file):
  def change(tensors):
    tensors.pop('layer2.0.conv1.weight')
    tensors.update(extra=np.ones(3), another=np.ones(2))
    tensors['conv1.weight'] = np.ones((4, 3, 3, 3), np.float32)

  spoiled(file, change)
  with pytest.raises(InputError) as raised:
    load(file)
  for element in (
    '1 missing',
    '2 without a place',
    'conv1.weight (4, 3, 3, 3), needs (4, 3, 7, 7)',
  ):
    assert element in str(raised.value)


def test_a_grey_file_does_not_fit_a_colour_network(tmp_path):
  save_file(random_tensors(NETWORK, channels=1), tmp_path / 'w.safetensors')
  assert load(tmp_path / 'w.safetensors', channels=1).variables
  with pytest.raises(InputError, match=r'conv1.weight \(4, 1, 7, 7\), needs \(4, 3, 7, 7\)'):
    load(tmp_path / 'w.safetensors', channels=3)


def test_half_precision_files_are_read(tmp_path):
  tensors = {
    name: element.astype(jnp.bfloat16) for name, element in random_tensors(NETWORK).items()
  }
  save_file(tensors, tmp_path / 'w.safetensors')
  filled = load(tmp_path / 'w.safetensors').variables
  assert {leaf.dtype for leaf in jax.tree.leaves(filled)} == {np.dtype('float32')}


def test_a_description_beside_the_file_comes_along(file):
  (file.parent / 'config.json').write_text(json.dumps(DESCRIPTION))
  result = weights.find(str(file))
  assert (result.image_size, result.interpolation) == (224, 'bicubic')
  assert result.mean == (0.485, 0.456, 0.406) and result.std == (0.229, 0.224, 0.225)
  (file.parent / 'config.json').write_text('{"pretrained_cfg": {"input_size": "large"}}')
  with pytest.raises(InputError, match=r'config\.json'):
    weights.find(str(file))


@pytest.mark.parametrize(
  'name', ['nothing/here/at/all', 'missing.safetensors', 'some/missing.pth', 'just a name']
)
def test_names_of_nothing_are_one_line(name):
  with pytest.raises(InputError, match='no such file'):
    weights.find(name)


def test_weights_of_another_architecture_do_not_load_though_they_fit(file):
  (file.parent / 'config.json').write_text(json.dumps({'architecture': 'tf_efficientnet_b0'}))
  with pytest.raises(InputError, match='weights of tf_efficientnet_b0; config'):
    load(file, architecture='efficientnet_b0')
  (file.parent / 'config.json').write_text(json.dumps({'architecture': 'resnet18_224'}))
  assert load(file, architecture='resnet18').variables


class Headless(nn.Module):
  """A network of one's own whose last layer has flax's own name."""

  num_labels: int

  @nn.compact
  def __call__(self, images, train):
    return nn.Dense(self.num_labels)(images.mean(axis=(1, 2)))


def test_a_network_without_a_head_takes_no_weights(file):
  with pytest.raises(InputError, match='no module named head'):
    load(file, Headless(2), architecture='my_lab.nets:Headless')


def settings(size=0, channels=1, name='resnet18', **model):
  return Config(Data('', '', ('x',), size, channels), Model(name, **model))


def test_what_the_weights_were_made_with_comes_along(file):
  (file.parent / 'config.json').write_text(json.dumps(DESCRIPTION))
  result = weights.find(str(file))
  image_format, colour = preprocessing.resolve(settings(channels=3), result)
  assert image_format == ImageFormat(224, 3, interpolation='bicubic')
  assert colour == Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
  image_format, grey = preprocessing.resolve(settings(size=96), result)
  assert (image_format.size, grey.mean, grey.std) == (
    96,
    pytest.approx((0.449,)),
    pytest.approx((0.226,)),
  )
  _, own = preprocessing.resolve(settings(mean=(0.3,), std=(0.2,)), result)
  assert (own.mean, own.std) == ((0.3,), (0.2,))
  images = jnp.full((1, 2, 2, 3), 0.5)
  expected = (0.5 - np.array([0.485, 0.456, 0.406])) / [0.229, 0.224, 0.225]
  np.testing.assert_allclose(colour(images)[0, 0, 0], expected, rtol=1e-5)


def test_weights_that_do_not_say_how_to_normalise_ask(file):
  with pytest.raises(InputError, match=r'config\.model\.mean and config\.model\.std'):
    preprocessing.resolve(settings(), weights.find(str(file)))
  assert preprocessing.resolve(settings(mean=(0.5,), std=(0.1,)), weights.find(str(file)))


def test_torchvision_s_inception_normalises_otherwise(file):
  with pytest.raises(InputError, match=r'\(torchvision: 0\.5 and 0\.5'):
    preprocessing.resolve(settings(name='inception_v3'), weights.find(str(file)))


def test_without_weights_the_published_size_or_a_question():
  assert preprocessing.resolve(settings(name='inception_v3'), None)[0].size == 299
  with pytest.raises(InputError, match=r'config\.data\.image_size'):
    preprocessing.resolve(settings(name='my_lab:Net'), None)

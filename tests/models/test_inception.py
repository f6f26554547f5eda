"""Inception-v3 against the published parameter counts, timm and torchvision, where installed."""

import functools

import flax.errors
import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import oracle
import pytest
from flax import traverse_util

from medjax.models import inception
from medjax.models.pretrained import fit

# torchvision's `num_params`; timm's count of its model, which has no auxiliary head. 1,000 classes.
PUBLISHED = {True: 27_161_264, False: 23_834_568}
MUTABLE = ('batch_stats', 'auxiliary')


@functools.cache
def shapes(auxiliary, num_labels=1000):
  return oracle.shapes(inception.inception_v3(num_labels, auxiliary=auxiliary), 299)


def trace(model, variables, train, image_size=299):
  """Returns the shapes of (logits, updated collections), computing nothing."""
  images = jax.ShapeDtypeStruct((2, image_size, image_size, 3), jnp.float32)
  return jax.eval_shape(
    lambda variables, images: model.apply(variables, images, train=train, mutable=MUTABLE),
    variables,
    images,
  )


def create(library, auxiliary):
  """Returns the torch module of a library, without weights or memory."""
  torch, timm = oracle.torch_or_skip()
  import torchvision

  with torch.device('meta'):
    if library == 'timm':
      return timm.create_model('inception_v3', aux_logits=auxiliary)
    return torchvision.models.inception_v3(aux_logits=auxiliary, init_weights=False)


@pytest.mark.parametrize('auxiliary', [True, False])
def test_parameters_are_as_published(auxiliary):
  leaves = jax.tree.leaves(shapes(auxiliary)['params'])
  assert sum(leaf.size for leaf in leaves) == PUBLISHED[auxiliary]


@pytest.mark.parametrize('library', ['timm', 'torchvision'])
@pytest.mark.parametrize('auxiliary', [True, False])
def test_names_and_shapes_are_those_of_both_libraries(auxiliary, library):
  reference = create(library, auxiliary).state_dict()
  tensors = {key: np.zeros(value.shape, np.float32) for key, value in reference.items()}
  fitted = fit.fit(shapes(auxiliary), tensors, inception.InceptionV3.names, library, head=True)
  assert fitted.new == []
  assert {key.rpartition('.')[2] for key in fitted.unused} == {'num_batches_tracked'}


# The grids 71, 69, 34, 32, 15, 7 and 3: the first pool leaves a row and a column out.
@pytest.mark.slow
def test_equals_timm(tmp_path):
  _, timm = oracle.torch_or_skip()
  reference = timm.create_model('inception_v3', num_classes=10, aux_logits=False)
  oracle.check(inception.inception_v3(num_labels=10, auxiliary=False), reference, 143, tmp_path)


# With the statistics of the auxiliary head, whose logits torchvision leaves out of evaluation.
@pytest.mark.slow
@pytest.mark.deep
def test_with_the_auxiliary_head_equals_torchvision(tmp_path):
  oracle.torch_or_skip()
  import torchvision

  reference = torchvision.models.inception_v3(num_classes=10, init_weights=False, dropout=0.0)
  oracle.check(inception.inception_v3(num_labels=10), reference, 299, tmp_path)


@pytest.mark.slow
def test_auxiliary_logits_equal_timm():
  torch, timm = oracle.torch_or_skip()
  reference = timm.create_model('inception_v3', num_classes=10, aux_logits=True)
  # BatchNorm over the auxiliary head's 1×1 map magnifies rounding, less so where the images differ
  # in contrast; torch in double precision leaves our rounding alone.
  contrast = np.array([0.3, 1.0, 3.0])[:, None, None, None]
  pixels = contrast * np.random.default_rng(0).normal(size=(3, 299, 299, 3))
  images = torch.tensor(pixels.transpose(0, 3, 1, 2))
  oracle.randomise(torch, reference.double(), images)
  tensors = {key: value.float().numpy() for key, value in reference.state_dict().items()}
  model = inception.inception_v3(num_labels=10)
  fitted = fit.fit(shapes(True, num_labels=10), tensors, model.names, 'timm', head=True)
  reference.train()
  with torch.no_grad():
    expected = reference(images)
  run = jax.jit(model.apply, static_argnames=('train', 'mutable'))
  logits, updated = run(
    fitted.variables, jnp.asarray(pixels, jnp.float32), train=True, mutable=MUTABLE
  )
  for actual, wanted in zip((logits, *updated['auxiliary']['logits']), expected, strict=True):
    error = np.abs(actual - wanted.numpy()).max() / np.abs(wanted.numpy()).max()
    assert error <= 1e-4, f'logits differ by {error:.1e} of their maximum'


@pytest.mark.parametrize('train', [True, False])
def test_initialisation_makes_the_auxiliary_head_but_sows_nothing(train):
  model = inception.inception_v3(num_labels=5)
  images = jax.ShapeDtypeStruct((2, 299, 299, 3), jnp.float32)
  variables = jax.eval_shape(
    lambda images: model.init({'params': jax.random.key(0)}, images, train=train), images
  )
  assert set(variables) == {'params', 'batch_stats'}
  assert variables['params']['stage2_aux']['head']['kernel'].shape == (768, 5)


@pytest.mark.parametrize(('frozen_stages', 'sown'), [(0, True), (2, True), (3, False)])
def test_auxiliary_logits_are_sown_while_their_stage_trains(frozen_stages, sown):
  model = inception.inception_v3(num_labels=5, frozen_stages=frozen_stages)
  _, updated = trace(model, shapes(True, num_labels=5), train=True)
  assert ('auxiliary' in updated) == sown
  if sown:
    (logits,) = updated['auxiliary']['logits']
    assert (logits.shape, logits.dtype) == ((2, 5), jnp.float32)


# Without its parameters, the head cannot be computed.
@pytest.mark.slow
def test_the_auxiliary_head_is_not_computed_where_it_is_not_sown():
  variables = shapes(False, num_labels=5)
  assert 'stage2_aux' not in variables['params']
  model = inception.inception_v3(num_labels=5)
  _, updated = trace(model, variables, train=False)
  assert 'auxiliary' not in updated
  trace(inception.inception_v3(num_labels=5, frozen_stages=3), variables, train=True)
  with pytest.raises(Exception, match='stage2_aux'):
    trace(model, variables, train=True)


@pytest.mark.parametrize(('auxiliary', 'least'), [(False, 75), (True, 299)])
def test_the_least_image_is_that_of_torch(auxiliary, least):
  model = inception.inception_v3(num_labels=5, auxiliary=auxiliary)
  logits, _ = trace(model, shapes(auxiliary, num_labels=5), True, image_size=least)
  assert logits.shape == (2, 5)
  with pytest.raises(ValueError, match=f'{least - 1} pixels.* {least}×{least} or more') as raised:
    oracle.shapes(model, least - 1)
  assert ('auxiliary=False takes 75×75 or more' in str(raised.value)) == auxiliary
  torch, _ = oracle.torch_or_skip()
  reference = create('timm', auxiliary)
  reference(torch.empty(2, 3, least, least, device='meta'))
  with pytest.raises(RuntimeError, match=r'too small|greater than actual input size'):
    reference(torch.empty(2, 3, least - 1, least - 1, device='meta'))


def test_a_narrow_image_is_too_small():
  model = inception.inception_v3(num_labels=5, auxiliary=False)
  images = jax.ShapeDtypeStruct((1, 299, 74, 3), jnp.float32)
  with pytest.raises(ValueError, match='299×74 pixels'):
    jax.eval_shape(lambda element: model.init(jax.random.key(0), element, train=False), images)


@pytest.mark.slow
def test_statistics_of_frozen_stages_are_kept():
  generator = np.random.default_rng(0)

  # At the scale of an initialisation.
  def draw(leaf):
    if leaf.ndim > 1:
      values = generator.normal(size=leaf.shape) / np.sqrt(np.prod(leaf.shape[:-1]))
    else:
      values = generator.uniform(0.5, 1.5, size=leaf.shape)
    return values.astype(np.float32)

  variables = jax.tree.map(draw, shapes(False, num_labels=5))
  model = inception.inception_v3(num_labels=5, auxiliary=False, frozen_stages=2)
  images = generator.normal(size=(2, 75, 75, 3)).astype(np.float32)
  run = jax.jit(functools.partial(model.apply, train=True, mutable=['batch_stats']))
  _, updated = run(variables, images)
  before = traverse_util.flatten_dict(variables['batch_stats'])
  for path, after in traverse_util.flatten_dict(updated['batch_stats']).items():
    kept = path[0].startswith(('stem', 'stage1'))
    assert np.array_equal(after, before[path]) == kept, path


# flax asks for a key wherever dropout acts.
def test_dropout_acts_in_training_only():
  model = inception.inception_v3(num_labels=5, dropout=0.5)
  trace(model, shapes(True, num_labels=5), train=False)
  with pytest.raises(flax.errors.InvalidRngError, match='dropout'):
    trace(model, shapes(True, num_labels=5), train=True)


def test_computes_in_bfloat16_and_keeps_the_rest_in_float32():
  model = inception.inception_v3(num_labels=5, dtype=jnp.bfloat16)
  images = jax.ShapeDtypeStruct((2, 299, 299, 3), jnp.float32)
  logits, state = jax.eval_shape(
    lambda variables, images: model.apply(
      variables,
      images,
      train=True,
      mutable=[*MUTABLE, 'intermediates'],
      capture_intermediates=lambda module, _: isinstance(module, nn.Conv | nn.BatchNorm),
    ),
    shapes(True, num_labels=5),
    images,
  )
  computed, others = state.pop('intermediates'), (logits, state)
  assert {leaf.dtype for leaf in jax.tree.leaves(computed)} == {jnp.dtype('bfloat16')}
  assert {leaf.dtype for leaf in jax.tree.leaves(others)} == {jnp.dtype('float32')}


@pytest.mark.slow
@pytest.mark.parametrize('library', ['timm', 'torchvision'])
def test_starts_as_both_libraries_do(library):
  _, timm = oracle.torch_or_skip()
  import torchvision

  if library == 'timm':
    reference = timm.create_model('inception_v3', num_classes=10, aux_logits=True)
  else:
    reference = torchvision.models.inception_v3(num_classes=10, init_weights=True)
  model = inception.inception_v3(num_labels=10)
  oracle.check_initialisation(model, reference, 299)

"""Convolutions: each form against explicit sums in float64; an accelerator's program as it was."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from medjax import models
from medjax.models import convolutions, on_cpu

# Images, kernel, strides, padding, groups: what the networks have and what is at the edge of it.
CASES = {
  '3×3': ((2, 6, 5, 3), (3, 3, 3, 4), (1, 1), ((1, 1), (1, 1)), 1),
  '3×3 on one pixel': ((3, 1, 1, 4), (3, 3, 4, 2), (1, 1), ((1, 1), (1, 1)), 1),
  '3×3 on 2×2': ((2, 2, 2, 3), (3, 3, 3, 4), (1, 1), ((1, 1), (1, 1)), 1),
  '3×3 from 4×4 to 2×2': ((2, 4, 4, 3), (3, 3, 3, 4), (2, 2), ((1, 1), (1, 1)), 1),
  '3×3 from one pixel, strided': ((2, 1, 1, 3), (3, 3, 3, 4), (2, 2), ((1, 1), (1, 1)), 1),
  '1×1': ((2, 4, 3, 3), (1, 1, 3, 4), (1, 1), ((0, 0), (0, 0)), 1),
  '1×1, strided': ((2, 7, 4, 3), (1, 1, 3, 4), (2, 2), ((0, 0), (0, 0)), 1),
  '1×7 on 3×3': ((2, 3, 3, 3), (1, 7, 3, 2), (1, 1), ((0, 0), (3, 3)), 1),
  '7×7 of grey images': ((2, 13, 11, 1), (7, 7, 1, 4), (2, 2), ((3, 3), (3, 3)), 1),
  'patches': ((2, 9, 8, 3), (4, 4, 3, 5), (4, 4), ((0, 0), (0, 0)), 1),
  'unlike sides, cut': ((2, 7, 6, 3), (3, 2, 3, 2), (2, 1), ((2, 0), (-1, 1)), 1),
  'TensorFlow\'s padding': ((2, 8, 7, 3), (3, 3, 3, 2), (2, 2), 'SAME', 1),
  'depthwise 3×3': ((2, 17, 5, 6), (3, 3, 1, 6), (1, 1), ((1, 1), (1, 1)), 6),
  'depthwise 5×5, strided': ((2, 31, 8, 4), (5, 5, 1, 4), (2, 2), ((2, 2), (2, 2)), 4),
  'depthwise 7×7 on one pixel': ((2, 1, 1, 4), (7, 7, 1, 4), (1, 1), ((3, 3), (3, 3)), 4),
  'depthwise, unpadded': ((2, 6, 5, 4), (3, 3, 1, 4), (1, 1), 'VALID', 4),
  'depthwise, padded beyond': ((2, 3, 3, 4), (3, 3, 1, 4), (1, 1), ((3, 0), (0, 4)), 4),
  'groups': ((2, 5, 5, 6), (3, 3, 2, 9), (1, 1), ((1, 1), (1, 1)), 3),
  'twice as many features as channels': ((2, 5, 5, 3), (3, 3, 1, 6), (1, 1), 'SAME', 3),
}  # fmt: skip


def convolve(images, kernel, strides, padding, groups, **settings):
  return convolutions.convolution(
    images, kernel, strides, padding, lhs_dilation=(1, 1), rhs_dilation=(1, 1),
    dimension_numbers=('NHWC', 'HWIO', 'NHWC'), feature_group_count=groups, precision=None,
    **settings,
  )  # fmt: skip


def arrays(case, dtype=np.float64):
  """Returns images, kernel, what multiplies the output in the loss, and the other arguments."""
  shape, kernel_shape, *rest = case
  rng = np.random.default_rng(0)
  images, kernel = (rng.normal(size=size).astype(dtype) for size in (shape, kernel_shape))
  output = jax.eval_shape(lambda a, b: convolve(a, b, *rest), images, kernel)
  return images, kernel, rng.normal(size=output.shape).astype(dtype), rest


def summed(images, kernel, weight, strides, padding, groups):
  """Output, and the gradients of Σ weight · output: place by place of the kernel, in float64."""
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(images.shape[1:3], kernel.shape[:2], strides, padding)
  # Negative padding cuts: zeros enough for all, then the part that is meant.
  wide = 9
  padded = np.pad(images, ((0, 0), (wide, wide), (wide, wide), (0, 0)))
  padded_gradient, kernel_gradient = np.zeros_like(padded), np.zeros_like(kernel)
  output = np.zeros_like(weight)
  height, width, features = weight.shape[1:]
  inputs, outputs = kernel.shape[2], features // groups
  for row, column in np.ndindex(*kernel.shape[:2]):
    top, left = wide - padding[0][0] + row, wide - padding[1][0] + column
    place = (
      slice(None),
      slice(top, top + (height - 1) * strides[0] + 1, strides[0]),
      slice(left, left + (width - 1) * strides[1] + 1, strides[1]),
    )
    for group in range(groups):
      read = slice(group * inputs, (group + 1) * inputs)
      write = slice(group * outputs, (group + 1) * outputs)
      matrix = kernel[row, column, :, write]
      output[..., write] += padded[place][..., read] @ matrix
      padded_gradient[(*place, read)] += weight[..., write] @ matrix.T
      kernel_gradient[row, column, :, write] = np.einsum(
        'bhwc,bhwf->cf', padded[place][..., read], weight[..., write]
      )
  return output, padded_gradient[:, wide:-wide, wide:-wide], kernel_gradient


def with_gradients(images, kernel, weight, rest):
  def loss(images, kernel):
    output = convolve(images, kernel, *rest)
    return (output * weight).sum(), output

  gradients, output = jax.jit(jax.grad(loss, argnums=(0, 1), has_aux=True))(images, kernel)
  return output, *gradients


def assert_close(results, wanted, tolerance):
  for name, ours, theirs in zip(('output', 'to images', 'to kernel'), results, wanted):
    assert ours.shape == theirs.shape, name
    error = np.abs(np.asarray(ours, np.float64) - theirs).max()
    assert error <= tolerance * max(np.abs(theirs).max(), 1), f'{name}: {error:.1e}'


@pytest.mark.parametrize('name', CASES)
def test_output_and_gradients_are_the_sums(name):
  with jax.enable_x64(True):
    *inputs, rest = arrays(CASES[name])
    assert_close(with_gradients(*inputs, rest), summed(*inputs, *rest), 1e-13)


@pytest.mark.parametrize('name', [name for name, case in CASES.items() if case[-1] == 1])
def test_a_product_gives_every_convolution_without_groups(name, monkeypatch):
  monkeypatch.setattr(convolutions, '_form', lambda missing, geometry: convolutions._product)
  with jax.enable_x64(True):
    *inputs, rest = arrays(CASES[name])
    assert_close(with_gradients(*inputs, rest), summed(*inputs, *rest), 1e-13)


@pytest.mark.parametrize('name', ['3×3 on 2×2', 'depthwise 3×3', '3×3'])
@pytest.mark.parametrize(('dtype', 'tolerance'), [(jnp.float32, 1e-6), (jnp.bfloat16, 1e-2)])
def test_types_stay_and_bfloat16_adds_in_float32(name, dtype, tolerance):
  *inputs, rest = arrays(CASES[name], dtype)
  results = with_gradients(*inputs, rest)
  assert {result.dtype for result in results} == {jnp.dtype(dtype)}
  exact = summed(*(np.asarray(array, np.float64) for array in inputs), *rest)
  assert_close(results, exact, tolerance)


def test_forms_are_those_that_were_measured():
  def form(missing, name):
    shape, kernel, strides, padding, groups = CASES[name]
    output = jax.eval_shape(
      lambda a, b: convolve(a, b, strides, padding, groups), jnp.ones(shape), jnp.ones(kernel)
    )
    geometry = convolutions.Geometry(shape, kernel, output.shape, strides, padding, groups, None)
    return convolutions._form(missing, geometry).__name__.strip('_')

  assert form('output', '3×3') == form('kernel', '3×3') == form('input', '3×3') == 'xla'
  assert form('output', '3×3 on 2×2') == 'product'
  # The gradient to 4×4 pixels slides over 2×2.
  assert form('output', '3×3 from 4×4 to 2×2') == 'xla'
  assert form('input', '3×3 from 4×4 to 2×2') == 'product'
  assert form('kernel', '1×1') == 'product'
  assert form('kernel', 'depthwise 3×3') == 'shifts'


def test_transformations_that_gradients_do_not_need():
  """Forward mode, gradients of gradients and vmap, each against XLA's own convolution."""
  images, kernel, weight, rest = arrays(CASES['3×3 on 2×2'], np.float32)
  strides, padding, _ = rest

  def plain(images, kernel):
    return lax.conv_general_dilated(
      images, kernel, strides, padding, dimension_numbers=('NHWC', 'HWIO', 'NHWC')
    )

  def results(convolve):
    def loss(images, kernel):
      return (convolve(images, kernel) ** 2 * weight).sum()

    return (
      jax.jvp(loss, (images, kernel), (images + 1, kernel - 1)),
      jax.hessian(loss, argnums=1)(images, kernel),
      jax.vmap(jax.grad(loss), (0, None))(jnp.stack([images, 2 * images]), kernel),
      jax.vmap(convolve)(jnp.stack([images, images]), jnp.stack([kernel, 2 * kernel])),
    )

  ours = jax.jit(functools.partial(results, lambda a, b: convolve(a, b, *rest)))()
  jax.tree.map(
    functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-4),
    ours, jax.jit(functools.partial(results, plain))(),
  )  # fmt: skip


@pytest.mark.parametrize('dilation', [{'kernel_dilation': 2}, {'input_dilation': 2}])
def test_what_is_dilated_is_left_to_xla(dilation):
  def output(**settings):
    layer = nn.Conv(3, (3, 3), padding=2, **dilation, **settings)
    return layer.init_with_output(jax.random.key(0), jnp.ones((1, 6, 6, 2)))[0]

  ours = output(conv_general_dilated=convolutions.convolution)
  np.testing.assert_array_equal(ours, output())


def test_a_program_for_any_number_of_images_and_several_platforms():
  _, kernel, _, rest = arrays(CASES['depthwise 3×3'], np.float32)
  (count,) = jax.export.symbolic_shape('count')
  exported = jax.export.export(
    jax.jit(lambda images: convolve(images, kernel, *rest)), platforms=('cpu', 'cuda', 'tpu')
  )(jax.ShapeDtypeStruct((count, 17, 5, 6), jnp.float32))
  images = np.random.default_rng(1).normal(size=(3, 17, 5, 6)).astype(np.float32)
  np.testing.assert_allclose(
    exported.call(images), convolve(images, kernel, *rest), rtol=1e-6, atol=1e-6
  )


# Of each family, as small as it gets.
FAMILIES = {
  'resnet': (models.resnet_tiny, 32),
  'resnext': (functools.partial(models.resnext50_32x4d, depths=(1, 1), width=16), 32),
  'densenet': (functools.partial(models.densenet121, depths=(1, 1), growth=8), 32),
  'inception': (functools.partial(models.inception_v3, auxiliary=False), 75),
  'efficientnet': (
    functools.partial(models.efficientnet_b0, width_multiplier=0.1, depth_multiplier=0.1),
    64,
  ),
  'convnext': (functools.partial(models.convnext_tiny, depths=(1, 1), widths=(8, 16)), 32),
  'vit': (functools.partial(models.vit_small_patch16, width=16, heads=2, depth=1), 32),
}


def program(family, platform):
  """Returns the text of the program that gives a network's loss and gradients."""
  network, side = FAMILIES[family]
  network = network(num_labels=2)
  images = jax.ShapeDtypeStruct((2, side, side, 1), jnp.float32)
  init = functools.partial(network.init, train=False)
  variables = jax.eval_shape(init, jax.random.key(0), images)

  def loss(params, rest, images):
    logits, updated = network.apply(
      {**rest, 'params': params}, images, train=True, mutable=['batch_stats']
    )
    return logits.sum(), updated

  traced = jax.jit(jax.value_and_grad(loss, has_aux=True)).trace(
    variables['params'], {'batch_stats': variables.get('batch_stats', {})}, images
  )
  return traced.lower(lowering_platforms=(platform,)).as_text()


@pytest.mark.parametrize('family', ['resnet', 'convnext', 'vit'])
def test_an_accelerators_program_is_as_it_was(family, monkeypatch):
  ours = program(family, 'cuda')
  assert ours != program(family, 'cpu')
  monkeypatch.setattr(convolutions, 'convolution', lax.conv_general_dilated)
  monkeypatch.setattr(on_cpu, 'dot_general', lax.dot_general)
  monkeypatch.setattr(on_cpu, 'max_pool', nn.max_pool)
  monkeypatch.setattr(on_cpu, 'gelu', functools.partial(nn.gelu, approximate=False))
  monkeypatch.setattr(on_cpu, 'apart', lambda x: x)
  assert ours == program(family, 'cuda')


@pytest.mark.parametrize('family', FAMILIES)
def test_every_family_convolves_so(family):
  network, side = FAMILIES[family]
  seen = []

  def note(call, arguments, keywords, context):
    if isinstance(context.module, nn.Conv):
      seen.append(context.module.conv_general_dilated)
    return call(*arguments, **keywords)

  images = jax.ShapeDtypeStruct((1, side, side, 1), jnp.float32)
  init = functools.partial(network(num_labels=2).init, train=False)
  with nn.intercept_methods(note):
    jax.eval_shape(init, jax.random.key(0), images)
  assert seen and set(seen) == {convolutions.convolution}

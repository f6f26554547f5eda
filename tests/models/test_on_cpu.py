"""What a CPU computes otherwise besides convolutions, against sums, torch and jax's operations."""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.stats
from jax import lax

from medjax.models import on_cpu

rng = np.random.default_rng(0)


@pytest.mark.parametrize(('inputs', 'features'), [(5, 3), (3, 5)])
@pytest.mark.parametrize('lead', [(7,), (2, 4), (4, 3, 2)])
def test_product_and_its_gradients_are_the_sums(lead, inputs, features):
  with jax.enable_x64(True):
    x, kernel = rng.normal(size=(*lead, inputs)), rng.normal(size=(inputs, features))
    weight = rng.normal(size=(*lead, features))

    def loss(x, kernel):
      output = on_cpu.dot_general(x, kernel, (((x.ndim - 1,), (0,)), ((), ())))
      return (output * weight).sum(), output

    (to_x, to_kernel), output = jax.jit(jax.grad(loss, (0, 1), has_aux=True))(x, kernel)
  np.testing.assert_allclose(output, x @ kernel, rtol=1e-13, atol=1e-13)
  np.testing.assert_allclose(to_x, weight @ kernel.T, rtol=1e-13, atol=1e-13)
  summed = x.reshape(-1, inputs).T @ weight.reshape(-1, features)
  np.testing.assert_allclose(to_kernel, summed, rtol=1e-13, atol=1e-13)


def test_other_products_are_left_to_xla():
  a, b = (
    rng.normal(size=(2, 3, 4)).astype(np.float32),
    rng.normal(size=(2, 4, 5)).astype(np.float32),
  )
  batched = (((2,), (1,)), ((0,), (0,)))
  np.testing.assert_allclose(on_cpu.dot_general(a, b, batched), a @ b, rtol=1e-5)
  as_float32 = on_cpu.dot_general(
    jnp.bfloat16(a[0]), jnp.bfloat16(b[0]), (((1,), (0,)), ((), ())),
    preferred_element_type=jnp.float32,
  )  # fmt: skip
  assert as_float32.dtype == jnp.float32


def test_gelu_is_the_normal_distribution_times_x():
  x = np.linspace(-9, 9, 2_001)
  wanted = x * scipy.stats.norm.cdf(x)
  slope = scipy.stats.norm.cdf(x) + x * scipy.stats.norm.pdf(x)
  with jax.enable_x64(True):
    np.testing.assert_allclose(jax.jit(on_cpu.gelu)(x), wanted, atol=1e-14)
    np.testing.assert_allclose(jax.jit(jax.vmap(jax.grad(on_cpu.gelu)))(x), slope, atol=1e-14)
  ours = jax.jit(on_cpu.gelu)(x.astype(np.float32))
  np.testing.assert_allclose(ours, wanted, atol=1e-6)
  assert jax.jit(on_cpu.gelu)(jnp.bfloat16(x)).dtype == jnp.bfloat16


# Side, window, stride, padding.
POOLS = {
  'of ResNet': (8, 3, 2, 1),
  'odd side': (7, 3, 2, 1),
  'of Inception': (9, 3, 2, 0),
  'rows left over': (8, 3, 2, 0),
  'every place': (5, 3, 1, 1),
  'apart from one another': (9, 2, 3, 0),
  'one pixel': (1, 3, 2, 1),
}


@pytest.mark.parametrize('name', POOLS)
def test_maxima_and_their_gradient_are_those_of_torch(name):
  torch = pytest.importorskip('torch')
  side, window, stride, pad = POOLS[name]
  # Many are equal, as after a ReLU: the first of them gets the gradient.
  x = np.maximum(rng.integers(-3, 3, (2, side, side, 3)), 0).astype(np.float64)
  theirs = torch.tensor(x.transpose(0, 3, 1, 2), requires_grad=True)
  maxima = torch.nn.functional.max_pool2d(theirs, window, stride, pad)
  weight = rng.normal(size=(2, *maxima.shape[2:], 3))
  (maxima * torch.tensor(weight.transpose(0, 3, 1, 2))).sum().backward()

  def loss(x):
    ours = on_cpu.max_pool(x, (window, window), (stride, stride), ((pad, pad), (pad, pad)))
    return (ours * weight).sum(), ours

  with jax.enable_x64(True):
    gradient, ours = jax.jit(jax.grad(loss, has_aux=True))(x)
  np.testing.assert_array_equal(ours, maxima.detach().numpy().transpose(0, 2, 3, 1))
  np.testing.assert_allclose(gradient, theirs.grad.numpy().transpose(0, 2, 3, 1), atol=1e-15)


def test_transformations_that_gradients_do_not_need():
  """Forward mode, gradients of gradients, vmap, bfloat16 and remat, against jax's operations."""
  images = rng.normal(size=(3, 2, 8, 8, 4)).astype(np.float32)
  kernel = rng.normal(size=(4, 4)).astype(np.float32)

  def results(pool, gelu, dot_general, apart):
    def loss(x):
      x = apart(pool(x, (3, 3), (2, 2), padding=((1, 1), (1, 1))))
      x = gelu(dot_general(x, kernel, (((3,), (0,)), ((), ()))))
      return (x**3).sum()

    def slope(x):
      return jnp.sum(jax.grad(jax.checkpoint(loss))(x) ** 2)

    return (
      jax.jvp(loss, (images[0],), (images[1],)),
      jax.grad(slope)(images[0]),
      jax.jvp(jax.grad(loss), (images[0],), (images[1],)),
      jax.vmap(jax.grad(loss))(images),
      jax.grad(loss)(jnp.bfloat16(images[0])).astype(jnp.float32),
    )

  ours = functools.partial(results, on_cpu.max_pool, on_cpu.gelu, on_cpu.dot_general, on_cpu.apart)
  plain = functools.partial(
    results,
    nn.max_pool,
    functools.partial(nn.gelu, approximate=False),
    lambda a, b, dimensions: lax.dot_general(a, b.astype(a.dtype), dimensions),
    lambda x: x,
  )
  *exact, half = jax.jit(ours)()
  *wanted, half_wanted = jax.jit(plain)()
  jax.tree.map(functools.partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-3), exact, wanted)
  scale = np.abs(half_wanted).max()
  np.testing.assert_allclose(half / scale, half_wanted / scale, atol=2e-2)


def test_a_program_for_any_number_of_images_and_several_platforms():
  def network(x):
    x = on_cpu.apart(on_cpu.max_pool(x, (2, 2), (2, 2)))
    return on_cpu.gelu(nn.Dense(3, dot_general=on_cpu.dot_general).apply(variables, x))

  variables = nn.Dense(3).init(jax.random.key(0), jnp.ones((1, 4)))
  (count,) = jax.export.symbolic_shape('count')
  exported = jax.export.export(jax.jit(network), platforms=('cpu', 'cuda', 'tpu'))(
    jax.ShapeDtypeStruct((count, 6, 6, 4), jnp.float32)
  )
  images = rng.normal(size=(3, 6, 6, 4)).astype(np.float32)
  np.testing.assert_allclose(exported.call(images), network(images), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(('platform', 'barriers'), [('cpu', 2), ('cuda', 0)])
def test_a_cpu_alone_keeps_a_number_and_the_gradient_to_it_apart(platform, barriers):
  traced = jax.jit(jax.grad(lambda x: jnp.sin(on_cpu.apart(x)))).trace(1.0)
  text = traced.lower(lowering_platforms=(platform,)).as_text()
  assert text.count('optimization_barrier') == barriers

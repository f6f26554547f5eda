import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from medjax.models import building
from medjax.runtime import devices, uncompiled


def assert_as_compiled(function, *arguments):
  results = uncompiled.evaluate(function, *arguments)
  compiled = jax.jit(function)(*arguments)
  assert jax.tree.structure(results) == jax.tree.structure(compiled)
  for result, expected in zip(jax.tree.leaves(results), jax.tree.leaves(compiled), strict=True):
    assert result.dtype == expected.dtype
    np.testing.assert_allclose(
      np.asarray(result, np.float32), np.asarray(expected, np.float32), rtol=4e-7, atol=1e-9
    )
  return results


def test_a_network_s_first_variables_are_those_of_the_compiled_program():
  network = building.build('resnet_tiny', 3, {})
  assert_as_compiled(lambda seed: building.init_variables(network, (32, 32, 1), seed), np.uint32(7))


@pytest.mark.parametrize(
  'draw',
  [
    lambda key: nn.initializers.truncated_normal(0.02)(key, (7, 150)),
    lambda key: nn.initializers.uniform(0.5)(key, (3, 5)),
    lambda key: nn.initializers.orthogonal()(key, (6, 6)),
    lambda key: jax.random.normal(key, (9,), jnp.bfloat16),
    lambda key: jax.random.uniform(key, (4, 3), minval=jnp.arange(3.0), maxval=jnp.arange(3.0) + 1),
    lambda key: jax.random.uniform(key, (4,), minval=2, maxval=3),
    lambda key: jax.random.permutation(key, 10),
    lambda key: jax.random.normal(key, ()),
    lambda key: jax.random.normal(key, (0, 4)),
    lambda key: jax.vmap(lambda one: jax.random.normal(one, (4,)))(jax.random.split(key, 3)),
  ],
)
def test_draws_are_those_of_the_compiled_program(draw):
  assert_as_compiled(lambda seed: draw(jax.random.key(seed)), np.uint32(3))


def test_other_generators_draw_as_compiled():
  assert_as_compiled(
    lambda seed: jax.random.normal(jax.random.key(seed, impl='rbg'), (3000,)), np.uint32(3)
  )


def test_what_no_result_needs_is_not_evaluated():
  def function(x):
    jax.pure_callback(lambda _: 1 / 0, jax.ShapeDtypeStruct((), np.float32), x)
    return {'given': x, 'zeros': jnp.zeros((2, 3)), 'one': jnp.int32(1)}

  results = uncompiled.evaluate(function, np.ones(4, np.float32))
  np.testing.assert_array_equal(results['given'], np.ones(4))
  np.testing.assert_array_equal(results['zeros'], np.zeros((2, 3)))
  assert results['one'] == 1 and results['one'].dtype == np.int32


def test_a_function_of_anybody_s_that_is_called_as_jax_s_is_evaluated_as_it_is():
  @jax.jit
  def _normal(key):
    return 0.02 * jax.random.normal(key, (500,))

  assert_as_compiled(lambda seed: _normal(jax.random.key(seed)), np.uint32(3))


def test_a_state_that_holds_a_key_is_put_on_the_devices():
  state = {'key': jax.random.key(3), 'count': np.int32(2)}
  placed = devices.put_replicated(state, devices.data_mesh())
  assert jax.random.bits(placed['key']) == jax.random.bits(state['key']) and placed['count'] == 2

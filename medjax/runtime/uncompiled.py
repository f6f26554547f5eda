"""Evaluates a function that mostly draws random numbers and fills arrays, without compiling it.

A network's first state is hundreds of arrays of random numbers, zeros and ones. As one program they
take far longer to compile than to fill: half a minute of the processor for DenseNet-121.
"""

import re
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.extend import core
from jax.interpreters import partial_eval

_FEWEST_VALUES = 1024
_OF_JAX = re.compile(r'[/\\]jax[/\\]_src[/\\]random')
# jax.random's functions by their names in a traced program: (key, bounds, shape) → draw.
_DRAWS: dict[str, Callable[..., jax.Array]] = {
  '_normal': lambda key, shape: jax.random.normal(key, shape),
  '_uniform': lambda key, low, high, shape: jax.random.uniform(key, shape, minval=low, maxval=high),
  '_truncated_normal': lambda key, low, high, shape: jax.random.truncated_normal(
    key, low, high, shape
  ),
}
_IN_NUMPY: dict[str, Callable[..., np.ndarray]] = {
  'add': np.add,
  'sub': np.subtract,
  'mul': np.multiply,
  'div': np.true_divide,
}


def evaluate(function: Callable[..., Any], *arguments: Any) -> Any:
  """Returns what `jax.jit(function)(*arguments)` returns, as arrays of NumPy and of JAX.

  Only what the results need is evaluated, one operation after another: large draws, sums and fills
  as below, everything else by JAX, which compiles each operation for each shape. The values are
  those of the compiled function, but for the rounding of what the compiler would have fused.
  """
  traced, shapes = jax.make_jaxpr(function, return_shape=True)(*arguments)
  jaxpr, _ = partial_eval.dce_jaxpr(
    traced.jaxpr, [True] * len(traced.jaxpr.outvars), instantiate=True
  )
  values = dict(zip(jaxpr.invars, jax.tree.leaves(arguments), strict=True))
  values.update(zip(jaxpr.constvars, traced.consts, strict=True))

  def value(atom: Any) -> Any:
    if not isinstance(atom, core.Literal):
      return values[atom]
    kind: Any = atom.aval
    return np.asarray(atom.val, kind.dtype)

  for equation in jaxpr.eqns:
    inputs = [value(atom) for atom in equation.invars]
    results = _quickly(equation, inputs)
    if results is None:
      results = _by_jax(traced, equation, inputs)
    values.update(zip(equation.outvars, results, strict=True))
  return jax.tree.unflatten(jax.tree.structure(shapes), [value(atom) for atom in jaxpr.outvars])


def _quickly(equation: Any, inputs: list[Any]) -> list[np.ndarray] | None:
  """Evaluates an operation for which nothing is to be compiled for its shape; None for others."""
  name, result = equation.primitive.name, equation.outvars[0].aval
  if result.dtype != np.float32:
    return None
  if _is_draw(equation, inputs):
    return [_draw(equation.params['name'], inputs, result.shape)]
  if name in _IN_NUMPY:
    return [_IN_NUMPY[name](*(np.asarray(number, np.float32) for number in inputs))]
  if name == 'broadcast_in_dim' and not np.shape(inputs[0]):
    return [np.full(result.shape, inputs[0], np.float32)]
  return None


def _is_draw(equation: Any, inputs: list[Any]) -> bool:
  """Whether it draws numbers with which a longer draw from the same key begins, too."""
  if equation.params.get('name') not in _DRAWS:
    return False
  # Anybody may call a function so.
  source = equation.params['jaxpr'].jaxpr.debug_info.func_src_info or ''
  return (
    bool(_OF_JAX.search(source))
    and jax.config.values['jax_threefry_partitionable']
    and jax.random.key_impl(inputs[0]) == 'threefry2x32'
    and all(np.shape(bound) == () for bound in inputs)
  )


def _draw(name: str, inputs: list[Any], shape: tuple[int, ...]) -> np.ndarray:
  """Draws more numbers than needed, so that few sizes are compiled for many shapes."""
  count = int(np.prod(shape))
  longer = _FEWEST_VALUES
  while longer < count:
    longer *= 4
  return np.asarray(_DRAWS[name](*inputs, (longer,)))[:count].reshape(shape)


def _by_jax(traced: Any, equation: Any, inputs: list[Any]) -> list[Any]:
  variables = {
    atom: number
    for atom, number in zip(equation.invars, inputs, strict=True)
    if isinstance(atom, core.Var)
  }
  one = traced.jaxpr.replace(
    constvars=[], invars=list(variables), outvars=equation.outvars, eqns=[equation]
  )
  return core.jaxpr_as_fun(traced.replace(jaxpr=one, consts=[]))(*variables.values())

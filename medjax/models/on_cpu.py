"""What networks are made of besides convolutions, in the form that is fastest on a CPU.

As in `medjax.models.convolutions`, an accelerator's program stays as it is, operation for
operation: each operation is a primitive with two lowerings. docs/performance.md has what was
measured.
"""

import functools
from collections.abc import Callable, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.extend.core import Primitive, jaxpr_as_fun
from jax.interpreters import ad, batching, mlir, partial_eval

# Name of an operation → what it is in operations of jax.lax, for programs that know no others.
PLAIN: dict[str, Callable[..., jax.Array]] = {}


def primitive(
  name: str,
  plain: Callable[..., jax.Array],
  on_cpu: Callable[..., jax.Array],
  settings: Sequence[str] = (),
) -> Primitive:
  """Returns an operation that a CPU computes by one function and all else by another.

  Args:
    name: of the operation.
    plain: gives its result from arrays and settings.
    on_cpu: gives the same to rounding.
    settings: names of the arguments that are no arrays.
  """
  result = Primitive(f'medjax_{name}')
  PLAIN[result.name] = plain

  def abstract(*operands: Any, **settings: Any) -> jax.core.ShapedArray:
    output = jax.eval_shape(functools.partial(plain, **settings), *operands)
    return jax.core.ShapedArray(output.shape, output.dtype)

  def batched(
    operands: Sequence[jax.Array], axes: Sequence[int | None], **settings: Any
  ) -> tuple[jax.Array, int]:
    return jax.vmap(functools.partial(plain, **settings), in_axes=tuple(axes))(*operands), 0

  result.def_impl(jax.jit(result.bind, static_argnames=settings))
  result.def_abstract_eval(abstract)
  batching.primitive_batchers[result] = batched
  mlir.register_lowering(result, mlir.lower_fun(plain, multiple_results=False))
  mlir.register_lowering(result, mlir.lower_fun(on_cpu, multiple_results=False), platform='cpu')
  return result


def kernel_product(inputs: jax.Array, gradient: jax.Array, precision: Any) -> jax.Array:
  """f[N, K]ᵀ f[N, F] → f[K, F].

  A CPU is slow to read the first of the two; where there are many rows the narrower one is put
  there and the result, which is small then, transposed.
  """
  contract = (((0,), (0,)), ((), ()))
  rows, width, features = *inputs.shape, gradient.shape[1]
  many = isinstance(rows, int) and rows * (width - features) > 2 * width * features
  if not many:
    return lax.dot_general(inputs, gradient, contract, precision=precision)
  transposed = lax.dot_general(gradient, inputs, contract, precision=precision)
  # Without the barrier XLA would undo it.
  return lax.optimization_barrier(transposed).T


def dot_general(
  inputs: jax.Array, kernel: jax.Array, dimension_numbers: Any, precision: Any = None, **other: Any
) -> jax.Array:
  """As jax.lax.dot_general; for flax's nn.Dense, inputs f[…, K] and kernel f[K, F] → f[…, F].

  XLA transposes whole arrays of more than two axes for the gradient to the kernel.
  """
  own = dimension_numbers == (((inputs.ndim - 1,), (0,)), ((), ())) and kernel.ndim == 2
  if not own or inputs.dtype != kernel.dtype or any(value is not None for value in other.values()):
    return lax.dot_general(inputs, kernel, dimension_numbers, precision, **other)
  return _product.bind(inputs, kernel, missing='output', precision=precision)


def _plain_product(a: jax.Array, b: jax.Array, missing: str, precision: Any) -> jax.Array:
  """Returns the array of input, kernel and output that is missing, from the other two."""

  def product(inputs: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.dot_general(inputs, kernel, (((inputs.ndim - 1,), (0,)), ((), ())), precision)

  if missing == 'output':
    return product(a, b)
  if missing == 'input':
    like = jax.ShapeDtypeStruct((*b.shape[:-1], a.shape[0]), a.dtype)
    return jax.linear_transpose(lambda inputs: product(inputs, a), like)(b)[0]
  like = jax.ShapeDtypeStruct((a.shape[-1], b.shape[-1]), a.dtype)
  return jax.linear_transpose(lambda kernel: product(a, kernel), like)(b)[0]


def _product_on_cpu(a: jax.Array, b: jax.Array, missing: str, precision: Any) -> jax.Array:
  def matrix(array: jax.Array) -> jax.Array:
    return array.reshape(-1, array.shape[-1])

  if missing == 'output':
    return jnp.dot(matrix(a), b, precision=precision).reshape(*a.shape[:-1], b.shape[1])
  if missing == 'input':
    return jnp.dot(matrix(b), a.T, precision=precision).reshape(*b.shape[:-1], a.shape[0])
  return kernel_product(matrix(a), matrix(b), precision)


def _bind_product(missing: str, arrays: dict[str, jax.Array], precision: Any) -> jax.Array:
  operands = (arrays[role] for role in ('input', 'kernel', 'output') if role != missing)
  return _product.bind(*operands, missing=missing, precision=precision)


def _transposed_product(operand: int) -> Callable[..., jax.Array]:
  """Returns the rule for the gradient to the first (0) or second (1) operand."""

  def rule(cotangent: jax.Array, *operands: jax.Array, missing: str, precision: Any) -> jax.Array:
    roles = [role for role in ('input', 'kernel', 'output') if role != missing]
    known = {roles[1 - operand]: operands[1 - operand], missing: cotangent}
    return _bind_product(roles[operand], known, precision)

  return rule


_product = primitive('product', _plain_product, _product_on_cpu, ('missing', 'precision'))
ad.defbilinear(_product, _transposed_product(0), _transposed_product(1))


def apart(x: jax.Array) -> jax.Array:
  """x. On a CPU, it and the gradient to it are computed once and not by all that read them.

  XLA fuses a sum into each of its readers, so the gradient of a residual network's early block
  would be added up from all later blocks, in each block.
  """
  return _apart.bind(x)


_apart = primitive('apart', lambda x: x, lax.optimization_barrier)
ad.deflinear2(_apart, lambda cotangent, _: [_apart.bind(cotangent)])
batching.defvectorized(_apart)


def gelu(x: jax.Array) -> jax.Array:
  """nn.gelu(x, approximate=False), whose complement of the error function is slow on a CPU."""
  half_root = np.sqrt(0.5).astype(x.dtype)
  return jnp.array(0.5 * x * _erfc.bind(-x * half_root), dtype=x.dtype)


def _erfc_jvp(tangent: jax.Array, x: jax.Array) -> jax.Array:
  slope = np.asarray(-2 / np.sqrt(np.pi), x.dtype)
  return slope * (tangent * lax.exp(-lax.square(x)))  # type: ignore[return-value]


_erfc = primitive('erfc', lax.erfc, lambda x: 1 - lax.erf(x))
ad.defjvp(_erfc, _erfc_jvp)
batching.defvectorized(_erfc)


def max_pool(
  x: jax.Array, window: Sequence[int], strides: Sequence[int], padding: Any = 'VALID'
) -> jax.Array:
  """nn.max_pool of images f[B, H, W, C] → f[B, H', W', C], with a gradient that a CPU adds fast."""
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(x.shape[1:3], window, strides, padding)
  return _max_pool(x, tuple(window), tuple(strides), tuple(map(tuple, padding)))


@functools.partial(jax.custom_jvp, nondiff_argnums=(1, 2, 3))
def _max_pool(x: jax.Array, window: Any, strides: Any, padding: Any) -> jax.Array:
  return nn.max_pool(x, window, strides, padding)


@_max_pool.defjvp
def _max_pool_jvp(
  window: Any, strides: Any, padding: Any, primals: Any, tangents: Any
) -> tuple[jax.Array, jax.Array]:
  settings = {'window': window, 'strides': strides, 'padding': padding}
  (x,), (tangent,) = primals, tangents
  return nn.max_pool(x, window, strides, padding), _pick_p.bind(tangent, x, **settings)


def _pick(tangent: jax.Array, x: jax.Array, window: Any, strides: Any, padding: Any) -> jax.Array:
  """Returns what `tangent` has where x has the first of its greatest in each window."""
  return jax.jvp(lambda x: nn.max_pool(x, window, strides, padding), (x,), (tangent,))[1]


def _spread(gradient: jax.Array, x: jax.Array, **settings: Any) -> jax.Array:
  """The transpose: each number goes to where its window has its first greatest."""

  def spread(gradient: jax.Array, x: jax.Array) -> jax.Array:
    return jax.linear_transpose(lambda tangent: _pick(tangent, x, **settings), x)(gradient)[0]

  # Without the maxima themselves, which are known.
  traced = jax.make_jaxpr(spread)(gradient, x)
  needed, _ = partial_eval.dce_jaxpr(traced.jaxpr, [True])
  return jaxpr_as_fun(traced.replace(jaxpr=needed))(gradient, x)[0]


def _spread_on_cpu(
  gradient: jax.Array, x: jax.Array, window: Any, strides: Any, padding: Any
) -> jax.Array:
  maxima = nn.max_pool(x, window, strides, padding)
  pads = ((0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0))
  padded = lax.pad(x, jnp.array(-jnp.inf, x.dtype), pads)
  taps = windows(padded, window, maxima.shape[1:3], strides)
  last = len(taps) - 1
  first = jnp.full(maxima.shape, last, jnp.int32)
  for place in reversed(range(last)):
    first = jnp.where(taps[place] == maxima, place, first)
  first = lax.optimization_barrier(first.astype(jnp.int8 if last < 128 else jnp.int32))
  result = jnp.zeros_like(x)
  for place, (row, column) in enumerate(np.ndindex(*window)):
    sides = zip((row, column), padding, x.shape[1:3], maxima.shape[1:3], strides)
    places = [(0, 0, 0)]
    for offset, (low, _), side, outputs, stride in sides:
      start = offset - low
      places.append((start, side - start - (outputs - 1) * stride - 1, stride - 1))
    chosen = jnp.where(first == place, gradient, 0)
    result += lax.pad(chosen, jnp.zeros((), x.dtype), (*places, (0, 0, 0)))
  return result


_SETTINGS = ('window', 'strides', 'padding')
_pick_p = primitive('max_pool_pick', _pick, _pick, _SETTINGS)
_spread_p = primitive('max_pool_spread', _spread, _spread_on_cpu, _SETTINGS)


def _define_linear(operation: Primitive, transpose: Primitive) -> None:
  """Linear in the first operand; the second chooses places, to which there is no gradient."""

  def transposed(cotangent: Any, operand: Any, x: jax.Array, **settings: Any) -> tuple[Any, None]:
    if isinstance(cotangent, ad.Zero):
      return ad.Zero(operand.aval), None
    return transpose.bind(cotangent, x, **settings), None

  def derivative(tangent: jax.Array, _: jax.Array, x: jax.Array, **settings: Any) -> jax.Array:
    return operation.bind(tangent, x, **settings)

  ad.defjvp(operation, derivative, None)
  ad.primitive_transposes[operation] = transposed


_define_linear(_pick_p, _spread_p)
_define_linear(_spread_p, _pick_p)


def windows(
  padded: jax.Array, kernel: Sequence[int], output: Sequence[int], strides: Sequence[int] = (1, 1)
) -> list[jax.Array]:
  """Returns what each place of a kernel is multiplied with, row by row: f[B, H', W', C] each."""
  count, _, _, channels = padded.shape
  (height, width), (down, right) = output, strides
  return [
    lax.slice(
      padded,
      (0, row, column, 0),
      (count, row + (height - 1) * down + 1, column + (width - 1) * right + 1, channels),
      (1, down, right, 1),
    )
    for row in range(kernel[0])
    for column in range(kernel[1])
  ]

"""Convolutions, which a CPU computes in the form that is fastest there for their shape.

XLA's own are fast on accelerators, whose programs stay as they are, operation for operation. On a
CPU some shapes take XLA up to a hundred times as long as the same sums written as a product of
matrices or as a sum of shifted images. `_form` chooses; docs/performance.md has what was measured.
"""

import dataclasses
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import lax
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

from medjax.models import on_cpu

# The arrays that a convolution binds. Σ output · conv(input, kernel) is linear in each of them: two
# of them give the gradient to the third, and that to 'output' is the convolution itself.
_ROLES = ('input', 'kernel', 'output')
_LAYOUT = ('NHWC', 'HWIO', 'NHWC')
# So many rows at most are added one by one, which leaves XLA's slow reduction a 14th of the work.
_ROWS = 14
# Up to so many places of a kernel have a loop each, which is fast but takes time to compile: for a
# 5×5 kernel 1.7 s, and 0.6 s with five loops.
_LOOPS = 9


@dataclasses.dataclass(frozen=True)
class Geometry:
  """Of a convolution of images f[B, H, W, C] by a kernel f[h, w, C / groups, F].

  Attributes:
    input: shape of the images; B may be a symbol.
    kernel: shape of the kernel.
    output: shape of the result [B, H', W', F].
    strides: along H and W.
    padding: rows and columns of zeros before and after; negative ones cut.
    groups: into which channels and features are divided.
    precision: of the products, as jax.lax.Precision has them.
  """

  input: tuple[int, ...]
  kernel: tuple[int, ...]
  output: tuple[int, ...]
  strides: tuple[int, ...]
  padding: tuple[tuple[int, int], ...]
  groups: int
  precision: Any


Sides = tuple[int, ...]
Pads = tuple[tuple[int, int], ...]
# Computes the output from input and kernel.
Form = Callable[[jax.Array, jax.Array, Geometry], jax.Array]


def convolution(
  images: jax.Array,
  kernel: jax.Array,
  window_strides: Sequence[int],
  padding: str | Sequence[tuple[int, int]],
  **settings: Any,
) -> jax.Array:
  """As jax.lax.conv_general_dilated, and with its arguments; for flax's nn.Conv.

  What is no convolution of images f[B, H, W, C] of one type and without dilation is left to that.
  """

  def plain(images: jax.Array, kernel: jax.Array) -> jax.Array:
    return lax.conv_general_dilated(images, kernel, window_strides, padding, **settings)

  dilated = {*settings['lhs_dilation'], *settings['rhs_dilation']} != {1}
  if images.ndim != 4 or dilated or images.dtype != kernel.dtype:
    return plain(images, kernel)
  if isinstance(padding, str):
    padding = lax.padtype_to_pads(images.shape[1:3], kernel.shape[:2], window_strides, padding)
  output = jax.eval_shape(plain, images, kernel)
  geometry = Geometry(
    images.shape,
    kernel.shape,
    output.shape,
    tuple(window_strides),
    tuple((low, high) for low, high in padding),
    settings['feature_group_count'],
    settings['precision'],
  )
  return _bind('output', {'input': images, 'kernel': kernel}, geometry)


def _bind(missing: str, arrays: dict[str, jax.Array], geometry: Geometry) -> jax.Array:
  """Returns the array of the role `missing` from the other two."""
  operands = (arrays[role] for role in _ROLES if role != missing)
  return _primitive.bind(*operands, missing=missing, geometry=geometry)


def _plain(a: jax.Array, b: jax.Array, missing: str, geometry: Geometry) -> jax.Array:
  """As XLA does it."""
  return _through(_xla, a, b, missing, geometry)


def _through(form: Form, a: jax.Array, b: jax.Array, missing: str, geometry: Geometry) -> jax.Array:
  """Returns the array `missing` from the other two, a gradient as the transpose of `form`."""
  if missing == 'output':
    return form(a, b, geometry)
  like = jax.ShapeDtypeStruct(getattr(geometry, missing), a.dtype)
  if missing == 'input':
    return jax.linear_transpose(lambda images: form(images, a, geometry), like)(b)[0]
  return jax.linear_transpose(lambda kernel: form(a, kernel, geometry), like)(b)[0]


def _xla(images: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
  return lax.conv_general_dilated(
    images,
    kernel,
    geometry.strides,
    geometry.padding,
    dimension_numbers=_LAYOUT,
    feature_group_count=geometry.groups,
    precision=geometry.precision,
  )


def _on_cpu(a: jax.Array, b: jax.Array, missing: str, geometry: Geometry) -> jax.Array:
  """As a CPU does it fastest; half precision through float32, as XLA does there."""
  form = _form(missing, geometry)
  dtype = a.dtype
  if form is not _xla and dtype.itemsize < 4:
    a, b = a.astype(jnp.float32), b.astype(jnp.float32)
  if form is _product and missing == 'kernel':
    result = _product_kernel_gradient(a, b, geometry)
  elif form is _shifts and missing == 'kernel':
    result = _shifted_kernel_gradient(a, b, geometry)
  elif form is _shifts and missing == 'input' and geometry.strides == (1, 1):
    result = _shifts(b, a[::-1, ::-1], _reversed(geometry))
  else:
    result = _through(form, a, b, missing, geometry)
  return result.astype(dtype)


def _form(missing: str, geometry: Geometry) -> Form:
  """Returns the form that is fastest on a CPU."""
  size, (_, channels, features) = geometry.kernel[:2], geometry.kernel[1:]
  if geometry.groups == features > 1 == channels:
    return _shifts  # Depthwise: XLA's takes 3 to 50 times as long, for each of the three arrays.
  if geometry.groups > 1:
    return _xla
  if size == (1, 1):
    return _product  # XLA's kernel gradient takes 1.5 to 7 times as long, the rest as long.
  # XLA leaves its fast way where a kernel does not fit into the map that it slides over, and takes
  # up to a hundred times as long.
  slid_over = geometry.output if missing == 'input' else geometry.input
  fits = all(side <= map_side for side, map_side in zip(size, slid_over[1:3]))
  return _xla if fits else _product


def _padded(images: jax.Array, padding: Pads) -> jax.Array:
  pads = ((0, 0, 0), *((low, high, 0) for low, high in padding), (0, 0, 0))
  return lax.pad(images, jnp.zeros((), images.dtype), pads)


def _taps(images: jax.Array, geometry: Geometry) -> list[jax.Array]:
  """Returns the windows of all places of the kernel."""
  padded = _padded(images, geometry.padding)
  return on_cpu.windows(padded, geometry.kernel[:2], geometry.output[1:3], geometry.strides)


def _product(images: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
  """Each window of the images as a row of a matrix, times the kernel as one."""
  matrix, kernel = _window_matrix(images, geometry), kernel.reshape(-1, kernel.shape[-1])
  product = jnp.dot(matrix, kernel, precision=geometry.precision)
  return product.reshape(images.shape[0], *geometry.output[1:])


def _window_matrix(images: jax.Array, geometry: Geometry) -> jax.Array:
  """Returns the windows as rows: of two axes, since XLA transposes longer arrays as a whole."""
  windows = jnp.concatenate(_taps(images, geometry), axis=-1)
  return windows.reshape(-1, windows.shape[-1])


def _product_kernel_gradient(
  images: jax.Array, gradient: jax.Array, geometry: Geometry
) -> jax.Array:
  """The transpose of `_product`."""
  gradient = gradient.reshape(-1, gradient.shape[-1])
  matrix = _window_matrix(images, geometry)
  return on_cpu.kernel_product(matrix, gradient, geometry.precision).reshape(geometry.kernel)


def _shifts(images: jax.Array, kernel: jax.Array, geometry: Geometry) -> jax.Array:
  """Depthwise: the sum of shifted images, each scaled by one number for each channel."""
  weights = kernel.reshape(-1, kernel.shape[-1])
  terms = (tap * weight for tap, weight in zip(_taps(images, geometry), weights))
  return functools.reduce(jnp.add, terms)


def _reversed(geometry: Geometry) -> Geometry:
  """Of the convolution by the kernel turned around that gives the input's gradient, strides 1."""
  sizes = zip(geometry.kernel[:2], geometry.padding)
  padding = tuple((size - 1 - low, size - 1 - high) for size, (low, high) in sizes)
  return dataclasses.replace(
    geometry, input=geometry.output, output=geometry.input, padding=padding
  )


def _shifted_kernel_gradient(
  images: jax.Array, gradient: jax.Array, geometry: Geometry
) -> jax.Array:
  """The transpose of `_shifts`: for each place the sum of shifted images times the gradient.

  XLA reduces column by column, which is slow; the rows of an image are added here beforehand. Each
  sum is a loop to compile, so the places in one row of a large kernel share theirs.
  """
  count, height, width, channels = geometry.output
  parts = -(-height // _ROWS)
  rows = -(-height // parts)
  lacking = parts * rows - height
  gradient = jnp.pad(gradient, ((0, 0), (0, lacking), (0, 0), (0, 0)))
  gradient = gradient.reshape(count, parts, rows, width, 1, channels)
  (top, bottom), sides = geometry.padding
  padding = ((top, bottom + lacking * geometry.strides[0]), sides)
  padded = _padded(images, padding)
  (down, right), (kernel_rows, kernel_columns) = geometry.strides, geometry.kernel[:2]
  shifted = on_cpu.windows(padded, (1, kernel_columns), (padded.shape[1], width), (1, right))
  if math.prod(geometry.kernel[:2]) > _LOOPS:
    shifted = [lax.optimization_barrier(jnp.concatenate(shifted, axis=-1))]
  sums = []
  for columns in shifted:
    for tap in on_cpu.windows(columns, (kernel_rows, 1), (height + lacking, width), (down, 1)):
      tap = tap.reshape(count, parts, rows, width, -1, channels)
      terms = (tap[:, :, i] * gradient[:, :, i] for i in range(rows))
      sums.append(functools.reduce(jnp.add, terms))
  # Without the barrier XLA would fuse both sums into its slow one.
  sums = lax.optimization_barrier(jnp.stack(sums)).sum((1, 2, 3))
  if len(shifted) > 1:
    sums = sums.reshape(kernel_columns, kernel_rows, channels).swapaxes(0, 1)
  return sums.reshape(geometry.kernel)


def _transposed(operand: int) -> Callable[..., jax.Array]:
  """Returns the rule for the gradient to the first (0) or second (1) operand."""

  def rule(
    cotangent: jax.Array, *operands: jax.Array, missing: str, geometry: Geometry
  ) -> jax.Array:
    roles = [role for role in _ROLES if role != missing]
    known = {roles[1 - operand]: operands[1 - operand], missing: cotangent}
    return _bind(roles[operand], known, geometry)

  return rule


def _batched(
  operands: Sequence[jax.Array], axes: Sequence[int | None], **parameters: Any
) -> tuple[jax.Array, int]:
  return jax.vmap(functools.partial(_plain, **parameters), in_axes=tuple(axes))(*operands), 0


def _abstract(a: Any, b: Any, *, missing: str, geometry: Geometry) -> jax.core.ShapedArray:
  return jax.core.ShapedArray(getattr(geometry, missing), a.dtype)


_primitive = Primitive('medjax_convolution')
on_cpu.PLAIN[_primitive.name] = _plain
_primitive.def_impl(jax.jit(_primitive.bind, static_argnames=('missing', 'geometry')))
_primitive.def_abstract_eval(_abstract)
ad.defbilinear(_primitive, _transposed(0), _transposed(1))
batching.primitive_batchers[_primitive] = _batched
mlir.register_lowering(_primitive, mlir.lower_fun(_plain, multiple_results=False))
mlir.register_lowering(_primitive, mlir.lower_fun(_on_cpu, multiple_results=False), platform='cpu')

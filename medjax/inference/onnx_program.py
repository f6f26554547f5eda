"""A network as an ONNX program, through jax2onnx, and whether ONNX Runtime computes the same."""

import contextlib
import io
import logging
import math
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import export, lax
from jax.extend import core

from medjax.errors import InputError, one_line
from medjax.models import on_cpu

OPSET = 18  # ONNX Runtime 1.14 and later compute it.
TOLERANCE = 1e-4  # of a probability
INPUT, OUTPUT, BATCH = 'images', 'probabilities', 'batch'
_INSTALL = (
  "pip install 'medjax[onnx]', then pip install --no-deps jax2onnx==0.17.1, which asks for an "
  'older orbax-checkpoint than medjax and uses none'
)
# Whose body is one of their parameters. What they say about gradients or compiling is left out.
_CALLS = ('jit', 'pjit', 'closed_call', 'custom_jvp_call', 'custom_vjp_call', 'checkpoint')
_WINDOWS = {'reduce_window_max': (nn.max_pool, -math.inf), 'reduce_window_sum': (nn.avg_pool, 0.0)}

Predict = Callable[[jax.Array], jax.Array]


def program(predict: Predict, shape: Sequence[int], facts: Mapping[str, str]) -> bytes:
  """Returns the ONNX file of a function uint8[batch, H, W, C] → f32[batch, L].

  Args:
    predict: traceable by jax.
    shape: H, W, C.
    facts: name → text, its metadata.

  Raises:
    InputError: the converter is not installed, or has no form for what the function does.
  """
  try:
    import jax2onnx
    import onnx
  except ImportError as error:
    raise InputError(f'ONNX needs further packages ({error}): {_INSTALL}') from None
  (batch,) = export.symbolic_shape(BATCH)
  images = jax.ShapeDtypeStruct((batch, *shape), jnp.uint8)
  # The converter's own tracing exchanges layers of flax by name, which took the padding of a
  # max_pool for none; of what is traced before it sees plain operations alone.
  traced = jax.make_jaxpr(predict)(images)
  try:
    with _quiet():
      model = jax2onnx.to_onnx(
        lambda images: _evaluated(traced.jaxpr, traced.consts, images)[0],
        [images],
        model_name='medjax',
        opset=OPSET,
        input_names=[INPUT],
        output_names=[OUTPUT],
      )
      # Shapes of its intermediate results, of which some are of another layout than the results.
      del model.graph.value_info[:]
      model.ir_version = onnx.helper.find_min_ir_version_for(list(model.opset_import))
      onnx.helper.set_model_props(model, dict(facts))
      onnx.checker.check_model(model)
      return model.SerializeToString()
  except Exception as error:  # Whatever the converter may raise.
    raise InputError(
      f'jax2onnx cannot make ONNX of this network ({one_line(error)}); export the default '
      '--format=stablehlo, which jax runs'
    ) from error


def largest_difference(
  content: bytes, predict: Predict, batches: Mapping[str, np.ndarray]
) -> dict[str, float]:
  """Returns name → the largest difference between two probabilities that both programs give.

  Args:
    content: an ONNX file.
    predict: the function that it was made of.
    batches: name → uint8[B, H, W, C], of any sizes.

  Raises:
    InputError: one is larger than TOLERANCE, or ONNX Runtime does not run the program.
  """
  run = session(content)
  expected = {name: _by_jax(predict, images) for name, images in batches.items()}
  differences = {}
  for name, images in batches.items():
    difference = np.abs(run(images) - expected[name])
    # Not a number is no agreement.
    differences[name] = float(np.where(np.isnan(difference), np.inf, difference).max())
    if differences[name] > TOLERANCE:
      raise InputError(
        f'ONNX Runtime gives other probabilities than the run, by up to {differences[name]:.2g} on '
        f'{len(images)} {name} ({TOLERANCE:g} is allowed), so no ONNX is written; export the '
        'default --format=stablehlo, which jax runs'
      )
  return differences


def _by_jax(predict: Predict, images: np.ndarray) -> np.ndarray:
  with jax.default_matmul_precision('highest'):  # An accelerator's own is that of 10 bits.
    traced = jax.make_jaxpr(predict)(images)
    # Weights inside a program are computed with while it is compiled, which takes long.
    run = jax.jit(lambda weights, images: jax.core.eval_jaxpr(traced.jaxpr, weights, images)[0])
    return np.asarray(run(traced.consts, images))


def session(content: bytes) -> Callable[[np.ndarray], np.ndarray]:
  """Returns the function uint8[B, H, W, C] → f32[B, L] of an ONNX file, by ONNX Runtime on a CPU.

  Raises:
    InputError: ONNX Runtime is not installed, or does not run the program.
  """
  try:
    import onnxruntime
  except ImportError as error:
    raise InputError(f'ONNX needs further packages ({error}): {_INSTALL}') from None
  try:
    opened = onnxruntime.InferenceSession(content, providers=['CPUExecutionProvider'])
  except Exception as error:  # It has an exception for each kind of failure.
    raise InputError(
      f'ONNX Runtime does not open what jax2onnx has made: {one_line(error)}'
    ) from None
  return lambda images: opened.run([OUTPUT], {INPUT: np.ascontiguousarray(images)})[0]


def _evaluated(jaxpr: Any, consts: Sequence[Any], *arguments: Any) -> list[Any]:
  """Returns the results of a traced function, in operations that the converter has a form for."""
  values = dict(zip((*jaxpr.constvars, *jaxpr.invars), (*consts, *arguments)))
  for equation in jaxpr.eqns:
    operands = [
      operand.val if isinstance(operand, core.Literal) else values[operand]
      for operand in equation.invars
    ]
    results = _operation(equation.primitive, operands, equation.params)
    values.update(zip(equation.outvars, results))
  return [out.val if isinstance(out, core.Literal) else values[out] for out in jaxpr.outvars]


def _operation(primitive: Any, operands: list[Any], parameters: dict[str, Any]) -> list[Any]:
  name = primitive.name
  if name in _CALLS:
    body = parameters.get('call_jaxpr', parameters.get('jaxpr'))
    return _evaluated(getattr(body, 'jaxpr', body), getattr(body, 'consts', ()), *operands)
  if name in on_cpu.PLAIN:
    return [on_cpu.PLAIN[name](*operands, **parameters)]
  if name in _WINDOWS and _is_of_images(parameters):
    return [_pooled(name, operands[0], parameters)]
  result = primitive.bind(*operands, **parameters)
  return result if primitive.multiple_results else [result]


def _is_of_images(parameters: dict[str, Any]) -> bool:
  """Whether a window of [B, H, W, C] slides along H and W alone, without gaps."""
  window, dilations = parameters['window_dimensions'], parameters['window_dilation']
  is_dilated = {*dilations, *parameters['base_dilation']} != {1}
  return len(window) == 4 and window[0] == window[3] == 1 and not is_dilated


def _pooled(name: str, images: jax.Array, parameters: dict[str, Any]) -> jax.Array:
  """As XLA reduces windows of [B, H, W, C]; the converter has no form for four dimensions."""
  pool, fill = _WINDOWS[name]
  for axis, sides in enumerate(parameters['padding']):
    images = _extended(images, axis, sides, fill)
  window = parameters['window_dimensions'][1:3]
  pooled = pool(
    images, window_shape=window, strides=parameters['window_strides'][1:3], padding='VALID'
  )
  return pooled if name == 'reduce_window_max' else pooled * math.prod(window)


def _extended(images: jax.Array, axis: int, sides: tuple[int, int], fill: float) -> jax.Array:
  """As lax.pad, for which the converter takes no symbol as a size."""

  def edge(number: int) -> list[jax.Array]:
    shape = (*images.shape[:axis], number, *images.shape[axis + 1 :])
    return [jnp.broadcast_to(jnp.asarray(fill, images.dtype), shape)] if number else []

  before, after = sides
  parts = [*edge(before), images, *edge(after)]
  return lax.concatenate(parts, axis) if len(parts) > 1 else images


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
  """Keeps what the converter logs, prints and warns of to itself; what it raises is said."""
  before = logging.root.manager.disable
  logging.disable(logging.WARNING)
  try:
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
      warnings.simplefilter('ignore')
      yield
  finally:
    logging.disable(before)

"""Runs model.stablehlo, which lies beside this file: needs jax and numpy alone.

  from run import load
  probabilities = load()(images)  # uint8[batch, height, width, channels] → f32[batch, labels]

How a file becomes such an image stands in IMAGES, below. Everything after that is part of the
program.
"""

import dataclasses
import pathlib

import jax
import jax.numpy as jnp
from jax import export

IMAGES = ''
IMAGE_SHAPE = ()
LABELS = ()
PLATFORMS = ()
CALLING_CONVENTION = 0


def load():
  """Returns a function uint8[batch, *IMAGE_SHAPE] → probabilities f32[batch, len(LABELS)]."""
  (batch,) = export.symbolic_shape('batch')
  images = jax.ShapeDtypeStruct((batch, *IMAGE_SHAPE), jnp.uint8)
  # jax reads its own format of exported programs only with a further package. A program of the same
  # signature, its body exchanged, needs none.
  same_signature = jax.jit(lambda images: jnp.zeros((images.shape[0], len(LABELS)), jnp.float32))
  exported = dataclasses.replace(
    export.export(same_signature, platforms=PLATFORMS)(images),
    mlir_module_serialized=pathlib.Path(__file__).with_name('model.stablehlo').read_bytes(),
    calling_convention_version=CALLING_CONVENTION,
    module_kept_var_idx=(0,),
  )
  return jax.jit(exported.call)


if __name__ == '__main__':
  import numpy as np

  blank = np.zeros((1, *IMAGE_SHAPE), np.uint8)
  print('a black image:', dict(zip(LABELS, np.asarray(load()(blank))[0].tolist())))

"""CPU seconds that every network takes to compile a training step, in bfloat16 and in float32.

  python benchmarks/compile_time.py                      all of them: half an hour
  python benchmarks/compile_time.py resnet50 vit_base_patch16

Each is one step of AdamW with binary cross-entropy on two grey images; its loss must be finite. The
images are small, for their size hardly changes the time of compilation. Seconds are processor time,
summed over the cores, which other programs disturb little. There is no ratio: PyTorch does not
compile.
"""

import argparse
import time

import jax
import numpy as np

from medjax import losses, models
from medjax.config import Config, Data, Model
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError, check_option
from medjax.models.normalisation import Normalisation
from medjax.training import learner

IMAGE_SIZES = {'inception_v3': 299, 'vit_small_patch14_dinov2': 70, 'vit_base_patch14_dinov2': 70}
PRECISIONS = ('bfloat16', 'float32')


def step_once(name: str, precision: str) -> tuple[float, float]:
  """Returns the CPU seconds of compilation, and the loss of one step."""
  size, labels = IMAGE_SIZES.get(name, 64), ('one', 'two')
  config = Config(Data('', '', labels), Model(name), precision=precision, steps=10)
  learn = learner.build(config, ImageFormat(size, 1), Normalisation((0.5,), (0.25,)))
  # Compilation does not depend on the values of parameters: no time goes into drawing good ones.
  rng = np.random.default_rng(0)
  state = jax.tree.map(
    lambda leaf: (0.02 * rng.normal(size=leaf.shape)).astype(leaf.dtype), learn.state_after(0)
  )
  state = state.replace(
    step=np.zeros((), np.int32),
    batch_stats=jax.tree.map(np.ones_like, state.batch_stats),
    opt_state=jax.tree.map(np.zeros_like, state.opt_state),
  )
  batch = {
    'image': rng.integers(0, 256, (2, size, size, 1), np.uint8),
    'label': np.eye(2, dtype=np.float32),
    'mask': np.ones((2, 2), np.float32),
    'weight': np.ones(2, np.float32),
  }
  step = jax.jit(learn.train_step(losses.binary_cross_entropy, frozen=0))
  start = time.process_time()
  compiled = step.lower(state, batch).compile()
  seconds = time.process_time() - start
  return seconds, float(compiled(state, batch)[1]['loss'])


def main() -> None:
  """Prints a row for each network as soon as it is known."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  # TensorFlow's variants are the same networks but for their padding.
  distinct = [name for name in models.__all__ if not name.startswith('tf_')]
  parser.add_argument(
    'networks', nargs='*', default=distinct, metavar='NETWORK',
    help='such as resnet50 (python -m medjax.models lists them); all of them by default',
  )  # fmt: skip
  networks = parser.parse_args().networks
  try:
    for name in networks:
      check_option('NETWORK', name, models.__all__)
  except InputError as error:
    parser.error(str(error))
  print(f'jax {jax.__version__} on {jax.devices()[0].device_kind}')
  print(
    '| network | ' + ' | '.join(f'{precision}, s' for precision in PRECISIONS) + ' |\n|---|---|---|'
  )
  for name in networks:
    cells = []
    for precision in PRECISIONS:
      seconds, loss = step_once(name, precision)
      if not np.isfinite(loss):
        raise SystemExit(f'{name} in {precision}: the loss is {loss}')
      cells.append(f'{seconds:.0f}')
      jax.clear_caches()
    print(f'| {name} | {" | ".join(cells)} |', flush=True)


if __name__ == '__main__':
  main()

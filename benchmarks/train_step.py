"""Training images/s of a network here and in PyTorch: same network, batch, threads, one run.

  pip install timm torch     # the other side; not a dependency of medjax
  python benchmarks/train_step.py --network=resnet50 --batch_size=16
  python benchmarks/train_step.py --network=resnet18 --image_size=64 --batch_size=32 --evaluation

On both sides a step takes uint8 grey images, normalises them, runs the network (timm's of the same
name in PyTorch) forward and backward in float32 (or bfloat16, PyTorch's by autocast), with binary
cross-entropy over 14 labels, and updates by AdamW. With --evaluation it ends at the logits of a
forward pass with running statistics and without gradients. The sides take turns, so that a busy
machine slows both; the median of the turns counts. On a GPU both sides compute float32 as they do
by default: TF32 in convolutions.
"""

import argparse
import os
import statistics
import time

# As medjax.models and timm both call them → timm's, where it has another name.
NETWORKS = {
  'resnet18': 'resnet18',
  'resnet50': 'resnet50',
  'densenet121': 'densenet121',
  'efficientnet_b0': 'efficientnet_b0',
  'convnext_tiny': 'convnext_tiny',
  'vit_small_patch16': 'vit_small_patch16_224',
}


def with_medjax(arguments: argparse.Namespace):
  """Returns a function that runs one step of medjax and waits for it, and the device's name."""
  import jax
  import numpy as np

  from medjax import losses
  from medjax.config import Config, Data, Model
  from medjax.data.images.preprocessing import ImageFormat
  from medjax.models.normalisation import Normalisation
  from medjax.runtime import uncompiled
  from medjax.training import learner

  labels = tuple(f'label {number}' for number in range(14))
  config = Config(
    Data('', '', labels), Model(arguments.network), precision=arguments.precision, steps=1_000
  )
  size, batch_size = arguments.image_size, arguments.batch_size
  learn = learner.build(config, ImageFormat(size, 1), Normalisation((0.5,), (0.25,)))
  state = jax.device_put(uncompiled.evaluate(learn.init_state, {}))
  step = jax.jit(learn.train_step(losses.binary_cross_entropy, frozen=0), donate_argnums=0)
  evaluate = jax.jit(learn.eval_step)
  rng = np.random.default_rng(0)
  batch = jax.device_put(
    {
      'image': rng.integers(0, 256, (batch_size, size, size, 1), np.uint8),
      'label': rng.integers(0, 2, (batch_size, 14)).astype(np.float32),
      'mask': np.ones((batch_size, 14), np.float32),
      'weight': np.ones(batch_size, np.float32),
    }
  )

  def train():
    nonlocal state
    state, metrics = step(state, batch)
    jax.block_until_ready((state, metrics))

  def predict():
    jax.block_until_ready(evaluate(state.variables, batch['image']))

  run = predict if arguments.evaluation else train
  return run, f'jax {jax.__version__} on {jax.devices()[0].device_kind}'


def with_torch(arguments: argparse.Namespace):
  """Returns the same for PyTorch."""
  import timm
  import torch

  torch.set_num_threads(arguments.threads)
  device = 'cuda' if torch.cuda.is_available() else 'cpu'
  size, batch_size = arguments.image_size, arguments.batch_size
  settings = {'img_size': size} if arguments.network.startswith('vit') else {}
  model = timm.create_model(NETWORKS[arguments.network], num_classes=14, in_chans=1, **settings)
  model = model.to(device).to(memory_format=torch.channels_last).train(not arguments.evaluation)
  optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=1e-4)
  images = torch.randint(0, 256, (batch_size, 1, size, size), dtype=torch.uint8)
  images = images.to(device).contiguous(memory_format=torch.channels_last)
  labels = torch.randint(0, 2, (batch_size, 14), device=device).float()

  def forward():
    with torch.autocast(device, torch.bfloat16, enabled=arguments.precision == 'bfloat16'):
      return model((images.float() / 255 - 0.5) / 0.25)

  def train():
    optimizer.zero_grad(set_to_none=True)
    loss = torch.nn.functional.binary_cross_entropy_with_logits(forward().float(), labels)
    loss.backward()
    optimizer.step()

  def run():
    if arguments.evaluation:
      with torch.inference_mode():
        forward()
    else:
      train()
    if device == 'cuda':
      torch.cuda.synchronize()

  return run, f'PyTorch {torch.__version__}, timm {timm.__version__}, on {device}, channels last'


def seconds(run) -> float:
  """Times one call."""
  start = time.perf_counter()
  run()
  return time.perf_counter() - start


def main() -> None:
  """Prints both rates and their ratio."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--network', choices=NETWORKS, default='resnet50')
  parser.add_argument('--batch_size', type=int, default=16)
  parser.add_argument('--image_size', type=int, default=224)
  parser.add_argument('--precision', choices=('float32', 'bfloat16'), default='float32')
  parser.add_argument('--evaluation', action='store_true', help='forward only')
  parser.add_argument('--turns', type=int, default=5)
  parser.add_argument('--threads', type=int, default=len(os.sched_getaffinity(0)))
  arguments = parser.parse_args()
  # XLA's thread pool is as large as the cores that the process may use.
  os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: arguments.threads])
  our_run, our_name = with_medjax(arguments)
  their_run, their_name = with_torch(arguments)
  print(
    f'compiling and first step: {seconds(our_run):.1f} s here, {seconds(their_run):.1f} s there'
  )
  turns = [(seconds(our_run), seconds(their_run)) for _ in range(arguments.turns)]
  our_median, their_median = (statistics.median(side) for side in zip(*turns))
  print(
    f'{"evaluation" if arguments.evaluation else "training"} of {arguments.network}, '
    f'{arguments.batch_size} grey images of {arguments.image_size} px, '
    f'{arguments.precision}, {arguments.threads} threads, median of {arguments.turns} steps'
  )
  print(f'medjax   {arguments.batch_size / our_median:8.2f} images/s   ({our_name})')
  print(f'PyTorch  {arguments.batch_size / their_median:8.2f} images/s   ({their_name})')
  print(f'ratio    {their_median / our_median:8.2f}')


if __name__ == '__main__':
  main()

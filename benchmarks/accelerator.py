"""What one accelerator does here and in PyTorch, in one run of at most eight minutes.

  pip install -e .[gpu] timm     # and torch; nothing else, and no network
  python benchmarks/accelerator.py --output=accelerator
  python benchmarks/accelerator.py --tiny     # runs through on a CPU, in a minute; says nothing

A machine that has only jax, flax, optax, orbax, torch and timm needs, as wheels: absl-py, cattrs,
etils, filelock, grain, array_record, h5py, huggingface_hub, pandas, psutil, safetensors, scipy,
tensorboardX, tqdm, and medjax itself by PYTHONPATH.

Written are OUTPUT.json and OUTPUT.md, a table, of:

  training     images/s of five networks on uint8 images that lie on the device, bfloat16, 224 px,
               14 labels: forward, backward and AdamW. PyTorch runs timm's with torch.compile,
               autocast, channels last and fused AdamW. Beside it: the share of the card's peak, by
               the operations of the compiled program; the memory of that program, and PyTorch's
               peak; seconds to compile, cold and from the cache
  evaluation   forward alone, of the same
  the loop     the whole of `medjax.main` on JPEG files: decoded for each step, prepared, and on the
               device; each as a share of its own step on one batch that stays on the device
  predict      images/s of `medjax.predict`, its start included

Each side has the device for itself, one after the other. What no time is left for is named.
"""

import argparse
import json
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

from accelerator_table import table

NETWORKS = {  # → timm's
  'resnet50': 'resnet50',
  'densenet121': 'densenet121',
  'efficientnet_b0': 'efficientnet_b0',
  'convnext_tiny': 'convnext_tiny',
  'vit_base_patch16': 'vit_base_patch16_224',
}
# bfloat16 operations a second of dense products, by NVIDIA's data sheets of the SXM cards.
PEAKS = {'H200': 989e12, 'H100': 989e12, 'A100': 312e12}
LABELS = 14
PROJECT = pathlib.Path(__file__).parent.parent


def seconds_of(call: Callable[[], Any], turns: int, calls: int) -> float:
  """Returns the median over turns of the seconds of a call, of so many that follow each other."""

  def turn() -> float:
    start = time.perf_counter()
    for _ in range(calls):
      result = call()
    wait(result)
    return (time.perf_counter() - start) / calls

  return statistics.median(turn() for _ in range(turns))


def wait(result: Any) -> None:
  """Waits for what a call has started."""
  if hasattr(result, 'cpu'):
    import torch

    if result.is_cuda:
      torch.cuda.synchronize()
    return
  import jax

  jax.block_until_ready(result)


def of_medjax(name: str, options: argparse.Namespace) -> dict[str, Any]:
  """Measures one network here."""
  import jax
  import numpy as np

  from medjax import losses
  from medjax.config import Config, Data, Model
  from medjax.data.images.preprocessing import ImageFormat
  from medjax.models.normalisation import Normalisation
  from medjax.runtime import uncompiled
  from medjax.training import learner

  labels = tuple(f'label {number}' for number in range(LABELS))
  size, batch_size = options.image_size, options.batch_size
  config = Config(Data('', '', labels), Model(name), precision='bfloat16', steps=1_000)
  built = learner.build(config, ImageFormat(size, 3), Normalisation((0.5,), (0.25,)))
  state = jax.device_put(uncompiled.evaluate(built.init_state, {}))
  rng = np.random.default_rng(0)
  batch = jax.device_put(
    {
      'image': rng.integers(0, 256, (batch_size, size, size, 3), np.uint8),
      'label': rng.integers(0, 2, (batch_size, LABELS)).astype(np.float32),
      'mask': np.ones((batch_size, LABELS), np.float32),
      'weight': np.ones(batch_size, np.float32),
    }
  )

  def compiled() -> tuple[Any, float]:
    jitted = jax.jit(built.train_step(losses.binary_cross_entropy, frozen=0), donate_argnums=0)
    lowered, start = jitted.lower(state, batch), time.perf_counter()
    return lowered.compile(), time.perf_counter() - start

  step, cold = compiled()
  jax.clear_caches()
  _, warm = compiled()
  memory = step.memory_analysis()
  evaluate = jax.jit(built.eval_step)

  def train() -> Any:
    nonlocal state
    state, metrics = step(state, batch)
    return metrics

  wait(train())
  training = seconds_of(train, options.turns, options.calls)
  predict = lambda: evaluate(state.variables, batch['image'])  # noqa: E731
  wait(predict())
  kind = jax.devices()[0].device_kind
  peak = next((peak for card, peak in PEAKS.items() if card in kind), None)
  return {
    'training': batch_size / training,
    'evaluation': batch_size / seconds_of(predict, options.turns, options.calls),
    'share_of_peak': peak and step.cost_analysis()['flops'] / training / peak,
    'gigabytes': memory and (memory.temp_size_in_bytes + memory.argument_size_in_bytes) / 1e9,
    'compiling_cold': cold,
    'compiling_cached': warm,
    'device': kind,
    'versions': f'jax {jax.__version__}',
  }


def of_torch(name: str, options: argparse.Namespace) -> dict[str, Any]:
  """Measures one network in PyTorch."""
  import timm
  import torch

  is_gpu = torch.cuda.is_available()
  device, size = 'cuda' if is_gpu else 'cpu', options.image_size
  torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.benchmark = True
  settings = {'img_size': size} if name.startswith('vit') else {}
  model = timm.create_model(NETWORKS.get(name, name), num_classes=LABELS, **settings)
  model = model.to(device).to(memory_format=torch.channels_last).train()
  optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, weight_decay=0.05, fused=is_gpu)
  shape = (options.batch_size, 3, size, size)
  images = torch.randint(0, 256, shape, dtype=torch.uint8).to(device)
  images = images.contiguous(memory_format=torch.channels_last)
  truth = torch.randint(0, 2, (options.batch_size, LABELS), device=device).float()

  def forward() -> Any:
    with torch.autocast(device, torch.bfloat16):
      return model((images.float() / 255 - 0.5) / 0.25)

  # What torch.compile sees is forward and loss; the optimizer is fused by itself.
  loss_of = lambda: torch.nn.functional.binary_cross_entropy_with_logits(forward().float(), truth)  # noqa: E731
  compile_ = torch.compile if is_gpu else lambda function: function
  loss_of, evaluate = compile_(loss_of), compile_(forward)

  def train() -> Any:
    optimizer.zero_grad(set_to_none=True)
    loss = loss_of()
    loss.backward()
    optimizer.step()
    return loss.detach()

  start = time.perf_counter()
  wait(train())
  cold = time.perf_counter() - start
  if is_gpu:
    torch.cuda.reset_peak_memory_stats()
  training = seconds_of(train, options.turns, options.calls)
  gigabytes = torch.cuda.max_memory_allocated() / 1e9 if is_gpu else None
  model.eval()
  with torch.inference_mode():
    wait(evaluate())
    evaluation = seconds_of(evaluate, options.turns, options.calls)
  return {
    'training': options.batch_size / training,
    'evaluation': options.batch_size / evaluation,
    'gigabytes': gigabytes,
    'compiling_cold': cold,
    'device': torch.cuda.get_device_name() if is_gpu else 'cpu',
    'versions': f'torch {torch.__version__}, timm {timm.__version__}',
  }


def loop_settings(options: argparse.Namespace, root: pathlib.Path) -> list[str]:
  """Returns the settings of the run whose whole loop is measured."""
  images, image_size = (96, 48) if options.tiny else (2_000, 320)
  steps = 6 if options.tiny else 100
  return [
    f'data.root={root}',
    f'data.settings.images={images}',
    f'data.settings.image_size={image_size}',
    f'data.image_size={options.image_size}',
    f'data.workers={0 if options.tiny else max(1, (os.cpu_count() or 1) - 2)}',
    f'model.name={"resnet_tiny" if options.tiny else "resnet50"}',
    'precision=bfloat16',
    f'batch_size={options.batch_size}',
    f'steps={steps}',
    f'evaluate_every={steps}',
    'optimizer.warmup_steps=1',
    'optimizer.ema=0',
    'evaluation.saliency=none',
    'replicates=50',
    'split.test_floor={}',
  ]


def own_speed(options: argparse.Namespace, root: pathlib.Path) -> dict[str, Any]:
  """Returns images/s of that run's step on one batch that stays on the device."""
  import jax
  import numpy as np

  from medjax import config as configs
  from medjax import losses
  from medjax.runtime import uncompiled
  from medjax.training import learner, preprocessing

  config = configs.load(str(PROJECT / 'configs/phantom.py'), loop_settings(options, root))
  built = learner.build(config, *preprocessing.resolve(config, None))
  state = jax.device_put(uncompiled.evaluate(built.init_state, {}))
  step = jax.jit(built.train_step(losses.binary_cross_entropy, frozen=0), donate_argnums=0)
  labels, size = len(config.data.labels), config.batch_size
  batch = jax.device_put(
    {
      'image': np.random.default_rng(0).integers(
        0, 256, (size, *built.image_format.shape), np.uint8
      ),
      'label': np.zeros((size, labels), np.float32),
      'mask': np.ones((size, labels), np.float32),
      'weight': np.ones(size, np.float32),
    }
  )

  def train() -> Any:
    nonlocal state
    state, metrics = step(state, batch)
    return metrics

  wait(train())
  return {'images_per_second': size / seconds_of(train, options.turns, options.calls)}


def command(module: str, *arguments: str) -> float:
  """Runs one of medjax's commands; returns its seconds."""
  start = time.perf_counter()
  finished = subprocess.run(
    [sys.executable, '-m', f'medjax.{module}', *arguments],
    cwd=PROJECT,
    capture_output=True,
    text=True,
  )
  if finished.returncode:
    raise RuntimeError(f'medjax.{module}: {(finished.stdout + finished.stderr)[-2000:]}')
  return time.perf_counter() - start


def loop_speed(folder: pathlib.Path, name: str, options: argparse.Namespace, *more: str) -> float:
  """Returns the median images/s of the rows that a run writes while it trains."""
  workdir = folder / name
  settings = [f'--config.{setting}' for setting in loop_settings(options, folder / 'data')]
  command('main', '--config=configs/phantom.py', f'--workdir={workdir}', *settings, *more)
  rows = [json.loads(line) for line in (workdir / 'metrics.jsonl').open()]
  return statistics.median(row['images_per_second'] for row in rows if 'images_per_second' in row)


def in_child(kind: str, name: str, options: argparse.Namespace, folder: pathlib.Path) -> Any:
  """Measures in a process of its own, which gives the device's memory back; None if it cannot."""
  result = folder / 'result.json'
  result.unlink(missing_ok=True)
  process = subprocess.run(
    [sys.executable, __file__, *sys.argv[1:], f'--child={kind}:{name}', f'--folder={folder}'],
    env={**os.environ, 'PYTHONPATH': os.pathsep.join([str(PROJECT), *sys.path[1:]])},
  )
  if process.returncode or not result.is_file():
    print(f'{kind} {name}: failed', flush=True)
    return None
  return json.loads(result.read_text())


def child(options: argparse.Namespace) -> None:
  """Measures one thing and writes it down."""
  kind, name = options.child.split(':')
  if kind == 'own':
    measured = own_speed(options, options.folder / 'data')
  else:
    measured = {'medjax': of_medjax, 'PyTorch': of_torch}[kind](name, options)
  (options.folder / 'result.json').write_text(json.dumps(measured))


class Clock:
  """Starts measurements while there is time for as long a one as the longest so far."""

  def __init__(self, seconds: float):
    self._seconds, self._began, self._longest = seconds, time.monotonic(), 0.0
    self.left_out: list[str] = []

  def timed(self, what: str, call: Callable[..., Any], *arguments: Any) -> Any:
    """Returns what the call does; None where there is no time for it."""
    start = time.monotonic()
    if start - self._began + self._longest > self._seconds:
      self.left_out.append(what)
      return None
    value = call(*arguments)
    self._longest = max(self._longest, time.monotonic() - start)
    print(f'{time.monotonic() - self._began:5.0f} s  {what}', flush=True)
    return value


def measure(options: argparse.Namespace, folder: pathlib.Path) -> dict[str, Any]:
  """Measures everything that there is time for."""
  os.environ['JAX_COMPILATION_CACHE_DIR'] = str(folder / 'cache')
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
  clock, results = Clock(options.seconds), {'networks': {}}
  for name in options.networks:
    results['networks'][name] = {
      side: clock.timed(f'{name}, {side}', in_child, side, name, options, folder)
      for side in ('medjax', 'PyTorch')
    }
    if name == options.networks[0]:  # The loop is of that network: no later one may push it out.
      results |= measure_loop(options, folder, clock)
  return results | {'left_out': clock.left_out}


def measure_loop(options: argparse.Namespace, folder: pathlib.Path, clock: Clock) -> dict[str, Any]:
  """Measures whole runs and predicting."""
  settings = [f'--config.{setting}' for setting in loop_settings(options, folder / 'data')]
  made = f'--config.data.prepared={folder / "prepared"}'
  prepare = ('prepare', '--config=configs/phantom.py', f'--output={folder / "prepared"}', *settings)
  predict = (
    'predict', f'--workdir={folder / "files"}', f'--images={folder / "data"}',
    f'--output={folder / "out.csv"}', '--allow_training_images',
  )  # fmt: skip
  own = clock.timed('the step alone', in_child, 'own', 'own', options, folder)
  loop = {'files': clock.timed('loop, files', loop_speed, folder, 'files', options)}
  clock.timed('preparing', command, *prepare)
  for name, *more in (('prepared', made), ('device', made, '--config.data.placement=device')):
    loop[name] = clock.timed(f'loop, {name}', loop_speed, folder, name, options, *more)
  seconds = clock.timed('predicting', command, *predict)
  images = sum(1 for _ in (folder / 'out.csv').open()) - 1 if seconds else 0
  return {'own': own, 'loop': loop, 'predict': {'images': images, 'seconds': seconds}}


def main() -> None:
  """Measures, writes and prints."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--output', type=pathlib.Path, default=pathlib.Path('accelerator'))
  parser.add_argument('--networks', type=lambda text: text.split(','), default=list(NETWORKS))
  parser.add_argument('--batch_size', type=int, default=256)
  parser.add_argument('--image_size', type=int, default=224)
  parser.add_argument('--turns', type=int, default=5)
  parser.add_argument('--calls', type=int, default=10)
  parser.add_argument(
    '--seconds', type=float, default=450, help='no measurement begins that would go beyond'
  )
  parser.add_argument('--tiny', action='store_true', help='runs through without an accelerator')
  parser.add_argument('--child', help=argparse.SUPPRESS)
  parser.add_argument('--folder', type=pathlib.Path, help=argparse.SUPPRESS)
  options = parser.parse_args()
  if options.tiny:
    options.networks, options.batch_size, options.image_size = ['resnet18'], 4, 32
    options.turns, options.calls, options.seconds = 1, 1, 3_600.0
  if options.child:
    child(options)
    return
  with tempfile.TemporaryDirectory() as folder:
    results = measure(options, pathlib.Path(folder))
  options.output.with_suffix('.json').write_text(json.dumps(results, indent=2) + '\n')
  text = table(results, options)
  options.output.with_suffix('.md').write_text(text)
  print(text)


if __name__ == '__main__':
  main()

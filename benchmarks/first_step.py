"""Seconds from the command to the first training step, and of filling a network with values.

  python benchmarks/first_step.py                        DenseNet-121 at 224 px
  python benchmarks/first_step.py --network=resnet18 --image_size=64

The command starts twice, with nothing compiled before and then with what the first start left in
the compilation cache; each is stopped after its first step. Beside them stands what PyTorch takes
from its import to the first step of timm's network, which compiles nothing, and timm's own filling.
"""

import argparse
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

CONFIG = """
from medjax.config import Config, Data, Model

def get_config(arg=''):
  data = Data('csv', 'images', ('Edema',), image_size={size},
    settings={{'table_file': 'table.csv'}})
  return Config(data=data, model=Model('{network}'), steps=1, batch_size=8)
"""
VALUES = """
import time
from medjax.models import building
{imports}
start = time.perf_counter(), time.process_time()
{work}
print(time.perf_counter() - start[0], time.process_time() - start[1])
"""
UNCOMPILED = (
  'import numpy as np\nfrom medjax.runtime import uncompiled',
  'network = building.build("{network}", 14, {{}})\n'
  'init = lambda seed: building.init_variables(network, ({size}, {size}, 1), seed)\n'
  'uncompiled.evaluate(init, np.uint32(0))',
)
COMPILED = (
  'import jax, numpy as np',
  UNCOMPILED[1].replace('uncompiled.evaluate(init, ', 'jax.block_until_ready(jax.jit(init)(') + ')',
)
TIMM = ('import timm', 'timm.create_model("{network}", num_classes=14, in_chans=1)')
TORCH_STEP = """
import time, torch, timm
model = timm.create_model('{network}', num_classes=14, in_chans=1).train()
optimizer = torch.optim.AdamW(model.parameters())
images, labels = torch.rand(8, 1, {size}, {size}), torch.rand(8, 14).round()
torch.nn.functional.binary_cross_entropy_with_logits(model(images), labels).backward()
optimizer.step()
print('step 1/1')
"""


def write_study(folder: pathlib.Path, network: str, size: int) -> None:
  """Writes 120 images of 40 patients, a table of them and a config."""
  (folder / 'images').mkdir()
  rng, lines = np.random.default_rng(0), ['image,patient,Edema']
  for number in range(120):
    pixels = rng.integers(0, 256, (size, size), np.uint8)
    Image.fromarray(pixels).save(folder / f'images/{number}.png')
    lines.append(f'{number}.png,p{number // 3},{number // 3 % 2}')
  (folder / 'images/table.csv').write_text('\n'.join(lines) + '\n')
  (folder / 'config.py').write_text(CONFIG.format(network=network, size=size))


def seconds_to_first_step(arguments: list[str], folder: pathlib.Path) -> float:
  """Starts Python with these arguments; returns the seconds to its line of the first step."""
  environment = {**os.environ, 'XDG_CACHE_HOME': str(folder / 'cache')}
  start = time.perf_counter()
  process = subprocess.Popen(
    [sys.executable, *arguments], cwd=folder, env=environment, text=True, stdout=subprocess.PIPE
  )
  assert process.stdout is not None
  with process:
    for line in process.stdout:
      if line.startswith('step 1/1'):
        seconds = time.perf_counter() - start
        process.kill()
        return seconds
  raise SystemExit(f'{arguments}: ended without a first step')


def seconds_of_values(work: tuple[str, str], **settings: object) -> tuple[float, float]:
  """Returns what filling the variables takes in a new process, by the wall and of the processor."""
  imports, lines = work
  program = VALUES.format(imports=imports, work=lines.format(**settings))
  done = subprocess.run(
    [sys.executable, '-c', program], check=True, capture_output=True, text=True
  )  # fmt: skip
  wall, processor = map(float, done.stdout.split())
  return wall, processor


def main() -> None:
  """Prints the seconds."""
  parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
  parser.add_argument('--network', default='densenet121')
  parser.add_argument('--image_size', type=int, default=224)
  arguments = parser.parse_args()
  settings = {'network': arguments.network, 'size': arguments.image_size}
  print(f'{"first values":34}{"wall":>8}{"processor":>11}')
  for name, work in (('medjax', UNCOMPILED), ('as a program', COMPILED), ('timm', TIMM)):
    wall, processor = seconds_of_values(work, **settings)
    print(f'  {name:32}{wall:6.1f} s{processor:9.1f} s')
  print('from the command to the first step')
  with tempfile.TemporaryDirectory() as name:
    folder = pathlib.Path(name)
    write_study(folder, arguments.network, arguments.image_size)
    for start in ('nothing compiled', 'from the cache'):
      command = ['-m', 'medjax.main', '--config=config.py', f'--workdir=run {start}']
      print(f'  {"medjax, " + start:32}{seconds_to_first_step(command, folder):6.1f} s')
    torch = seconds_to_first_step(['-c', TORCH_STEP.format(**settings)], folder)
    print(f'  {"PyTorch, random images":32}{torch:6.1f} s')


if __name__ == '__main__':
  main()

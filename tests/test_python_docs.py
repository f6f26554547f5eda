"""docs/python.md: its code runs, in its order, in a fresh process, and shows what it says."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

import numpy as np
import oracle
import pytest
from conftest import PROJECT
from flax import traverse_util
from safetensors.numpy import save_file

from medjax import models
from medjax.models.pretrained import fit

# As a notebook does: each statement by itself, and what an expression gives is shown.
NOTEBOOK = """
import ast, pathlib
names = {'__name__': '__main__'}
for number, cell in enumerate(pathlib.Path('cells.txt').read_text('utf-8').split('\\0')):
  print(f'=== cell {number}', flush=True)
  for statement in ast.parse(cell).body:
    node = ast.Interactive([statement])
    exec(compile(node, f'cell {number}', 'single'), names)
"""


def cells() -> list[str]:
  return re.findall(r'```python\n(.*?)```', (PROJECT / 'docs/python.md').read_text('utf-8'), re.S)


@pytest.fixture(scope='module')
def shown(tmp_path_factory) -> str:
  """What the page's code shows, run in a folder with nothing but the configs."""
  folder = tmp_path_factory.mktemp('notebook')
  shutil.copytree(PROJECT / 'configs', folder / 'configs')
  local = published(folder / 'weights')
  run = []
  for cell in cells():
    first_line = cell.partition('\n')[0]
    if first_line.startswith('# ') and first_line.endswith('.py'):
      file = folder / first_line.removeprefix('# ')
      file.parent.mkdir()
      file.write_text(cell)
    else:
      # The test has no network: the same call with a small network and a file of weights.
      run.append(cell.replace("'densenet121', 'timm/densenet121.tv_in1k'", local))
  (folder / 'cells.txt').write_text('\0'.join(run), 'utf-8')
  process = subprocess.run(
    [sys.executable, '-c', NOTEBOOK],
    cwd=folder,
    env={**os.environ, 'JAX_PLATFORMS': 'cpu', 'PYTHONPATH': f'{PROJECT}{os.pathsep}.'},
    capture_output=True,
    text=True,
    timeout=540,
  )
  assert process.returncode == 0, process.stdout[-1000:] + process.stderr[-3000:]
  for name in (
    'assessed.html',
    'compared.html',
    'external.html',
    'splits/melanoma/split.json',
    'runs/nnx/frozen.json',
  ):
    assert (folder / name).is_file(), name
  return process.stdout


def published(folder: pathlib.Path) -> str:
  """Writes weights in timm's naming and returns the arguments of `load` that take them."""
  network = models.resnet_tiny(num_labels=1000)
  rng = np.random.default_rng(0)
  tensors = {}
  for path, leaf in traverse_util.flatten_dict(oracle.shapes(network, 64), sep='/').items():
    name = fit.published_name(path.partition('/')[2], network.names['timm'])
    values = rng.normal(size=leaf.shape, scale=0.1).astype(np.float32)
    values = abs(values) if path.endswith('/var') else values
    tensors[name] = np.ascontiguousarray(fit.to_torch(values, path))
  folder.mkdir()
  save_file(tensors, folder / 'model.safetensors')
  description = {'input_size': [3, 224, 224], 'mean': [0.5, 0.4, 0.3], 'std': [0.2, 0.2, 0.2]}
  (folder / 'config.json').write_text(json.dumps({'pretrained_cfg': description}))
  return "'resnet_tiny', 'weights/model.safetensors'"


@pytest.mark.slow
def test_the_page_runs_and_shows_what_it_says(shown):
  figures = re.findall(r'^Figure\(value=.*\)$', shown, re.M)
  assert len(figures) >= 3, shown
  assert re.search(r'^OperatingPoint\(', shown, re.M)
  assert 'training' in shown and 'validation mean AUROC' in shown
  # One row per label of the DataFrame.
  assert re.search(r'^Edema +\d', shown, re.M)
  # No patient of the split is on two sides.
  assert re.search(r'^0$', shown, re.M)
  assert 'Whether anybody' not in shown and 'Traceback' not in shown

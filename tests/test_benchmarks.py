"""Benchmarks' command lines answer a mistake in one sentence, before anything is measured."""

import json
import subprocess
import sys

import pytest
from conftest import PROJECT


@pytest.mark.parametrize(
  ('script', 'arguments', 'words'),
  [
    ('input', ['--images=400'], 'so 832 images at least, or a smaller --batch_size'),
    pytest.param('compile_time', ['resnet5'], "did you mean 'resnet50'?", marks=pytest.mark.slow),
  ],
)
def test_a_wrong_argument_is_told(script, arguments, words):
  finished = subprocess.run(
    [sys.executable, f'benchmarks/{script}.py', *arguments],
    cwd=PROJECT, capture_output=True, text=True,
  )  # fmt: skip
  assert finished.returncode == 2
  assert words in finished.stderr.splitlines()[-1] and 'Traceback' not in finished.stderr


@pytest.mark.slow
def test_the_accelerator_s_runs_through_without_one(tmp_path):
  output = tmp_path / 'accelerator'
  finished = subprocess.run(
    [sys.executable, 'benchmarks/accelerator.py', '--tiny', f'--output={output}'],
    cwd=PROJECT, capture_output=True, text=True,
  )  # fmt: skip
  assert finished.returncode == 0, finished.stderr[-3000:]
  results = json.loads(output.with_suffix('.json').read_text())
  assert results['networks']['resnet18']['medjax']['training'] > 0 and not results['left_out']
  assert all(results['loop'][name] > 0 for name in ('files', 'prepared', 'device'))
  assert results['own']['images_per_second'] > 0 and results['predict']['images'] == 96
  text = output.with_suffix('.md').read_text()
  assert '| device |' in text and 'images from' in text and '| resnet18 |' in text

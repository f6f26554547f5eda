"""Benchmarks' command lines answer a mistake in one sentence, before anything is measured."""

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

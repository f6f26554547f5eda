"""Every family trains: one step in either precision, through the same functions as the main job."""

import importlib.util

import numpy as np
import pytest
from conftest import PROJECT

spec = importlib.util.spec_from_file_location(
  'compile_time', PROJECT / 'benchmarks/compile_time.py'
)
compile_time = importlib.util.module_from_spec(spec)
spec.loader.exec_module(compile_time)


@pytest.mark.parametrize('precision', compile_time.PRECISIONS)
@pytest.mark.parametrize(
  'name',
  [
    *(pytest.param(name, marks=pytest.mark.slow) for name in ('resnet18', 'vit_small_patch16')),
    *(
      pytest.param(name, marks=pytest.mark.deep)
      for name in (
        'densenet121',
        'inception_v3',
        'efficientnet_b0',
        'efficientnetv2_s',
        'convnext_tiny',
        'vit_small_patch14_dinov2',
      )
    ),
  ],
)
def test_a_step_has_a_finite_loss(name, precision):
  _, loss = compile_time.step_once(name, precision)
  assert np.isfinite(loss) and loss > 0

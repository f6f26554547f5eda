"""Networks of Flax NNX train, freeze, resume, predict and are exported as those of Linen do."""

import functools
import os
import pathlib
import runpy
import signal
import subprocess
import sys
import time
from typing import ClassVar

import jax
import jax.numpy as jnp
import nnx_nets
import numpy as np
import pytest
from conftest import PROJECT, TINY
from nnx_nets import Net
from safetensors.numpy import load_file

from medjax import losses
from medjax.augment import policies
from medjax.config import Config, Data, Loss, Model, Optimizer, Split
from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.evaluation import calibration, frozen, predictions
from medjax.final_test import saliency
from medjax.models.nnx_bridge import FromNNX
from medjax.models.normalisation import Normalisation
from medjax.runs import metrics_file
from medjax.runs.layout import Layout
from medjax.training import learner, optimizers, steps

NET = '--config.model.name=nnx_nets:Net'


def batch_of(size=8, labels=2, channels=1):
  rng = np.random.default_rng(0)
  return {
    'image': jnp.asarray(rng.integers(0, 256, (size, 16, 16, channels), np.uint8)),
    'label': jnp.asarray(rng.integers(0, 2, (size, labels)), jnp.float32),
    'mask': jnp.ones((size, labels)),
    'weight': jnp.ones(size),
  }


def config_of(name, precision='float32', **settings):
  return Config(
    data=Data('phantom', 'data', ('Edema', 'Mass'), image_size=16),
    split=Split(test=0.2, validation=0.2),
    augment='none',
    model=Model(name, **settings),
    loss=Loss('binary_cross_entropy'),
    optimizer=Optimizer('sgd', learning_rate=0.1),
    precision=precision,
  )


def learner_of(name, precision='float32', channels=1, **settings):
  image_format = ImageFormat(16, channels)
  return learner.build(
    config_of(name, precision, **settings), image_format, Normalisation((0.5,), (0.25,))
  )


def start(learn):
  """A state, and a step with losses.binary_cross_entropy."""
  return learn.init_state({}), jax.jit(learn.train_step(losses.binary_cross_entropy, 0))


def as_linen(tree):
  """Our names of the blocks in the list, `stage1` → '0', as the Linen network has them."""
  return {
    **{name: leaf for name, leaf in tree.items() if name != 'stage1'},
    **{f'stage1_{number}': leaf for number, leaf in tree.get('stage1', {}).items()},
  }


def assert_trees_equal(one, other, **tolerance):
  assert jax.tree.structure(one) == jax.tree.structure(other)
  for left, right in zip(jax.tree.leaves(one), jax.tree.leaves(other)):
    np.testing.assert_allclose(left, right, **tolerance)


@pytest.mark.slow
def test_three_steps_are_those_of_the_same_network_in_linen():
  nnx_learner = learner_of('nnx_nets:Net', settings={'dropout': 0.0})
  linen_learner = learner_of('nnx_nets:LinenNet')
  state, step = start(nnx_learner)
  variables = {'params': as_linen(state.params), 'batch_stats': as_linen(state.batch_stats)}
  linen_state = linen_learner.init_state(jax.tree.map(jnp.copy, variables))
  linen_step = jax.jit(linen_learner.train_step(losses.binary_cross_entropy, 0))
  for _ in range(3):
    state, metrics = step(state, batch_of())
    linen_state, linen_metrics = linen_step(linen_state, batch_of())
    assert_trees_equal(metrics, linen_metrics, rtol=1e-5)
  assert_trees_equal(as_linen(state.params), linen_state.params, rtol=1e-4, atol=1e-6)
  assert_trees_equal(as_linen(state.batch_stats), linen_state.batch_stats, rtol=1e-5, atol=1e-6)
  images = batch_of()['image']
  np.testing.assert_allclose(
    nnx_learner.eval_step(state.variables, images),
    linen_learner.eval_step(linen_state.variables, images),
    rtol=1e-4,
    atol=1e-5,
  )


@pytest.mark.slow
def test_dropout_is_random_by_seed_and_step_alone_and_not_in_evaluation():
  learn = learner_of('nnx_nets:Net')
  state, step = start(learn)
  first, second = step(state, batch_of()), step(state, batch_of())
  assert_trees_equal(first, second, rtol=0)
  # The same parameters at another step drop others.
  later = step(state.replace(step=state.step + 1), batch_of())
  assert later[1]['loss'] != first[1]['loss']
  predict = jax.jit(learn.eval_step)
  images = batch_of()['image']
  np.testing.assert_array_equal(predict(state.variables, images), predict(state.variables, images))
  whole = learner_of('nnx_nets:Net', settings={'dropout': 0.0})
  np.testing.assert_array_equal(
    predict(state.variables, images), jax.jit(whole.eval_step)(state.variables, images)
  )


def test_parts_of_a_batch_see_the_statistics_one_after_another():
  config = config_of('nnx_nets:Net', settings={'dropout': 0.0})
  learn = learner_of('nnx_nets:Net', settings={'dropout': 0.0})
  state = learn.init_state({})
  step = functools.partial(
    steps.train_step,
    model=learn.network,
    loss=losses.binary_cross_entropy,
    optimizer=optimizers.optimizer(config.optimizer, 10),
    prepare=functools.partial(
      steps.augmented, augment=policies.none, normalise=learn.normalisation
    ),
    seed=0,
  )
  after = jax.jit(functools.partial(step, accumulate=2))(state, batch_of())[0].batch_stats
  # Parts are interleaved: rows 0, 2, 4, 6, then 1, 3, 5, 7. The parameters do not change between.
  expected = state
  for part in (0, 1):
    rows = {name: array[part::2] for name, array in batch_of().items()}
    updated = jax.jit(step)(expected, rows)[0].batch_stats
    expected = state.replace(batch_stats=updated)
  assert_trees_equal(after, expected.batch_stats, rtol=1e-6, atol=1e-7)


def test_frozen_stages_stay_as_they_are_statistics_too():
  learn = learner_of('nnx_nets:Net', pretrained='weights.safetensors', finetune='head')
  assert learn.stage_of == {
    'stem': 0, 'stem_norm': 0, 'stage1': 1, 'stage1_norm': 1, 'head': 2,
  }  # fmt: skip
  state = learn.init_state({})
  for stages in (2, 1):
    state = learn.unfreeze(state, stages)
    step = jax.jit(learn.train_step(losses.binary_cross_entropy, stages))
    after, _ = step(state, batch_of())
    for name, stage in learn.stage_of.items():
      for kind in ('params', 'batch_stats'):
        before, now = getattr(state, kind).get(name), getattr(after, kind).get(name)
        same = all(map(np.array_equal, jax.tree.leaves(before), jax.tree.leaves(now)))
        assert same == (stage < stages or before is None), (name, kind)
  # All frozen but the head, its dropout aside, computes what evaluation does.
  variables = {'params': state.params, 'batch_stats': state.batch_stats}
  images = batch_of()['image'].astype(jnp.float32)
  half_frozen = learn.network.clone(frozen_stages=2)
  np.testing.assert_array_equal(
    half_frozen.apply(variables, images, train=True, rngs={'dropout': jax.random.key(0)}),
    learn.network.apply(variables, images, train=False),
  )


@pytest.mark.slow
def test_it_computes_in_bfloat16_and_takes_the_channels_of_the_images():
  learn = learner_of('nnx_nets:Net', precision='bfloat16', channels=3)
  assert learn.shapes['params']['stem']['kernel'].shape == (3, 3, 3, 8)
  state, step = start(learn)
  after, metrics = step(state, batch_of(channels=3))
  assert np.isfinite(metrics['loss'])
  assert {leaf.dtype for leaf in jax.tree.leaves(after.params)} == {jnp.dtype('float32')}
  in_float32 = learner_of('nnx_nets:Net', channels=3)
  images = batch_of(channels=3)['image']
  low, high = (element.eval_step(state.variables, images) for element in (learn, in_float32))
  assert 0 < np.abs(np.asarray(low) - np.asarray(high)).max() < 0.02


def test_a_function_may_make_it():
  learn = learner_of('nnx_nets:small')
  assert learn.shapes['params']['stem']['kernel'].shape == (3, 3, 1, 4)
  assert learn.parameters() == sum(
    leaf.size for leaf in jax.tree.leaves(learn.init_state({}).params)
  )


@pytest.mark.parametrize(
  ('name', 'precision', 'settings', 'words'),
  [
    ('WithoutLabels', 'float32', {}, "unexpected keyword argument 'num_labels'"),
    ('WithoutCall', 'float32', {}, 'WithoutCall has no __call__'),
    ('Counting', 'float32', {}, "'calls', a variable of kind Cache"),
    ('not_nnx', 'float32', {}, 'not_nnx returned LinenNet'),
    ('small', 'bfloat16', {}, 'takes no dtype'),
    ('Net', 'float32', {'widht': 8}, "did you mean 'width'"),
    ('Net', 'float32', {'rngs': 1}, "'rngs'; allowed: width, dropout"),
  ],
)
def test_what_is_wrong_with_it_is_one_line(name, precision, settings, words):
  with pytest.raises(InputError, match='config') as error:
    learner_of(f'nnx_nets:{name}', precision, settings=settings)
  assert words in str(error.value) and '\n' not in str(error.value)


def test_heat_maps_need_no_feature_map():
  learn = learner_of('nnx_nets:Net')
  variables, images = learn.init_state({}).variables, batch_of()['image']
  with pytest.raises(InputError, match='integrated_gradients'):
    saliency.of_learner(learn, variables, 'grad_cam')(images, 0)
  heat = saliency.of_learner(learn, variables, 'integrated_gradients')(images, 0)
  assert heat.shape == (8, 16, 16) and float(heat.max()) > 0


def test_published_names_lead_to_it():
  class Published(Net):
    names: ClassVar = {'torch': ((r'^stem\.', 'conv1.'),)}

  assert FromNNX(Published, {}).names == Published.names
  assert not hasattr(FromNNX(Net, {}), 'names')


def saved(workdir):
  return [folder for folder in (workdir / 'checkpoints').glob('*') if folder.name.isdigit()]


@pytest.mark.slow
def test_a_killed_run_resumes_in_the_same_bits_and_is_exported(command, phantom_root, tmp_path):
  flags = (
    '--config=configs/phantom.py', *TINY, f'--config.data.root={phantom_root}', NET,
    '--config.steps=24', '--config.evaluate_every=8', '--config.save_every=3',
    '--config.data.workers=0',
  )  # fmt: skip
  helpers = {
    'PYTHONPATH': os.pathsep.join([str(PROJECT), str(pathlib.Path(nnx_nets.__file__).parent)])
  }
  whole, killed = tmp_path / 'whole', tmp_path / 'killed'
  command('main', *flags, f'--workdir={whole}', env=helpers, check=True)
  process = subprocess.Popen(
    [sys.executable, '-m', 'medjax.main', *flags, f'--workdir={killed}'],
    cwd=PROJECT, env={**os.environ, **helpers},
    stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
  )  # fmt: skip
  while not saved(killed) and process.poll() is None:
    time.sleep(0.002)
  process.send_signal(signal.SIGKILL)
  process.wait()
  message = command('main', *flags, f'--workdir={killed}', env=helpers, check=True)
  assert 'going on from the checkpoint of step' in message.stdout
  metrics = [metrics_file.read(Layout(path)) for path in (whole, killed)]
  for row in (*metrics[0], *metrics[1]):
    row.pop('images_per_second', None)
  assert metrics[0] == metrics[1]
  for name in ('predictions/test.csv', 'evaluation/test.json'):
    assert (whole / name).read_bytes() == (killed / name).read_bytes(), name

  # The exported program gives what predictions.csv says, before calibration.
  command(
    'export', f'--workdir={whole}', f'--output={tmp_path / "export"}', env=helpers, check=True
  )
  test = predictions.read(whole / 'predictions/test.csv')
  shown = ImageFormat(32, 1)
  pixels = np.stack([decoding.decode(phantom_root / image, shown) for image in test.images[:9]])
  predict = runpy.run_path(str(tmp_path / 'export/run.py'))['load']()
  calibrated = calibration.apply(
    frozen.read(whole, test.labels).levels['image'].calibration,
    test.probabilities[:9],
    test.labels,
    test.log_odds[:9],
  )
  np.testing.assert_allclose(predict(pixels), calibrated, atol=1e-5)
  tensors = load_file(tmp_path / 'export/model.safetensors')
  assert tensors['stage1.1.weight'].shape == (4, 4) and 'stem_norm.running_mean' in tensors

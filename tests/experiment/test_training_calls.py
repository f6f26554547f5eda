"""Training images on the devices and several steps in a call: the same training as from files."""

import dataclasses

import jax
import numpy as np
import pytest
from conftest import TINY

from medjax import losses as losses_of
from medjax.config import Config, Data, Model
from medjax.data import pipeline, sampling, study
from medjax.data.images.mapped import MappedImages
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.experiment import placed_images, training_calls
from medjax.models.normalisation import Normalisation
from medjax.runs import metrics_file, predict
from medjax.runs.layout import Layout
from medjax.runtime import devices
from medjax.training import learner


def losses(workdir):
  return [row['loss'] for row in metrics_file.read(Layout(workdir)) if row['split'] == 'train']


@pytest.mark.slow
def test_from_the_devices_by_three_steps_the_losses_are_those_from_files(
  command, phantom_root, finished, tmp_path
):
  workdir = tmp_path / 'run'
  printed = command(
    'main', '--config=configs/phantom.py', f'--workdir={workdir}', *TINY,
    f'--config.data.root={phantom_root}', '--config.data.placement=device',
    '--config.steps_per_call=3', check=True,
  ).stdout  # fmt: skip
  assert 'images    on the devices, ' in printed
  np.testing.assert_allclose(losses(workdir), losses(finished[0]), rtol=2e-3)
  rows, expected = (metrics_file.read(Layout(folder)) for folder in (workdir, finished[0]))
  assert [(row['step'], row['split']) for row in rows] == [
    (row['step'], row['split']) for row in expected
  ]


@pytest.fixture
def records(tmp_path):
  """Seven images of 4 × 4 pixels, each of its number, in another order than in their file."""
  order = np.array([3, 0, 6, 1, 5, 2, 4])
  images = np.arange(7, dtype=np.uint8)[:, None, None, None] * np.ones((4, 4, 3), np.uint8)
  np.save(tmp_path / 'pixels.npy', images)
  values = np.arange(7, dtype=np.float32)[:, None]
  mapped = MappedImages(str(tmp_path / 'pixels.npy'), order)
  return pipeline.Records(['-'] * 7, values, np.ones_like(values), ImageFormat(4, 3), mapped)


def test_a_batch_from_the_devices_is_the_batch_from_files(records):
  mesh = devices.data_mesh()
  images = placed_images.place(records, mesh, workers=0)
  stream = sampling.IndexStream('none', records.values, records.mask, seed=1).batch
  settings = {'batch_size': 5, 'start': 2, 'stop': 6}
  compared = 0
  for expected, placed in zip(
    pipeline.train_batches(records, stream, **settings),
    pipeline.placed_batches(records, stream, **settings),
    strict=True,
  ):
    rows = devices.put_batch(placed, mesh)['row']
    np.testing.assert_array_equal(placed_images.pick(images, rows, mesh), expected['image'])
    for name in ('label', 'mask', 'weight'):
      np.testing.assert_array_equal(placed[name], expected[name])
    compared += 1
  assert compared == 4


def test_calls_end_where_the_run_does_something_and_do_not_depend_on_where_it_was_stopped():
  config = Config(Data('', '', ('x',)), Model('resnet_tiny', unfreeze_at=(22,)), steps=50)
  config = dataclasses.replace(config, evaluate_every=9, save_every=14)
  stops = {*range(9, 50, 9), *range(14, 50, 14), 22, 50}
  for per_call in (1, 3, 4, 60):
    starts, step = [], 0
    while step < 50:
      starts.append(step)
      step += (count := training_calls.together(config, step, per_call))
      assert count in (1, per_call)
      assert not any(starts[-1] < stop < step for stop in stops)
    assert step == 50 and stops <= {*starts, 50}
    for start in starts:  # Stopped there, it goes on by the same calls.
      after = start + training_calls.together(config, start, per_call)
      assert after in (*starts, 50)
    assert len(starts) < 50 or per_call in (1, 60)


def test_on_an_accelerator_small_networks_do_several_steps_in_a_call(monkeypatch):
  config = Config(Data('', '', ('x',)), Model('resnet_tiny', settings={'width': 4}))
  format_, mesh = ImageFormat(32, 1), devices.data_mesh()
  built = learner.build(config, format_, Normalisation((0.5,), (0.25,)))
  state = jax.eval_shape(built.init_state, {})
  calls = training_calls.TrainingCalls(built, losses_of.binary_cross_entropy, mesh, 0)

  def chosen(images, **settings):
    batch = {
      'image': np.zeros((images, 32, 32, 1), np.uint8),
      'label': np.zeros((images, 1), np.float32),
      'mask': np.ones((images, 1), np.float32),
      'weight': np.ones(images, np.float32),
    }
    return calls.steps_per_call(dataclasses.replace(config, **settings), state, batch)

  assert chosen(8) == 1
  monkeypatch.setattr(jax, 'default_backend', lambda: 'gpu')
  assert chosen(8) == 25  # The largest up to 32 that divides config.evaluate_every.
  assert chosen(8, evaluate_every=20, save_every=50) == 10
  monkeypatch.setattr(training_calls, 'ENOUGH', 1e8)
  monkeypatch.setattr(training_calls.math, 'gcd', lambda *numbers: 0)
  one, twice = chosen(8), chosen(16)
  assert 1 < one <= 2 * twice and twice < one


def test_what_does_not_fit_is_refused_and_is_not_chosen(records, monkeypatch):
  mesh, config = devices.data_mesh(), Config(Data('', '', ('x',)), Model('resnet_tiny'))
  size = placed_images.bytes_per_device(records, mesh)
  assert size == -(-7 // mesh.size) * 48

  def chosen(placement, free, backend='gpu'):
    monkeypatch.setattr(placed_images, 'free_bytes', lambda: free)
    monkeypatch.setattr(jax, 'default_backend', lambda: backend)
    placed = dataclasses.replace(config.data, placement=placement)
    return placed_images.is_chosen(dataclasses.replace(config, data=placed), records, mesh)

  assert chosen('device', size) and not chosen('host', 10 * size)
  assert chosen('auto', 3 * size) and not chosen('auto', 2 * size)
  assert not chosen('auto', 10 * size, 'cpu')
  with pytest.raises(InputError, match=r"placement='device': each device would hold .*'host'"):
    chosen('device', size - 1)


def test_a_run_of_another_seed_finds_its_programs_compiled():
  def programs(seed):
    config = Config(
      Data('phantom', 'none', ('a',), 8), Model('resnet_tiny', {'width': 2}), seed=seed
    )
    built = learner.build(config, ImageFormat(8, 1), Normalisation((0.5,), (0.25,)))
    init = jax.jit(built.init_state)
    calls = training_calls.TrainingCalls(
      built, losses_of.binary_cross_entropy, devices.data_mesh(), 0
    )
    batch = {
      'image': np.zeros((2, 8, 8, 1), np.uint8),
      'label': np.zeros((2, 1), np.float32),
      'mask': np.ones((2, 1), np.float32),
      'weight': np.ones(2, np.float32),
    }
    state = init({}, np.uint32(seed))
    step = calls._one.lower(state, np.uint32(seed), None, batch)
    return init.lower({}, np.uint32(seed)).as_text(), step.as_text(), state

  one, other = programs(1), programs(2)
  assert one[:2] == other[:2]
  assert not np.array_equal(
    one[2].params['stem_conv1']['kernel'], other[2].params['stem_conv1']['kernel']
  )


def test_deterministic_reaches_the_compiler_of_steps_and_of_predictions(records, monkeypatch):
  # The compiler itself says so: it refuses a program with an option that it does not know.
  monkeypatch.setattr(devices, 'DETERMINISTIC', {'xla_gpu_no_such_option': True})
  monkeypatch.setattr(study, 'records', lambda *arguments: records)
  mesh, size = devices.data_mesh(), 2 * devices.data_mesh().size
  config = Config(
    Data('', '', ('x',)), Model('resnet_tiny', {'width': 4}), batch_size=size, deterministic=True
  )
  built = learner.build(config, records.image_format, Normalisation((0.5,), (0.25,)))
  shapes = jax.eval_shape(built.init_state, {})
  state = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), shapes)
  calls = training_calls.TrainingCalls(built, losses_of.binary_cross_entropy, mesh, 0)
  predictor = predict.predictor(config, None, built.image_format, built.eval_step, mesh)
  batches = [records.load(np.arange(size) % 7, size)]
  for call, *arguments in ((calls, state, batches, 0), (predictor, state.variables, np.arange(7))):
    with pytest.raises(Exception, match="No such compile option: 'xla_gpu_no_such_option'"):
      call(*arguments)


def test_the_option_for_a_gpu_is_one_that_this_compiler_knows():
  options = devices.compiler_options(True)
  assert jax.jit(lambda x: x + 1, compiler_options=options)(1) == 2
  assert devices.compiler_options(False) is None

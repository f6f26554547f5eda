"""Batches: everything once in evaluation, the stream's order in training, whatever the workers."""

import itertools
import multiprocessing
import os
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from medjax.data import pipeline, sampling
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError

COUNT = 23
ALONE = pipeline.Share()


@pytest.fixture(scope='module')
def records(tmp_path_factory):
  """Images whose grey value is their row number."""
  folder = tmp_path_factory.mktemp('images')
  for row in range(COUNT):
    Image.new('L', (8, 8), row).save(folder / f'{row}.png')
  values = np.arange(2 * COUNT, dtype=np.float32).reshape(COUNT, 2) / (2 * COUNT)
  paths = [str(folder / f'{row}.png') for row in range(COUNT)]
  return pipeline.Records(paths, values, np.ones_like(values), ImageFormat(size=8, channels=1))


def slow(*values):
  return pytest.param(*values, marks=pytest.mark.slow)


@pytest.fixture
def workers_for_few(monkeypatch):
  """Lets workers read evaluations that are small enough for a test."""
  monkeypatch.setattr(pipeline, 'FEW', 0)


def rows_of(batch):
  return batch['image'][:, 0, 0, 0].astype(int)


@pytest.mark.parametrize(
  ('workers', 'batch_size'),
  [(0, 1), (0, 4), (0, 23), (0, 40), slow(1, 23), slow(3, 4)],
)
@pytest.mark.usefixtures('workers_for_few')
def test_evaluation_sees_every_image_once_in_order(records, workers, batch_size):
  seen = []
  for batch in pipeline.eval_batches(records, batch_size=batch_size, workers=workers):
    assert batch['image'].shape == (batch_size, 8, 8, 1) and batch['image'].dtype == np.uint8
    real = batch['weight'] == 1
    seen += rows_of(batch)[real].tolist()
    np.testing.assert_array_equal(batch['label'][real], records.values[rows_of(batch)[real]])
    assert (batch['label'][~real] == 0).all() and (batch['mask'][~real] == 0).all()
  assert seen == list(range(COUNT))


def test_images_are_fitted_and_windowed_as_the_records_say(tmp_path):
  pixels = np.zeros((8, 16), np.uint16)
  pixels[:, 4:12] = 1000
  Image.fromarray(pixels).save(tmp_path / 'wide.png')
  values = np.zeros((1, 1), np.float32)
  records = pipeline.Records(
    [str(tmp_path / 'wide.png')], values, values, ImageFormat(8, 1, fit='crop', intensity='0..1000')
  )
  (batch,) = pipeline.eval_batches(records, batch_size=1)
  assert (batch['image'] == 255).all()


def stream(seed=0):
  values = np.zeros((COUNT, 1), np.float32)
  return sampling.IndexStream('none', values, np.ones_like(values), seed=seed)


def training_rows(records, workers=0, start=0, stop=9, share=ALONE):
  batches = pipeline.train_batches(
    records, stream().batch, batch_size=6, start=start, stop=stop, workers=workers, share=share
  )
  return [rows_of(batch).tolist() for batch in batches]


def test_training_follows_the_stream_and_every_epoch_shows_every_image(records):
  rows = training_rows(records)
  assert rows == [stream().batch(number, 6).tolist() for number in range(9)]
  flat = list(itertools.chain(*rows))
  assert sorted(flat[:COUNT]) == sorted(flat[COUNT : 2 * COUNT]) == list(range(COUNT))
  assert flat[:COUNT] != flat[COUNT : 2 * COUNT]


@pytest.mark.slow
def test_batches_do_not_depend_on_workers_and_resume_where_they_stopped(records):
  whole = training_rows(records)
  assert training_rows(records, workers=2, start=4) == whole[4:]
  assert training_rows(records, start=4) == whole[4:]
  assert training_rows(records, start=9) == []


def test_processes_read_disjoint_parts_of_the_same_global_batches(records):
  parts = [training_rows(records, share=pipeline.Share(process, 2)) for process in range(2)]
  assert [left + right for left, right in zip(*parts)] == training_rows(records)
  seen = []
  batches = [
    pipeline.eval_batches(records, batch_size=8, share=pipeline.Share(process, 2))
    for process in range(2)
  ]
  for pair in zip(*batches, strict=True):
    for batch in pair:
      seen += rows_of(batch)[batch['weight'] == 1].tolist()
  assert seen == list(range(COUNT))


def test_an_evaluation_of_few_images_starts_no_process(records):
  seen = []
  for batch in pipeline.eval_batches(records, batch_size=9, workers=2):
    assert multiprocessing.active_children() == []
    seen += rows_of(batch)[batch['weight'] == 1].tolist()
  assert seen == list(range(COUNT))


@pytest.mark.usefixtures('workers_for_few')
@pytest.mark.parametrize('workers', [0, slow(2)])
def test_an_image_lost_on_the_way_is_named(records, workers, tmp_path):
  lost = pipeline.Records(
    [*records.paths[:-1], str(tmp_path / 'gone.png')],
    records.values,
    records.mask,
    ImageFormat(8, 1),
  )
  with pytest.raises(InputError, match=r'gone\.png: no such image file'):
    list(pipeline.eval_batches(lost, batch_size=8, workers=workers))


def test_what_workers_import_does_not_import_jax_itself():
  # grain imports jax where it is installed; ours must not add to that, or need it.
  code = (
    'import sys, types; sys.modules["grain"] = types.ModuleType("grain")\n'
    'import medjax.data.pipeline, medjax.data.sampling, medjax.data.images.decoding, '
    'medjax.data.datasets\nimport medjax.main\n'
    'assert not {"jax", "flax", "optax"} & set(sys.modules), "jax was imported"'
  )
  subprocess.run([sys.executable, '-c', code], check=True)


@pytest.mark.slow
def test_a_worker_that_the_system_ends_is_one_line():
  def load(number):
    if number == 3 and os.getpid() != reader:
      os.kill(os.getpid(), signal.SIGKILL)
    return np.arange(number + 1)

  reader = os.getpid()
  with pytest.raises(InputError, match='input workers was ended from outside'):
    list(pipeline.read_ahead(load, start=0, stop=8, buffered=2, workers=1))

"""Images in containers against the arrays that other libraries wrote into them."""

import concurrent.futures
import io
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter
from PIL import Image

from medjax.data import pipeline
from medjax.data.images import containers, decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError

COUNT = 12


@pytest.fixture(scope='module')
def pictures():
  return np.random.default_rng(0).integers(0, 256, (COUNT, 16, 24, 3), np.uint8)


def png(picture):
  buffer = io.BytesIO()
  Image.fromarray(picture).save(buffer, 'PNG')
  return buffer.getvalue()


def npy(picture):
  buffer = io.BytesIO()
  np.save(buffer, picture)
  return buffer.getvalue()


def write_records(path, records):
  writer = ArrayRecordWriter(str(path), 'group_size:1')
  for record in records:
    writer.write(record)
  writer.close()


class Tissue(tfds.core.GeneratorBasedBuilder):
  """A builder as TensorFlow Datasets has them, of encoded images."""

  VERSION = tfds.core.Version('1.0.0')
  pictures = ()

  def _info(self):
    features = {'id': tfds.features.Text(), 'image': tfds.features.Image(shape=(None, None, 3))}
    return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(features))

  def _split_generators(self, manager):
    return {'train': self._generate_examples(0, 8), 'test': self._generate_examples(8, COUNT)}

  def _generate_examples(self, start, stop):
    for number in range(start, stop):
      yield number, {'id': str(number), 'image': io.BytesIO(png(self.pictures[number]))}


@pytest.fixture(scope='module')
def root(tmp_path_factory, pictures):
  root = tmp_path_factory.mktemp('containers')
  with h5py.File(root / 'tissue.h5', 'w') as file:
    file['x'] = pictures
    file['grey/y'] = pictures[..., :1]
    file['label'] = np.zeros((COUNT, 1, 1, 1), np.int64)
  np.savez_compressed(root / 'tissue.npz', train_images=pictures, val_images=pictures[..., 0])
  write_records(root / 'png.array_record', map(png, pictures))
  write_records(root / 'npy.array_record-00000-of-00001', map(npy, pictures))
  write_records(root / 'text.array_record', [b'no image'])
  Tissue.pictures = pictures
  builder = Tissue(data_dir=str(root), file_format='array_record')
  builder.download_and_prepare()
  return root


KEYS = {
  'tissue.h5#{}': None,
  'tissue.h5#x/{}': None,
  'tissue.h5#grey/y/{}': 0,
  'tissue.npz#train_images/{}': None,
  'tissue.npz#val_images/{}': 0,
  'png.array_record#{}': None,
  'npy.array_record-00000-of-00001#{}': None,
}


@pytest.mark.parametrize(('key', 'channel'), KEYS.items())
def test_every_image_is_the_one_that_was_written(root, pictures, key, channel):
  for number in (0, 7, COUNT - 1, 3):
    expected = pictures[number] if channel is None else pictures[number, ..., channel]
    read = pixels(root / key.format(number))
    assert read.dtype == np.uint8
    np.testing.assert_array_equal(read, expected)


def test_a_prepared_folder_is_read_without_tensorflow(root, pictures):
  """Keys of array_record files are shuffled: an image is found by its own id, as their reader
  says.
  """
  for split in ('train', 'test'):
    reference = tfds.builder_from_directory(root / 'tissue/1.0.0').as_data_source(split)
    for number, example in enumerate(reference):
      read = containers.read(root / f'tissue/1.0.0#{split}/{number}')
      np.testing.assert_array_equal(read, pictures[int(example['id'])])
  assert 'tensorflow' not in sys.modules


def test_decoding_goes_on_as_with_a_file(root, pictures, tmp_path):
  Image.fromarray(pictures[5]).save(tmp_path / 'five.png')
  for image_format in (
    ImageFormat(8, 1),
    ImageFormat(20, 3),
    ImageFormat(8, 3, 'crop', 'bicubic'),
  ):
    np.testing.assert_array_equal(
      decoding.decode(root / 'tissue.h5#5', image_format),
      decoding.decode(tmp_path / 'five.png', image_format),
    )


def test_a_file_whose_name_holds_the_sign_is_a_file(tmp_path):
  Image.new('L', (8, 8), 77).save(tmp_path / 'lesion#2.png')
  assert decoding.decode(tmp_path / 'lesion#2.png', ImageFormat(8, 1)).max() == 77
  with pytest.raises(InputError, match=r'lesion: no such file'):
    decoding.decode(tmp_path / 'lesion#3.png', ImageFormat(8, 1))


def pixels(path):
  """An array as it lies in a container; an image file as Pillow reads it."""
  read = containers.read(path)
  return np.asarray(Image.open(io.BytesIO(read))) if isinstance(read, bytes) else read


def all_paths(root):
  paths = [str(root / key.format(number)) for key in KEYS for number in range(COUNT)]
  return paths + [str(root / f'tissue/1.0.0#train/{number}') for number in range(8)]


def test_threads_read_what_one_reads(root):
  paths = all_paths(root) * 4
  order = np.random.default_rng(0).permutation(len(paths))
  alone = [pixels(path) for path in paths]
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    together = list(pool.map(lambda at: pixels(paths[at]), order))
  for at, read in zip(order, together):
    np.testing.assert_array_equal(read, alone[at])


@pytest.mark.slow
def test_workers_read_what_threads_read(root, monkeypatch):
  """Spawned processes, after this one has opened every container."""
  monkeypatch.setattr(pipeline, 'FEW', 0)
  paths = all_paths(root)
  assert decoding.find_broken(paths) == {}
  values = np.zeros((len(paths), 1), np.float32)
  records = pipeline.Records(paths, values, values, ImageFormat(size=16, channels=3))
  batches = [
    [batch['image'] for batch in pipeline.eval_batches(records, batch_size=9, workers=workers)]
    for workers in (0, 1)
  ]
  np.testing.assert_array_equal(*batches)


@pytest.mark.parametrize(
  ('key', 'words'),
  [
    ('gone.h5#1', r'gone\.h5: no such file, which should hold the image 1'),
    ('tissue.h5#12', r'tissue\.h5#12: no such image; .* holds 12 there'),
    ('tissue.h5#z/1', r"tissue\.h5: holds no 'z'; it holds grey, label, x"),
    ('tissue.h5#x/one', r"after the '#' an image's number must stand"),
    ('tissue.h5#x/-1', r"after the '#' an image's number must stand"),
    ('tissue.h5#label/1', r'label/1: int64\[1, 1\] is no image; it must be uint8'),
    ('tissue.npz#trian_images/1', r"holds no 'trian_images'; did you mean 'train_images'\?"),
    ('tissue.npz#1', r"holds no ''"),
    ('png.array_record#99', r'png\.array_record#99: no such image'),
    ('text.array_record#0', r'text\.array_record#0: cannot be read'),
    ('tissue/1.0.0#validation/0', r"1\.0\.0: holds no 'validation'.*it holds test, train"),
    ('tissue/1.0.0#test/4', r'no such image; .* holds 4 there'),
    ('empty#test/0', r'empty#test/0: cannot be read'),
    ('cut.h5#0', r'cut\.h5#0: cannot be read'),
    ('cut.npz#a/0', r'cut\.npz#a/0: cannot be read'),
    ('cut.array_record#0', r'cut\.array_record#0: cannot be read'),
    ('x.h5.gz#0', r'x\.h5\.gz: no container of a kind that is read.*unpack it with gunzip'),
  ],
)
def test_what_is_not_there_is_one_line(root, key, words):
  (root / 'empty').mkdir(exist_ok=True)
  for name in ('cut.h5', 'cut.npz', 'cut.array_record', 'x.h5.gz'):
    (root / name).write_bytes((root / 'tissue.h5').read_bytes()[:100])
  with pytest.raises(InputError, match=words) as error:
    decoding.decode(root / key, ImageFormat(8, 1))
  assert '\n' not in str(error.value)
  assert list(decoding.find_broken([str(root / key)])) == [0]


def test_what_must_be_installed_is_said(root):
  code = (
    "import sys; sys.modules['tensorflow_datasets'] = None\n"
    'from medjax.data.images import containers\n'
    'from medjax.errors import InputError\n'
    'try: containers.read(sys.argv[1])\n'
    'except InputError as error: print(error)\n'
  )
  command = [sys.executable, '-c', code, str(root / 'tissue/1.0.0#test/0')]
  message = subprocess.run(command, capture_output=True, text=True, check=True).stdout
  assert "pip install 'medjax[tfds]'" in message


def test_workers_import_no_jax(root):
  code = (
    'import sys\n'
    'from medjax.data.images import containers\n'
    'for path in sys.argv[1:]: containers.read(path)\n'
    "assert not {'jax', 'tensorflow', 'torch'} & set(sys.modules)\n"
  )
  subprocess.run([sys.executable, '-c', code, *all_paths(root)[::5]], check=True)


def test_a_pipe_is_not_waited_for(tmp_path):
  os.mkfifo(tmp_path / 'pipe.npz')
  with pytest.raises(InputError, match=r'pipe\.npz: a pipe or device'):
    containers.read(f'{tmp_path}/pipe.npz#x/0')

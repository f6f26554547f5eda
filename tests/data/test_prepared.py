"""Prepared images against decoding the files, and every way in which a folder may not be theirs."""

import dataclasses
import json
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from medjax.data import pipeline, prepared
from medjax.data.images import containers, decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.runtime import files

FORMAT = ImageFormat(size=12, channels=1)
COUNT = 150


@pytest.fixture
def root(tmp_path) -> pathlib.Path:
  rng = np.random.default_rng(0)
  folder = tmp_path / 'images'
  folder.mkdir()
  for number in range(COUNT):
    pixels = rng.integers(0, 256, (20, 31), np.uint8)
    Image.fromarray(pixels).save(folder / f'{number}.png')
  (folder / '7.png').write_bytes(b'no picture')
  h5py = pytest.importorskip('h5py')
  with h5py.File(folder / 'scans.h5', 'w') as file:
    file['x'] = rng.integers(0, 256, (3, 12, 12), np.uint8)
  return folder


@pytest.fixture
def images(root) -> list[str]:
  return [f'{number}.png' for number in range(COUNT)] + [f'scans.h5#{row}' for row in range(3)]


def batch_of(prepared_images, count) -> np.ndarray:
  batch = np.zeros((count, *FORMAT.shape), np.uint8)
  prepared_images.read_into(batch, np.arange(count))
  return batch


@pytest.mark.parametrize('workers', [0, pytest.param(2, marks=pytest.mark.slow)])
def test_prepared_images_are_those_of_the_files_bit_for_bit(root, images, tmp_path, workers):
  made = prepared.make(tmp_path / 'p', root, images, FORMAT, workers)
  good = [image for image in images if image != '7.png'][::-1]
  expected = np.stack([decoding.decode(root / image, FORMAT) for image in good])
  np.testing.assert_array_equal(batch_of(made.select(good), len(good)), expected)
  array = np.load(tmp_path / 'p/pixels.npy', mmap_mode='r')
  assert array.shape == (len(images), 12, 12, 1) and not array[7].any()
  with pytest.raises(InputError, match=r'7\.png: cannot be read as an image'):
    made.select(['7.png'])
  with pytest.raises(InputError, match=r"'new\.png' is not prepared there \(2 such images\)"):
    made.select(['1.png', 'new.png', 'newer.png'])


@pytest.mark.parametrize('workers', [0, pytest.param(1, marks=pytest.mark.slow)])
def test_batches_from_prepared_images_are_those_from_files(
  root, images, tmp_path, workers, monkeypatch
):
  monkeypatch.setattr(pipeline, 'FEW', 0)
  good = images[10:40]
  values = np.zeros((len(good), 1), np.float32)
  from_files = pipeline.Records([str(root / image) for image in good], values, values, FORMAT)
  made = prepared.make(tmp_path / 'p', root, images, FORMAT)
  from_folder = dataclasses.replace(from_files, paths=[''] * len(good), mapped=made.select(good))
  pairs = zip(
    pipeline.eval_batches(from_files, batch_size=8),
    pipeline.eval_batches(from_folder, batch_size=8, workers=workers),
    strict=True,
  )
  for ours, theirs in pairs:
    for name, array in ours.items():
      np.testing.assert_array_equal(array, theirs[name])


def test_a_killed_preparation_goes_on_and_ends_in_the_same_bytes(
  root, images, tmp_path, monkeypatch
):
  prepared.make(tmp_path / 'whole', root, images, FORMAT)
  append, appended = prepared._append, []

  def die(file, data):
    appended.append(data)
    append(file, data if len(appended) < 4 else data[: len(data) // 2])
    if len(appended) == 4:
      raise KeyboardInterrupt

  with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
    patch.setattr(prepared, '_append', die)
    prepared.make(tmp_path / 'p', root, images, FORMAT)
  with pytest.raises(InputError, match=r'64 of 153 images are prepared; medjax\.prepare goes on'):
    prepared.load(tmp_path / 'p', root, FORMAT)
  prepared.make(tmp_path / 'p', root, images, FORMAT)
  for name in ('pixels.npy', 'index.jsonl', 'prepared.json'):
    assert (tmp_path / 'p' / name).read_bytes() == (tmp_path / 'whole' / name).read_bytes()


def test_a_changed_file_is_refused_by_name_and_a_touched_one_is_not(root, images, tmp_path):
  prepared.make(tmp_path / 'p', root, images, FORMAT)
  os.utime(root / '3.png')
  prepared.load(tmp_path / 'p', root, FORMAT)
  Image.new('L', (20, 31), 9).save(root / '5.png')
  message = r"images/5\.png: has changed since '.*/p' was prepared from it \(1 such file\)"
  with pytest.raises(InputError, match=message):
    prepared.load(tmp_path / 'p', root, FORMAT)
  (root / '5.png').unlink()
  with pytest.raises(InputError, match=message):
    prepared.load(tmp_path / 'p', root, FORMAT)


def test_a_change_that_leaves_size_and_time_as_they_were_is_refused(root, images, tmp_path):
  prepared.make(tmp_path / 'p', root, images, FORMAT)
  path, status = root / '9.png', (root / '9.png').stat()
  content = path.read_bytes()
  path.write_bytes(content[:-20] + bytes(20))
  os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
  with pytest.raises(InputError, match=r'9\.png: has changed since'):
    prepared.load(tmp_path / 'p', root, FORMAT)


def test_what_could_not_be_read_then_and_can_be_now_is_refused(root, images, tmp_path, monkeypatch):
  def lacks(path, image_format):
    if str(path).endswith('7.png'):
      raise InputError(f'{path}: DICOM files need pydicom')
    return with_header(path, image_format)

  with_header = decoding.decode_with_header
  Image.new('L', (20, 31), 77).save(root / '7.png')
  with monkeypatch.context() as patch:
    patch.setattr(decoding, 'decode_with_header', lacks)
    with pytest.raises(InputError, match=r'7\.png: has changed since'):
      prepared.make(tmp_path / 'p', root, images, FORMAT)


def test_a_file_that_changes_while_it_is_read_is_refused(root, images, tmp_path, monkeypatch):
  def replaced(path, image_format):
    decoded = with_header(path, image_format)
    if str(path).endswith('0.png'):
      Image.new('L', (20, 31), 200).save(path)
    return decoded

  with_header = decoding.decode_with_header
  monkeypatch.setattr(decoding, 'decode_with_header', replaced)
  with pytest.raises(InputError, match=r'0\.png: changed while it was read'):
    prepared.make(tmp_path / 'p', root, images, FORMAT)


def test_a_changed_row_of_a_container_is_refused_and_an_added_one_is_not(root, images, tmp_path):
  import h5py

  prepared.make(tmp_path / 'p', root, images, FORMAT)
  containers._hdf5.cache_clear()  # A later process opens the file anew.
  with h5py.File(root / 'scans.h5', 'a') as file:
    file['y'] = np.zeros(5)
  prepared.load(tmp_path / 'p', root, FORMAT)
  containers._hdf5.cache_clear()
  with h5py.File(root / 'scans.h5', 'a') as file:
    file['x'][1] = 200
  with pytest.raises(InputError, match=r'scans\.h5#1: has changed'):
    prepared.load(tmp_path / 'p', root, FORMAT)


def test_other_settings_other_images_and_other_folders_are_refused(root, images, tmp_path):
  prepared.make(tmp_path / 'p', root, images, FORMAT)
  larger = dataclasses.replace(FORMAT, size=16, fit='crop')
  with pytest.raises(InputError, match=r"other settings \(size 12 there and 16 here, fit 'pad'"):
    prepared.load(tmp_path / 'p', root, larger)
  with pytest.raises(InputError, match='other settings'):
    prepared.make(tmp_path / 'p', root, images, larger)
  with pytest.raises(InputError, match='holds the images of another table'):
    prepared.make(tmp_path / 'p', root, images[:-1], FORMAT)
  with pytest.raises(InputError, match='images: holds other files'):
    prepared.make(root, root, images, FORMAT)
  with pytest.raises(InputError, match=r'5\.png: not a folder'):
    prepared.make(root / '5.png', root, images, FORMAT)
  with pytest.raises(InputError, match=r'not a folder that medjax\.prepare has written'):
    prepared.load(tmp_path / 'nowhere', root, FORMAT)


def test_a_folder_whose_first_file_a_kill_left_half_written_is_begun_anew(root, images, tmp_path):
  (tmp_path / 'p').mkdir()
  (tmp_path / 'p/.prepared.json.host-1.tmp').write_text('{"version":')
  prepared.make(tmp_path / 'p', root, images, FORMAT)
  assert not list((tmp_path / 'p').glob('*.tmp'))


def test_a_damaged_folder_is_refused(root, images, tmp_path):
  prepared.make(tmp_path / 'p', root, images, FORMAT)
  index = tmp_path / 'p/index.jsonl'
  lines = index.read_bytes()
  index.write_bytes(lines.replace(b'"9.png"', b'9.png'))
  with pytest.raises(InputError, match='damaged or not finished'):
    prepared.load(tmp_path / 'p', root, FORMAT)
  index.write_bytes(lines)
  with open(tmp_path / 'p/pixels.npy', 'a+b') as pixels:
    pixels.truncate(5000)
  with pytest.raises(InputError, match=r'are prepared; medjax\.prepare goes on with it'):
    prepared.load(tmp_path / 'p', root, FORMAT)
  contents = tmp_path / 'p/prepared.json'
  contents.write_text(json.dumps(json.loads(contents.read_text()) | {'version': 99}))
  with pytest.raises(InputError, match='another version of medjax'):
    prepared.load(tmp_path / 'p', root, FORMAT)


def test_two_at_once_are_refused(root, images, tmp_path):
  (tmp_path / 'p').mkdir()
  with (
    files.locked(tmp_path / 'p/.lock', ''),
    pytest.raises(InputError, match='another process prepares images there'),
  ):
    prepared.make(tmp_path / 'p', root, images, FORMAT)

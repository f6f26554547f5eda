"""A data root in a bucket gives what the same files on a disk give, from one list of the bucket."""

import dataclasses

import fsspec
import numpy as np
import pytest

from medjax import config as configs
from medjax.config import Data
from medjax.data import datasets, missing_files, prepared, study
from medjax.data.images import containers, content, decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.data.leakage import duplicates, seen_before
from medjax.errors import InputError
from medjax.runtime import remote, remote_path

URL = 'memory://films/set'


@pytest.fixture
def bucket(phantom_root, monkeypatch):
  """The films of the phantom, which lie as CheXpert's do, in memory, and what is asked of it."""
  system = fsspec.filesystem('memory')
  monkeypatch.setattr(remote, '_listings', {})
  monkeypatch.setattr(remote, '_PAUSE', 0)
  for path in phantom_root.rglob('*'):
    if path.is_file():
      system.pipe_file(f'/films/set/{path.relative_to(phantom_root)}', path.read_bytes())
  asked = []
  for call in ('find', 'ls', 'info', 'cat_file', 'exists'):
    method = getattr(type(system), call)

    def counted(self, path, *arguments, _call=call, _method=method, **options):
      asked.append((_call, path))
      return _method(self, path, *arguments, **options)

    monkeypatch.setattr(type(system), call, counted)
  yield asked
  system.rm('/films', recursive=True)


def config_of(root):
  config = configs.load('configs/phantom.py', ['split.test_floor={}'])
  data = dataclasses.replace(config.data, source='chexpert', root=str(root), settings={})
  return dataclasses.replace(config, data=data)


def test_a_study_and_its_images_are_those_of_a_disk(bucket, phantom_root, tmp_path):
  on_disk, there = (study.make(config_of(root))[0] for root in (phantom_root, URL))
  names = there.table['named_in'].str.replace(URL, str(phantom_root))
  assert on_disk.table.equals(there.table.assign(named_in=names))
  assert (on_disk.split == there.split).all() and len(there.table) == 120
  images = there.table['image'].tolist()
  form = ImageFormat(size=16, channels=1)
  for name, root in (('disk', phantom_root), ('bucket', URL)):
    made = prepared.make(tmp_path / name, root, images, form)
  pixels = [(tmp_path / name / 'pixels.npy').read_bytes() for name in ('disk', 'bucket')]
  assert pixels[0] == pixels[1]
  assert made.index['digest'].tolist() == [content.digest(phantom_root / name) for name in images]
  # One list, and each image once.
  calls = [call for call, _ in bucket]
  assert calls.count('find') == 1 and not {'info', 'exists'} & set(calls)
  fetched = [path for call, path in bucket if call == 'cat_file' and path.endswith('.jpg')]
  assert len(fetched) == len(set(fetched)) == len(images)


def test_a_changed_image_is_refused_by_name(bucket, phantom_root, tmp_path):
  images = datasets.read(config_of(URL).data)['image'].tolist()
  form = ImageFormat(size=16, channels=1)
  prepared.make(tmp_path / 'p', URL, images, form)
  fsspec.filesystem('memory').pipe_file(f'/films/set/{images[3]}', b'another')
  remote._listings.clear()
  with pytest.raises(InputError, match=f'{images[3]}: has changed since'):
    prepared.load(tmp_path / 'p', URL, form)


def test_missing_images_and_strays_are_named(bucket, phantom_root):
  table = datasets.read(config_of(URL).data)
  root = remote_path.path(URL)
  assert missing_files.check(table, root, 'stop') == []
  fsspec.filesystem('memory').rm(f'/films/set/{table["image"][5]}')
  fsspec.filesystem('memory').pipe_file('/films/set/train/stray.jpg', b'x')
  remote._listings.clear()
  with pytest.raises(InputError, match=f"'{table['image'][5]}' is not under {URL}"):
    missing_files.check(table, root, 'stop')
  assert 'train/stray.jpg' in missing_files.check(table, root, 'set_aside')[0]
  reason, _ = decoding.check(f'{URL}/{table["image"][5]}')
  assert reason == f'{URL}/{table["image"][5]}: no such image file'


def test_a_server_that_does_not_answer_breaks_no_image(bucket, phantom_root, tmp_path, monkeypatch):
  images = datasets.read(config_of(URL).data)['image'].tolist()
  system, method = type(fsspec.filesystem('memory')), fsspec.filesystem('memory').cat_file

  def failing(self, path, *arguments, **options):
    if path.endswith(images[70]):
      raise TimeoutError('slow')
    return method(path, *arguments, **options)

  with monkeypatch.context() as patch:
    patch.setattr(system, 'cat_file', failing)
    with pytest.raises(remote.Unreachable, match='the same command goes on'):
      decoding.find_broken([f'{URL}/{image}' for image in images])
    with pytest.raises(remote.Unreachable, match='cannot be reached'):
      prepared.make(tmp_path / 'p', URL, images, ImageFormat(size=16, channels=1))
  made = prepared.make(tmp_path / 'p', URL, images, ImageFormat(size=16, channels=1))
  assert not made.index['reason'].any()


def test_images_in_containers_and_copies_are_known(bucket, phantom_root, tmp_path, monkeypatch):
  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 12), np.uint8)
  np.savez(tmp_path / 'scans.npz', x=pixels)
  fsspec.filesystem('memory').put(str(tmp_path / 'scans.npz'), '/films/set/scans.npz')
  np.testing.assert_array_equal(containers.read(f'{URL}/scans.npz#x/2'), pixels[2])
  assert containers.container_of(f'{URL}/scans.npz#x/2') == f'{URL}/scans.npz'
  with pytest.raises(InputError, match=f'{URL}/other.npz: no such file'):
    containers.read(f'{URL}/other.npz#x/2')
  image = datasets.read(config_of(URL).data)['image'][0]
  assert duplicates.same_picture(f'{URL}/{image}', str(phantom_root / image))
  assert seen_before._same_set(str(phantom_root), [image], URL, [image])


def test_a_table_of_a_disk_may_name_images_of_a_bucket(bucket, tmp_path):
  images = datasets.read(config_of(URL).data)['image'].tolist()
  rows = '\n'.join(f'{image},p{row},{row % 2}' for row, image in enumerate(images))
  (tmp_path / 'own.csv').write_text(f'image,patient,mass\n{rows}\n')
  settings = {'table_file': str(tmp_path / 'own.csv')}
  table = datasets.read(Data('csv', URL, ('mass',), settings=settings))
  assert table['image'].tolist() == images


def test_what_a_bucket_cannot_hold_is_one_line(command):
  run = command('predict', '--workdir=runs/x', '--images=s3://bucket/films', '--output=x.csv')
  assert run.returncode == 1 and run.stderr.startswith(
    'error: --images=s3://bucket/films: only data.root, data.prepared, a work directory and an '
    'output may lie there; copy it to a disk'
  )
  with pytest.raises(InputError, match='memory://x: generated pictures are written to a disk'):
    datasets.read(dataclasses.replace(config_of('memory://x').data, source='phantom'))

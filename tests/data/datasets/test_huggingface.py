"""Parquet files as the hub keeps them, against the pictures that were put in."""

import concurrent.futures
import io
import json

import numpy as np
import pytest
from PIL import Image

from medjax.config import Data
from medjax.data import datasets, missing_files, prepared
from medjax.data.datasets import huggingface
from medjax.data.images import containers, decoding, parquet_images
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError

pa = pytest.importorskip('pyarrow')
parquet = pytest.importorskip('pyarrow.parquet')


def pixels(seed):
  return np.random.default_rng(seed).integers(0, 256, (20, 31), np.uint8)


def png(seed):
  file = io.BytesIO()
  Image.fromarray(pixels(seed)).save(file, 'PNG')
  return file.getvalue()


def write(path, seeds, features=None, group=3, **columns):
  """Writes what `datasets` does for an Image feature, three rows a group."""
  images = [{'bytes': png(seed), 'path': f'{seed}.png'} for seed in seeds]
  table = pa.table({'image': images, **columns})
  if features:
    about = json.dumps({'info': {'features': features}})
    table = table.replace_schema_metadata({'huggingface': about})
  path.parent.mkdir(exist_ok=True)
  parquet.write_table(table, path, row_group_size=group)


@pytest.fixture
def root(tmp_path):
  features = {
    'image': {'_type': 'Image'},
    'label': {'_type': 'ClassLabel', 'names': ['benign', 'grave']},
  }
  write(
    tmp_path / 'data/train-00000-of-00001.parquet', range(10), features,
    person=[f'P{row // 2}' for row in range(10)], label=[0, 1] * 5, age=[50.0, None] * 5,
  )  # fmt: skip
  write(
    tmp_path / 'data/validation-00000-of-00001.parquet', (10, 11), features,
    person=['P8', 'P9'], label=[1, None], age=[40.0, 41.5],
  )  # fmt: skip
  return tmp_path


def read(root, labels=('benign', 'grave'), **settings):
  columns = {'patient': 'person', 'class': 'label'}
  return datasets.read(
    Data('huggingface', str(root), labels, settings={'columns': columns, **settings})
  )


def test_rows_are_images_with_the_names_of_their_classes(root):
  table = read(root)
  assert table['image'][3] == 'data/train-00000-of-00001.parquet#image/3'
  assert table['patient'].tolist() == [f'P{row // 2}' for row in range(10)] + ['P8', 'P9']
  np.testing.assert_array_equal(table['grave'], [0, 1] * 5 + [1, np.nan])
  assert table['official_split'].tolist() == ['train'] * 10 + ['validation'] * 2
  assert table['age'].tolist()[:2] == ['50', '']
  assert table['named_in'][11].endswith('validation-00000-of-00001.parquet: row 1')
  for image, seed in zip(table['image'], range(12)):
    np.testing.assert_array_equal(np.asarray(decoding.whole(root / image)), pixels(seed))
  # In another order than the file's.
  np.testing.assert_array_equal(np.asarray(decoding.whole(root / table['image'][0])), pixels(0))
  assert missing_files.check(table, root, 'stop') == []
  made = prepared.make(root / 'p', root, table['image'].tolist(), ImageFormat(12, 1))
  assert not made.index['reason'].any()
  assert containers.is_read_in_order(root / table['image'][0])


def test_lists_of_labels_and_plain_bytes(tmp_path):
  feature = {'feature': {'_type': 'ClassLabel', 'names': ['Mass', 'Edema']}, '_type': 'Sequence'}
  path = tmp_path / 'all.parquet'
  write(path, (0, 1, 2), {'found': feature}, found=[[0, 1], [], None])
  settings = {'columns': {'class': 'found'}, 'grouped_by': 'image'}
  table = read(tmp_path, ('Edema', 'Mass'), **settings)
  np.testing.assert_array_equal(table[['Edema', 'Mass']], [[1, 1], [0, 0], [np.nan, np.nan]])
  assert 'official_split' not in table
  parquet.write_table(pa.table({'picture': [png(5)], 'Mass': [True], 'who': [7]}), path)
  table = read(tmp_path, ('Mass',), columns={'image': 'picture', 'patient': 'who'})
  assert table['image'].tolist() == ['all.parquet#picture/0'] and table['patient'][0] == '7'
  np.testing.assert_array_equal(np.asarray(decoding.whole(tmp_path / table['image'][0])), pixels(5))


def test_threads_read_each_group_of_rows_once_where_memory_allows(tmp_path, monkeypatch):
  path = tmp_path / 'x.parquet'
  write(path, range(60), group=10)
  images, read_groups = parquet_images.ParquetImages(str(path), 'image'), []
  read_group = images._file.read_row_group

  class File:
    def read_row_group(self, group, columns):
      read_groups.append(group)
      return read_group(group, columns=columns)

  images._file = File()
  with concurrent.futures.ThreadPoolExecutor(8) as pool:
    content = list(pool.map(images.__getitem__, range(60)))
  assert content == [png(seed) for seed in range(60)] and sorted(read_groups) == list(range(6))
  monkeypatch.setattr(parquet_images, '_KEPT', 1)
  images._groups.clear()
  assert [images[row] for row in (0, 59, 0, 1)] == [content[row] for row in (0, 59, 0, 1)]
  assert len(images._groups) == 1


def test_what_is_wrong_is_one_line(root, tmp_path):
  with pytest.raises(InputError, match="no column 'patient' that says whose image it is"):
    read(root, columns={'class': 'label'})
  with pytest.raises(InputError, match=r"no column 'picture' of images; name it in .*data\.set"):
    read(root, columns={'image': 'picture', 'patient': 'person', 'class': 'label'})
  with pytest.raises(InputError, match="the column 'age' is double, which holds no image files"):
    read(root, columns={'image': 'age', 'patient': 'person', 'class': 'label'})
  with pytest.raises(
    InputError, match=r"row 1, column 'label': the class is 'grave'; allowed: ben"
  ):
    read(root, ('benign', 'other'))
  (root / 'x.parquet').write_bytes(b'no parquet')
  with pytest.raises(InputError, match=r'x\.parquet: cannot be read as a parquet file'):
    read(root)
  (root / 'x.parquet').unlink()
  cells = [{'bytes': None, 'path': 'else/where.png'}]
  kind = pa.struct([('bytes', pa.binary()), ('path', pa.string())])
  parquet.write_table(pa.table({'image': pa.array(cells, kind)}), root / 'x.parquet')
  reason, _ = decoding.check(root / 'x.parquet#image/0')
  assert 'only where it lies (else/where.png); save the set with its images embedded' in reason
  with pytest.raises(InputError, match='holds 1 there, numbered from 0'):
    containers.read(root / 'x.parquet#image/1')


def test_sets_of_a_bucket_are_read_too(root, tmp_path, monkeypatch):
  import fsspec

  from medjax.runtime import remote

  monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
  monkeypatch.setattr(remote, '_listings', {})
  fsspec.filesystem('memory').put(str(root / 'data'), '/hub/set/data', recursive=True)
  try:
    table = read('memory://hub/set')
    assert table['image'].tolist() == read(root)['image'].tolist()
    picture = decoding.whole(f'memory://hub/set/{table["image"][4]}')
    np.testing.assert_array_equal(np.asarray(picture), pixels(4))
  finally:
    fsspec.filesystem('memory').rm('/hub', recursive=True)


def test_a_class_label_of_minus_one_is_none():
  assert huggingface._said([1, -1], ['no', 'mass']) == ['mass', None]
  assert huggingface._said(-1, []) == -1  # Without names it is our code of an uncertain label.

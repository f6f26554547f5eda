"""Tar files of samples against the pictures that were put in, and tar files that mean harm."""

import io
import json
import tarfile

import numpy as np
import pytest
from PIL import Image

from medjax.config import Data
from medjax.data import datasets, missing_files, prepared
from medjax.data.images import content, decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError


def png(seed):
  file = io.BytesIO()
  pixels = np.random.default_rng(seed).integers(0, 256, (20, 31), np.uint8)
  Image.fromarray(pixels).save(file, 'PNG')
  return file.getvalue()


def write(path, members):
  """Writes a tar file; a member is its bytes, or a TarInfo of its own."""
  with tarfile.open(path, 'w') as file:
    for name, data in members:
      entry = data if isinstance(data, tarfile.TarInfo) else tarfile.TarInfo(name)
      entry.name = name
      if isinstance(data, bytes):
        entry.size = len(data)
        file.addfile(entry, io.BytesIO(data))
      else:
        file.addfile(entry)
  return path


def facts(**values):
  return json.dumps(values).encode()


@pytest.fixture
def root(tmp_path):
  write(
    tmp_path / 'train-0000.tar',
    [
      ('a/0001.png', png(1)),
      ('a/0001.json', facts(case='P1', mass=1, age=61, site='north', seen=True)),
      ('a/0002.seg.txt', b'not an image'),
      ('a/0002.json', facts(case='P1', mass=None)),
      ('a/0002.PNG', png(2)),
    ],
  )
  (tmp_path / 'more').mkdir()
  write(
    tmp_path / 'more/test-0000.tar',
    [('0001.jpg', png(3)), ('0001.json', facts(case='P2', mass=0.5)), ('0009.json', facts(x=1))],
  )
  return tmp_path


def read(root, labels=('mass',), **settings):
  return datasets.read(
    Data('webdataset', str(root), labels, settings={'columns': {'patient': 'case'}, **settings})
  )


def test_samples_are_rows_and_their_images_are_read_where_they_lie(root):
  table = read(root, about='all')
  assert table['image'].tolist() == ['more/test-0000.tar#0', 'train-0000.tar#0', 'train-0000.tar#1']
  assert table['patient'].tolist() == ['P2', 'P1', 'P1']
  np.testing.assert_array_equal(table['mass'], [0.5, 1, np.nan])
  assert table['official_split'].tolist() == ['test', 'train', 'train']
  assert table['site'].fillna('').tolist() == ['', 'north', '']
  assert table['about seen'].fillna('').tolist() == ['', '1', '']
  assert table['named_in'][2].endswith("train-0000.tar: sample 'a/0002'")
  for image, seed in zip(table['image'], (3, 1, 2)):
    pixels = np.random.default_rng(seed).integers(0, 256, (20, 31), np.uint8)
    np.testing.assert_array_equal(np.asarray(decoding.whole(root / image)), pixels)
  assert content.digest(root / table['image'][1]) != content.digest(root / table['image'][2])
  assert missing_files.check(table, root, 'stop') == []
  made = prepared.make(root / 'p', root, table['image'].tolist(), ImageFormat(12, 1))
  assert not made.index['reason'].any()


def test_a_class_is_a_number_a_word_or_several(tmp_path):
  write(
    tmp_path / 'x.tar',
    [('0.png', png(0)), ('0.cls', b'1\n'), ('1.png', png(1)), ('1.cls', b'0'), ('2.png', png(2))],
  )
  own = {'columns': {'class': 'cls'}, 'grouped_by': 'image'}
  table = read(tmp_path, ('benign', 'grave'), classes=['benign', 'grave'], **own)
  np.testing.assert_array_equal(table[['benign', 'grave']], [[0, 1], [1, 0], [np.nan, np.nan]])
  with pytest.raises(
    InputError, match=r"x\.tar: row 0, column 'cls': the class is '1'; allowed: b"
  ):
    read(tmp_path, ('benign', 'grave'), **own)
  write(
    tmp_path / 'x.tar',
    [('0.png', png(0)), ('0.json', facts(found=['Mass', 'Other'])), ('1.png', png(1)),
     ('1.json', facts(found=[])), ('2.png', png(2)), ('2.json', facts(found=None))],
  )  # fmt: skip
  own = {'columns': {'class': 'found'}, 'grouped_by': 'image'}
  table = read(tmp_path, ('Mass', 'Edema'), **own)
  np.testing.assert_array_equal(table[['Mass', 'Edema']], [[1, 0], [0, 0], [np.nan, np.nan]])


def link(kind, target):
  entry = tarfile.TarInfo()
  entry.type, entry.linkname = kind, target
  return entry


@pytest.mark.parametrize(
  ('members', 'words'),
  [
    ([('../0.png', b'x')], r"'\.\./0\.png' leads out of the tar file"),
    ([('a/../../0.png', b'x')], 'leads out of the tar file'),
    ([('/etc/0.png', b'x')], r"'/etc/0\.png' leads out"),
    ([('..\\0.png', b'x')], 'leads out'),
    ([('0.png', link(tarfile.SYMTYPE, '/etc/passwd'))], "'0.png' is a link or a device"),
    ([('0.png', link(tarfile.LNKTYPE, 'other.png'))], 'is a link or a device'),
    ([('0.png', link(tarfile.CHRTYPE, ''))], 'is a link or a device'),
    ([('0.png', b'x'), ('0.jpg', b'x')], "the sample '0' has two images"),
    ([('0.png', b'x'), ('1.png', b'x'), ('0.json', b'{}')], 'do not follow each other'),
    ([('0.png', b'x'), ('0.json', b'{')], "the JSON of the sample '0' cannot be read"),
    ([('0.png', b'x'), ('0.json', b'[1]')], 'is no object'),
    ([('0.txt', b'x')], 'holds no sample with an image'),
    ([('0.png', b'x'), ('0.json', facts(mass=1))], "no column 'case' that says whose image it is"),
    ([('0.png', b'x'), ('0.json', facts(case='P', mas=1))], "no column 'mass'; did you mean 'mas'"),
    ([('0.png', b'x'), ('0.json', facts(case='P', mass=7))], "row 0, column 'mass': unknown code"),
  ],
)
def test_what_is_wrong_in_a_tar_file_is_one_line(tmp_path, members, words):
  write(tmp_path / 'x.tar', members)
  with pytest.raises(InputError, match=words):
    read(tmp_path)


def test_what_is_no_tar_file_is_one_line(root, tmp_path):
  with pytest.raises(InputError, match=r'no \*\.zip in this folder'):
    read(root, files='*.zip')
  (root / 'z.tar').write_bytes(b'no tar file')
  with pytest.raises(InputError, match=r'z\.tar: no tar file'):
    read(root)
  data = (root / 'train-0000.tar').read_bytes()
  (root / 'z.tar').write_bytes(data[:1000])
  with pytest.raises(InputError, match=r'z\.tar: (no tar file|is cut off)'):
    read(root)

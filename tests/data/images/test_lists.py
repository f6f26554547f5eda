"""Which files of a folder are images, in which order, and what a CSV names."""

import gc
import os
import warnings

import numpy as np
import pytest
from dicom_files import write
from PIL import Image

from medjax.data.images import lists
from medjax.errors import InputError


def names(images):
  return [item.image for item in lists.items(images)]


def touch(root, *files):
  for file in files:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).write_bytes(b'')


def test_a_folder_is_listed_in_order_and_only_its_images(tmp_path):
  root, elsewhere = tmp_path / 'images', tmp_path / 'elsewhere'
  touch(root, 'b.PNG', 'a.jpeg', 'c/2.tif', 'c/10.tif', 'c.txt', 'notes', '.hidden.png', 'no.npz')
  touch(root, '.trash/x.png', 'Thumbs.db', 'table.csv', 'a b/ü.dcm')
  touch(elsewhere, 'linked.png')
  pixels = np.zeros((4, 4), np.uint16)
  write(root / 'IM0001', pixels)
  write(root / '1.2.840.1', pixels)
  write(root / 'DICOMDIR', pixels)
  write(root / 'made.txt', pixels)
  os.symlink(elsewhere / 'linked.png', root / 'z.png')
  images = lists.of_folder(root)
  expected = [
    *('1.2.840.1', 'IM0001', 'a b/ü.dcm', 'a.jpeg', 'b.PNG'),
    *('c/10.tif', 'c/2.tif', 'made.txt', 'z.png'),
  ]  # fmt: skip
  assert names(images) == expected == names(images) and images.count == len(expected)
  assert images.skipped == {
    'hidden': 2, 'without an ending': 2, '.txt': 1, '.npz': 1, '.db': 1, '.csv': 1
  }  # fmt: skip
  assert '8 files (2 hidden, 2 without an ending, 1 .csv,' in lists.in_words(images.skipped)
  again = lists.of_folder(root)
  assert again.sha256 == images.sha256
  touch(root, 'd.png')
  assert lists.of_folder(root).sha256 != images.sha256
  assert names(images) == expected  # What comes later is not in the list.


def test_a_dicom_is_listed_whatever_its_ending(tmp_path):
  named = ['CT.0001.IMA', 'I0001.img', 'a.dat', 'film.dcm.bak', 'no ending', 'x.PNG']
  for name in named:
    write(tmp_path / name, np.zeros((4, 4), np.uint16))
  touch(tmp_path, 'I0002.img', 'b.IMA')
  (tmp_path / 'I0003.img').write_bytes(bytes(128) + b'DICN')
  images = lists.of_folder(tmp_path)
  assert names(images) == named and images.skipped == {'.img': 2, '.ima': 1}


def test_links_to_folders_are_followed_once_and_last(tmp_path):
  root = tmp_path / 'images'
  touch(root, 'b/2.png', 'c/3.png', 'z.png')
  touch(tmp_path, 'elsewhere/1.png', 'elsewhere/deep/4.png', 'beside/5.png')
  for link, to in {
    'a': tmp_path / 'elsewhere', 'again': tmp_path / 'elsewhere', 'd': root / 'c', 'b/up': root,
    'b/a': tmp_path / 'elsewhere/deep',
  }.items():  # fmt: skip
    os.symlink(to, root / link)
  os.symlink(tmp_path / 'beside', tmp_path / 'elsewhere/further')
  os.symlink(root, tmp_path / 'elsewhere/back')
  images = lists.of_folder(root)
  listed = names(images)
  assert listed[:3] == ['b/2.png', 'c/3.png', 'z.png']
  # Each file once, as os.walk finds them.
  found = {os.path.realpath(item.path) for item in lists.items(images)}
  there = {
    os.path.realpath(os.path.join(below, file))
    for folder in (root, tmp_path / 'elsewhere', tmp_path / 'beside')
    for below, _, files in os.walk(folder)
    for file in files
  }
  assert found == there and len(found) == len(listed) == 6
  assert images.skipped == {'link to a folder listed already': 5}
  assert listed == names(lists.of_folder(root))


def test_a_folder_without_images_is_one_line(tmp_path):
  touch(tmp_path, 'notes.txt')
  with pytest.raises(
    InputError, match=r'no image in this folder or below; 1 file \(1 \.txt\) skipped: not'
  ):
    lists.of_folder(tmp_path)
  with pytest.raises(InputError, match='no such folder'):
    lists.of_folder(tmp_path / 'no')


def test_a_csv_names_images_and_patients(tmp_path):
  path = tmp_path / 'list.csv'
  path.write_text('age,path,patient\n3,b.png,p1\n4,/abs/a.png,\n5,x.h5#3,p2\n')
  images = lists.of_csv(path, None)
  assert images.has_patients
  assert list(lists.items(images)) == [
    ('b.png', str(tmp_path / 'b.png'), 'p1'),
    ('/abs/a.png', '/abs/a.png', ''),
    ('x.h5#3', str(tmp_path / 'x.h5#3'), 'p2'),
  ]
  other = lists.of_csv(path, tmp_path / 'root')
  assert next(lists.items(other)).path == str(tmp_path / 'root' / 'b.png')


@pytest.mark.parametrize(
  ('text', 'words'),
  [
    ('file,patient\na.png,1\n', "no column 'image'"),
    ('image\na.png\nb.png\n./a.png\n', "row 4, column 'image': './a.png' is already in row 2"),
    ('image,patient\na.png,1\n,2\n', "row 3, column 'image': the image is empty"),
  ],
)
def test_a_csv_that_is_wrong_is_one_line(tmp_path, text, words):
  (tmp_path / 'list.csv').write_text(text)
  with pytest.raises(InputError, match=words) as raised:
    lists.of_csv(tmp_path / 'list.csv', None)
  assert '\n' not in str(raised.value)


def test_what_would_end_or_stop_the_walk_is_skipped(tmp_path):
  Image.new('L', (40, 40)).save(tmp_path / 'a.png')
  for name in ('loop.png', 'loop'):
    os.symlink(name, tmp_path / name)
  os.mkfifo(tmp_path / 'pipe.png')
  listed = lists.of_folder(tmp_path)
  assert [item.image for item in lists.items(listed)] == ['a.png', 'loop.png']
  assert listed.skipped == {'neither file nor folder': 1, 'without an ending': 1}


def test_a_list_that_is_done_with_closes_its_file(tmp_path):
  (tmp_path / 'one.png').touch()
  with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter('always')
    for listed in (lists.of_paths([tmp_path / 'one.png']), lists.of_folder(tmp_path)):
      assert next(lists.items(listed)).image.endswith('one.png')
      file = listed.file
      del listed
    gc.collect()
    assert file.closed
    del file
  assert not [warning for warning in caught if warning.category is ResourceWarning]

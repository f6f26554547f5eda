"""Tables against the files that are there."""

import os

import pandas as pd
import pytest

from medjax.data import missing_files
from medjax.errors import InputError


def touch(root, *files):
  for file in files:
    (root / file).parent.mkdir(parents=True, exist_ok=True)
    (root / file).touch()


def table(*images):
  return pd.DataFrame({'image': images, 'patient': 'p'})


def test_nothing_to_say_where_all_agree(tmp_path):
  touch(tmp_path, 'a/1.png', 'a/b/2.png', '3.png', 'labels.csv', 'a/notes.txt', 'a/.hidden.png')
  assert missing_files.check(table('a/1.png', 'a/b/2.png', '3.png'), tmp_path, broken='stop') == []


def test_a_row_without_an_image_is_named_with_file_and_row(tmp_path):
  touch(tmp_path, 'a/1.png')
  rows = table('a/1.png', 'a/2.png', 'a/3.png')
  with pytest.raises(InputError, match=r"row 3: image 'a/2\.png' is not under .* \(2 such rows\)"):
    missing_files.check(rows, tmp_path, broken='stop')
  named = rows.assign(named_in=['x.csv: row 7', 'x.csv: row 9', 'x.csv: row 8'])
  with pytest.raises(InputError, match=r"^x\.csv: row 9: image 'a/2\.png'.*set_aside"):
    missing_files.check(named, tmp_path, broken='stop')
  assert missing_files.check(named, tmp_path, broken='set_aside') == []


def test_images_without_a_row_are_counted_and_one_is_named(tmp_path):
  touch(tmp_path, 'train/p1/1.png', 'train/p2/2.png', 'train/p3/3.PNG', 'train/p3/3.txt')
  (note,) = missing_files.check(table('train/p1/1.png', 'train/p2/2.png'), tmp_path, broken='stop')
  assert note.startswith('1 image under') and "'train/p3/3.PNG'" in note


def test_other_sizes_and_folders_are_no_strays(tmp_path):
  touch(tmp_path, 'images/128/1.png', 'images/256/1.png', 'other/2.png', 'top.png')
  assert missing_files.compare(['images/128/1.png'], tmp_path)[1] == []
  # Beside an image that lies at the top only the top itself is looked at.
  assert missing_files.compare(['top.png'], tmp_path)[1] == []


def test_links_containers_and_paths_out_of_the_root_are_there(tmp_path):
  root = tmp_path / 'root'
  touch(root, 'x.h5', 'with#sign.png')
  touch(tmp_path, 'real/1.png', 'beside.png')
  os.symlink(tmp_path / 'real', root / 'linked')
  images = ['linked/1.png', 'x.h5#12', 'with#sign.png', '../beside.png', str(root / 'x.h5')]
  assert missing_files.compare(images, root)[0].tolist() == []
  assert missing_files.compare([*images, 'y.h5#0', '../none.png'], root)[0].tolist() == [5, 6]


def test_a_table_without_its_images_is_said_to_be_one(tmp_path):
  (note,) = missing_files.check(table('a/1.png', 'a/2.png'), tmp_path, broken='stop')
  assert 'No image of the table' in note

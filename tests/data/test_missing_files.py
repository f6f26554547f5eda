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


@pytest.mark.parametrize(
  ('images', 'files', 'settings'),
  [
    (['12', '13'], ['a/12.png', 'a/13.png'], "data.settings.folder='a', suffix='.png'"),
    (['12', '13'], ['12.JPG', '13.JPG'], "data.settings.suffix='.JPG'"),
    (['p/12.png', 'q/12.png'], ['x/y/p/12.png', 'x/y/q/12.png'], "data.settings.folder='x/y'"),
    (['CT.1', 'CT.2'], ['CT.1.tif', 'CT.2.tif'], "data.settings.suffix='.tif'"),
  ],
)
def test_settings_that_find_all_images_are_named_with_a_file_that_is_there(
  tmp_path, images, files, settings
):
  touch(tmp_path, *files, 'labels.csv', '12.txt', 'CT.1.xml')
  where = f"image '{images[0]}' is not under {tmp_path} (2 such rows)"
  for broken in ('stop', 'set_aside'):
    with pytest.raises(InputError) as error:
      missing_files.check(table(*images), tmp_path, broken, 'csv')
    assert str(error.value).endswith(f"{where}; '{files[0]}' is there: set {settings}")
  # Other sources have no such settings.
  (note,) = missing_files.check(table(*images), tmp_path, 'stop', 'padchest')
  assert note.endswith(f"not compared; '{files[0]}' is there.")


def test_settings_that_would_not_find_all_are_not_named(tmp_path):
  touch(tmp_path, 'a/12.png', 'b/13.png')
  (note,) = missing_files.check(table('12', '13'), tmp_path, 'stop', 'csv')
  assert note.endswith("'a/12.png' is there.")
  (note,) = missing_files.check(table('12.dcm', '13.dcm'), tmp_path, 'stop', 'csv')
  assert note.endswith('so files and rows were not compared.')
  with pytest.raises(
    InputError, match=r"'c/12\.png' is not under .*; 'a/12\.png' is there; complete"
  ):
    missing_files.check(table('c/12.png', 'b/13.png'), tmp_path, 'stop', 'csv')

"""Heat maps of images whose names leave no room for theirs."""

import csv
import os
import pathlib

import numpy as np
import pytest
from PIL import Image

from medjax.data.images import lists
from medjax.inference import new_images
from medjax.runs import finished as finished_runs
from medjax.runtime import files

LONG = 'a' * 251 + '.png'  # 255 bytes, the longest that a file may be called
LIMIT = os.pathconf('/', 'PC_PATH_MAX')  # bytes of a path, its end counted


@pytest.fixture
def images(tmp_path):
  """Three images: with a short name, the longest name, and the longest path."""
  folder, rng = tmp_path / 'images', np.random.default_rng(0)
  deep = folder.joinpath(*['d' * 240] * ((LIMIT - len(str(folder)) - 10) // 241))
  deep.mkdir(parents=True)
  for path in (folder / 'b.png', folder / LONG, deep / 'c.png'):
    Image.fromarray(rng.integers(0, 256, (40, 50), np.uint8)).save(path)
  return folder


def test_a_heat_map_that_no_file_can_be_called_after_has_a_short_name(
  finished, images, tmp_path, capsys
):
  maps = tmp_path / ('m' * 230)
  output = tmp_path / 'out.csv'
  new_images.predict_to_csv(
    finished_runs.open_run(finished[0]), images, output, heat_maps=maps, heat_map_labels=['Edema']
  )
  with output.open() as file:
    names = [row['image'] for row in csv.DictReader(file)]
  assert len(names) == 3 and 'b.png' in names and LONG in names
  written = {path.relative_to(maps).as_posix() for path in maps.rglob('*.png')}
  assert 'b.png.Edema.png' in written and len(written) == 3
  told = {}
  for name in written - {'b.png.Edema.png'}:
    with Image.open(maps / name) as picture:
      told[name] = picture.text
      assert np.asarray(picture).std() > 0
  assert {text['image'] for text in told.values()} == set(names) - {'b.png'}
  assert {text['label'] for text in told.values()} == {'Edema'}
  for name, text in told.items():
    assert name == files.short_name(f'{text["image"]}.Edema.png')
  assert capsys.readouterr().out.count('so it is cut there') == 1


def test_short_names_differ_and_every_file_system_takes_them():
  names = [f'{"ü:?" * 300}{number}/a.png' for number in range(50)] + ['x' * 300 + '.png']
  short = [files.short_name(name) for name in names]
  assert len(set(short)) == len(names)
  for name in short:
    assert name.endswith('.png') and len(name) < 143 and name.isascii() and '/' not in name
    assert not set(name) & set('<>:"\\|?*')


def test_a_folder_beyond_the_longest_path_is_told_and_the_rest_is_listed(images):
  deepest = next(path for path in images.rglob('c.png')).parent
  here = os.open(deepest, os.O_RDONLY)
  try:
    for _ in range(2):
      os.mkdir('e' * 250, dir_fd=here)
      inside = os.open('e' * 250, os.O_RDONLY, dir_fd=here)
      os.close(here)
      here = inside
  finally:
    os.close(here)
  listed = lists.of_folder(pathlib.Path(images))
  assert listed.count == 3
  assert 'folder with too long a path' in lists.in_words(listed.skipped)

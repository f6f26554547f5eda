"""A run from images that were decoded before, against one that decodes them."""

import csv
import shutil

import pytest
from conftest import PROJECT, TINY
from PIL import Image

from medjax import config as configs
from medjax.errors import InputError
from medjax.experiment import loop, run

PHANTOM = '--config=configs/phantom.py'


def first_image(root):
  return min(root.rglob('*.jpg')).relative_to(root).as_posix()


@pytest.fixture(scope='module')
def folder(command, phantom_root, tmp_path_factory):
  """A copy of the phantom and its images, one of them broken, prepared by the command."""
  root = shutil.copytree(phantom_root, tmp_path_factory.mktemp('copy') / 'root')
  output = root.parent / 'prepared'
  image = first_image(root)
  sound = (root / image).read_bytes()
  (root / image).write_bytes(b'')
  said = command(
    'prepare', PHANTOM, *TINY, f'--config.data.root={root}', f'--output={output}', check=True
  ).stdout
  assert f'refused: {root / image}: ' in said and 'prepared: 119 images as grey images' in said
  assert f'--config.data.prepared={output}' in said
  with (output / 'broken.csv').open() as file:
    assert [row['image'] for row in csv.DictReader(file)] == [image]
  (root / image).write_bytes(sound)
  shutil.rmtree(output)
  command('prepare', PHANTOM, *TINY, f'--config.data.root={root}', f'--output={output}', check=True)
  return root, output


def config(root, *overrides):
  tiny = [flag.removeprefix('--config.') for flag in TINY]
  return configs.load(str(PROJECT / 'configs/phantom.py'), [*tiny, f'data.root={root}', *overrides])


@pytest.mark.slow
def test_a_run_from_prepared_images_ends_in_the_same_bits(command, finished, folder, tmp_path):
  root, output = folder
  workdir = tmp_path / 'run'
  command(
    'main', PHANTOM, f'--workdir={workdir}', *TINY, f'--config.data.root={root}',
    f'--config.data.prepared={output}', check=True,
  )  # fmt: skip
  for name in ('predictions/test.csv', 'predictions/validation.csv', 'metrics.jsonl'):
    theirs = (finished[0] / name).read_text().splitlines()
    ours = (workdir / name).read_text().splitlines()
    if name == 'metrics.jsonl':
      assert len(ours) == len(theirs)
    else:
      assert ours == theirs


@pytest.mark.slow
def test_a_run_refuses_what_was_prepared_of_other_images_before_it_trains(
  folder, tmp_path, monkeypatch
):
  monkeypatch.setattr(loop, 'train', None)
  root = shutil.copytree(folder[0], tmp_path / 'root')
  output = shutil.copytree(folder[1], tmp_path / 'prepared')
  image = first_image(root)

  def refusal(*overrides):
    with pytest.raises(InputError) as caught:
      run.run(config(root, *overrides), tmp_path / 'run')
    assert not (tmp_path / 'run').exists() and '\n' not in str(caught.value)
    return str(caught.value)

  Image.new('L', (32, 32), 9).save(root / image)
  assert f'{image}: has changed since' in refusal(f'data.prepared={output}')
  assert 'size 32 there and 16 here' in refusal(f'data.prepared={output}', 'data.image_size=16')
  assert 'not a folder that medjax.prepare' in refusal(f'data.prepared={tmp_path}')

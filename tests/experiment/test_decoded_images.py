"""Images that a run decodes once for itself: when, until when, and what makes them useless."""

import shutil

import filelock
import numpy as np
import pytest
from conftest import PROJECT, TINY
from PIL import Image

from medjax import config as configs
from medjax.data import study
from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.experiment import decoded_images, loop, prepare, run
from medjax.runs.layout import Layout

FORMAT = ImageFormat(32, 1)
NAMES = ['a.png', 'b.png', 'c.png']


def config(root, *overrides):
  tiny = [flag.removeprefix('--config.') for flag in TINY]
  return configs.load(str(PROJECT / 'configs/phantom.py'), [*tiny, f'data.root={root}', *overrides])


@pytest.fixture
def root(tmp_path):
  folder = tmp_path / 'root'
  folder.mkdir()
  for number, name in enumerate(NAMES):
    pixels = np.random.default_rng(number).integers(0, 256, (40, 40), np.uint8)
    Image.fromarray(pixels).save(folder / name)
  return folder


def kept(root, layout, *overrides, names=tuple(NAMES), train=3, image_format=FORMAT):
  """Whether images are kept, of a run that shows 48 training images."""
  decoded_images.keep(config(root, *overrides), layout, list(names), train, image_format)
  return layout.decoded.is_dir()


def test_they_are_kept_where_they_are_read_twice_and_fit(root, tmp_path, monkeypatch, capsys):
  layout = Layout(tmp_path / 'run')
  assert not kept(root, layout, train=25)  # Fewer than two epochs.
  assert not kept(root, layout, 'data.cache=none')
  assert not kept(root, layout, f'data.prepared={tmp_path}')
  assert not kept(root, layout, names=['images.npz#0'])
  with monkeypatch.context() as patch:
    patch.setattr(decoded_images, 'SHARE', 1e-12)
    assert not kept(root, layout)
    assert 'decoded in every epoch' in capsys.readouterr().out
  assert kept(root, layout, train=24)
  assert f'3 images decoded once in {layout.decoded} (3 kB)' in capsys.readouterr().out
  pixels = np.load(layout.decoded / 'pixels.npy')
  for name, image in zip(NAMES, pixels):
    np.testing.assert_array_equal(image, decoding.decode(root / name, FORMAT))


def test_those_of_other_settings_or_files_are_made_anew(root, tmp_path):
  layout = Layout(tmp_path / 'run')
  assert kept(root, layout)
  assert kept(root, layout, image_format=ImageFormat(16, 1))
  assert np.load(layout.decoded / 'pixels.npy').shape == (3, 16, 16, 1)
  Image.new('L', (40, 40), 200).save(root / 'b.png')
  assert kept(root, layout, image_format=ImageFormat(16, 1))
  assert (np.load(layout.decoded / 'pixels.npy')[1] == 200).all()


def test_a_full_disk_means_decoding(root, tmp_path, monkeypatch):
  layout = Layout(tmp_path / 'run')

  def full(*_):
    layout.decoded.mkdir()
    raise OSError(28, 'No space left on device')

  monkeypatch.setattr('medjax.data.prepared.make', full)
  assert not kept(root, layout)
  assert prepare.reading(config(root), layout.decoded).data.prepared == ''


def test_what_another_process_decodes_is_left_to_it(root, tmp_path):
  layout = Layout(tmp_path / 'run')
  assert kept(root, layout)
  before = (layout.decoded / 'pixels.npy').stat().st_ino
  with filelock.FileLock(layout.decoded / '.lock'):
    assert kept(root, layout, image_format=ImageFormat(16, 1))
  assert (layout.decoded / 'pixels.npy').stat().st_ino == before


def test_several_runs_share_them_or_decode_where_they_do_not_fit(
  phantom_root, tmp_path, monkeypatch, capsys
):
  settings = config(phantom_root)
  monkeypatch.setattr(decoded_images, 'SHARE', 1e-12)
  decoded_images.keep_for_several(settings, tmp_path / 'seeds/prepared', 'seed')
  assert 'decoded in every epoch' in capsys.readouterr().out
  assert not (tmp_path / 'seeds/prepared').exists()
  monkeypatch.undo()
  decoded_images.keep_for_several(settings, tmp_path / 'seeds/prepared', 'seed')
  assert 'which every seed reads' in capsys.readouterr().out
  assert len(np.load(tmp_path / 'seeds/prepared/pixels.npy')) == 120


def test_a_file_that_has_changed_since_is_read_as_it_is(root, tmp_path, capsys):
  layout, settings = Layout(tmp_path / 'run'), config(root)
  assert kept(root, layout)
  nothing = study.Study(*[None] * len(study.Study.__dataclass_fields__))
  held = decoded_images.with_decoded(settings, layout.decoded, nothing, FORMAT)
  assert held.decoded.about(['c.png'])['reason'].tolist() == ['']
  Image.new('L', (40, 40), 200).save(root / 'b.png')
  assert decoded_images.with_decoded(settings, layout.decoded, nothing, FORMAT).decoded is None
  assert 'b.png: has changed since' in capsys.readouterr().out


@pytest.mark.slow
def test_a_run_ends_the_same_with_and_without_and_leaves_none(phantom_root, tmp_path, monkeypatch):
  decoded = []
  monkeypatch.setattr(loop, 'train', _watched(loop.train, decoded, tmp_path / 'auto'))
  for cache in ('auto', 'none'):
    settings = config(phantom_root, 'steps=24', 'evaluate_every=12', f'data.cache={cache}')
    run.run(settings, tmp_path / cache)
  assert decoded == [True, True]  # Of the second run they have gone with the end of the first.
  assert not (tmp_path / 'auto/decoded').exists() and not (tmp_path / 'none/decoded').exists()
  for name in ('predictions/test.csv', 'predictions/validation.csv', 'images.csv', 'split.csv'):
    assert (tmp_path / 'auto' / name).read_bytes() == (tmp_path / 'none' / name).read_bytes()
  shutil.rmtree(tmp_path / 'none')


@pytest.mark.slow
def test_a_run_that_goes_on_without_them_decodes_them_again(
  finished, phantom_root, tmp_path, monkeypatch
):
  """As on another machine, to which all else was fetched."""
  layout = Layout(shutil.copytree(finished[0], tmp_path / 'run'))
  layout.result.unlink()
  decoded = []

  def stopped(*arguments, **settings):
    decoded.append(layout.decoded.is_dir())
    raise KeyboardInterrupt

  monkeypatch.setattr(loop, 'train', stopped)
  with pytest.raises(KeyboardInterrupt):
    run.run(config(phantom_root, 'steps=24'), layout.workdir)
  assert decoded == [True]


def _watched(train, decoded, workdir):
  def watched(*arguments, **settings):
    decoded.append((workdir / 'decoded').is_dir() == (arguments[1].workdir == workdir))
    return train(*arguments, **settings)

  return watched

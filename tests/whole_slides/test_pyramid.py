"""Slides read at a resolution show what lies there, whatever levels the file has."""

import drawn_slides
import numpy as np
import pytest
import tifffile

from medjax.errors import InputError
from medjax.whole_slides import pyramid

WAVE = 60.0  # µm


def waves(x, y):
  """A smooth picture of places in µm, in grey levels."""
  return np.stack(
    [
      128 + 90 * np.sin(2 * np.pi * x / WAVE) * np.cos(2 * np.pi * y / WAVE),
      128 + 90 * np.sin(2 * np.pi * (x + y) / WAVE / 2),
      20 + 0.2 * x + 0.3 * y,
    ],
    axis=-1,
  )


def places(mpp, left, top, width, height):
  """Middles of pixels, in µm."""
  return np.meshgrid((left + np.arange(width) + 0.5) * mpp, (top + np.arange(height) + 0.5) * mpp)


@pytest.fixture(scope='module', params=[(0.25, (1, 2, 4)), (0.2431, (1, 4)), (0.499, (1,))])
def wavy(request, tmp_path_factory):
  mpp, levels = request.param
  size = (int(300 / mpp), int(260 / mpp))
  pixels = np.rint(waves(*places(mpp, 0, 0, *size))).astype(np.uint8)
  path = drawn_slides.write(tmp_path_factory.mktemp('slide') / 'wavy.tif', pixels, mpp, levels)
  return pyramid.open_slide(path)


@pytest.mark.parametrize('mpp', [0.5, 0.7, 1.0, 1.9, 3.0])
def test_any_resolution_shows_the_same_places(wavy, mpp):
  width, height = pyramid.size_at(wavy, mpp)
  assert width == int(wavy.size[0] * wavy.mpp[0] / mpp + 1e-6)
  pixels = pyramid.read(wavy, mpp, 0, 0, width, height).astype(float)
  assert pixels.shape == (height, width, 3)
  # The edge of a picture has no neighbours to be averaged with.
  inner = np.s_[4:-4, 4:-4]
  error = (pixels - waves(*places(mpp, 0, 0, width, height)))[inner]
  # Averaging over a pixel or two lowers the waves a little; half a pixel's shift would be 4 to 15.
  assert np.abs(error).max() < 1.5 + 1.2 * mpp
  assert np.abs(error.mean(axis=(0, 1))).max() < 0.3


@pytest.mark.parametrize('mpp', [0.5, 1.0, 1.3])
def test_a_part_is_the_same_as_in_the_whole(wavy, mpp, monkeypatch):
  whole = pyramid.read(wavy, mpp, 0, 0, *pyramid.size_at(wavy, mpp))
  for left, top, width, height in [(0, 0, 40, 30), (96, 70, 48, 64), (33, 101, 100, 9)]:
    part = pyramid.read(wavy, mpp, left, top, width, height).astype(int)
    there = whole[top : top + height, left : left + width].astype(int)
    assert np.abs(part - there).max() <= 2
  monkeypatch.setattr(pyramid, '_MOST_READ', 50)
  in_parts = pyramid.read(wavy, mpp, 0, 0, whole.shape[1], whole.shape[0]).astype(int)
  assert np.abs(in_parts - whole).max() <= 2


def test_a_level_of_that_resolution_is_given_as_it_is(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 256, (256, 384, 3)).astype(np.uint8)
  path = drawn_slides.write(tmp_path / 'a.tif', pixels, 0.25, (1, 2, 4))
  slide = pyramid.open_slide(path)
  for level, mpp in enumerate((0.25, 0.5, 1.0)):
    stored = tifffile.imread(path, key=level)
    np.testing.assert_array_equal(pyramid.read(slide, mpp, 0, 0, *stored.shape[1::-1]), stored)
    part = pyramid.read(slide, mpp, 17, 5, 60, 40)
    np.testing.assert_array_equal(part, stored[5:45, 17:77])


def test_fine_detail_does_not_alias(tmp_path):
  # A chequerboard of single pixels is grey from afar; pixels picked out of it would be black or
  # white.
  board = np.repeat((np.indices((400, 400)).sum(axis=0) % 2 * 255)[..., None], 3, axis=2)
  path = drawn_slides.write(tmp_path / 'a.tif', board.astype(np.uint8), 0.25, (1,))
  pixels = pyramid.read(pyramid.open_slide(path), 0.9, 0, 0, 100, 100)
  assert np.abs(pixels[4:-4, 4:-4].astype(float) - 127.5).max() < 6


def test_a_slide_without_resolution_is_named_and_can_be_stated(tmp_path):
  pixels = np.full((256, 256, 3), 200, np.uint8)
  path = drawn_slides.write(tmp_path / 'silent.tif', pixels, 1, unit='NONE')
  with pytest.raises(InputError, match=r'silent\.tif: has no resolution; .* --slide_mpp=0\.25'):
    pyramid.open_slide(path)
  slide = pyramid.open_slide(path, 0.5)
  assert slide.mpp == (0.5, 0.5) and slide.stated
  # What programs for photographs write: 72 pixels per inch.
  path = drawn_slides.write(tmp_path / 'photo.tif', pixels, 72, unit='INCH')
  with pytest.raises(InputError, match=r'photo\.tif: has pixels of 352\.8 × 352\.8 µm'):
    pyramid.open_slide(path)
  # A slide's own resolution outranks the stated one.
  path = drawn_slides.write(tmp_path / 'own.tif', pixels, 0.25)
  slide = pyramid.open_slide(path, 0.5)
  assert slide.mpp == (0.25, 0.25) and not slide.stated


def test_a_resolution_that_the_slide_has_not_is_refused(tmp_path):
  pixels = np.full((256, 256, 3), 200, np.uint8)
  slide = pyramid.open_slide(drawn_slides.write(tmp_path / 'coarse.tif', pixels, 0.5))
  with pytest.raises(InputError, match=r'coarse\.tif: its pixels are 0\.5 µm .* --mpp=0\.5'):
    pyramid.size_at(slide, 0.25)
  # Scanners of 0.5 µm have 0.499 or 0.503.
  assert pyramid.size_at(slide, 0.497) == (257, 257)


def test_damaged_files_are_named(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3)).astype(np.uint8)
  good = drawn_slides.write(tmp_path / 'good.tif', pixels).read_bytes()
  for name, content in (('empty.tif', b''), ('cut.svs', good[:1000]), ('text.tif', b'no slide')):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=f'{name}: cannot be opened as a slide'):
      pyramid.open_slide(tmp_path / name)
  with pytest.raises(InputError, match=r'gone\.svs: no such file'):
    pyramid.open_slide(tmp_path / 'gone.svs')


def test_damage_inside_is_found_when_it_is_read(tmp_path):
  pixels = np.random.default_rng(0).integers(0, 256, (512, 512, 3)).astype(np.uint8)
  path = drawn_slides.write(tmp_path / 'holed.tif', pixels, 0.25, (1, 4))
  with tifffile.TiffFile(path) as file:
    offset = file.pages[0].tags['TileOffsets'].valueoffset
  content = bytearray(path.read_bytes())
  content[offset : offset + 4] = b'\xff\xff\xff\x7f'  # The first tile lies beyond the end.
  path.write_bytes(content)
  slide = pyramid.open_slide(path)
  assert pyramid.read(slide, 1.0, 0, 0, 100, 100).shape == (100, 100, 3)
  with pytest.raises(InputError, match=r'holed\.tif: cannot be read at \(0, 0\)'):
    pyramid.read(slide, 0.25, 0, 0, 100, 100)

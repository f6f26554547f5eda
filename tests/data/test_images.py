"""Decoding, against Pillow itself and images whose pixels are known."""

import numpy as np
import pytest
from PIL import Image

from medjax.data import images
from medjax.errors import InputError


@pytest.fixture
def gradient():
  return np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))


@pytest.mark.parametrize('mode', ['L', 'RGB', 'RGBA', 'P', 'I;16'])
def test_every_mode_gives_the_same_grey(tmp_path, gradient, mode):
  path = tmp_path / 'image.png'
  if mode == 'I;16':
    Image.fromarray(gradient.astype(np.uint16) * 257).save(path)
  else:
    Image.fromarray(gradient).convert(mode).save(path)
  decoded = images.decode(path, 64, 1)
  assert decoded.shape == (64, 64, 1) and decoded.dtype == np.uint8
  np.testing.assert_allclose(decoded[..., 0].astype(int), gradient, atol=1)


def test_colour_stays_colour(tmp_path):
  Image.new('RGB', (20, 20), (10, 200, 30)).save(tmp_path / 'image.png')
  assert images.decode(tmp_path / 'image.png', 8, 3)[0, 0].tolist() == [10, 200, 30]


def test_aspect_ratio_is_kept_and_the_rest_is_black(tmp_path):
  Image.new('L', (80, 40), 255).save(tmp_path / 'wide.png')
  decoded = images.decode(tmp_path / 'wide.png', 40, 1)[..., 0]
  assert (decoded[:10] == 0).all() and (decoded[30:] == 0).all() and (decoded[10:30] == 255).all()


def test_a_large_jpeg_decoded_at_reduced_scale_looks_the_same(tmp_path, gradient):
  large = Image.fromarray(gradient).resize((2048, 2048), Image.Resampling.BICUBIC)
  large.save(tmp_path / 'large.jpg', quality=95)
  decoded = images.decode(tmp_path / 'large.jpg', 64, 1)[..., 0]
  np.testing.assert_allclose(decoded.astype(int), gradient, atol=6)


def broken_files(folder):
  Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)).save(
    folder / 'ok.jpg'
  )
  Image.open(folder / 'ok.jpg').save(folder / 'ok.png')
  (folder / 'empty.jpg').touch()
  (folder / 'text.jpg').write_text('not an image')
  (folder / 'cut.jpg').write_bytes((folder / 'ok.jpg').read_bytes()[:-900])
  (folder / 'cut.png').write_bytes((folder / 'ok.png').read_bytes()[:-900])
  return ['empty.jpg', 'text.jpg', 'cut.jpg', 'cut.png', 'missing.jpg']


def test_a_broken_image_is_named_in_one_line(tmp_path):
  for name in broken_files(tmp_path):
    with pytest.raises(InputError, match=name) as error:
      images.decode(tmp_path / name, 32, 1)
    assert '\n' not in str(error.value)


def test_find_broken_finds_the_broken_ones_and_no_others(tmp_path):
  names = broken_files(tmp_path)
  paths = [str(tmp_path / name) for name in ['ok.jpg', *names, 'ok.png']]
  found = images.find_broken(paths)
  assert sorted(found) == [1, 2, 3, 4, 5]
  assert all(names[at - 1] in reason for at, reason in found.items())


@pytest.mark.parametrize('mode', ['F', 'I'])
def test_pixels_of_no_known_range_are_refused_not_blackened(tmp_path, mode):
  Image.new(mode, (8, 8), 1).save(tmp_path / 'deep.tiff')
  with pytest.raises(InputError, match=r'deep\.tiff.*32 bits deep'):
    images.decode(tmp_path / 'deep.tiff', 8, 1)


def test_12_bits_in_a_16_bit_file_are_refused_not_blackened(tmp_path):
  Image.fromarray(np.full((8, 8), 4095, np.uint16)).save(tmp_path / 'twelve.png')
  with pytest.raises(InputError, match=r'twelve\.png.*reach only 4095'):
    images.decode(tmp_path / 'twelve.png', 8, 1)

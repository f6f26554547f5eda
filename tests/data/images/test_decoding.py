"""Decoding, against Pillow itself and images whose pixels are known."""

import errno
import io
import os
import pathlib
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, TiffImagePlugin

from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError
from medjax.runtime import remote, storage


@pytest.fixture
def gradient():
  return np.tile(np.arange(0, 256, 4, dtype=np.uint8), (64, 1))


def of_mode(grey, mode):
  """The picture in another of Pillow's modes; deeper ones use their whole range."""
  if mode == 'I;16':
    return Image.fromarray(grey.astype(np.uint16) * 257)
  if mode == 'CMYK':
    return Image.fromarray(grey).convert('RGB').convert('CMYK')
  return Image.fromarray(grey).convert(mode)


@pytest.mark.parametrize(
  ('name', 'mode', 'options'),
  [
    *((f'{mode}.png', mode, {}) for mode in ('L', 'LA', 'RGB', 'RGBA', 'P', 'I;16')),
    *((f'{mode}.jpg', mode, {'quality': 100}) for mode in ('L', 'RGB', 'CMYK')),
    *((f'{mode}.bmp', mode, {}) for mode in ('L', 'RGB', 'P')),
    *((f'{mode}.jp2', mode, {}) for mode in ('L', 'RGB', 'I;16')),
    *(
      (f'{mode} {compression}.tif', mode, {'compression': compression})
      for mode in ('L', 'RGB', 'RGBA', 'CMYK', 'I;16')
      for compression in ('raw', 'tiff_lzw', 'tiff_adobe_deflate')
    ),
  ],
)
def test_every_format_and_mode_gives_the_same_grey(tmp_path, gradient, name, mode, options):
  of_mode(gradient, mode).save(tmp_path / name, **options)
  for channels in (1, 3):
    decoded = decoding.decode(tmp_path / name, ImageFormat(64, channels))
    assert decoded.shape == (64, 64, channels) and decoded.dtype == np.uint8
    for channel in range(channels):
      np.testing.assert_allclose(decoded[..., channel].astype(int), gradient, atol=1)


def png_of_16_bits(pixels):
  """A PNG of colour type 0, 2 or 6 by the number of channels, by the specification: Pillow writes
  none.
  """

  def chunk(kind, data):
    return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))

  height, width, channels = pixels.shape
  header = struct.pack('>IIBBBBB', width, height, 16, {1: 0, 3: 2, 4: 6}[channels], 0, 0, 0)
  rows = b''.join(b'\0' + row.astype('>u2').tobytes() for row in pixels)
  data = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(rows)) + chunk(b'IEND', b'')
  return b'\x89PNG\r\n\x1a\n' + data


def test_16_bit_colour_is_read_by_its_upper_bits_or_refused_when_almost_black(tmp_path):
  colour = np.broadcast_to(np.array([257 * 10, 257 * 200, 257 * 30], np.uint16), (8, 8, 3))
  (tmp_path / 'deep.png').write_bytes(png_of_16_bits(colour))
  assert decoding.decode(tmp_path / 'deep.png', ImageFormat(8, 3))[0, 0].tolist() == [10, 200, 30]
  (tmp_path / 'dark.png').write_bytes(png_of_16_bits(np.full((8, 8, 3), 4095, np.uint16)))
  with pytest.raises(InputError, match=r'dark\.png.*16-bit colours would be almost black'):
    decoding.decode(tmp_path / 'dark.png', ImageFormat(8, 3))


def test_what_is_transparent_is_black_whatever_colour_it_hides(tmp_path):
  pixels = np.full((8, 8, 4), 255, np.uint8)
  pixels[:, :4, 3] = 0
  pixels[:, 4:, 3] = 128
  Image.fromarray(pixels).save(tmp_path / 'half.png')
  decoded = decoding.decode(tmp_path / 'half.png', ImageFormat(8, 3))
  assert (decoded[:, :4] == 0).all() and (decoded[:, 4:] == 128).all()
  palette = Image.fromarray(np.tile([0, 1], (8, 4)).astype(np.uint8), 'P')
  palette.putpalette([200, 0, 0, 0, 200, 0])
  palette.save(tmp_path / 'palette.png', transparency=0)
  decoded = decoding.decode(tmp_path / 'palette.png', ImageFormat(8, 3))
  assert decoded[0, 0].tolist() == [0, 0, 0] and decoded[0, 1].tolist() == [0, 200, 0]


@pytest.mark.parametrize('name', ['turned.jpg', 'turned.png', 'turned.tif'])
def test_a_photograph_stands_as_its_orientation_says(tmp_path, name):
  pixels = np.zeros((32, 32), np.uint8)
  pixels[:16, :16] = 255
  exif = Image.Exif()
  exif[0x0112] = 6  # To be turned by 90° clockwise.
  Image.fromarray(pixels).save(tmp_path / name, exif=exif)
  decoded = decoding.decode(tmp_path / name, ImageFormat(32, 1))[..., 0]
  assert (decoded[2:14, 18:30] > 250).all() and (decoded[18:, :] < 5).all()


def test_colour_stays_colour(tmp_path):
  Image.new('RGB', (20, 20), (10, 200, 30)).save(tmp_path / 'image.png')
  assert decoding.decode(tmp_path / 'image.png', ImageFormat(8, 3))[0, 0].tolist() == [10, 200, 30]


def test_aspect_ratio_is_kept_and_the_rest_is_black(tmp_path):
  Image.new('L', (80, 40), 255).save(tmp_path / 'wide.png')
  decoded = decoding.decode(tmp_path / 'wide.png', ImageFormat(40, 1))[..., 0]
  assert (decoded[:10] == 0).all() and (decoded[30:] == 0).all() and (decoded[10:30] == 255).all()


def test_a_crop_keeps_the_middle_and_the_aspect_ratio(tmp_path):
  pixels = np.zeros((40, 80), np.uint8)
  pixels[:, 20:60] = 255
  pixels[10:30, 30:50] = 100
  Image.fromarray(pixels).save(tmp_path / 'wide.png')
  decoded = decoding.decode(tmp_path / 'wide.png', ImageFormat(40, 1, fit='crop'))[..., 0]
  np.testing.assert_array_equal(decoded, pixels[:, 20:60])
  Image.fromarray(pixels.T).save(tmp_path / 'high.png')
  decoded = decoding.decode(tmp_path / 'high.png', ImageFormat(40, 1, fit='crop'))[..., 0]
  np.testing.assert_array_equal(decoded, pixels[:, 20:60].T)


def test_a_stretch_fills_the_square_with_all_of_the_image(tmp_path):
  pixels = np.zeros((40, 80), np.uint8)
  pixels[:, 40:] = 255
  Image.fromarray(pixels).save(tmp_path / 'wide.png')
  decoded = decoding.decode(
    tmp_path / 'wide.png', ImageFormat(40, 1, interpolation='nearest', fit='stretch')
  )[..., 0]
  assert (decoded[:, :20] == 0).all() and (decoded[:, 20:] == 255).all()


def test_a_large_jpeg_decoded_at_reduced_scale_looks_the_same(tmp_path, gradient):
  large = Image.fromarray(gradient).resize((2048, 2048), Image.Resampling.BICUBIC)
  large.save(tmp_path / 'large.jpg', quality=95)
  decoded = decoding.decode(tmp_path / 'large.jpg', ImageFormat(64, 1))[..., 0]
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
  os.mkfifo(folder / 'pipe.png')
  (folder / 'folder.png').mkdir()
  return ['empty.jpg', 'text.jpg', 'cut.jpg', 'cut.png', 'missing.jpg', 'pipe.png', 'folder.png']


def test_a_broken_image_is_named_in_one_line(tmp_path):
  for name in broken_files(tmp_path):
    with pytest.raises(InputError, match=name) as error:
      decoding.decode(tmp_path / name, ImageFormat(32, 1))
    assert '\n' not in str(error.value)


def test_find_broken_finds_the_broken_ones_and_no_others(tmp_path):
  names = broken_files(tmp_path)
  paths = [str(tmp_path / name) for name in ['ok.jpg', *names, 'ok.png']]
  result = decoding.find_broken(paths)
  assert sorted(result) == [1, 2, 3, 4, 5, 6, 7]
  assert all(names[at - 1] in reason for at, reason in result.items())


# Huge images.


def test_a_large_jpeg_2000_decoded_at_reduced_scale_looks_the_same(tmp_path, gradient):
  large = Image.fromarray(gradient).resize((2048, 1024), Image.Resampling.BICUBIC)
  wide = Image.fromarray(gradient).resize((64, 32), Image.Resampling.BICUBIC)
  for name, options in (('deep.jp2', {}), ('flat.jp2', {'num_resolutions': 1})):
    large.save(tmp_path / name, **options)
    decoded = decoding.decode(tmp_path / name, ImageFormat(64, 1))[16:48, :, 0]
    np.testing.assert_allclose(decoded.astype(int), np.asarray(wide), atol=6)


def pyramid(path, sizes_and_greys, kinds):
  """A TIFF of pages of one grey each, so that a pixel tells which page was read."""
  path.write_bytes(b'')
  with TiffImagePlugin.AppendingTiffWriter(str(path), new=True) as file:
    for (size, grey), kind in zip(sizes_and_greys, kinds):
      Image.new('L', size, grey).save(file, 'TIFF', tiffinfo={254: kind})  # NewSubfileType
      file.newFrame()


def test_of_a_tiff_pyramid_the_smallest_page_that_is_large_enough_is_read(tmp_path):
  pages = [((800, 400), 10), ((400, 200), 20), ((200, 100), 30), ((100, 100), 40)]
  pyramid(tmp_path / 'slide.tif', pages, [0, 1, 1, 1])  # The last one is a label's photograph.
  for size, grey in ((20, 30), (50, 30), (51, 20), (100, 20), (101, 10), (300, 10)):
    assert (
      decoding.decode(tmp_path / 'slide.tif', ImageFormat(size, 1))[size // 2, size // 2, 0] == grey
    )


def test_a_stack_of_images_is_refused_not_read_by_its_first(tmp_path):
  pyramid(tmp_path / 'stack.tif', [((32, 32), 10)] * 3, [0, 0, 0])
  with pytest.raises(InputError, match=r'stack\.tif.*holds several images'):
    decoding.decode(tmp_path / 'stack.tif', ImageFormat(8, 1))


def test_an_image_of_10000_by_10000_pixels_is_read_without_a_word(tmp_path):
  large = Image.new('1', (10_000, 10_000))
  large.paste(1, (0, 0, 10_000, 5_000))
  large.save(tmp_path / 'film.png')
  with warnings.catch_warnings():
    warnings.simplefilter('error')
    decoded = decoding.decode(tmp_path / 'film.png', ImageFormat(8, 1, interpolation='nearest'))[
      ..., 0
    ]
  assert (decoded[:4] == 255).all() and (decoded[4:] == 0).all()


def test_an_absurd_size_is_named_before_memory_is_taken(tmp_path):
  broken_files(tmp_path)
  data = bytearray((tmp_path / 'ok.png').read_bytes())
  data[16:24] = struct.pack('>II', 200_000, 200_000)
  data[29:33] = struct.pack('>I', zlib.crc32(data[12:29]))
  (tmp_path / 'absurd.png').write_bytes(data)
  with pytest.raises(InputError, match=r'absurd\.png.*need about 37\.3 GB to decode'):
    decoding.decode(tmp_path / 'absurd.png', ImageFormat(8, 1))


# More than 8 bits.


@pytest.mark.parametrize('mode', ['F', 'I'])
def test_pixels_of_no_known_range_are_refused_not_blackened(tmp_path, gradient, mode):
  path = tmp_path / 'deep.tiff'
  Image.fromarray(gradient).convert(mode).save(path)
  with pytest.raises(InputError, match=r'deep\.tiff.*0 to 252, are of no known range.*intensity'):
    decoding.decode(path, ImageFormat(64, 1))
  decoded = decoding.decode(path, ImageFormat(64, 1, intensity='0..255'))[..., 0]
  np.testing.assert_array_equal(decoded, gradient)


def test_12_bits_in_a_16_bit_file_are_refused_not_blackened(tmp_path):
  Image.fromarray(np.full((8, 8), 4095, np.uint16)).save(tmp_path / 'twelve.png')
  with pytest.raises(InputError, match=r'twelve\.png.*4095 of a possible 0 to 65535.*intensity'):
    decoding.decode(tmp_path / 'twelve.png', ImageFormat(8, 1))
  broken = decoding.find_broken([str(tmp_path / 'twelve.png')])
  assert (
    list(broken) == [0] and decoding.find_broken([str(tmp_path / 'twelve.png')], 8, 'stretch') == {}
  )


@pytest.mark.parametrize('suffix', ['png', 'tif'])
def test_a_range_or_each_image_s_own_makes_12_bits_visible(tmp_path, suffix):
  pixels = np.tile(np.linspace(1000, 3000, 64).round().astype(np.uint16), (64, 1))
  Image.fromarray(pixels).save(tmp_path / f'twelve.{suffix}')
  decoded = decoding.decode(tmp_path / f'twelve.{suffix}', ImageFormat(64, 1, intensity='0..4095'))[
    ..., 0
  ]
  np.testing.assert_allclose(decoded, pixels / 4095 * 255, atol=0.51)
  decoded = decoding.decode(tmp_path / f'twelve.{suffix}', ImageFormat(64, 1, intensity='stretch'))[
    ..., 0
  ]
  np.testing.assert_allclose(decoded, (pixels - 1000.0) / 2000 * 255, atol=0.51)
  clipped = decoding.decode(
    tmp_path / f'twelve.{suffix}', ImageFormat(64, 1, intensity='1500..2500')
  )[0, :, 0]
  assert clipped[0] == 0 and clipped[-1] == 255 and 100 < clipped[32] < 150


def test_the_intensity_of_8_bits_is_never_changed(tmp_path, gradient):
  Image.fromarray(gradient // 2).save(tmp_path / 'eight.png')
  for way in ('file', 'stretch', '0..4095'):
    decoded = decoding.decode(tmp_path / 'eight.png', ImageFormat(64, 1, intensity=way))[..., 0]
    np.testing.assert_array_equal(decoded, gradient // 2)


def test_white_may_be_zero(tmp_path, gradient):
  stored = gradient.astype('<u2') * 257
  Image.fromarray(stored).save(tmp_path / 'film.tif', tiffinfo={262: 0})  # WhiteIsZero of TIFF 6.0
  assert stored.tobytes() in (tmp_path / 'film.tif').read_bytes()
  decoded = decoding.decode(tmp_path / 'film.tif', ImageFormat(64, 1))[..., 0]
  np.testing.assert_array_equal(decoded, 255 - gradient)


class Stumbling:
  """Opens files whose first reads fail."""

  def __init__(self, fails, code):
    self.fails, self.code = fails, code

  def __call__(self, path, mode):
    opened = self

    class File(io.BytesIO):
      def read(self, *arguments):
        if opened.fails:
          opened.fails -= 1
          raise OSError(opened.code, os.strerror(opened.code))
        return super().read(*arguments)

    return File(pathlib.Path(path).read_bytes())


@pytest.mark.parametrize('code', [errno.ESTALE, errno.EIO, errno.ENOTCONN])
def test_what_a_disk_fails_to_read_once_is_read_once_more(tmp_path, monkeypatch, gradient, code):
  path = tmp_path / 'a.png'
  Image.fromarray(gradient).save(path)
  whole = decoding.decode(path, ImageFormat(64, 1))
  monkeypatch.setattr(storage, '_PAUSE', 0)
  monkeypatch.setattr(remote, 'open', Stumbling(1, code), raising=False)
  np.testing.assert_array_equal(decoding.decode(path, ImageFormat(64, 1)), whole)
  # For good: a bad sector is the image's own fault, a file system that is away is not.
  monkeypatch.setattr(remote, 'open', Stumbling(100, code), raising=False)
  if code == errno.EIO:
    assert 'Input/output error' in decoding.check(path)[0]
  else:
    with pytest.raises(OSError) as error:
      decoding.check(path)
    assert storage.failure(error.value).filename == str(path)

"""What keeps a file from being read is named; what Pillow minds and nobody uses keeps none."""

import gzip
import io
import tracemalloc
import zipfile

import numpy as np
import pytest
from PIL import Image, PngImagePlugin

from medjax.data.images import decoding, png
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError

NAMES = {
  'PNG': 'PNG', 'JPEG': 'JPEG', 'JPEG2000': 'JPEG 2000', 'TIFF': 'TIFF', 'GIF': 'GIF',
  'WEBP': 'WebP', 'BMP': 'BMP',
}  # fmt: skip


@pytest.fixture
def picture():
  return Image.fromarray(np.random.default_rng(0).integers(0, 256, (128, 128), np.uint8))


def refusal(path, size=32):
  with pytest.raises(InputError) as error:
    decoding.decode(path, ImageFormat(size, 1))
  assert str(path) in str(error.value) and '\n' not in str(error.value)
  return str(error.value)


@pytest.mark.parametrize('kind', NAMES)
@pytest.mark.filterwarnings('ignore')
def test_a_file_that_is_cut_off_is_called_so_by_its_kind(tmp_path, picture, kind):
  file = io.BytesIO()
  picture.save(file, kind)
  whole = file.getvalue()
  path = tmp_path / 'film'
  for size in (len(whole) // 2, len(whole) * 9 // 10, 60):
    path.write_bytes(whole[:size])
    # Also where a reduced scale would do.
    for side in (8, 128):
      assert f'a {NAMES[kind]} that is cut off' in refusal(path, side)


def test_what_is_no_image_is_named(tmp_path, picture):
  picture.save(tmp_path / 'film.png')
  data = (tmp_path / 'film.png').read_bytes()
  archive = io.BytesIO()
  with zipfile.ZipFile(archive, 'w') as file:
    file.writestr('film.png', data)
  kinds = {
    'packed by gzip: unpack it': gzip.compress(data),
    'packed as ZIP: unpack it': archive.getvalue(),
    'a PDF': b'%PDF-1.7\n',
    'a HEIC photograph': b'\0\0\0\x18ftypheic' + bytes(20),
    'a NIfTI volume': bytes(344) + b'n+1\0' + bytes(99),
    'it has no bytes': b'',
    'of no kind that is known': b'<html>404</html>',
  }
  for words, content in kinds.items():
    (tmp_path / 'film').write_bytes(content)
    assert words in refusal(tmp_path / 'film')


# PNG's profiles and text.


def save(picture, path, **options):
  text = PngImagePlugin.PngInfo()
  for name, (value, is_packed) in options.pop('text', {}).items():
    text.add_text(name, value, zip=is_packed)
  picture.save(path, pnginfo=text, **options)


@pytest.mark.parametrize(
  'options',
  [
    {'icc_profile': bytes(3_000_000)},
    {'text': {'note': ('y' * 3_000_000, True)}},
  ],
)
def test_a_png_with_a_large_profile_or_text_is_read_as_without(tmp_path, picture, options):
  save(picture, tmp_path / 'film.png', **options)
  with pytest.raises(ValueError, match='MAX_TEXT'), Image.open(tmp_path / 'film.png') as image:
    image.load()
    assert image.text
  decoded = decoding.decode(tmp_path / 'film.png', ImageFormat(128, 1))
  np.testing.assert_array_equal(decoded[..., 0], picture)
  assert decoding.whole(tmp_path / 'film.png').size == (128, 128)


def test_a_bomb_in_a_profile_is_not_unpacked(tmp_path, picture):
  save(picture, tmp_path / 'film.png', icc_profile=bytes(50_000_000))
  tracemalloc.start()
  try:
    decoding.decode(tmp_path / 'film.png', ImageFormat(128, 1))
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
  finally:
    tracemalloc.stop()


def test_how_a_picture_is_turned_is_not_lost_with_its_profile(tmp_path):
  pixels = np.zeros((32, 32), np.uint8)
  pixels[:16, :16] = 255
  xmp = '<x tiff:Orientation="6"/>'  # To be turned by 90° clockwise.
  text = PngImagePlugin.PngInfo()
  text.add_itxt('XML:com.adobe.xmp', xmp)
  Image.fromarray(pixels).save(tmp_path / 'film.png', pnginfo=text, icc_profile=bytes(3_000_000))
  decoded = decoding.decode(tmp_path / 'film.png', ImageFormat(32, 1))[..., 0]
  assert (decoded[:16, 16:] == 255).all() and (decoded[16:] == 0).all()


def test_what_is_used_of_a_png_stays(tmp_path, picture):
  save(picture, tmp_path / 'film.png', text={'note': ('y', False)}, icc_profile=bytes(100))
  with open(tmp_path / 'film.png', 'rb') as file:
    kept = png.without_unused(file)
  with Image.open(kept) as image:
    assert not image.text and 'icc_profile' not in image.info
    np.testing.assert_array_equal(image, picture)

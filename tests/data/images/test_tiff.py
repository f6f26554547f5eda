"""TIFFs of every layout that tifffile writes without codecs: read as it does, or named."""

import itertools

import numpy as np
import pytest
import tifffile

from medjax.data.images import decoding
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError

SIDE = 48
ALPHA, NO_ALPHA = {'extrasamples': ['unassalpha']}, {'extrasamples': ['unspecified']}
# name → samples, and what tifffile is told.
LAYOUTS = {
  'grey': (1, {'photometric': 'minisblack'}),
  'white as zero': (1, {'photometric': 'miniswhite'}),
  'grey with alpha': (2, {'photometric': 'minisblack', **ALPHA}),
  'RGB': (3, {'photometric': 'rgb'}),
  'RGB with alpha': (4, {'photometric': 'rgb', **ALPHA}),
  'RGB and more': (4, {'photometric': 'rgb', **NO_ALPHA}),
  'CMYK': (4, {'photometric': 'separated'}),
}
TYPES = ['u1', 'i1', 'u2', 'i2', 'u4', 'i4', 'f2', 'f4', 'f8']
# What is given in each layout: not less than it was, and nothing is misread.
READ = {
  'grey': {'u1', 'u2', 'i2', 'u4', 'i4', 'f4'},
  'white as zero': {'u1', 'u2', 'f4'},
  'grey with alpha': {'u1'},
  'RGB': {'u1', 'u2'},
  'RGB with alpha': {'u1', 'u2'},
  'RGB and more': {'u1', 'u2'},
  'CMYK': {'u1', 'u2'},
}


def planes_of(samples, layout):
  """f64[samples, H, W] in [0, 1]: gradients, and no transparency."""
  y, x = np.mgrid[:SIDE, :SIDE] / (SIDE - 1)
  planes = np.stack([x, 1 - y, (x + y) / 2, y / 2])[:samples]
  if 'with alpha' in layout:
    planes[-1] = 1
  return planes


def range_of(dtype):
  """What stands for black and white, which of integers nobody needs to be told."""
  if dtype.kind == 'f':
    return '0..1'
  return 'file' if dtype.kind == 'u' and dtype.itemsize < 4 else f'0..{np.iinfo(dtype).max}'


def as_rgb(planes, layout):
  """f64[H, W, 3] in [0, 255], from what tifffile reads."""
  if layout == 'CMYK':
    return np.moveaxis((1 - planes[:3]) * (1 - planes[3]), 0, -1) * 255
  colours = planes[:3] if layout.startswith('RGB') else np.stack([planes[0]] * 3)
  return np.moveaxis(1 - colours if layout == 'white as zero' else colours, 0, -1) * 255


@pytest.mark.parametrize('layout', LAYOUTS)
@pytest.mark.parametrize('kind', TYPES)
def test_every_layout_is_read_as_tifffile_reads_it_or_named(tmp_path, layout, kind):
  samples, told = LAYOUTS[layout]
  dtype, path = np.dtype(kind), tmp_path / 'film.tif'
  planes = planes_of(samples, layout)
  most = 1 if dtype.kind == 'f' else np.iinfo(dtype).max
  stored = (planes * most).astype(dtype)
  read = set()
  for is_apart, order, compression, tile in itertools.product(
    (False, True)[: 1 + (samples > 1)], '<>', (None, 'deflate'), (None, (32, 32))
  ):
    array = stored if is_apart else np.moveaxis(stored, 0, -1)
    tifffile.imwrite(
      path, array if samples > 1 else stored[0], byteorder=order, compression=compression,
      tile=tile, metadata=None, planarconfig=('separate' if is_apart else 'contig'), **told,
    )  # fmt: skip
    back = tifffile.imread(path).reshape(stored.shape if is_apart else (*stored.shape[1:], samples))
    back = back if is_apart else np.moveaxis(back, -1, 0)
    expected = as_rgb(back / most, layout)
    image_format = ImageFormat(SIDE, 3, intensity=range_of(dtype))
    try:
      decoded = decoding.decode(path, image_format)
    except InputError as error:
      name = {'u': 'uint', 'i': 'int', 'f': 'float'}[dtype.kind] + str(8 * dtype.itemsize)
      assert f'film.tif: cannot be read as an image (a TIFF of {name}' in str(error)
      assert ': save it as a PNG or TIFF of 8 or 16 bits' in str(error)
      assert ('planes apart' in str(error)) == is_apart
      assert ('big-endian' in str(error)) == (order == '>')
      assert ('white as zero' in str(error)) == (layout == 'white as zero')
    else:
      np.testing.assert_allclose(decoded, expected, atol=2)
      read.add(kind)
  assert read == ({kind} if kind in READ[layout] else set())


def test_planes_of_16_bits_one_after_another(tmp_path):
  planes = (planes_of(3, 'RGB') * 65535).astype(np.uint16)
  for order, compression in itertools.product('<>', (None, 'deflate')):
    tifffile.imwrite(
      tmp_path / 'film.tif', planes, photometric='rgb', planarconfig='separate', byteorder=order,
      compression=compression,
    )  # fmt: skip
    decoded = decoding.decode(tmp_path / 'film.tif', ImageFormat(SIDE, 3))
    np.testing.assert_array_equal(decoded, np.moveaxis(planes >> 8, 0, -1))


def test_subsampled_chroma_that_is_not_compressed_is_not_read_as_pixels(tmp_path):
  """TIFF 6.0, section 21: of 2 × 2 pixels four values of brightness, then the two of colour."""
  units = np.zeros((SIDE // 2 * (SIDE // 2), 6), np.uint8)
  units[:, :4] = np.arange(len(units))[:, None] % 256
  path = tmp_path / 'film.tif'
  tifffile.imwrite(path, np.zeros((SIDE, SIDE, 3), np.uint8), photometric='rgb', metadata=None)
  with tifffile.TiffFile(path, mode='r+') as file:
    page = file.pages[0]
    offset = page.dataoffsets[0]
    page.tags['PhotometricInterpretation'].overwrite(6)
    page.tags['StripByteCounts'].overwrite(units.size)
  data = bytearray(path.read_bytes())
  data[offset : offset + units.size] = units.tobytes()
  path.write_bytes(data)
  with pytest.raises(InputError, match='a TIFF of uint8, YCbCr: save it as'):
    decoding.decode(path, ImageFormat(SIDE, 3))


def test_what_is_no_tiff_is_not_called_one(tmp_path):
  path = tmp_path / 'page.tif'
  path.write_text('<html>404</html>')
  with pytest.raises(InputError, match='it is of no kind that is known'):
    decoding.decode(path, ImageFormat(8, 1))


def test_an_unknown_compression_is_named(tmp_path):
  path = tmp_path / 'film.tif'
  tifffile.imwrite(path, np.zeros((8, 8), np.uint8), metadata=None)
  with tifffile.TiffFile(path, mode='r+') as file:
    file.pages[0].tags['Compression'].overwrite(33005)
  with pytest.raises(InputError, match='a TIFF of uint8, compression 33005: save it as'):
    decoding.decode(path, ImageFormat(8, 1))


@pytest.mark.parametrize('is_big', [False, True])
def test_a_tiff_that_is_cut_off_is_called_so(tmp_path, is_big):
  path = tmp_path / 'film.tif'
  tifffile.imwrite(path, np.eye(SIDE), metadata=None, bigtiff=is_big)
  whole = path.read_bytes()
  for size in (30, 120):
    path.write_bytes(whole[:size])
    with pytest.raises(InputError, match='a TIFF that is cut off or damaged'):
      decoding.decode(path, ImageFormat(8, 1))

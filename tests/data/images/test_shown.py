"""A picture that shows nothing of what is stored is refused, whatever made it so; what is dark or
constant as it is stored is not.
"""

import io

import h5py
import numpy as np
import openjpeg
import pytest
import tifffile
from array_record.python.array_record_module import ArrayRecordWriter
from dicom_files import write
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from medjax.data.images import decoding, intensity
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError


@pytest.fixture
def ramp():
  """12 bits, every value once."""
  return np.arange(4096, dtype=np.uint16).reshape(64, 64)


def decode(path, way='file', channels=1):
  return decoding.decode(path, ImageFormat(64, channels, intensity=way))


def refusal(path, way='file'):
  """Both when it is looked for and when it is met."""
  with pytest.raises(InputError) as error:
    decode(path, way)
  assert str(path) in str(error.value) and '\n' not in str(error.value)
  assert decoding.find_broken([str(path)], 64, way) == {0: str(error.value)}
  return str(error.value)


def test_the_spread_is_that_of_numpy():
  generator = np.random.default_rng(0)
  positions = generator.integers(0, 500, 10_001)
  values = generator.permutation(500).astype(float)
  pixels = values[positions]
  expected = (pixels.min(), pixels.max(), *np.quantile(pixels, (0.005, 0.995), method='nearest'))
  for spread in (
    intensity.spread(pixels),
    intensity.spread(values, np.bincount(positions, minlength=500)),
  ):
    found = (spread.darkest, spread.brightest, spread.low, spread.high)
    np.testing.assert_allclose(found, expected, atol=1)
  many = np.zeros(2**20, np.int64)
  many[4321] = 7  # A sample still knows both ends.
  assert np.flatnonzero(intensity.counts(many, 9)).tolist() == [0, 7]


# DICOM.


@pytest.mark.parametrize(
  ('attributes', 'name'),
  [
    ({'WindowCenter': 50_000, 'WindowWidth': 100}, 'black by its window, 0 to 0'),
    ({'WindowCenter': -5_000, 'WindowWidth': 100}, 'white by its window, 255 to 255'),
    ({'WindowCenter': 2_048, 'WindowWidth': 65_536}, 'one grey by its window'),
    ({'WindowCenter': 60_000, 'WindowWidth': 120_000}, 'black by its window'),
    (
      {'RescaleSlope': 1, 'RescaleIntercept': 9_000, 'WindowCenter': 40, 'WindowWidth': 400},
      'white',
    ),
  ],
)
@pytest.mark.parametrize('kind', ['MONOCHROME1', 'MONOCHROME2'])
def test_a_window_beside_the_pixels_is_refused(tmp_path, ramp, attributes, name, kind):
  write(tmp_path / 'a.dcm', ramp, kind, bits=12, **attributes)
  inverse = {'black': 'white', 'white': 'black', 'one': 'one'}[name.split()[0]]
  expected = name if kind == 'MONOCHROME2' else inverse
  assert f'would be almost {expected}' in refusal(tmp_path / 'a.dcm')
  assert "or to 'stretch'" in refusal(tmp_path / 'a.dcm')
  assert np.ptp(decode(tmp_path / 'a.dcm', 'stretch')) == 255


def test_a_marker_does_not_hide_that_all_else_is_black(tmp_path, ramp):
  pixels = ramp // 4
  pixels[:2, :5] = 4095  # 10 of 4,096 pixels
  write(tmp_path / 'a.dcm', pixels, bits=12, WindowCenter=3000, WindowWidth=1000)
  assert 'would be almost black by its window, 0 to 0' in refusal(tmp_path / 'a.dcm')
  # As a small bright spot on what is black as stored it is a picture.
  pixels[2:] = 0
  write(tmp_path / 'a.dcm', pixels, bits=12, WindowCenter=3000, WindowWidth=1000)
  assert decode(tmp_path / 'a.dcm').max() == 255


def test_a_window_of_12_bits_on_8_is_refused_and_a_dark_film_of_8_bits_is_not(tmp_path, ramp):
  film = (ramp >> 4).astype(np.uint8)
  write(tmp_path / 'a.dcm', film, WindowCenter=2048, WindowWidth=4096)
  assert 'black by its window, 0 to 16 of 255; correct it in the file' in refusal(
    tmp_path / 'a.dcm'
  )
  write(tmp_path / 'a.dcm', film // 16, WindowCenter=128, WindowWidth=256)
  np.testing.assert_array_equal(decode(tmp_path / 'a.dcm')[..., 0], film // 16)


def table(entries, bits):
  item = Dataset()
  item.add_new('LUTDescriptor', 'US', [len(entries), 0, bits])
  item.add_new('LUTData', 'OW', np.asarray(entries, '<u2').tobytes())
  return Sequence([item])


def test_tables_that_name_more_bits_than_they_use_are_refused(tmp_path, ramp):
  write(tmp_path / 'a.dcm', ramp, bits=12, VOILUTSequence=table(np.arange(4096), 16))
  assert 'black by its VOI LUT' in refusal(tmp_path / 'a.dcm')
  palette = {}
  for name in ('Red', 'Green', 'Blue'):
    palette[f'{name}PaletteColorLookupTableDescriptor'] = [256, 0, 16]
    palette[f'{name}PaletteColorLookupTableData'] = np.arange(256).astype('<u2').tobytes()
  write(tmp_path / 'a.dcm', (ramp >> 4).astype(np.uint8), 'PALETTE COLOR', **palette)
  assert 'black by its palette' in refusal(tmp_path / 'a.dcm')


def test_colours_of_12_bits_that_are_called_16_are_refused(tmp_path, ramp):
  write(tmp_path / 'a.dcm', np.stack([ramp] * 3, -1), 'RGB')
  assert '0 to 4095 of a possible 0 to 65535 and would be almost black' in refusal(
    tmp_path / 'a.dcm'
  )
  write(tmp_path / 'a.dcm', np.stack([ramp] * 3, -1), 'RGB', bits=12)
  np.testing.assert_array_equal(decode(tmp_path / 'a.dcm', channels=3)[..., 1], ramp >> 4)


def test_padding_that_covers_all_is_refused(tmp_path, ramp):
  write(tmp_path / 'a.dcm', ramp, bits=12, PixelPaddingValue=0, PixelPaddingRangeLimit=4095)
  assert 'all its pixels are padding' in refusal(tmp_path / 'a.dcm')
  write(tmp_path / 'a.dcm', ramp * 0, bits=12, PixelPaddingValue=0)
  assert decode(tmp_path / 'a.dcm').max() == 0


# Whatever Pillow reads.


@pytest.mark.parametrize('way', ['5000..6000', '-20..-10'])
@pytest.mark.parametrize('name', ['a.png', 'a.tif', 'float.tif', 'integer.tif'])
def test_a_range_beside_the_pixels_is_refused(tmp_path, ramp, name, way):
  if name == 'float.tif':
    tifffile.imwrite(tmp_path / name, ramp.astype(np.float32))
  elif name == 'integer.tif':
    tifffile.imwrite(tmp_path / name, ramp.astype(np.int32))
  else:
    Image.fromarray(ramp).save(tmp_path / name)
  colour = 'black' if way == '5000..6000' else 'white'
  assert f"would be almost {colour} by data.intensity='{way}'" in refusal(tmp_path / name, way)
  assert decode(tmp_path / name, '0..4095').max() == 255


def test_12_bits_in_16_with_white_as_zero_are_refused_not_whitened(tmp_path, ramp):
  tifffile.imwrite(tmp_path / 'film.tif', ramp, photometric='miniswhite', byteorder='<')
  assert 'would be almost white, 239 to 255' in refusal(tmp_path / 'film.tif')
  decoded = decode(tmp_path / 'film.tif', '0..4095')[..., 0]
  np.testing.assert_allclose(decoded, 255 - ramp / 4095 * 255, atol=0.51)


def test_what_transparency_hides_altogether_is_refused(tmp_path, ramp):
  colours = np.stack([ramp >> 4] * 3, -1).astype(np.uint8)
  for alpha in (0, 1):
    layer = np.full((64, 64, 1), alpha, np.uint8)
    Image.fromarray(np.concatenate([colours, layer], -1)).save(tmp_path / 'a.png')
    assert 'black by its transparency' in refusal(tmp_path / 'a.png')
  layer[20:40] = 255
  Image.fromarray(np.concatenate([colours, layer], -1)).save(tmp_path / 'a.png')
  assert decode(tmp_path / 'a.png')[30].max() > 100
  # What is black and transparent hides nothing.
  Image.fromarray(np.zeros((8, 8, 4), np.uint8)).save(tmp_path / 'a.png')
  assert decode(tmp_path / 'a.png').max() == 0


def test_a_palette_of_8_bits_where_16_are_due_is_refused(tmp_path, ramp):
  """TIFF 6.0, ColorMap: 65535 is white; some write 255, which libtiff's tools look out for."""
  colours = np.tile(np.arange(256, dtype=np.uint16), (3, 1))
  film = (ramp >> 4).astype(np.uint8)
  tifffile.imwrite(tmp_path / 'a.tif', film, photometric='palette', colormap=colours)
  assert 'its palette makes black of all' in refusal(tmp_path / 'a.tif')
  tifffile.imwrite(tmp_path / 'a.tif', film, photometric='palette', colormap=colours * 257)
  np.testing.assert_array_equal(decode(tmp_path / 'a.tif')[..., 0], film)


def portable(path, pixels, most):
  kind = b'P6' if pixels.ndim == 3 else b'P5'
  path.write_bytes(
    b'%s %d %d %d\n' % (kind, *pixels.shape[1::-1], most) + pixels.astype('>u2').tobytes()
  )


def test_portable_maps_say_how_much_is_white(tmp_path, ramp):
  for most in (4095, 5000):
    portable(tmp_path / 'a.pgm', ramp, most)
    np.testing.assert_allclose(decode(tmp_path / 'a.pgm')[..., 0], ramp / most * 255, atol=0.51)
    ranged = decode(tmp_path / 'a.pgm', '0..2000')[..., 0]
    np.testing.assert_allclose(ranged, np.minimum(ramp / 2000, 1) * 255, atol=0.51)
  portable(tmp_path / 'a.pgm', ramp, 65535)
  assert '0 to 4095 of a possible 0 to 65535 and would be almost black' in refusal(
    tmp_path / 'a.pgm'
  )
  colours = np.stack([ramp] * 3, -1)
  portable(tmp_path / 'a.ppm', colours, 65535)
  assert '16-bit colours would be almost black' in refusal(tmp_path / 'a.ppm')
  portable(tmp_path / 'a.ppm', colours, 4095)
  np.testing.assert_allclose(decode(tmp_path / 'a.ppm')[..., 0], ramp / 4095 * 255, atol=1)


@pytest.mark.parametrize('sign', [0, 1])
def test_jpeg_2000_of_12_bits_is_of_12_bits(tmp_path, ramp, sign):
  pixels = ramp.astype(np.int16) - 2048 if sign else ramp
  (tmp_path / 'a.j2k').write_bytes(openjpeg.utils.encode_array(pixels, bits_stored=12))
  np.testing.assert_allclose(decode(tmp_path / 'a.j2k')[..., 0], ramp / 4095 * 255, atol=0.51)
  ranged = decode(tmp_path / 'a.j2k', '-1000..1000' if sign else '1048..3048')[..., 0]
  expected = np.clip((ramp - 1048.0) / 2000, 0, 1) * 255
  np.testing.assert_allclose(ranged, expected, atol=0.51)
  (tmp_path / 'a.j2k').write_bytes(openjpeg.utils.encode_array(pixels, bits_stored=16))
  assert 'of a possible' in refusal(tmp_path / 'a.j2k')


def test_jpeg_2000_of_deep_colours_is_refused_for_its_white_would_be_black(tmp_path, ramp):
  colours = np.stack([ramp] * 3, -1)
  data = openjpeg.utils.encode_array(colours, bits_stored=12, photometric_interpretation=1)
  (tmp_path / 'a.j2k').write_bytes(data)
  np.testing.assert_array_equal(openjpeg.decode(tmp_path / 'a.j2k'), colours)
  assert 'a JPEG 2000 of 12-bit colours: save it as' in refusal(tmp_path / 'a.j2k')


# Containers.


def test_records_are_looked_at_as_files_are(tmp_path, ramp):
  colours = np.zeros((64, 64, 4), np.uint8)
  colours[..., 0] = ramp >> 4
  files = []
  for pixels in (ramp, ramp * 16, colours):
    files.append(io.BytesIO())
    Image.fromarray(pixels).save(files[-1], 'PNG')
  write(tmp_path / 'a.dcm', ramp, bits=12)
  writer = ArrayRecordWriter(str(tmp_path / 'a.array_record'), 'group_size:1')
  for file in (*(file.getvalue() for file in files), (tmp_path / 'a.dcm').read_bytes()):
    writer.write(file)
  writer.close()
  records = [tmp_path / f'a.array_record#{number}' for number in range(4)]
  assert 'would be almost black' in refusal(records[0])
  np.testing.assert_allclose(decode(records[0], '0..4095')[..., 0], ramp / 4095 * 255, atol=0.51)
  np.testing.assert_allclose(decode(records[1])[..., 0], ramp / 4095 * 255, atol=1)
  assert 'black by its transparency' in refusal(records[2])
  np.testing.assert_array_equal(decode(records[3]), decode(tmp_path / 'a.dcm'))


# What is not refused.


def test_what_is_constant_or_dark_as_stored_is_read(tmp_path, ramp):
  films = {
    'black.png': np.zeros((64, 64), np.uint8),
    'white.png': np.full((64, 64), 255, np.uint8),
    'grey.png': np.full((64, 64), 3, np.uint8),
    'dark.png': (ramp >> 8).astype(np.uint8),
    'deep black.png': np.zeros((64, 64), np.uint16),
    'deep white.png': np.full((64, 64), 65535, np.uint16),
    'blank.png': (60_000 + ramp % 200).astype(np.uint16),
  }
  for name, film in films.items():
    Image.fromarray(film).save(tmp_path / name)
    expected = film >> 8 if film.dtype == np.uint16 else film
    np.testing.assert_allclose(decode(tmp_path / name)[..., 0], expected.astype(int), atol=1)
  with h5py.File(tmp_path / 'a.h5', 'w') as file:
    file['x'] = np.zeros((2, 64, 64), np.uint8)
  assert decode(f'{tmp_path}/a.h5#1').max() == 0
  window = {'WindowCenter': 40, 'WindowWidth': 400}
  write(tmp_path / 'air.dcm', np.full((64, 64), -1000, np.int16), **window)
  assert decode(tmp_path / 'air.dcm').max() == 0
  for way in ('0..1', 'stretch'):
    tifffile.imwrite(tmp_path / 'a.tif', np.full((64, 64), 0.5, np.float32))
    assert np.ptp(decode(tmp_path / 'a.tif', way)) == 0
    faint = 0.9 + ramp.astype(np.float32) / 4095 / 20
    tifffile.imwrite(tmp_path / 'a.tif', faint)
    assert decode(tmp_path / 'a.tif', way).max() >= 242
  paper = np.zeros((64, 64, 4), np.uint16)  # no ink
  tifffile.imwrite(tmp_path / 'a.tif', paper, photometric='separated')
  assert decode(tmp_path / 'a.tif').min() == 255


def test_a_slice_with_little_in_it_is_read(tmp_path):
  """Air with its noise, and a body of less than a hundredth of the pixels."""
  pixels = np.random.default_rng(0).integers(-1010, -990, (64, 64)).astype(np.int16)
  pixels[30:34, 30:35] = 40
  write(tmp_path / 'a.dcm', pixels, WindowCenter=40, WindowWidth=400)
  assert decode(tmp_path / 'a.dcm').max() == 128


# Strips.


@pytest.mark.parametrize(('height', 'width'), [(1, 129), (2, 300), (300, 2), (1, 5000), (3, 300)])
def test_a_strip_keeps_a_line_of_one_pixel(tmp_path, height, width):
  strip = np.random.default_rng(0).integers(100, 256, (height, width), np.uint8)
  Image.fromarray(strip).save(tmp_path / 'strip.png')
  for fit, interpolation in (('pad', 'bilinear'), ('pad', 'nearest'), ('crop', 'bilinear')):
    image_format = ImageFormat(64, 1, fit=fit, interpolation=interpolation)
    decoded = decoding.decode(tmp_path / 'strip.png', image_format)[..., 0]
    line = decoded[decoded.any(axis=1)][:, decoded.any(axis=0)]
    assert line.shape == {'crop': (64, 64)}.get(fit, (1, 64) if width > height else (64, 1))
    assert line.min() >= 100
    if interpolation == 'bilinear' and fit == 'pad':
      assert abs(line.mean() - strip.mean()) < 15

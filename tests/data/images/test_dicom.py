"""DICOM pictures against pydicom's own pipeline, the standard's notes and arrays that are known.

The compressed files are those that come with pydicom.
"""

import subprocess
import sys

import numpy as np
import pydicom
import pytest
from dicom_files import SECRET, dataset, refusal, write
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.pixels import apply_modality_lut, apply_voi, apply_windowing, convert_color_space
from pydicom.sequence import Sequence

from medjax.data.images import decoding, dicom
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError


@pytest.fixture
def ramp():
  """12 bits: every value once."""
  return np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def path(tmp_path):
  return tmp_path / 'film.dcm'


def test_monochrome_1_and_2_of_one_picture_decode_alike(tmp_path, ramp):
  window = {'WindowWidth': 1000, 'bits': 12}
  write(tmp_path / '2.dcm', ramp, 'MONOCHROME2', WindowCenter=1500, **window)
  # The inverse of a picture is seen through the inverse of its window.
  write(tmp_path / '1.dcm', 4095 - ramp, 'MONOCHROME1', WindowCenter=4096 - 1500, **window)
  two, one = dicom.read(tmp_path / '2.dcm'), dicom.read(tmp_path / '1.dcm')
  np.testing.assert_allclose(one.astype(int), two, atol=1)
  assert two[0, 0] == 0 and two[-1, -1] == 255 and len(np.unique(two)) == 256
  for inverted in (False, True):
    kind, pixels = ('MONOCHROME1', 4095 - ramp) if inverted else ('MONOCHROME2', ramp)
    write(tmp_path / 'film.dcm', pixels, kind, bits=12)
    assert np.abs(dicom.read(tmp_path / 'film.dcm') - ramp / 4095 * 255).max() <= 1


@pytest.mark.parametrize(
  ('function', 'center', 'width'),
  [
    (None, 40, 400),
    ('LINEAR', 40.5, 1.5),
    ('LINEAR', 100, 1),
    ('LINEAR_EXACT', 40, 400),
    ('SIGMOID', 40, 400),
  ],
)
@pytest.mark.parametrize(('slope', 'intercept'), [(1, 0), (1, -1024), (0.5, 10)])
@pytest.mark.parametrize('dtype', [np.uint16, np.int16])
def test_windows_are_pydicom_s(path, ramp, function, center, width, slope, intercept, dtype):
  pixels = ramp.astype(dtype) - (0 if dtype == np.uint16 else 2048)
  optional = {'VOILUTFunction': function} if function else {}
  made = write(
    path, pixels, RescaleSlope=slope, RescaleIntercept=intercept, WindowCenter=center,
    WindowWidth=width,
    bits=12 if dtype == np.uint16 else 16, **optional,
  )  # fmt: skip
  reference = apply_windowing(apply_modality_lut(pixels, made), made)
  bits, signed = made.BitsStored, made.PixelRepresentation
  least = -(2 ** (bits - 1)) if signed else 0
  span = (2**bits - 1) * slope
  expected = (reference - (least * slope + intercept)) / span * 255
  np.testing.assert_allclose(dicom.read(path), expected, atol=0.51)


def test_the_notes_of_the_standard_on_windows(path):
  """PS3.3 C.11.2.1.2: width 1 is a threshold at c - 0.5; 2^(n-1) and 2^n are the identity."""
  write(path, np.array([[-1, 0], [-100, 7]], np.int16), WindowCenter=0, WindowWidth=1)
  assert dicom.read(path).tolist() == [[0, 255], [0, 255]]
  values = np.arange(256, dtype=np.uint8).reshape(16, 16)
  write(path, values, WindowCenter=128, WindowWidth=256)
  np.testing.assert_array_equal(dicom.read(path), values)


def test_the_first_of_several_windows_counts(tmp_path, ramp):
  write(tmp_path / 'a.dcm', ramp, WindowCenter=[1000, 3000], WindowWidth=[500, 50])
  write(tmp_path / 'b.dcm', ramp, WindowCenter=1000, WindowWidth=500)
  np.testing.assert_array_equal(dicom.read(tmp_path / 'a.dcm'), dicom.read(tmp_path / 'b.dcm'))


def lut(entries, first, bits):
  item = Dataset()
  item.add_new('LUTDescriptor', 'US', [len(entries), first, bits])
  item.add_new('LUTData', 'OW', np.asarray(entries, '<u2').tobytes())
  return Sequence([item])


def test_a_voi_lut_is_pydicom_s_and_comes_before_a_window(path, ramp):
  curve = np.round(1023 * (np.arange(2000) / 1999) ** 2)
  made = write(
    path, ramp, VOILUTSequence=lut(curve, 500, 10), WindowCenter=9, WindowWidth=9, bits=12
  )
  expected = apply_voi(ramp, made) / 1023 * 255
  np.testing.assert_allclose(dicom.read(path), expected, atol=0.51)


def test_a_modality_lut_comes_before_the_window(path, ramp):
  made = write(path, ramp, ModalityLUTSequence=lut(65535 - 16 * np.arange(4096), 0, 16), bits=12,
               WindowCenter=40000, WindowWidth=20000)  # fmt: skip
  expected = apply_windowing(apply_modality_lut(ramp, made), made) / 65535 * 255
  np.testing.assert_allclose(dicom.read(path), expected, atol=0.51)
  assert dicom.read(path)[0, 0] == 255


def test_tables_of_8_bits_with_more_than_256_entries(path, ramp):
  write(path, ramp, VOILUTSequence=lut(np.arange(4096) // 16, 0, 8), bits=12)
  np.testing.assert_array_equal(dicom.read(path), ramp // 16)


def test_padding_is_black_and_does_not_count(path, ramp):
  pixels = ramp.astype(np.int16) // 4 + 100
  pixels[:, :5] = -2000
  for kind in ('MONOCHROME1', 'MONOCHROME2'):
    write(path, pixels, kind, PixelPaddingValue=-2000)
    decoded = dicom.read(path, 'stretch')
    assert (decoded[:, :5] == 0).all()
    bright = decoded[:, 5:] if kind == 'MONOCHROME2' else 255 - decoded[:, 5:]
    part = pixels[:, 5:]
    np.testing.assert_allclose(
      bright, (part - part.min()) / (part.max() - part.min()) * 255, atol=0.51
    )
  pixels[:, :2] = -1500
  write(path, pixels, 'MONOCHROME1', PixelPaddingValue=-2000, PixelPaddingRangeLimit=-1500)
  assert (dicom.read(path, 'stretch')[:, :5] == 0).all()


def test_without_a_window_the_bits_stored_count_and_too_few_used_are_refused(path, ramp):
  write(path, ramp, bits=12)
  np.testing.assert_allclose(dicom.read(path), ramp / 4095 * 255, atol=0.51)
  write(path, ramp, bits=16)
  with pytest.raises(InputError, match=r'film\.dcm.*0 to 4095 of a possible 0 to 65535.*intensity'):
    dicom.read(path)
  np.testing.assert_allclose(dicom.read(path, '0..4095'), ramp / 4095 * 255, atol=0.51)
  hounsfield = ramp.astype(np.int16)
  write(path, hounsfield, RescaleSlope=1, RescaleIntercept=-1024)
  with pytest.raises(InputError, match=r'-1024 to 3071 of a possible'):
    dicom.read(path)
  decoded = dicom.read(path, '-160..240').ravel()
  assert decoded[:865].max() == 0 and decoded[1264:].min() == 255  # -160 and 240 Hounsfield units
  assert decoded[1064] in (127, 128)


# Colour.


def test_colour_is_rgb_whatever_it_was_stored_as(path):
  rgb = np.random.default_rng(0).integers(0, 256, (16, 16, 3), np.uint8)
  write(path, rgb, 'RGB')
  np.testing.assert_array_equal(dicom.read(path), rgb)
  write(path, convert_color_space(rgb, 'RGB', 'YBR_FULL'), 'YBR_FULL')
  np.testing.assert_allclose(dicom.read(path).astype(int), rgb, atol=3)
  np.testing.assert_array_equal(decoding.decode(path, ImageFormat(16, 3)), dicom.read(path))
  planes = np.ascontiguousarray(rgb.transpose(2, 0, 1)).reshape(16, 16, 3)
  write(path, planes, 'RGB', PlanarConfiguration=1)
  np.testing.assert_array_equal(dicom.read(path), rgb)


@pytest.mark.parametrize('bits', [8, 16])
def test_palettes_are_looked_up(path, bits):
  colours = np.array([[0, 0, 0], [250, 10, 20], [30, 240, 50], [60, 70, 230]])
  tables = {}
  for channel, name in enumerate(('Red', 'Green', 'Blue')):
    entries = colours[:, channel].astype('<u2') * (257 if bits == 16 else 1)
    tables[f'{name}PaletteColorLookupTableDescriptor'] = [4, 0, bits]
    tables[f'{name}PaletteColorLookupTableData'] = entries.astype(f'<u{bits // 8}').tobytes()
  indices = np.arange(16, dtype=np.uint8).reshape(4, 4) % 4
  write(path, indices, 'PALETTE COLOR', **tables)
  np.testing.assert_array_equal(dicom.read(path), colours[indices])


# Compressed pixels.


def bundled(name):
  return get_testdata_file(name, download=False)


@pytest.mark.parametrize(
  'name',
  [
    'MR_small_RLE.dcm',
    'MR_small_jp2klossless.dcm',
    'MR_small_jpeg_ls_lossless.dcm',
    'MR_small_implicit.dcm',
    'MR_small_bigendian.dcm',
  ],
)
def test_lossless_syntaxes_give_the_picture_of_the_uncompressed_file(name):
  plain = pydicom.dcmread(bundled('MR_small.dcm'))
  expected = apply_windowing(apply_modality_lut(plain.pixel_array, plain), plain)
  expected = (expected + 2**15) / (2**16 - 1) * 255
  np.testing.assert_allclose(dicom.read(bundled(name)), expected, atol=0.51)


@pytest.mark.parametrize(
  ('name', 'tolerance'),
  [
    ('SC_rgb_jpeg_gdcm.dcm', 0),  # JPEG lossless
    ('SC_rgb_rle_16bit.dcm', 0),
    ('SC_ybr_full_422_uncompressed.dcm', 6),
    ('SC_rgb_gdcm_KY.dcm', 3),  # JPEG 2000
    ('SC_rgb_jls_lossy_line.dcm', 3),
    ('SC_rgb_dcmtk_+eb+cr.dcm', 3),  # JPEG baseline, in RGB
    ('SC_rgb_jpeg_dcmtk.dcm', 6),  # in YBR
  ],
)
def test_colour_in_every_syntax_gives_the_same_bars(name, tolerance):
  bars = pydicom.dcmread(bundled('SC_rgb_rle.dcm')).pixel_array
  # At the edges of the bars, chroma at half the resolution and JPEG itself differ more.
  flat = np.s_[np.arange(5, 100, 10)]
  decoded = dicom.read(bundled(name))
  assert decoded.shape == (100, 100, 3)
  np.testing.assert_allclose(decoded[flat].astype(int), bars[flat], atol=tolerance)


# What is wrong with a file is one line.


def test_what_holds_no_single_picture_is_refused_by_name(tmp_path, ramp):
  path = tmp_path / 'file.dcm'
  write(path, np.stack([ramp] * 7), PatientName=SECRET)
  assert 'holds 7 frames, not one image; save the frames' in refusal(path)
  made = dataset(ramp, PatientName=SECRET)
  del made.PixelData, made.BitsAllocated
  pydicom.dcmwrite(path, made, enforce_file_format=True)
  assert 'without pixel data, such as a report, or cut off' in refusal(path)
  write(path, ramp, WindowCenter=10, WindowWidth=0)
  assert "no width; data.intensity='stretch'" in refusal(path)
  write(path, ramp, 'HSV', PatientName=SECRET)
  assert 'no picture can be made of it' in refusal(path)


@pytest.mark.parametrize(
  ('syntax', 'name'),
  [('1.2.840.10008.1.2.4.100', 'MPEG2'), ('1.2.840.10008.1.2.4.52', 'JPEG Extended')],
)
def test_an_unsupported_transfer_syntax_is_named(path, ramp, syntax, name):
  made = dataset(ramp, PatientName=SECRET)
  made.file_meta.TransferSyntaxUID = pydicom.uid.UID(syntax)
  made.PixelData = pydicom.encaps.encapsulate([b'\0' * 64])
  made['PixelData'].VR = 'OB'
  pydicom.dcmwrite(path, made, enforce_file_format=True)
  assert 'transfer syntax' in refusal(path) and name in refusal(path)


def test_a_damaged_file_is_named(tmp_path, ramp):
  path = tmp_path / 'film.dcm'
  write(path, ramp, PatientName=SECRET)
  whole = path.read_bytes()
  path.write_bytes(whole[:-1000])
  assert 'no picture can be made of it' in refusal(path)
  for size in (140, 200, 400):
    path.write_bytes(whole[:size])
    refusal(path)
  path.write_bytes(whole[128:])
  assert "no 'DICM' at byte 128" in refusal(path)
  path.write_bytes(b'')
  assert "no 'DICM' at byte 128" in refusal(path)
  assert 'no such image file' in refusal(tmp_path / 'nowhere.dcm')


def test_a_dicom_is_known_by_its_content_not_by_its_name(tmp_path, ramp):
  for name in ('IM000001', 'film.dicom', 'film.png'):
    write(tmp_path / name, ramp, bits=12)
    assert decoding.decode(tmp_path / name, ImageFormat(64, 1)).max() == 255
  result = decoding.find_broken([str(tmp_path / name) for name in ('IM000001', 'film.png', 'none')])
  assert list(result) == [2]


def test_threads_decode_as_one_does():
  names = ['MR_small_RLE.dcm', 'MR_small_jp2klossless.dcm', 'MR_small_jpeg_ls_lossless.dcm']
  paths = [bundled(name) for name in [*names, 'SC_rgb_jpeg_gdcm.dcm']] * 10
  assert decoding.find_broken(paths) == {}


def test_without_pydicom_it_is_said_what_to_install(path, ramp):
  write(path, ramp)
  code = (
    "import sys; sys.modules['pydicom'] = None\n"
    'from medjax.data.images import decoding\n'
    'print(decoding.find_broken(sys.argv[1:]))\n'
  )
  command = [sys.executable, '-c', code, str(path)]
  message = subprocess.run(command, capture_output=True, text=True, check=True).stdout
  assert "pip install 'medjax[dicom]'" in message


# The header, and what never leaves a file.


def private(made):
  """Fills a data set with what must not come out."""
  made.PatientName = SECRET
  made.PatientBirthDate = '19010101'
  made.PatientAddress = SECRET
  made.AccessionNumber = SECRET[:16]
  made.InstitutionName = SECRET
  made.ReferringPhysicianName = SECRET
  made.ImageComments = SECRET
  block = made.private_block(0x0011, SECRET[:10], create=True)
  block.add_new(0x01, 'LO', SECRET)
  return made


def test_the_header_holds_what_the_study_table_needs_and_nothing_else(path, ramp):
  made = private(
    dataset(
      ramp, PatientID='P7', StudyInstanceUID='1.2.3', ViewPosition='PA', PatientSex='F',
      PatientAge='058Y',
      Laterality='L', Manufacturer='Acme', ManufacturerModelName='X 1', DeviceSerialNumber='4711',
    )
  )  # fmt: skip
  pydicom.dcmwrite(path, made, enforce_file_format=True)
  assert dicom.header(path) == {
    'patient': 'P7',
    'study': '1.2.3',
    'instance': made.SOPInstanceUID,
    'view': 'PA',
    'sex': 'F',
    'age': '58',
    'width': '64',
    'height': '64',
    'laterality': 'L',
    'scanner': 'scanner f4b45518',
  }


@pytest.mark.parametrize(
  ('age', 'years'),
  [
    ('058Y', '58'),
    ('62', '62'),
    ('018M', '1'),
    ('011M', '0'),
    ('030W', '0'),
    ('400D', '1'),
    ('?', ''),
  ],
)
def test_ages_are_completed_years(path, ramp, age, years):
  write(path, ramp, PatientAge=age)
  assert dicom.header(path)['age'] == years


def test_a_header_without_these_attributes_is_empty_strings(path, ramp):
  write(path, ramp)
  result = dicom.header(path)
  assert {
    result[name] for name in ('patient', 'study', 'view', 'sex', 'age', 'laterality', 'scanner')
  } == {''}


def test_nothing_private_is_printed_warned_of_or_logged(path, ramp, tmp_path, monkeypatch):
  """In a process of its own: pydicom warns of a value that breaks a rule, and quotes it."""
  monkeypatch.setattr(pydicom.config.settings, 'writing_validation_mode', pydicom.config.IGNORE)
  made = private(dataset(ramp, bits=12, PatientID=f'{SECRET} ' * 9))
  made.PatientSex = 'not a sex of sixteen bytes'
  made.PatientAge = SECRET
  made.ViewPosition = SECRET.lower()
  made.StudyInstanceUID = SECRET
  pydicom.dcmwrite(path, made, enforce_file_format=True)
  whole = path.read_bytes()
  (tmp_path / 'cut.dcm').write_bytes(whole[:-5000])
  at = whole.index(SECRET.encode())
  (tmp_path / 'torn.dcm').write_bytes(whole[: at + 10])
  code = (
    'import logging, sys; logging.basicConfig(level=logging.DEBUG)\n'
    'from medjax.data.images import decoding, dicom\n'
    'print(decoding.find_broken(sys.argv[1:]))\n'
    'for path in sys.argv[1:]:\n'
    '  try: print(dicom.header(path)["width"])\n'
    '  except ValueError as error: print(error)\n'
  )
  files = [str(tmp_path / name) for name in ('film.dcm', 'cut.dcm', 'torn.dcm')]
  finished = subprocess.run(
    [sys.executable, '-W', 'always', '-c', code, *files], capture_output=True, text=True, check=True
  )
  assert 'cut.dcm' in finished.stdout and 'torn.dcm' in finished.stdout
  for word in ('Doe', 'Elm', '19010101', 'not a sex'):
    assert word not in finished.stdout + finished.stderr

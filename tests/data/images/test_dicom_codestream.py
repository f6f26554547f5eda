"""What compressed pixels say of themselves: read as Pillow reads the same JPEG, or refused."""

import io

import numpy as np
import pydicom
import pytest
from dicom_files import dataset, refusal
from PIL import Image
from pydicom.encaps import encapsulate, get_frame

from medjax.data.images import dicom

BASELINE, JPEG_2000 = '1.2.840.10008.1.2.4.50', '1.2.840.10008.1.2.4.90'


@pytest.fixture
def path(tmp_path):
  return tmp_path / 'film.dcm'


def bundled(name):
  return pydicom.data.get_testdata_file(name, download=False)


@pytest.fixture
def picture():
  """Four flat colours: what JPEG changes of them is little."""
  colours = np.array([[[200, 40, 60], [30, 180, 220]], [[250, 240, 20], [10, 20, 90]]], np.uint8)
  return np.kron(colours, np.ones((32, 32, 1), np.uint8))


def jpeg(picture, transform=None, **options):
  """Baseline JPEG by Pillow, with Adobe's marker in the place of JFIF's if a transform is given."""
  file = io.BytesIO()
  Image.fromarray(picture).save(file, 'JPEG', quality=95, subsampling=0, **options)
  data = file.getvalue()
  if transform is None:
    return data
  length = int.from_bytes(data[4:6], 'big')
  return data[:2] + b'\xff\xee\0\x0eAdobe\0\x64\0\0\0\0' + bytes([transform]) + data[4 + length :]


def jpeg_2000(picture, **options):
  file = io.BytesIO()
  Image.fromarray(picture).save(file, 'JPEG2000', no_jp2=True, **options)
  return file.getvalue()


def encapsulated(path, picture, frame, syntax, kind, **options):
  made = dataset(picture, kind, syntax=pydicom.uid.UID(syntax), **options)
  made.PixelData = encapsulate([frame])
  made['PixelData'].VR = 'OB'
  pydicom.dcmwrite(path, made, enforce_file_format=True)


@pytest.mark.parametrize('kind', ['RGB', 'YBR_FULL', 'YBR_FULL_422'])
@pytest.mark.parametrize('marker', ['JFIF', 'Adobe'])
def test_a_jpeg_that_says_how_its_colours_are_coded_is_believed(path, picture, kind, marker):
  frame = jpeg(picture, 1 if marker == 'Adobe' else None)
  encapsulated(path, picture, frame, BASELINE, kind)
  expected = np.asarray(Image.open(io.BytesIO(frame))).astype(int)
  np.testing.assert_allclose(dicom.read(path), expected, atol=3)
  np.testing.assert_allclose(expected, picture, atol=3)


def test_an_adobe_marker_may_say_that_nothing_is_transformed(path, picture):
  frame = jpeg(picture, keep_rgb=True)
  ids = frame.index(b'\xff\xc0') + 10
  numbered = bytearray(frame)
  numbered[ids : ids + 9 : 3] = b'\1\2\3'  # Not R, G and B, which say it too.
  scan = frame.index(b'\xff\xda') + 5
  numbered[scan : scan + 6 : 2] = b'\1\2\3'
  for data in (frame, bytes(numbered)):
    np.testing.assert_allclose(
      np.asarray(Image.open(io.BytesIO(data))).astype(int), picture, atol=2
    )
    encapsulated(path, picture, data, BASELINE, 'YBR_FULL')
    np.testing.assert_allclose(dicom.read(path), picture.astype(int), atol=2)


@pytest.mark.parametrize('kind', ['RGB', 'YBR_RCT', 'YBR_FULL', 'YBR_FULL_422'])
def test_colours_that_jpeg_2000_has_transformed_are_transformed_back_once(path, picture, kind):
  encapsulated(path, picture, jpeg_2000(picture, mct=1), JPEG_2000, kind)
  np.testing.assert_array_equal(dicom.read(path), picture)


def test_pixels_that_are_cut_off_are_refused_not_drawn(path):
  grey = np.random.default_rng(0).integers(0, 256, (64, 64), np.uint8)
  file = io.BytesIO()
  Image.fromarray(grey).save(file, 'JPEG')
  for syntax, frame in ((BASELINE, file.getvalue()), (JPEG_2000, jpeg_2000(grey))):
    for share in (0.3, 0.9):
      encapsulated(path, grey, frame[: int(len(frame) * share)], syntax, 'MONOCHROME2')
      assert 'cut off' in refusal(path)
    # What fills up behind the end is no damage.
    encapsulated(path, grey, frame + b'\0' * 6, syntax, 'MONOCHROME2')
    assert dicom.read(path).shape == (64, 64)


@pytest.mark.parametrize('name', ['SC_rgb_jpeg_gdcm.dcm', 'SC_rgb_jls_lossy_line.dcm'])
def test_lossless_jpeg_and_jpeg_ls_that_are_cut_off_are_refused(path, name):
  made = pydicom.dcmread(bundled(name))
  frame = get_frame(made.PixelData, 0, number_of_frames=1)
  for share in (0.3, 0.9):
    made.PixelData = encapsulate([frame[: int(len(frame) * share)]])
    pydicom.dcmwrite(path, made)
    assert 'cut off' in refusal(path)


@pytest.mark.parametrize('name', ['MR_small_jp2klossless.dcm', 'MR_small_RLE.dcm'])
def test_a_file_that_is_cut_off_within_compressed_pixels_is_no_report(path, name):
  with open(bundled(name), 'rb') as file:
    whole = file.read()
  path.write_bytes(whole[: len(whole) * 2 // 3])
  assert 'is cut off' in refusal(path)

"""What a DICOM says of its own pixels: read as pydicom and GDCM (in SimpleITK) do, or refused."""

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk
from dicom_files import SECRET, dataset, refusal, write
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi, apply_windowing
from pydicom.sequence import Sequence
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, RLELossless

from medjax.data.images import dicom


@pytest.fixture
def ramp():
  """12 bits: every value once."""
  return np.arange(4096, dtype=np.uint16).reshape(64, 64)


@pytest.fixture
def path(tmp_path):
  return tmp_path / 'film.dcm'


def items(**attributes):
  item = Dataset()
  for name, value in attributes.items():
    setattr(item, name, value)
  return Sequence([item])


# Enhanced objects.

WINDOW = {'WindowCenter': 40, 'WindowWidth': 400}
RESCALE = {'RescaleIntercept': -1024, 'RescaleSlope': 1, 'RescaleType': 'HU'}


@pytest.mark.parametrize('where', ['Shared', 'PerFrame'])
@pytest.mark.parametrize('syntax', [None, ImplicitVRLittleEndian])
def test_an_enhanced_object_of_one_frame_is_read_as_the_classic_one(tmp_path, ramp, where, syntax):
  groups = items(
    PixelValueTransformationSequence=items(**RESCALE),
    FrameVOILUTSequence=items(**WINDOW, WindowCenterWidthExplanation=SECRET),
    FrameContentSequence=items(FrameComments=SECRET),
  )
  options = {'bits': 12} | ({'syntax': syntax} if syntax else {})
  write(
    tmp_path / 'enhanced.dcm', ramp, NumberOfFrames=1, **options,
    **{f'{where}FunctionalGroupsSequence': groups},
  )  # fmt: skip
  classic = write(tmp_path / 'classic.dcm', ramp, **options, **WINDOW, **RESCALE)
  expected = apply_windowing(apply_modality_lut(ramp, classic), classic)
  expected = (expected + 1024) / 4095 * 255
  np.testing.assert_allclose(dicom.read(tmp_path / 'enhanced.dcm'), expected, atol=0.51)
  # A range is of Hounsfield units in both.
  for way in ('-160..240', 'stretch'):
    np.testing.assert_array_equal(
      dicom.read(tmp_path / 'enhanced.dcm', way), dicom.read(tmp_path / 'classic.dcm', way)
    )


def test_what_is_said_of_the_frame_counts_more_than_what_is_said_of_all(path, ramp):
  lut = lut_of('US', 0, 255 - np.arange(4096) // 16, 8)
  write(
    path, ramp, bits=12, WindowCenter=1, WindowWidth=2,
    SharedFunctionalGroupsSequence=items(FrameVOILUTSequence=items(**WINDOW)),
    PerFrameFunctionalGroupsSequence=items(FrameVOILUTSequence=items(VOILUTSequence=lut)),
  )  # fmt: skip
  np.testing.assert_array_equal(dicom.read(path), 255 - ramp // 16)


def test_functional_groups_of_several_frames_are_several_frames(path, ramp):
  groups = Sequence([Dataset(), Dataset()])
  write(path, ramp, bits=12, PerFrameFunctionalGroupsSequence=groups)
  assert 'holds 2 frames' in refusal(path)


def test_torn_functional_groups_say_nothing_of_anybody(path, ramp):
  groups = items(
    FrameContentSequence=items(FrameComments=SECRET), FrameVOILUTSequence=items(**WINDOW)
  )
  write(path, ramp, bits=12, SharedFunctionalGroupsSequence=groups)
  whole = path.read_bytes()
  at = whole.index(SECRET.encode())
  for end in (at - 30, at - 4, at + 5, at + len(SECRET) + 3):
    path.write_bytes(whole[:end])
    refusal(path)


def test_colours_in_a_supplemental_palette_are_not_shown_as_grey(path, ramp):
  write(path, ramp, bits=12, PixelPresentation='COLOR')
  assert 'supplemental palette' in refusal(path)
  write(path, ramp, bits=12, PixelPresentation='MONOCHROME')
  assert dicom.read(path).max() == 255


def test_a_polarity_that_is_said_twice_and_differently_is_refused(path, ramp):
  write(path, ramp, 'MONOCHROME2', bits=12, PresentationLUTShape='INVERSE')
  assert 'Presentation LUT Shape is INVERSE' in refusal(path)
  write(path, ramp, 'MONOCHROME1', bits=12, PresentationLUTShape='INVERSE')
  assert dicom.read(path)[0, 0] == 255


# Signs.


@pytest.mark.parametrize('limit', [None, -1500])
@pytest.mark.parametrize('vr', ['SS', 'US'])
def test_padding_of_signed_pixels_is_signed_whatever_its_vr(path, ramp, vr, limit):
  pixels = ramp.astype(np.int16) - 1000
  pixels[:, :20], pixels[:, 20:25] = -2000, -1500
  made = dataset(pixels, 'MONOCHROME1', WindowCenter=1000, WindowWidth=5000)
  for tag, value in ((0x00280120, -2000), (0x00280121, limit)):
    if value is not None:
      made.add_new(tag, vr, value % 2**16 if vr == 'US' else value)
  pydicom.dcmwrite(path, made, enforce_file_format=True)
  decoded = dicom.read(path)
  black = 25 if limit else 20
  assert (decoded[:, :black] == 0).all()
  expected = 255 - (apply_windowing(pixels, made) + 2**15) / (2**16 - 1) * 255
  np.testing.assert_allclose(decoded[:, black:], expected[:, black:], atol=0.51)


def lut_of(vr, first, entries, bits):
  item = Dataset()
  item.add_new(0x00283002, vr, [len(entries), first % 2**16 if vr == 'US' else first, bits])
  item.add_new(0x00283006, 'OW', np.asarray(entries, '<u2').tobytes())
  return Sequence([item])


@pytest.mark.parametrize('vr', ['SS', 'US'])
def test_the_first_value_of_a_table_of_signed_pixels_is_signed_whatever_its_vr(path, ramp, vr):
  pixels = ramp.astype(np.int16) - 2048
  entries = np.round(65535 * (np.arange(4096) / 4095) ** 2).astype(int)
  for name in ('VOILUTSequence', 'ModalityLUTSequence'):
    write(path, pixels, bits=12, **{name: lut_of(vr, -2048, entries, 16)})
    signed = dataset(pixels, bits=12, **{name: lut_of('SS', -2048, entries, 16)})
    expected = apply_voi(apply_modality_lut(pixels, signed), signed) / 65535 * 255
    np.testing.assert_allclose(dicom.read(path), expected, atol=0.51)


@pytest.mark.parametrize('vr', ['SS', 'US'])
def test_a_voi_table_of_rescaled_values_below_zero_begins_there(path, ramp, vr):
  entries = np.arange(4096)[::-1]
  table = lut_of(vr, -1024, entries, 12)
  write(path, ramp, bits=12, RescaleSlope=1, RescaleIntercept=-1024, VOILUTSequence=table)
  np.testing.assert_allclose(dicom.read(path), (4095 - ramp) / 4095 * 255, atol=0.51)


def test_a_table_in_an_implicit_file_of_signed_pixels(path, ramp):
  pixels = ramp.astype(np.int16) - 2048
  table = lut_of('SS', -2048, np.arange(40_000) % 4096, 12)  # 40,000 is below zero in SS.
  write(path, pixels, bits=12, syntax=ImplicitVRLittleEndian, VOILUTSequence=table)
  np.testing.assert_allclose(dicom.read(path), ramp / 4095 * 255, atol=0.51)


def test_a_table_that_contradicts_its_descriptor_is_refused(path, ramp):
  write(path, ramp, bits=12, VOILUTSequence=lut_of('US', 0, np.arange(4096), 8))
  assert 'a look-up table of 8 bits has 4096 entries of up to 4095' in refusal(path)


def test_a_rescale_slope_of_zero_is_refused(path, ramp):
  write(path, ramp, bits=12, RescaleSlope=0, RescaleIntercept=5)
  assert 'rescale slope is 0' in refusal(path)


# Bits.


def test_bits_beyond_those_stored_that_hold_overlays_are_left_out(path, ramp):
  made = dataset(ramp | 0x8000, bits=12)
  for number, value in ((0x0100, 16), (0x0102, 15)):  # Overlay Bits Allocated and Bit Position
    made.add_new((0x6002 << 16) + number, 'US', value)
  pydicom.dcmwrite(path, made, enforce_file_format=True)
  read_by_gdcm = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
  np.testing.assert_allclose(dicom.read(path), read_by_gdcm / 4095 * 255, atol=0.51)


def test_numbers_below_zero_need_not_fill_their_upper_bits(path, ramp):
  pixels = ramp.astype(np.int16) - 2048
  write(path, pixels & 0xFFF, bits=12)
  read_by_gdcm = sitk.GetArrayFromImage(sitk.ReadImage(str(path)))[0]
  np.testing.assert_array_equal(read_by_gdcm, pixels)
  np.testing.assert_allclose(dicom.read(path), ramp / 4095 * 255, atol=0.51)


def test_pixels_of_more_bits_than_are_said_are_refused_not_wrapped(path, ramp):
  write(path, ramp * 16, bits=12)
  assert 'need more than the 12 bits that it says are stored' in refusal(path)
  write(path, ramp * 16, bits=12, HighBit=15)
  assert 'high bit is 15, not 11' in refusal(path)
  # Padding may lie anywhere.
  pixels = ramp.copy()
  pixels[:, :9] = 63536
  write(path, pixels, bits=12, PixelPaddingValue=63536)
  decoded = dicom.read(path)
  assert (decoded[:, :9] == 0).all()
  np.testing.assert_allclose(decoded[:, 9:], ramp[:, 9:] / 4095 * 255, atol=0.51)


def test_more_frames_than_are_said_are_refused(path, ramp):
  made = write(path, np.stack([ramp, ramp]), bits=12)
  del made.NumberOfFrames
  pydicom.dcmwrite(path, made, enforce_file_format=True)
  assert '[2, 64, 64], where it says one frame of [64, 64]' in refusal(path)
  one = dataset(ramp, bits=12)
  one.compress(RLELossless, encoding_plugin='pydicom')
  frame = pydicom.encaps.get_frame(one.PixelData, 0, number_of_frames=1)
  one.PixelData = encapsulate([frame, frame])
  pydicom.dcmwrite(path, one, enforce_file_format=True)
  assert '[2, 64, 64], where it says one frame of [64, 64]' in refusal(path)


# Palettes.


def palette(entries, bits, first=0, wide='<u2'):
  """entries int[N, 3], in 16 bits each unless `bits` is 8."""
  attributes = {}
  for column, name in zip(np.transpose(entries), ('Red', 'Green', 'Blue')):
    attributes[f'{name}PaletteColorLookupTableDescriptor'] = [len(column), first, bits]
    data = column.astype(np.uint8 if bits == 8 else wide).tobytes()
    attributes[f'{name}PaletteColorLookupTableData'] = data
  return attributes


@pytest.fixture
def entries():
  return np.random.default_rng(0).integers(0, 2**16, (256, 3))


def test_a_palette_of_a_big_endian_file_is_big_endian(path, entries):
  indices = np.arange(256, dtype='>u2').reshape(16, 16)
  made = dataset(indices, 'PALETTE COLOR', bits=8, syntax=ExplicitVRBigEndian)
  for name, value in palette(entries, 16, wide='>u2').items():
    setattr(made, name, value)
  pydicom.dcmwrite(path, made, enforce_file_format=True)
  np.testing.assert_array_equal(dicom.read(path), entries[np.arange(256).reshape(16, 16)] >> 8)


def test_indices_beyond_a_palette_are_its_ends(path, entries):
  """Also with 8 bits, where pydicom's begin anew."""
  indices = np.arange(0, 1024, 4, dtype=np.uint16).reshape(16, 16)
  for bits, depth in ((16, 8), (8, 0)):
    colours = entries if bits == 16 else entries >> 8
    made = write(path, indices, 'PALETTE COLOR', bits=10, **palette(colours, bits, first=100))
    expected = (colours >> depth)[np.clip(indices.astype(int) - 100, 0, 255)]
    np.testing.assert_array_equal(dicom.read(path), expected)
    if bits == 16:
      np.testing.assert_array_equal(apply_color_lut(indices, made) >> 8, expected)


def test_entries_of_8_bits_that_are_called_16_are_of_8(path, entries):
  indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
  attributes = palette(entries >> 8, 8)
  for name in attributes:
    if name.endswith('Descriptor'):
      attributes[name] = [256, 0, 16]
  write(path, indices, 'PALETTE COLOR', **attributes)
  np.testing.assert_array_equal(dicom.read(path), (entries >> 8)[indices])


def test_a_segmented_palette_is_pydicom_s(path):
  indices = np.arange(256, dtype=np.uint8).reshape(16, 16)
  made = dataset(indices, 'PALETTE COLOR')
  for name, last in (('Red', 65535), ('Green', 30000), ('Blue', 50000)):
    setattr(made, f'{name}PaletteColorLookupTableDescriptor', [256, 0, 16])
    segments = np.array([0, 1, 0, 1, 255, last], '<u2')  # PS3.3 C.7.9.2: a 0, then a line
    setattr(made, f'Segmented{name}PaletteColorLookupTableData', segments.tobytes())
  pydicom.dcmwrite(path, made, enforce_file_format=True)
  np.testing.assert_array_equal(dicom.read(path), apply_color_lut(indices, made) >> 8)

"""Files that describe more than they hold, or more than the memory does."""

import io
import struct
import threading
import zlib

import dicom_files
import numpy as np
import pydicom.data
import pytest
from PIL import Image
from pydicom import uid

from medjax.data.images import decoding, dicom, memory
from medjax.data.images.preprocessing import ImageFormat
from medjax.errors import InputError

GREY, COLOUR = ImageFormat(32, 1), ImageFormat(32, 3)


def refusal(path, image_format=GREY):
  with pytest.raises(InputError) as raised:
    decoding.decode(path, image_format)
  assert str(raised.value).startswith(str(path))
  return str(raised.value)


def chunk(kind, data):
  return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def png_of_header_alone(width, height, colour_type, bits=8):
  header = struct.pack('>IIBBBBB', width, height, bits, colour_type, 0, 0, 0)
  data = chunk(b'IHDR', header) + chunk(b'IDAT', zlib.compress(b'')) + chunk(b'IEND', b'')
  return b'\x89PNG\r\n\x1a\n' + data


@pytest.mark.parametrize(('progressive', 'marker'), [(False, b'\xff\xc0'), (True, b'\xff\xc2')])
@pytest.mark.parametrize('side', [8_000, 65_500])
def test_a_jpeg_cannot_be_larger_than_its_bytes(tmp_path, progressive, marker, side):
  file = io.BytesIO()
  Image.new('RGB', (64, 64)).save(file, 'JPEG', progressive=progressive)
  data = bytearray(file.getvalue())
  start = data.find(marker)
  data[start + 5 : start + 9] = struct.pack('>HH', side, side)
  path = tmp_path / 'small.jpg'
  path.write_bytes(data)
  assert f'cannot hold its {side:,} × {side:,} pixels' in refusal(path)
  # `check` would decode it whole.
  assert 'cannot hold' in decoding.check(path)[0]


def test_the_emptiest_jpeg_there_is_is_read(tmp_path):
  # One grey, its codes optimised: few bits a block, and yet all of its blocks.
  path = tmp_path / 'black.jpg'
  Image.new('L', (2048, 2048)).save(path, optimize=True, progressive=True, quality=1)
  assert path.stat().st_size > 2048**2 / 512
  assert decoding.decode(path, GREY).max() <= 1


@pytest.mark.parametrize(
  ('colour_type', 'gigabytes'), [(6, '6.9'), (2, '2.5'), (4, '6.9')], ids=['RGBA', 'RGB', 'LA']
)
def test_a_png_says_what_it_would_need(tmp_path, colour_type, gigabytes):
  path = tmp_path / 'large.png'
  path.write_bytes(png_of_header_alone(23_000, 23_000, colour_type))
  assert f'need about {gigabytes} GB to decode, and 2 GB is the most' in refusal(path)


def test_pages_and_strips_are_not_counted_for_ever(tmp_path):
  square = {256: 4, 257: 4, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 4, 279: 16}
  reduced = [{254: int(page > 0), **square} for page in range(70)]
  (tmp_path / 'pages.tif').write_bytes(tiff(reduced, b''))
  assert 'more than 64 pages' in refusal(tmp_path / 'pages.tif')
  # Of one pixel each.
  count, start = 150_000, 8 + 2 + 12 * 9 + 4
  lists = {273: (count, start), 279: (count, start + 4 * count)}
  column = {256: 1, 257: count, 258: 8, 259: 1, 262: 1, 277: 1, 278: 1, **lists}
  offsets = np.full(count, start + 8 * count, '<u4').tobytes()
  strips = tiff([column], offsets + np.ones(count, '<u4').tobytes() + b'\x80')
  (tmp_path / 'strips.tif').write_bytes(strips)
  assert 'in 150,000 strips or tiles' in refusal(tmp_path / 'strips.tif')


def tiff(pages, data):
  """Pages of tag → value, or (count, offset) of its values; then the data."""
  file = b'II*\0' + struct.pack('<I', 8)
  for number, tags in enumerate(pages):
    following = len(file) + 2 + 12 * len(tags) + 4 if number < len(pages) - 1 else 0
    values = {tag: value if isinstance(value, tuple) else (1, value) for tag, value in tags.items()}
    file += struct.pack('<H', len(tags))
    file += b''.join(struct.pack('<HHII', tag, 4, *values[tag]) for tag in sorted(values))
    file += struct.pack('<I', following)
  return file + data


def test_a_deflated_dicom_is_not_inflated_beyond_a_limit(tmp_path, monkeypatch):
  pixels = np.tile(np.arange(2048, dtype=np.uint16) * 32, (1024, 1))
  path = tmp_path / 'deflated.dcm'
  dicom_files.write(path, pixels, syntax=uid.DeflatedExplicitVRLittleEndian)
  assert path.stat().st_size < 2**16 < pixels.nbytes
  monkeypatch.setattr(dicom, '_MOST_INFLATED', 8 * 2**20)
  assert decoding.decode(path, GREY).any()
  whole = path.read_bytes()
  path.write_bytes(whole + b'\0\0')  # What follows the deflated stream.
  assert decoding.decode(path, GREY).any()
  path.write_bytes(whole[:-100])
  assert 'cannot be read as DICOM' in dicom_files.refusal(path)
  path.write_bytes(whole)
  monkeypatch.setattr(dicom, '_MOST_INFLATED', 2 * 2**20)
  assert 'inflates to more than 2 MB' in dicom_files.refusal(path)
  with pytest.raises(InputError, match='inflates to more than'):
    dicom.header(path)


def test_a_dicom_s_picture_is_counted_before_it_is_made(tmp_path):
  path = tmp_path / 'large.dcm'
  dicom_files.write(path, np.zeros((8, 8), np.uint16), Rows=20_000, Columns=20_000)
  assert 'its pixels need about 3.0 GB to decode' in dicom_files.refusal(path)


@pytest.mark.parametrize(
  'name', ['MR_small_jp2klossless.dcm', 'SC_rgb_jpeg_gdcm.dcm', 'SC_rgb_jls_lossy_line.dcm']
)
def test_compressed_pixels_are_as_many_as_the_data_set_says(tmp_path, name):
  file = pydicom.dcmread(pydicom.data.get_testdata_file(name, download=False))
  path, width, height = tmp_path / 'coded.dcm', file.Columns, file.Rows
  file.save_as(path)
  assert decoding.decode(path, COLOUR).any()
  file.Rows = height // 2
  file.save_as(path)
  words = f'compressed pixels are {width} × {height}, and it says {width} × {height // 2}'
  assert words in dicom_files.refusal(path)


def test_a_png_that_is_opened_twice_is_counted_once(tmp_path, monkeypatch):
  # Text after its pixels that Pillow would not unpack: it is read again without.
  pixels = np.random.default_rng(0).integers(0, 2**16, (1024, 1024)).astype(np.uint16)
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, 'PNG')
  text = chunk(b'zTXt', b'Comment\0\0' + zlib.compress(bytes(2**21)))
  path = tmp_path / 'text.png'
  path.write_bytes(file.getvalue()[:-12] + text + file.getvalue()[-12:])
  monkeypatch.setattr(memory, 'MOST', 20 * 2**20)
  monkeypatch.setattr(memory, '_SMALL', 0)
  assert decoding.decode(path, GREY).any()


def test_memory_of_all_threads_is_counted_together():
  first_is_in, leave, second_is_in = threading.Event(), threading.Event(), threading.Event()

  def first():
    with memory.reserved(memory.MOST * 3 // 4):
      first_is_in.set()
      leave.wait(10)

  def second():
    first_is_in.wait(10)
    with memory.reserved(memory.MOST // 2):
      second_is_in.set()

  threads = [threading.Thread(target=work) for work in (first, second)]
  for thread in threads:
    thread.start()
  assert first_is_in.wait(10) and not second_is_in.wait(0.2)
  with memory.reserved(1000):  # Small ones need not wait.
    leave.set()
  assert second_is_in.wait(10)
  for thread in threads:
    thread.join()

"""Files that would unpack to more than any memory holds are refused before they do."""

import gzip
import io
import tracemalloc
import zipfile

import h5py
import numpy as np
import openpyxl
import pytest

from medjax.data import packed, table_files
from medjax.data.images import containers
from medjax.errors import InputError

MOST = 3 * 2**28  # bytes that refusing may take


def refused(read, path):
  tracemalloc.start()
  with pytest.raises(InputError) as error:
    read(path)
  peak = tracemalloc.get_traced_memory()[1]
  tracemalloc.stop()
  assert peak < MOST and str(path).partition('#')[0] in str(error.value)
  return str(error.value)


def zeros_zip(path, member, size):
  with (
    zipfile.ZipFile(path, 'w', zipfile.ZIP_DEFLATED) as archive,
    archive.open(member, 'w') as file,
  ):
    for _ in range(size >> 20):
      file.write(bytes(2**20))
  return path


def test_gzip_is_what_gzip_says():
  text = b'image,patient\na,1\n' * 1_000
  two = gzip.compress(text[:90]) + gzip.compress(text[90:]) + b'\0' * 7
  assert packed.gunzip(two) == gzip.decompress(two) == text
  with pytest.raises(EOFError):
    packed.gunzip(gzip.compress(text)[:-9])


def test_a_table_that_unpacks_to_far_too_much(tmp_path):
  path = tmp_path / 'labels.csv'
  inner = gzip.compress(bytes(2**24))
  path.write_bytes(inner * 40)  # Members one after another are one text.
  assert 'unpack' in refused(table_files.rows, path)


def test_a_workbook_that_unpacks_to_far_too_much(tmp_path):
  path = zeros_zip(tmp_path / 'labels.xlsx', 'xl/worksheets/sheet1.xml', 2**29)
  assert 'unpack' in refused(table_files.rows, path)
  openpyxl.Workbook().save(tmp_path / 'empty.xlsx')
  assert table_files.rows(tmp_path / 'empty.xlsx') == []


def test_arrays_that_unpack_to_far_too_much_or_say_so(tmp_path):
  path = zeros_zip(tmp_path / 'packed.npz', 'x.npy', 2**29)
  assert 'unpack' in refused(containers.read, f'{path}#x/0')
  file = io.BytesIO()
  np.lib.format.write_array_header_1_0(
    file, {'descr': '|u1', 'fortran_order': False, 'shape': (2**40, 8, 8)}
  )
  with zipfile.ZipFile(tmp_path / 'claims.npz', 'w') as archive:
    archive.writestr('x.npy', file.getvalue())
  assert 'more than its' in refused(containers.read, f'{tmp_path / "claims.npz"}#x/0')


def test_an_image_or_chunk_of_gigabytes_in_hdf5(tmp_path):
  for name, options in (('image', {}), ('chunk', {'chunks': (2**12, 2**10, 2**9)})):
    shape = (4, 2**17, 2**14) if name == 'image' else (2**12, 2**10, 2**9)
    with h5py.File(tmp_path / f'{name}.h5', 'w') as file:
      file.create_dataset('x', shape, np.uint8, compression='gzip' if options else None, **options)
    assert 'GB' in refused(containers.read, f'{tmp_path / f"{name}.h5"}#0')


@pytest.mark.parametrize('link', ['external', 'raw', 'virtual'])
def test_a_container_that_leads_to_another_file(tmp_path, link):
  with h5py.File(tmp_path / 'other.h5', 'w') as file:
    file['x'] = np.zeros((2, 8, 8), np.uint8)
  (tmp_path / 'secret').write_bytes(bytes(128))
  path = tmp_path / 'leads.h5'
  with h5py.File(path, 'w') as file:
    if link == 'external':
      file['x'] = h5py.ExternalLink(str(tmp_path / 'other.h5'), 'x')
    elif link == 'raw':
      outside = [(str(tmp_path / 'secret'), 0, 128)]
      file.create_dataset('x', (2, 8, 8), np.uint8, external=outside)
    else:
      layout = h5py.VirtualLayout((2, 8, 8), np.uint8)
      layout[:] = h5py.VirtualSource(str(tmp_path / 'other.h5'), 'x', (2, 8, 8))
      file.create_virtual_dataset('x', layout)
  assert 'another file' in refused(containers.read, f'{path}#0')

"""Files made to harm who opens them: of few bytes, of many, of code, of other files' content."""

import io
import json
import os
import pathlib
import pickle
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import seeds

MEBIBYTE = bytes(2**20)


class Bomb(NamedTuple):
  """Attributes:
  name: of the attack.
  path: of its file.
  read: what the program opens it with.
  """

  name: str
  path: pathlib.Path
  read: Callable[[pathlib.Path], object]


class _Runs:
  """Unpickled, it leaves a file."""

  def __init__(self, trace: pathlib.Path):
    self._trace = trace

  def __reduce__(self):
    return os.mkdir, (str(self._trace),)


def pictures(folder: pathlib.Path) -> dict[str, pathlib.Path]:
  """Returns name → file of pictures that say or hold far more pixels than they have bytes for."""
  side = 60_000
  packed = _zlib(3_600)  # as many as there are pixels, and more
  header = struct.pack('>IIBBBBB', side, side, 8, 0, 0, 0, 0)
  made = {
    'png_pixels.png': b'\x89PNG\r\n\x1a\n'
    + b''.join(_chunk(*part) for part in ((b'IHDR', header), (b'IDAT', packed), (b'IEND', b''))),
    'png_text.png': _png_with(b'zTXt', b'a\0\0' + _zlib(1024)),
    'png_profile.png': _png_with(b'iCCP', b'a\0\0' + _zlib(1024)),
  }
  grey, colour = (seeds.pictures()[kind] for kind in ('TIFF', 'JPEG'))
  jpeg = colour['colour.jpg']
  at = next(n for n in range(len(jpeg)) if jpeg[n : n + 2] in (b'\xff\xc0', b'\xff\xc2'))
  made['jpeg_sides.jpg'] = jpeg[: at + 5] + b'\xff\xdc\xff\xdc' + jpeg[at + 9 :]
  made['gif_sides.gif'] = _put(seeds.pictures()['others']['grey.gif'], 6, b'\xff\xff\xff\xff')
  made['tiff_sides.tif'] = _tiff_of_sides(grey['grey.tif'], 60_000)
  jp2 = seeds.pictures()['JPEG 2000']['colour.j2k']
  made['jpeg_2000_sides.j2k'] = _put(jp2, 8, struct.pack('>II', side, side))
  for name, data in made.items():
    (folder / name).write_bytes(data)
  return {name: folder / name for name in made}


def _put(data: bytes, at: int, new: bytes) -> bytes:
  return data[:at] + new + data[at + len(new) :]


def _chunk(kind: bytes, data: bytes) -> bytes:
  return struct.pack('>I', len(data)) + kind + data + struct.pack('>I', zlib.crc32(kind + data))


def _png_with(kind: bytes, data: bytes) -> bytes:
  whole = seeds.pictures()['PNG']['grey.png']
  return whole[:33] + _chunk(kind, data) + whole[33:]


def _deflated(mebibytes: int) -> bytes:
  """Returns so many zeros as raw DEFLATE; made of one block, for else it would take as long."""
  packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
  block = packer.compress(MEBIBYTE) + packer.flush(zlib.Z_FULL_FLUSH)
  return block * mebibytes + zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS).flush()


def _zlib(mebibytes: int) -> bytes:
  total = (mebibytes << 20) % 65521 << 16 | 1  # Adler-32 of zeros
  return b'\x78\xda' + _deflated(mebibytes) + struct.pack('>I', total)


def _gzip(mebibytes: int) -> bytes:
  # Who reads as far as the check sum, which is wrong, has unpacked all of it.
  return b'\x1f\x8b\x08' + bytes(7) + _deflated(mebibytes) + struct.pack('<II', 0, 0)


def _tiff_of_sides(data: bytes, side: int) -> bytes:
  start = struct.unpack('<I', data[4:8])[0]
  for entry in range(struct.unpack('<H', data[start : start + 2])[0]):
    at = start + 2 + 12 * entry
    if struct.unpack('<H', data[at : at + 2])[0] in (256, 257, 278):
      data = _put(data, at + 2, struct.pack('<HII', 4, 1, side))
  return data


def bombs(folder: pathlib.Path) -> list[Bomb]:
  """Returns the files that would take memory, time or other files; written in `folder`."""
  import garbage

  from medjax.whole_slides import outlines

  made = [
    Bomb(f'picture: {name}', path, garbage._picture) for name, path in pictures(folder).items()
  ]

  def add(name: str, file: str, data: bytes, read: Callable[[pathlib.Path], object]) -> None:
    (folder / file).write_bytes(data)
    made.append(Bomb(name, folder / file, read))

  for name, data in _dicoms().items():
    add(f'DICOM: {name}', f'{name}.dcm', data, garbage._picture)
  for name, text in _xml(folder).items():
    add(f'XML: {name}', f'{name}.xml', text.encode(), outlines.read)
  for kind, text in _xml(folder).items():
    add(f'Excel: XML of {kind}', f'{kind}.xlsx', _workbook(text), _labels)
  add('gzip of zeros', 'zeros.csv', _gzip(4096), _labels)
  add('Excel: a sheet of zeros', 'zeros.xlsx', _zip('xl/worksheets/sheet1.xml', 4096), _labels)
  add('npz of zeros', 'zeros.npz', _zip('x.npy', 4096), _first)
  for shape in ((2**50, 8, 8), (2, 2**31, 2**31)):
    claim = io.BytesIO()
    np.lib.format.write_array_header_1_0(
      claim, {'descr': '|u1', 'fortran_order': False, 'shape': shape}
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, 'w') as archive:
      archive.writestr('x.npy', claim.getvalue() + MEBIBYTE)
    add(f'npz that says {shape}', f'claims{shape[0]}.npz', packed.getvalue(), _first)
  made += _hdf5(folder)
  for name, data in _safetensors().items():
    add(f'safetensors: {name}', f'{name}.safetensors', data, garbage._weights)
  return made


def _labels(path: pathlib.Path) -> object:
  from medjax.data.datasets import csv

  return csv.read(path.parent, seeds.LABELS, table_file=path.name)


def _first(path: pathlib.Path) -> object:
  from medjax.data.images import containers

  return containers.read(f'{path}#x/0')


def _zip(member: str, mebibytes: int) -> bytes:
  """Returns a zip file of one member, zeros."""
  data, name = _deflated(mebibytes), member.encode()
  size = min(mebibytes << 20, 2**32 - 2)
  about = struct.pack('<HHHHHIIIHH', 20, 0, 8, 0, 33, 0, len(data), size, len(name), 0)
  local = b'PK\3\4' + about + name + data
  entry = b'PK\1\2' + struct.pack('<H', 20) + about + struct.pack('<HHHII', 0, 0, 0, 0, 0) + name
  end = struct.pack('<HHHHIIH', 0, 0, 1, 1, len(entry), len(local), 0)
  return local + entry + b'PK\5\6' + end


def _dicoms() -> dict[str, bytes]:
  from pydicom import uid

  pixels = np.zeros((8, 8), np.uint8)
  whole = seeds.dicom(pixels, uid.ExplicitVRLittleEndian)
  sides = _put(whole, whole.index(b'\x28\0\x10\0US') + 8, b'\xff\xff')
  sides = _put(sides, sides.index(b'\x28\0\x11\0US') + 8, b'\xff\xff')
  deflated = seeds.dicom(pixels, uid.DeflatedExplicitVRLittleEndian)
  meta = 132 + 12 + struct.unpack('<I', deflated[140:144])[0]
  codestream = _put(
    seeds.pictures()['JPEG 2000']['colour.j2k'], 8, struct.pack('>II', 60_000, 60_000)
  )
  return {
    'sides': sides,
    'deflated_zeros': deflated[:meta] + _deflated(4096),
    'jpeg_2000_sides': seeds.dicom(
      pixels, uid.JPEG2000Lossless, frame=codestream, Rows=60_000, Columns=60_000
    ),
    'nested_sequences': _nested(whole),
  }  # fmt: skip


def _nested(whole: bytes) -> bytes:
  at = whole.index(b'\x28\0\x10\0US')
  item = b'\x08\0\x40\x11SQ\0\0\xff\xff\xff\xff\xfe\xff\0\xe0\xff\xff\xff\xff'
  return whole[:at] + item * 20_000 + whole[at:]


def _xml(folder: pathlib.Path) -> dict[str, str]:
  laughs = ''.join(f'<!ENTITY a{n} "{f"&a{n - 1};" * 10 if n else "ha"}">' for n in range(12))
  (folder / 'canary.txt').write_text('CANARY-OF-ANOTHER-FILE')
  body = '<ASAP_Annotations><Annotations>{}</Annotations></ASAP_Annotations>'
  return {
    'billion_laughs': f'<!DOCTYPE x [{laughs}]>' + body.format('&a11;'),
    'quadratic': f'<!DOCTYPE x [<!ENTITY a "{"a" * 100_000}">]>' + body.format('&a;' * 100_000),
    'other_file': f'<!DOCTYPE x [<!ENTITY a SYSTEM "file://{folder}/canary.txt">]>'
    + body.format('<Annotation Name="&a;" PartOfGroup="x"/>&a;'),
    'network': '<!DOCTYPE x SYSTEM "http://127.0.0.1:9/x.dtd">' + body.format('&b;'),
    'depth': body.format('<Annotation>' * 200_000),
  }


def _workbook(xml: str) -> bytes:
  whole, file = zipfile.ZipFile(io.BytesIO(seeds.workbook())), io.BytesIO()
  with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
    for name in whole.namelist():
      archive.writestr(name, xml if name.endswith('sheet1.xml') else whole.read(name))
  return file.getvalue()


def _hdf5(folder: pathlib.Path) -> list[Bomb]:
  import h5py

  made = []
  for name, shape, chunks in (
    ('image', (2, 2**17, 2**15), None),
    ('chunk', (2**12, 2**10, 2**9), (2**12, 2**10, 2**9)),
  ):
    path = folder / f'{name}.h5'
    with h5py.File(path, 'w') as file:
      options = {'chunks': chunks, 'compression': 'gzip'} if chunks else {}
      file.create_dataset('x', shape, np.uint8, **options)
    made.append(Bomb(f'HDF5: an {name} of gigabytes', path, _first))
  with h5py.File(folder / 'other.h5', 'w') as file:
    file['x'] = np.zeros((2, 8, 8), np.uint8)
  (folder / 'outside').write_bytes(bytes(128))
  path = folder / 'link.h5'
  with h5py.File(path, 'w') as file:
    file['x'] = h5py.ExternalLink(str(folder / 'other.h5'), 'x')
  made.append(Bomb('HDF5: a link to another file', path, _first))
  path = folder / 'raw.h5'
  with h5py.File(path, 'w') as file:
    outside = [(str(folder / 'outside'), 0, 128)]
    file.create_dataset('x', (2, 8, 8), np.uint8, external=outside)
  made.append(Bomb('HDF5: pixels of another file', path, _first))
  return made


def _safetensors() -> dict[str, bytes]:
  def made(header: object, data: bytes = bytes(64)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack('<Q', len(text)) + text + data

  def tensor(shape: list[int], begin: int, end: int, kind: str = 'F32') -> dict:
    return {'dtype': kind, 'shape': shape, 'data_offsets': [begin, end]}

  return {
    'header_of_2_to_63': struct.pack('<Q', 2**63) + b'{}',
    'header_of_99_mb': struct.pack('<Q', 99_000_000) + b'{' + b' ' * 100,
    'shape_beyond_data': made({'a': tensor([2**31, 2**31], 0, 64)}),
    'offsets_beyond_file': made({'a': tensor([16], 0, 2**40)}),
    'offsets_reversed': made({'a': tensor([16], 64, 0)}),
    'offsets_negative': made({'a': tensor([16], -64, 0)}),
    'overlapping': made({'a': tensor([16], 0, 64), 'b': tensor([16], 0, 64)}),
    'hole': made({'a': tensor([4], 48, 64)}),
    'other_type': made({'a': tensor([16], 0, 64, 'F9')}),
    'name_twice': made(
      b'{"a": {"dtype": "F32", "shape": [16], "data_offsets": [0, 64]},'
      b' "a": {"dtype": "F32", "shape": [8], "data_offsets": [0, 32]}}'
    ),
    'depth': made(b'{"a":' * 100_000),
  }


def pickles(folder: pathlib.Path, trace: pathlib.Path) -> list[Bomb]:
  """Returns files that run code where they are unpickled, which would make the folder `trace`."""
  import garbage
  import text_garbage

  from medjax.runs import readings
  from medjax.runs.layout import Layout

  code = pickle.dumps(_Runs(trace))
  inner, holder = io.BytesIO(), np.empty(1, object)
  holder[0] = _Runs(trace)
  np.save(inner, holder, allow_pickle=True)
  npz = io.BytesIO()
  np.savez(npz, x=holder)
  torch = io.BytesIO()
  with zipfile.ZipFile(torch, 'w') as archive:
    archive.writestr('archive/data.pkl', code)
  work = folder / 'pickles'
  (work / 'evaluation').mkdir(parents=True)
  made = []
  for name, data, read in (
    ('npz of objects', npz.getvalue(), _first),
    ('x.npz that is a pickle', code, _first),
    ('x.h5 that is a pickle', code, _first),
    ('w.safetensors that is a pickle', code, garbage._weights),
    ('w.pth of torch', torch.getvalue(), garbage._weights),
    ('w.bin of torch', torch.getvalue(), garbage._weights),
    ('labels.csv that is a pickle', code, _labels),
    ('p.csv that is a pickle', code, text_garbage.predictions),
    ('x.png that is a pickle', code, garbage._picture),
    ('x.npy that is a picture', inner.getvalue(), garbage._picture),
    ('x.xlsx that is a pickle', code, _labels),
  ):
    path = work / {'npz of objects': 'objects.npz'}.get(name, name.partition(' ')[0])
    path.write_bytes(data)
    made.append(Bomb(f'pickle: {name}', path, read))
  for name in ('config.json', 'split.json', 'evaluation/readings.json', 'frozen.json'):
    (work / name).write_bytes(code)
    made.append(Bomb(f'pickle: {name}', work / name, lambda path: _json(path, work)))

  def _json(path: pathlib.Path, work: pathlib.Path) -> object:
    layout = Layout(work)
    if path.name == 'readings.json':
      return readings.read(layout)
    return text_garbage.config(path) if path.name == 'config.json' else _of_run(path)

  return made


def _of_run(path: pathlib.Path) -> object:
  from medjax.data.split import split_files
  from medjax.evaluation import frozen

  if path.name == 'split.json':
    (path.parent / 'split.csv').write_text('image,patient,split\n')
    return split_files.read_proof(path.parent)
  return frozen.read(path.parent, seeds.LABELS)

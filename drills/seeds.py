"""Small valid files of every kind that medjax reads, generated here; what garbage is made of."""

import io
import json
import multiprocessing
import pathlib
import tarfile

import numpy as np
from PIL import Image

SIDE = 24  # pixels
LABELS = ('Mass', 'Edema')


def _pixels(channels: int = 1, kind: type = np.uint8) -> np.ndarray:
  """Returns a ramp with noise that uses the whole range, [SIDE, SIDE(, channels)]."""
  most = np.iinfo(kind).max
  ramp = np.add.outer(np.arange(SIDE), np.arange(SIDE)) / (2 * SIDE - 2)
  noise = np.random.default_rng(0).uniform(-0.1, 0.1, (SIDE, SIDE, channels))
  pixels = np.clip(ramp[..., None] + noise, 0, 1) * most
  return pixels.astype(kind)[..., 0] if channels == 1 else pixels.astype(kind)


def _saved(pixels: np.ndarray, format: str, **options: object) -> bytes:
  file = io.BytesIO()
  Image.fromarray(pixels).save(file, format, **options)
  return file.getvalue()


def pictures() -> dict[str, dict[str, bytes]]:
  """Returns kind → name of a file → its bytes, of pictures but DICOM."""
  grey, colour, deep = _pixels(), _pixels(3), _pixels(1, np.uint16)
  exif = Image.Exif()
  exif[0x0112] = 6
  return {
    'JPEG': {
      'grey.jpg': _saved(grey, 'JPEG'),
      'colour.jpg': _saved(colour, 'JPEG', exif=exif),
      'progressive.jpg': _saved(colour, 'JPEG', progressive=True),
    },
    'PNG': {
      'grey.png': _saved(grey, 'PNG'),
      'colour.png': _saved(colour, 'PNG'),
      'deep.png': _saved(deep, 'PNG'),
      'palette.png': _palette(colour, 'PNG'),
    },
    'TIFF': {
      'grey.tif': _saved(grey, 'TIFF'),
      'colour.tif': _saved(colour, 'TIFF', compression='tiff_lzw'),
      'deep.tif': _saved(deep, 'TIFF'),
      'jpeg.tif': _saved(colour, 'TIFF', compression='jpeg'),
      'deflated.tif': _saved(grey, 'TIFF', compression='tiff_adobe_deflate'),
    },
    'JPEG 2000': {
      'grey.jp2': _saved(grey, 'JPEG2000', num_resolutions=3),
      'colour.j2k': _saved(colour, 'JPEG2000', num_resolutions=3, no_jp2=True),
      'deep.jp2': _saved(deep, 'JPEG2000', num_resolutions=3),
    },
    'others': {
      'grey.bmp': _saved(grey, 'BMP'),
      'grey.gif': _saved(grey, 'GIF'),
      'colour.webp': _saved(colour, 'WEBP'),
      'grey.pgm': _saved(grey, 'PPM'),
    },
  }


def _palette(pixels: np.ndarray, format: str) -> bytes:
  file = io.BytesIO()
  Image.fromarray(pixels).quantize(16).save(file, format)
  return file.getvalue()


def dicoms() -> dict[str, bytes]:
  """Returns name → bytes, a file in each transfer syntax that can be written here."""
  from pydicom import uid
  from pydicom.pixels import get_encoder

  grey, colour, deep = _pixels(), _pixels(3), _pixels(1, np.uint16) >> 4
  made = {}
  for name, syntax in (
    ('implicit', uid.ImplicitVRLittleEndian),
    ('explicit', uid.ExplicitVRLittleEndian),
    ('big_endian', uid.ExplicitVRBigEndian),
    ('deflated', uid.DeflatedExplicitVRLittleEndian),
  ):
    made[f'{name}.dcm'] = dicom(deep.astype('>u2' if 'big' in name else '<u2'), syntax, bits=12)
  for name, syntax, frame in (
    ('jpeg', uid.JPEGBaseline8Bit, _saved(grey, 'JPEG')),
    ('jpeg_2000_lossless', uid.JPEG2000Lossless, _saved(grey, 'JPEG2000', no_jp2=True)),
    (
      'jpeg_2000',
      uid.JPEG2000,
      _saved(grey, 'JPEG2000', no_jp2=True, irreversible=True, num_resolutions=3),
    ),
  ):
    made[f'{name}.dcm'] = dicom(grey, syntax, frame=frame)
  encoder = get_encoder(uid.RLELossless)
  made['rle.dcm'] = dicom(
    grey,
    uid.RLELossless,
    frame=encoder.encode(
      grey.tobytes(), rows=SIDE, columns=SIDE, samples_per_pixel=1, bits_allocated=8,
      bits_stored=8, pixel_representation=0, photometric_interpretation='MONOCHROME2',
      number_of_frames=1,
    ),
  )  # fmt: skip
  made['colour.dcm'] = dicom(colour, uid.ExplicitVRLittleEndian)
  made['window.dcm'] = dicom(
    deep, uid.ExplicitVRLittleEndian, bits=12, WindowCenter=2000, WindowWidth=3000, RescaleSlope=2,
    RescaleIntercept=-100, PixelPaddingValue=0,
  )  # fmt: skip
  return made


def dicom(
  pixels: np.ndarray, syntax: str, *, bits: int = 8, frame: bytes = b'', **attributes: object
) -> bytes:
  """Returns a DICOM file.

  Args:
    pixels: of one frame, [H, W] or [H, W, 3].
    syntax: UID of the transfer syntax.
    bits: stored of each value.
    frame: the pixels compressed; empty where the syntax does not compress them.
    **attributes: further ones, by keyword.
  """
  import pydicom
  from pydicom.encaps import encapsulate

  file = pydicom.Dataset()
  file.file_meta = pydicom.dataset.FileMetaDataset()
  file.file_meta.TransferSyntaxUID = syntax
  kind = pydicom.uid.DigitalXRayImageStorageForPresentation
  file.file_meta.MediaStorageSOPClassUID = file.SOPClassUID = kind
  file.file_meta.MediaStorageSOPInstanceUID = file.SOPInstanceUID = '1.2.3.4'
  file.PatientID, file.StudyInstanceUID = '0071', '1.2.3'
  file.PatientAge, file.PatientSex, file.ViewPosition = '045Y', 'F', 'PA'
  file.Rows, file.Columns = pixels.shape[:2]
  file.SamplesPerPixel = 3 if pixels.ndim == 3 else 1
  file.PhotometricInterpretation = 'RGB' if pixels.ndim == 3 else 'MONOCHROME2'
  if pixels.ndim == 3:
    file.PlanarConfiguration = 0
  file.BitsAllocated = 8 * pixels.dtype.itemsize
  file.BitsStored, file.HighBit, file.PixelRepresentation = bits, bits - 1, 0
  for name, value in attributes.items():
    setattr(file, name, value)
  file.PixelData = encapsulate([frame]) if frame else pixels.tobytes()
  file['PixelData'].VR = 'OB' if frame or file.BitsAllocated == 8 else 'OW'
  written = io.BytesIO()
  pydicom.dcmwrite(written, file, enforce_file_format=True)
  return written.getvalue()


def slide() -> bytes:
  """Returns a tiled TIFF of two levels with its resolution, as OpenSlide reads slides."""
  import tifffile

  pixels = np.kron(_pixels(3), np.ones((8, 8, 1), np.uint8))
  file = io.BytesIO()
  with tifffile.TiffWriter(file) as written:
    for factor in (1, 2):
      level = np.asarray(Image.fromarray(pixels).reduce(factor))
      resolution = (1e4 / (0.25 * factor),) * 2
      written.write(
        level, tile=(64, 64), photometric='rgb', subfiletype=int(factor > 1),
        resolution=resolution, resolutionunit='CENTIMETER', metadata=None,
      )  # fmt: skip
  return file.getvalue()


def containers(folder: pathlib.Path) -> dict[str, dict[str, bytes]]:
  """Returns kind → name of a file → its bytes, of containers of images; writes in `folder`."""
  import h5py

  images = np.stack([_pixels()] * 3)
  npz = {name: io.BytesIO() for name in ('stored.npz', 'packed.npz')}
  np.savez(npz['stored.npz'], x=images)
  np.savez_compressed(npz['packed.npz'], x=images)
  hdf5 = {}
  for name, options in (('plain.h5', {}), ('packed.h5', {'chunks': True, 'compression': 'gzip'})):
    with h5py.File(folder / name, 'w') as file:
      file.create_dataset('x', data=images, **options)
    hdf5[name] = (folder / name).read_bytes()
  # The threads of their libraries would be missing in a process that is forked afterwards.
  process = multiprocessing.get_context('fork').Process(target=_write_records, args=(folder,))
  process.start()
  process.join()
  others = {'array_record': 'x.array_record', 'tar': 'x.tar', 'parquet': 'x.parquet'}
  return {
    'npz': {name: file.getvalue() for name, file in npz.items()},
    'HDF5': hdf5,
    **{kind: {name: (folder / name).read_bytes()} for kind, name in others.items()},
  }


def _write_records(folder: pathlib.Path) -> None:
  import pyarrow.parquet
  from array_record.python.array_record_module import ArrayRecordWriter

  picture = _saved(_pixels(), 'PNG')
  writer = ArrayRecordWriter(str(folder / 'x.array_record'), 'group_size:1')
  for _ in range(3):
    writer.write(picture)
  writer.close()
  table = pyarrow.table({'image': [{'bytes': picture, 'path': 'a.png'}] * 3})
  pyarrow.parquet.write_table(table, folder / 'x.parquet')
  with tarfile.open(folder / 'x.tar', 'w') as file:
    for number in range(3):
      for ending, data in (('png', picture), ('cls', b'1')):
        member = tarfile.TarInfo(f'{number:04}.{ending}')
        member.size = len(data)
        file.addfile(member, io.BytesIO(data))


def safetensors() -> bytes:
  """Returns weights of two layers."""
  from safetensors import numpy

  random = np.random.default_rng(0)
  tensors = {f'layer{n}.weight': random.normal(size=(4, 4)).astype(np.float32) for n in range(2)}
  return numpy.save(tensors, metadata={'names': 'medjax'})


def tables() -> dict[str, bytes]:
  """Returns name → bytes, of the tables that people make."""
  random, rows = np.random.default_rng(0), range(12)
  lines = {
    'predictions.csv': ['image,patient,prob_Mass,true_Mass,prob_Edema,true_Edema']
    + [f'{n}.png,{n // 2},{random.random():.6f},{n % 2},{random.random():.6f},' for n in rows],
    'labels.csv': ['image,patient,Mass,Edema,age,sex']
    + [f'{n}.png,{n // 2},{n % 2},{-(n % 3 == 0)},{40 + n},{"MF"[n % 2]}' for n in rows],
    'reads.csv': ['image,reader,Mass,Edema']
    + [f'{n}.png,reader {r},{n % 2},{int(n % 3 == r)}' for n in rows for r in range(2)],
    'boxes.csv': ['image,label,x,y,width,height']
    + [f'{n}.png,Mass,{n},{n + 1},{n + 2},{n + 3}' for n in rows],
  }
  return {name: '\n'.join([*text, '']).encode() for name, text in lines.items()}


def outlines() -> bytes:
  """Returns an XML file of ASAP with two outlines."""
  corners = ((0, 0), (90, 0), (90, 90), (0, 90))
  annotations = ''.join(
    f'<Annotation Name="{group}" Type="Polygon" PartOfGroup="{group}"><Coordinates>'
    + ''.join(f'<Coordinate Order="{n}" X="{x}" Y="{y}"/>' for n, (x, y) in enumerate(corners))
    + '</Coordinates></Annotation>'
    for group in ('Tumor', 'Exclusion')
  )
  return (
    '<?xml version="1.0"?><ASAP_Annotations><Annotations>'
    f'{annotations}</Annotations></ASAP_Annotations>'
  ).encode()


def workbook() -> bytes:
  """Returns an Excel file of labels."""
  import openpyxl

  book = openpyxl.Workbook()
  for line in tables()['labels.csv'].decode().splitlines():
    book.active.append(line.split(','))
  file = io.BytesIO()
  book.save(file)
  return file.getvalue()


def config() -> bytes:
  """Returns config.json of a run."""
  from medjax import config as configs

  made = configs.Config(
    data=configs.Data('csv', '/data', LABELS, 32), model=configs.Model('resnet_tiny')
  )
  return json.dumps(configs.to_dict(made), indent=1).encode()

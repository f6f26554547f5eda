"""One image of a container of many: `container#key`, both relative to the data root.

  scans.h5#12, scans.h5#name/12      row 12 of the HDF5 data set `x`, or `name`: uint8[N, H, W(, 3)]
  derma.npz#train_images/12          row 12 of an array of an .npz file, likewise
  patches.array_record#12            record 12: an image file (PNG, JPEG, DICOM …), or numpy.save's
  train-0001.tar#12                  the image of sample 12, as medjax.data.images.tar_shards says
  train-0001.parquet#image/12        row 12 of the column `image`, a file or {'bytes': a file}
  patch_camelyon/2.0.0#train/12      example 12 of a split of a folder that TensorFlow Datasets
                                     prepared as array_record: its feature `image`; TensorFlow is
                                     not needed

Rows count from 0. What is opened stays open, in each process for itself: nothing of it is pickled,
and all threads of a process share it. An .npz is decoded when first read and kept in memory, once
for each worker; HDF5 reads one image at a time in each process, so there workers are faster than
threads. In an HDF5 file whose chunks hold parts of many images, images in random order come a
hundred times slower than from one laid out by the image:
`h5repack -l x:CHUNK=1x96x96x3 old.h5 new.h5`. An array_record is best written with `group_size:1`.
"""

import functools
import io
import math
import os
import pathlib
import threading
import zipfile
from typing import IO, Any

import numpy as np

from medjax.data import packed
from medjax.data.images import memory
from medjax.errors import InputError, nearest
from medjax.runtime import remote

_HDF5 = ('.h5', '.hdf5')
_PARQUET = '.parquet'
_NUMPY = b'\x93NUMPY'
_OPEN = 512  # files; a process may commonly have 1,024
_CHUNK_CACHE = 2**26  # bytes, of each HDF5 data set
# Two threads must not decode the same .npz at once.
_opening = threading.Lock()


def is_inside(path: str | pathlib.Path) -> bool:
  """Whether a path is `container#key`, and not a file with such a name."""
  return '#' in str(path) and not remote.exists(path)


def is_read_in_order(path: str | pathlib.Path) -> bool:
  """Whether images beside each other in a container come much faster than others."""
  return is_inside(path) and container_of(str(path)).endswith(_PARQUET)


def container_of(path: str) -> str:
  """Returns what holds an image on disk: the path itself, unless it is `container#key`."""
  container, sign, key = path.rpartition('#')
  is_key = bool(sign) and key.rpartition('/')[2].isdecimal()
  return container if is_key and is_inside(path) else path


def read(path: str | pathlib.Path) -> np.ndarray | bytes:
  """Returns uint8[H, W] or uint8[H, W, 3], or the file of an encoded image.

  Raises:
    InputError: no such container, of a kind that is not read, or no such image in it.
  """
  container, _, key = str(path).rpartition('#')
  name, _, number = key.rpartition('/')
  if not remote.exists(container):
    raise InputError(f'{container}: no such file, which should hold the image {key}')
  if not number.isdecimal():
    raise InputError(f"{path}: after the '#' an image's number must stand, such as {container}#0")
  process = os.getpid()  # A forked process must not share its parent's open files.
  try:
    with _opening:
      images = _open(_local(container), name, process)
    count = len(images)
    if int(number) >= count:
      raise InputError(f'{path}: no such image; {container} holds {count:,} there, numbered from 0')
    return _checked(path, images[int(number)])
  except (InputError, MemoryError, remote.Unreachable):
    raise
  except Exception as error:  # Of five libraries.
    reason = ' '.join(str(error).split())[:200] or type(error).__name__
    raise InputError(f'{path}: cannot be read ({reason})') from None


@functools.cache
def _local(container: str) -> str:
  return remote.local_copy(container)


def _open(container: str, name: str, process: int) -> Any:
  """Returns what gives an image, or an encoded one, for a number."""
  path = pathlib.Path(container)
  if path.is_dir():
    return _tfds(container, name, process)
  if path.exists() and not path.is_file():  # To open a pipe would wait for ever.
    raise InputError(f'{container}: a pipe or device, not a container')
  if path.suffix in _HDF5:
    return _hdf5(container, name or 'x', process)
  if path.suffix == '.npz':
    return _npz(container, name, process)
  if '.array_record' in path.name:
    return _array_record(container, process)
  if path.suffix == '.tar':
    return _tar(container, process)
  if path.suffix == _PARQUET:
    return _parquet(container, name or 'image', process)
  unpack = '; unpack it with gunzip' if path.suffix == '.gz' else ''
  raise InputError(
    f'{container}: no container of a kind that is read (.h5, .npz, .array_record, .tar, .parquet, '
    f'or a folder of TensorFlow Datasets){unpack}'
  )


@functools.lru_cache(_OPEN)
def _hdf5(container: str, name: str, process: int) -> Any:
  import h5py

  # Room for the chunks of many images, of which neighbours in the file share each.
  file = h5py.File(container, 'r', rdcc_nbytes=_CHUNK_CACHE, rdcc_nslots=10_007)
  _check_name(container, name, file)
  images = file[name]
  # A name may lead to any other file here, which is not what was said to be read.
  if images.file.filename != file.filename or images.external or images.is_virtual:
    raise InputError(f'{container}: its {name} lies in another file; copy it into this one')
  for part in (images.shape[1:], images.chunks or ()):
    if (size := images.dtype.itemsize * math.prod(part)) > memory.MOST // 2:
      raise InputError(f'{container}: an image or chunk of its {name} takes {size / 2**30:.0f} GB')
  return images


@functools.cache
def _npz(container: str, name: str, process: int) -> np.ndarray:
  with np.load(container) as file, zipfile.ZipFile(container) as archive:
    _check_name(container, name, file)
    member = archive.getinfo(name if name in archive.namelist() else f'{name}.npy')
    packed.check(member.compress_size, member.file_size)
    with archive.open(member) as opened:
      _check_claim(opened, member.file_size)
    return file[name]


def _check_claim(file: IO[bytes], size: int) -> None:
  """Raises ValueError where an array of numpy.save's says that it is more than its file holds."""
  version = np.lib.format.read_magic(file)
  read = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
  if version not in read:
    raise ValueError(f'an array of version {version[0]}.{version[1]}')
  shape, _, dtype = read[version](file)
  if not dtype.hasobject and dtype.itemsize * math.prod(shape) > size:
    raise ValueError(f'{dtype}{list(shape)} is more than its {size:,} bytes')


def _check_name(container: str, name: str, names: Any) -> None:
  if name not in names:
    known = sorted(names)
    raise InputError(
      f"{container}: holds no '{name}'{nearest(name, known)}; it holds "
      f'{", ".join(known) or "nothing"}'
    )


@functools.lru_cache(_OPEN)
def _array_record(container: str, process: int) -> Any:
  from array_record.python.array_record_data_source import ArrayRecordDataSource

  return ArrayRecordDataSource(container)


@functools.lru_cache(_OPEN)
def _tar(container: str, process: int) -> Any:
  from medjax.data.images.tar_shards import TarShard

  return TarShard(container)


@functools.lru_cache(_OPEN)
def _parquet(container: str, column: str, process: int) -> Any:
  from medjax.data.images.parquet_images import ParquetImages

  return ParquetImages(container, column)


@functools.lru_cache(_OPEN)
def _tfds(container: str, name: str, process: int) -> Any:
  try:
    import tensorflow_datasets as tfds
  except ImportError:
    raise InputError(
      f"{container}: folders of TensorFlow Datasets need it: pip install 'medjax[tfds]'"
    ) from None
  builder = tfds.builder_from_directory(container)
  _check_name(container, name, builder.info.splits)
  if 'image' not in builder.info.features:
    raise InputError(
      f"{container}: its examples have no feature 'image'; they have "
      f'{", ".join(builder.info.features)}'
    )
  return builder.as_data_source(name)


def _checked(path: str | pathlib.Path, image: Any) -> np.ndarray | bytes:
  if isinstance(image, dict):
    image = image['image']
  if isinstance(image, bytes):
    if not image.startswith(_NUMPY):
      return image
    _check_claim(io.BytesIO(image), len(image))
    image = np.load(io.BytesIO(image))
  if image.ndim == 3 and image.shape[2] == 1:
    image = image[..., 0]
  if image.dtype != np.uint8 or not (image.ndim == 2 or (image.ndim == 3 and image.shape[2] == 3)):
    raise InputError(
      f'{path}: {image.dtype}{list(image.shape)} is no image; it must be uint8, [height, width] or '
      '[height, width, 3]'
    )
  return image

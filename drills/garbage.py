"""Every reader is given files that are almost valid: each ends in what it holds, or in one line.

Small valid files are made here and changed by a seed (see mutations.py), and texts are drawn by
Hypothesis. Lost is a traceback, a process that ends, more than 10 s, more than 2 GB, or rows that
another reader of the same file does not see in it.
"""

import dataclasses
import multiprocessing
import pathlib
import random
import shutil
import tempfile
from collections.abc import Callable, Mapping

import common
import damaged_checkpoints
import mutations
import seeds
import text_garbage
import watched_child

SHARE_IN_MEMORY = pathlib.Path('/dev/shm')
COUNTS = multiprocessing.get_context('fork').Array('q', 2, lock=False)  # read, refused


@dataclasses.dataclass(frozen=True)
class Reader:
  """What reads a kind of files.

  Attributes:
    files: name → bytes of valid ones.
    read: reads the file of a path; returns '' or what is silently wrong in what it gave.
    share: how many of a thousand inputs are for it.
    words: that mean something in such a file.
  """

  files: Mapping[str, bytes]
  read: Callable[[pathlib.Path], str]
  share: int
  words: tuple[bytes, ...] = (b'\0', b'\xff' * 4, b'%n', b'-1')


_SIGNS = (
  b',', b';', b'\t', b'|', b'"', b'\n', b'\r\n', b'\xef\xbb\xbf', b'\xff\xfe', b'nan', b'-1',
  b'1e999', b'=1+1', b'\0', b' ', b'0x10', b'1_000', b'inf', b'1,5', b'\xe2\x80\xae',
)  # fmt: skip
_JSON = (
  b'{', b'[', b'"', b',', b'null', b'NaN', b'-1', b'1e999', b'true', b'\\u0000', b'[' * 3000,
)  # fmt: skip
_XML = (
  b'<', b'>', b'&', b'&x;', b'<!DOCTYPE a [<!ENTITY x "y">]>', b'"', b'NaN', b'inf', b'1e999',
  b'<Annotation>', b'</Annotation>', b'\xff', b'<?xml version="1.1"?>',
)  # fmt: skip
_CHUNKS = (b'IHDR', b'iCCP', b'eXIf', b'\xff\xd8', b'\xff\xc0', b'II*\0', b'MM\0*', b'\x7f' * 4)
_DICOM = (b'\xfe\xff\xdd\xe0', b'\xe0\x7f\x10\0', b'SQ', b'UN', b'OW', b'\xff' * 4, b'(\0\x10\0US')


def readers(folder: pathlib.Path) -> dict[str, Reader]:
  """Returns name → reader, of all kinds of files; writes in `folder`."""
  from medjax.data.images import boxes
  from medjax.data.reference import reader_table
  from medjax.whole_slides import outlines

  tables = seeds.tables()
  pictures = {
    name: Reader(files, _picture, 60, _CHUNKS) for name, files in seeds.pictures().items()
  }
  in_containers = {
    name: Reader(files, _in_container, 25) for name, files in seeds.containers(folder).items()
  }
  split = text_garbage.SplitReader(folder)
  frozen = text_garbage.FrozenReader(folder)
  return {
    **pictures,
    'DICOM': Reader(seeds.dicoms(), _picture, 160, _DICOM),
    'DICOM header': Reader(seeds.dicoms(), _header, 40, _DICOM),
    'slide': Reader({'slide.tif': seeds.slide()}, _slide, 30, _CHUNKS),
    **in_containers,
    'safetensors': Reader({'w.safetensors': seeds.safetensors()}, _weights, 60, _JSON),
    'predictions': Reader(
      {'p.csv': tables['predictions.csv']}, text_garbage.predictions, 60, _SIGNS
    ),
    'table of labels': Reader(
      {'labels.csv': tables['labels.csv']}, text_garbage.labels, 60, _SIGNS
    ),
    'Excel': Reader({'labels.xlsx': seeds.workbook()}, text_garbage.labels, 12),
    'reads': Reader({'r.csv': tables['reads.csv']}, _ends(reader_table.read), 50, _SIGNS),
    'boxes': Reader({'b.csv': tables['boxes.csv']}, _ends(boxes.read), 50, _SIGNS),
    'outlines': Reader({'o.xml': seeds.outlines()}, _ends(outlines.read), 60, _XML),
    'split.csv': Reader({'split.csv': split.csv}, split.read, 40, _SIGNS),
    'split.json': Reader({'split.json': split.proof}, split.read, 40, _JSON),
    'frozen.json': Reader({'frozen.json': frozen.text}, frozen.read, 40, _JSON),
    'config.json': Reader({'config.json': seeds.config()}, text_garbage.config, 40, _JSON),
  }


def _ends(read: Callable[[pathlib.Path], object]) -> Callable[[pathlib.Path], str]:
  def ends(path: pathlib.Path) -> str:
    read(path)
    return ''

  return ends


def _picture(path: pathlib.Path | str) -> str:
  import numpy as np

  from medjax.data.images import decoding
  from medjax.data.images.preprocessing import ImageFormat

  image = decoding.decode(path, ImageFormat(16, 3))
  return '' if image.shape == (16, 16, 3) and image.dtype == np.uint8 else f'{image.shape}'


def _in_container(path: pathlib.Path) -> str:
  from medjax.data.images import containers

  for opened in vars(containers).values():
    if hasattr(opened, 'cache_clear'):
      opened.cache_clear()
  names = {'.npz': 'x/', '.parquet': 'image/'}
  return _picture(f'{path}#{names.get(path.suffix, "")}1')


def _header(path: pathlib.Path) -> str:
  from medjax.data.images import dicom

  values = dicom.header(path)
  return '' if all(isinstance(value, str) for value in values.values()) else f'{values}'


def _slide(path: pathlib.Path) -> str:
  from medjax.whole_slides import pyramid

  slide = pyramid.open_slide(path, 0.25)
  try:
    width, height = pyramid.size_at(slide, 1.0)
    pixels = pyramid.read(slide, 1.0, 0, 0, min(width, 64), min(height, 64))
    return '' if pixels.shape[2] == 3 else f'{pixels.shape}'
  finally:
    slide.handle.close()


def _weights(path: pathlib.Path) -> str:
  from medjax.models.pretrained import weights

  found = weights.find(str(path))
  raw, data = path.read_bytes(), found.tensors
  # Another reader: the header by hand, and the bytes that it counts.
  import json

  length = int.from_bytes(raw[:8], 'little')
  header = json.loads(raw[8 : 8 + length])
  for name, tensor in data.items():
    begin, end = header[name]['data_offsets']
    if tensor.tobytes() != raw[8 + length + begin : 8 + length + end]:
      return f'the tensor {name!r} is not the bytes of the file'
  return ''


def attempt(name: str, reader: Reader, number: int, folder: pathlib.Path) -> str:
  """Makes the input of a number, reads it, and returns '' or what is wrong."""
  from medjax.errors import InputError

  chance = random.Random(f'{name} {number}')
  file = chance.choice(list(reader.files))
  data = mutations.mutated(reader.files[file], list(reader.files.values()), reader.words, chance)
  path = folder / file
  path.write_bytes(data)
  try:
    wrong = reader.read(path)
    COUNTS[0] += 1
  except InputError as error:
    line = str(error)
    COUNTS[1] += 1
    wrong = '' if line.strip() and '\n' not in line else f'not one line: {line[:200]!r}'
  except Exception as error:
    wrong = f'{type(error).__name__}: {" ".join(str(error).split())[:200]}'
  return f'{file}: {wrong}' if wrong else ''


def _read_unchanged(reader: Reader, folder: pathlib.Path) -> None:
  for name, data in reader.files.items():
    (folder / name).write_bytes(data)
    if wrong := reader.read(folder / name):
      raise RuntimeError(f'{name} as it was made: {wrong}')


def main(quick: bool, folder: pathlib.Path) -> common.Figures:
  """Runs the drill."""
  total = 3_000 if quick else 100_000
  shared = SHARE_IN_MEMORY if SHARE_IN_MEMORY.is_dir() else folder
  work = pathlib.Path(tempfile.mkdtemp(prefix='drill_', dir=shared))
  lost, tried = [], 0
  try:
    known = readers(work)
    shares = sum(reader.share for reader in known.values())
    for name, reader in known.items():
      count = max(total * reader.share // shares, 10)
      tried += count

      def try_one(number: int, name: str = name, reader: Reader = reader) -> str:
        return attempt(name, reader, number, work)

      def begin(reader: Reader = reader) -> None:
        text_garbage.quiet()
        _read_unchanged(reader, work)  # What it imports is no part of the first try.

      wrongs = watched_child.go_through(try_one, count, prepare=begin)
      lost += [f'{name}, input {number}: {wrong}' for number, wrong in wrongs]
    drawn, wrong = text_garbage.drawn(300 if quick else 20_000, work)
    tried, lost = tried + drawn, lost + wrong
    run = common.finished_run(folder)
    count = 8 if quick else 400
    tried += count
    lost += damaged_checkpoints.lost(run, count, work)
  finally:
    shutil.rmtree(work, ignore_errors=True)
  line = (
    f'{tried:,} inputs for {len(known) + 1} readers; of {sum(COUNTS):,} changed files '
    f'{COUNTS[0]:,} read, {COUNTS[1]:,} refused in one line'
  )
  return common.Figures(tried, tuple(lost[:40]), line)

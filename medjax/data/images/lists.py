"""The images of a folder, or those that a CSV names, as a list that may be of millions.

The list is written to a temporary file, so that it takes 8 bytes of memory per image, the folder is
walked once, and what comes or goes there later changes nothing.
"""

import array
import collections
import dataclasses
import errno
import hashlib
import json
import os
import pathlib
import tempfile
import threading
import weakref
from collections.abc import Iterable, Iterator, Sequence
from typing import IO, NamedTuple

from medjax.config import names as naming
from medjax.data import identifiers, table
from medjax.data.images import dicom
from medjax.errors import InputError, count

# What Pillow reads of what images are kept in, and DICOM.
ENDINGS = {
  '.bmp', '.dcm', '.dib', '.dicom', '.gif', '.j2c', '.j2k', '.jfif', '.jp2', '.jpe', '.jpeg',
  '.jpf', '.jpg', '.jpx', '.pbm', '.pgm', '.png', '.pnm', '.ppm', '.tif', '.tiff', '.webp',
}  # fmt: skip


class Item(NamedTuple):
  """Attributes:
  image: its name: relative to the folder, or as the CSV has it.
  path: the file, or `container#key`.
  patient: '' where nobody says.
  """

  image: str
  path: str
  patient: str


@dataclasses.dataclass(frozen=True)
class ImageList:
  """Attributes:
  count: how many images.
  sha256: of their names and patients, in their order.
  has_patients: whether a patient is known of any of them.
  skipped: ending → how many files of a folder are no images; 'hidden', 'link to a folder listed
    already' and others too.
  file: one JSON line per image; `items` and `item` read it.
  offsets: where the line of each image begins.
  lock: of the file.
  """

  count: int
  sha256: str
  has_patients: bool
  skipped: dict[str, int]
  file: IO[bytes]
  offsets: array.array
  lock: threading.Lock


def items(images: ImageList) -> Iterator[Item]:
  """Yields the images in their order."""
  return (item(images, number) for number in range(images.count))


def item(images: ImageList, number: int) -> Item:
  """Returns an image by its place in the list; any thread may ask."""
  with images.lock:
    images.file.seek(images.offsets[number])
    line = images.file.readline()
  return Item(*json.loads(line))


def of_paths(paths: Sequence[str | os.PathLike]) -> ImageList:
  """Lists these files, or `container#key`.

  Raises:
    InputError: there is none, or one of them is there twice.
  """
  names = [os.fspath(path) for path in paths]
  if not names:
    raise InputError('no image is given')
  twice = next((name for name, times in collections.Counter(names).items() if times > 1), None)
  if twice is not None:
    raise InputError(f"'{twice}' is given twice; give every image once")
  return _listed((Item(name, os.path.abspath(name), '') for name in names), has_patients=False)


def of_items(listed: Sequence[Item]) -> ImageList:
  """Lists these images; each is there once."""
  return _listed(listed, has_patients=any(item.patient for item in listed))


def of_folder(folder: pathlib.Path) -> ImageList:
  """Lists what lies in a folder and below, folder by folder in the order of names.

  Images are the files with one of the `ENDINGS`, and all that are DICOM by their content, whatever
  their ending (.IMA, .img, none), DICOMDIR excepted. Hidden files and folders are skipped. Links to
  folders are followed, last; no folder is listed twice.

  Raises:
    InputError: no such folder, a folder in it that cannot be read, or no image in it.
  """
  if not folder.is_dir():
    raise InputError(f'{folder}: no such folder')
  skipped: collections.Counter[str] = collections.Counter()
  top = os.path.join(os.path.abspath(folder), '')
  files = (Item(path.removeprefix(top), path, '') for path in _walk(top, skipped))
  images = dataclasses.replace(_listed(files, has_patients=False), skipped=skipped)
  if not images.count:
    others = f'; {in_words(skipped)} skipped: not images' if skipped else ''
    raise InputError(f'{folder}: no image in this folder or below{others}')
  return images


def of_csv(path: pathlib.Path, root: pathlib.Path | None) -> ImageList:
  """Lists what the column `image` (or `path`) of a CSV names, with the column `patient` if any.

  Args:
    path: of the CSV.
    root: what its paths are relative to; None is its own folder.

  Raises:
    InputError: no such file or column, a row without an image, or an image on two rows.
  """
  frame = table.read_csv(path)
  column = next((name for name in ('image', 'path') if name in frame), None)
  if column is None:
    raise InputError(
      f"{path}: no column 'image' (or 'path') that names the images; the columns are: "
      f'{", ".join(frame.columns)}'
    )
  folder = os.path.abspath(path.parent if root is None else root)
  names = frame[column].str.strip()
  first: dict[str, int] = {}
  for row, name in enumerate(names):
    if not name:
      raise InputError(f"{path}: row {row + 2}, column '{column}': the image is empty")
    earlier = first.setdefault(os.path.normpath(os.path.join(folder, name)), row)
    if earlier != row:
      raise InputError(
        f"{path}: row {row + 2}, column '{column}': '{name}' is already in row {earlier + 2}; keep "
        'one row per image'
      )
  patients = frame['patient'].str.strip() if 'patient' in frame else [''] * len(frame)
  patients = ['' if identifiers.is_unknown(name) else name for name in patients]
  named = (
    Item(name, os.path.join(folder, name), patient) for name, patient in zip(names, patients)
  )
  return _listed(named, has_patients='patient' in frame)


def is_image(path: str) -> bool:
  """Whether a file is an image by its ending, or a DICOM by its content."""
  ending = os.path.splitext(path)[1].lower()
  return ending in ENDINGS or _is_dicom(path, ending)


def in_words(skipped: dict[str, int]) -> str:
  """Returns '12 files (8 .txt, 4 hidden)'."""
  parts = sorted(skipped.items(), key=lambda part: (-part[1], part[0]))
  shown = [f'{number:,} {ending}' for ending, number in parts[:6]]
  more = ['…'] if len(parts) > 6 else []
  return f'{count(sum(skipped.values()), "file")} ({", ".join([*shown, *more])})'


def _listed(listed: Iterable[Item], has_patients: bool) -> ImageList:
  file = tempfile.TemporaryFile()  # noqa: SIM115  It is read later.
  digest, offsets, end = hashlib.sha256(), array.array('q'), 0
  for item in listed:
    naming.check_name(item.image, 'image', item.path)
    naming.check_name(item.patient, 'patient', item.path)
    offsets.append(end)
    end += file.write(json.dumps(item).encode() + b'\n')
    digest.update(os.fsencode(f'{item.image}\0{item.patient}\n'))
  lock = threading.Lock()
  weakref.finalize(lock, file.close)  # All copies of a list share both.
  return ImageList(len(offsets), digest.hexdigest(), has_patients, {}, file, offsets, lock)


def _walk(top: str, skipped: collections.Counter) -> Iterator[str]:
  """Yields the images below `top`; what links lead to last, so that a folder has its own name."""
  seen: set[tuple[int, int]] = set()
  waiting = collections.deque([top])
  while waiting:
    yield from _below(waiting.popleft(), seen, waiting, skipped)


def _below(
  folder: str, seen: set, linked: collections.deque, skipped: collections.Counter
) -> Iterator[str]:
  try:
    status = os.stat(folder)
    if (status.st_dev, status.st_ino) in seen:
      skipped['link to a folder listed already'] += 1
      return
    seen.add((status.st_dev, status.st_ino))
    with os.scandir(folder) as entries:
      ordered = sorted(entries, key=lambda entry: entry.name)
  except OSError as error:
    if error.errno != errno.ENAMETOOLONG:
      raise
    skipped['folder with too long a path'] += 1
    return
  for entry in ordered:
    if entry.name.startswith('.'):
      skipped['hidden'] += 1
    elif entry.is_dir(follow_symlinks=False):
      yield from _below(entry.path, seen, linked, skipped)
    elif entry.is_symlink() and os.path.isdir(entry.path):
      linked.append(entry.path)
    elif not (entry.is_symlink() or entry.is_file()):  # To open a pipe would wait for ever.
      skipped['neither file nor folder'] += 1
    elif is_image(entry.path):
      yield entry.path
    else:
      skipped[os.path.splitext(entry.name)[1].lower() or 'without an ending'] += 1


def _is_dicom(path: str, ending: str) -> bool:
  if os.path.basename(path).upper() == 'DICOMDIR' or not os.path.isfile(path):
    return False
  try:
    with open(path, 'rb') as file:
      return dicom.is_dicom('', file.read(dicom.HEAD))
  except OSError:
    # Named as identifiers are it may be one: what cannot be read is listed with its reason.
    return not ending.strip('.0123456789')

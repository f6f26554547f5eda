"""Tar files of samples, as WebDataset writes them: members that share a name are one sample.

`0007.jpg`, `0007.json` and `0007.cls` follow each other and are the sample 0007; what follows the
first point of a name says what the member is (https://github.com/webdataset/webdataset). Nothing is
unpacked: members are read where they lie.
"""

import dataclasses
import os
import posixpath
import tarfile
import threading
from collections.abc import Mapping

from medjax.data.images import lists
from medjax.errors import InputError


@dataclasses.dataclass(frozen=True)
class Sample:
  """A sample of a tar file.

  Attributes:
    key: its name, with its folders.
    members: ending, in lower case → where the member begins, and how long it is, bytes.
  """

  key: str
  members: Mapping[str, tuple[int, int]]

  @property
  def image(self) -> str:
    """The ending of its image, '' without one."""
    return next((ending for ending in self.members if _is_image(ending)), '')


class TarShard:
  """A tar file that stays open; item `number` is the image of its sample of that number, from 0.

  Attributes:
    samples: those with an image, in their order.
  """

  def __init__(self, path: str):
    """Reads the names in a tar file.

    Raises:
      InputError: it is none, or one whose members make no samples.
    """
    self.samples = [sample for sample in _samples(path) if sample.image]
    self._file = open(path, 'rb')  # noqa: SIM115  It is read later.
    self._lock = threading.Lock()
    if os.path.getsize(path) < max((sum(last) for last in self._last()), default=0):
      raise InputError(f'{path}: is cut off; fetch it again')

  def __len__(self) -> int:
    return len(self.samples)

  def __getitem__(self, number: int) -> bytes:
    return self.member(number, self.samples[number].image)

  def member(self, number: int, ending: str) -> bytes:
    """Returns a member of a sample; any thread may ask."""
    start, size = self.samples[number].members[ending]
    with self._lock:
      self._file.seek(start)
      return self._file.read(size)

  def close(self) -> None:
    """Closes the file."""
    self._file.close()

  def _last(self) -> list[tuple[int, int]]:
    return [place for sample in self.samples[-1:] for place in sample.members.values()]


def _is_image(ending: str) -> bool:
  return f'.{ending.rpartition(".")[2]}' in lists.ENDINGS


def _samples(path: str) -> list[Sample]:
  samples: dict[str, dict[str, tuple[int, int]]] = {}
  last = ''
  try:
    with tarfile.open(path, 'r:') as file:
      for member in file:
        _check_name(path, member.name)
        if member.isdir() or posixpath.basename(member.name).startswith('.'):
          continue
        key, ending = _parts(path, member)
        if key in samples and key != last:
          raise InputError(
            f"{path}: the members of the sample '{key}' do not follow each other; write it anew, "
            'sorted by name'
          )
        members, last = samples.setdefault(key, {}), key
        if ending in members or (_is_image(ending) and any(map(_is_image, members))):
          raise InputError(
            f"{path}: the sample '{key}' has two images, or two members '.{ending}'; keep one"
          )
        members[ending] = member.offset_data, member.size
  except (tarfile.TarError, EOFError) as error:
    unpack = '; unpack it with gunzip' if path.endswith(('.gz', '.tgz')) else '; fetch it again'
    raise InputError(f'{path}: no tar file, or a damaged one ({error}){unpack}') from None
  return [Sample(key, members) for key, members in samples.items()]


def _check_name(path: str, name: str) -> None:
  if name.startswith('/') or '..' in name.split('/') or '\\' in name or '\0' in name:
    raise InputError(f"{path}: '{name}' leads out of the tar file, which is not to be trusted")


def _parts(path: str, member: tarfile.TarInfo) -> tuple[str, str]:
  """Returns the sample's name and what follows its first point."""
  name = member.name.removeprefix('./')
  if not member.isreg():
    raise InputError(f"{path}: '{name}' is a link or a device, not a file; leave it out")
  folder, own = posixpath.split(name)
  stem, _, ending = own.partition('.')
  return posixpath.join(folder, stem), ending.lower()

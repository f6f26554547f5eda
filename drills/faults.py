"""A disk that fails for one program, at the operation that is asked for; see faults.c."""

import dataclasses
import os
import pathlib
import shutil
import subprocess

import common

KILL = -1


@dataclasses.dataclass(frozen=True)
class Faults:
  """What fails.

  Attributes:
    under: the path below which operations count.
    at: the number of the first that fails, from 1; 0 where none does.
    errno: of those that fail; KILL where the process is killed there.
    times: how many fail.
    kind: of operations: 'write', 'read', 'rename' or 'lock'.
    delay: seconds that each of them takes longer.
    clock: seconds that the clock is ahead.
  """

  under: pathlib.Path
  at: int = 0
  errno: int = 0
  times: int = 1_000_000
  kind: str = 'write'
  delay: float = 0
  clock: int = 0

  def variables(self, folder: pathlib.Path) -> dict[str, str]:
    """Returns the environment of a command whose disk fails so; its count begins anew."""
    _counter(folder).write_bytes(bytes(8))
    return {
      'LD_PRELOAD': str(_built(folder)),
      'FAULTS_UNDER': str(self.under),
      'FAULTS_COUNTER': str(_counter(folder)),
      'FAULTS_AT': str(self.at),
      'FAULTS_ERRNO': str(self.errno),
      'FAULTS_TIMES': str(self.times),
      'FAULTS_KIND': self.kind,
      'FAULTS_CLOCK': str(self.clock),
      'FAULTS_DELAY_US': str(round(self.delay * 1e6)),
    }


def may_fail() -> bool:
  """Whether disks can be made to fail here: there is a C compiler."""
  return shutil.which('cc') is not None


def counted(folder: pathlib.Path) -> int:
  """Returns how many operations the last command did."""
  return int.from_bytes(_counter(folder).read_bytes(), 'little')


def _counter(folder: pathlib.Path) -> pathlib.Path:
  return folder / 'faults_counter'


def _built(folder: pathlib.Path) -> pathlib.Path:
  library = common.shared(folder) / 'faults.so'
  if not library.exists():
    source = pathlib.Path(__file__).with_suffix('.c')
    made = library.with_name(f'faults_{os.getpid()}.so')  # Two drills may begin at once.
    subprocess.run(['cc', '-shared', '-fPIC', '-O1', '-o', made, source, '-ldl'], check=True)
    made.rename(library)
  return library

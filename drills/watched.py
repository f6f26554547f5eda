"""Commands that are started and disturbed: their processes, shared memory and locks are known."""

import contextlib
import functools
import os
import pathlib
import shutil
import signal
import subprocess
import time
import uuid

import common

_MARK = 'MEDJAX_DRILL'  # a variable that all processes of one start inherit
PATIENCE = 15  # seconds in which a process must have noticed that it is alone
_MOUNTING = ('unshare', '--user', '--map-root-user', '--mount', 'sh', '-c')


@functools.cache
def may_mount() -> bool:
  """Whether a file system may be mounted here, in a namespace that one command sees."""
  if shutil.which('unshare') is None:
    return False
  tried = [*_MOUNTING, 'mount -t tmpfs none /mnt']
  return not subprocess.run(tried, capture_output=True).returncode


def mounted(script: str, line: list[str]) -> list[str]:
  """Returns the command line that runs a shell script, which may mount, and becomes `line`."""
  return [*_MOUNTING, f'{script}\nexec "$@"', 'sh', *line]


class Started:
  """A command at work, in a `with` statement after which none of its processes is.

  Args:
    line: its command line.
    folder: of the drill; what it prints goes into a file there.
    **variables: of its environment.
  """

  def __init__(self, line: list[str], folder: pathlib.Path, **variables: str):
    self.mark = uuid.uuid4().hex
    self._output = folder / 'printed.txt'
    self._shared_memory = folder / 'shared_memory'
    self._shared_memory.mkdir(exist_ok=True)
    if may_mount():
      line = mounted(f"mount --bind '{self._shared_memory}' /dev/shm || exit 90", line)
    with self._output.open('w') as output:
      self.process = subprocess.Popen(
        line,
        cwd=common.PROJECT,
        env=common.environment(folder, **variables, **{_MARK: self.mark}),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=subprocess.STDOUT,
        start_new_session=True,
      )

  def __enter__(self) -> 'Started':
    return self

  def __exit__(self, *_: object) -> None:
    for pid in alive(self.mark):
      self.kill(pid)
    self.process.wait()

  @property
  def printed(self) -> str:
    """All that it has printed so far."""
    return self._output.read_text(errors='replace')

  def children(self) -> list[int]:
    """Returns its processes but the first, in no order."""
    return [pid for pid in alive(self.mark) if pid != self.process.pid]

  def wait(self, timeout: float) -> int | None:
    """Returns the exit status, or None where it has not ended by itself in these seconds."""
    with contextlib.suppress(subprocess.TimeoutExpired):
      return self.process.wait(timeout)
    return None

  def kill(self, pid: int | None = None) -> None:
    """Ends one of its processes, the first by default, as SIGKILL does."""
    with contextlib.suppress(ProcessLookupError):
      os.kill(pid or self.process.pid, signal.SIGKILL)

  def left_behind(self) -> str:
    """Returns what of it still runs, or lies in shared memory, after its first process ended.

    What is left is ended and removed.
    """
    self.process.wait()
    deadline = time.monotonic() + PATIENCE
    while (pids := alive(self.mark)) and time.monotonic() < deadline:
      time.sleep(0.05)
    left = [f'process {pid} ({command_line(pid)[:80]})' for pid in pids]
    for pid in pids:
      self.kill(pid)
    for path in self._shared_memory.iterdir():
      left.append(f'shared memory {path.name}')
      path.unlink()
    return ', '.join(left)


def alive(mark: str) -> list[int]:
  """Returns the processes that carry a mark and have not ended."""
  pids = [int(path.name) for path in pathlib.Path('/proc').iterdir() if path.name.isdigit()]
  return [pid for pid in pids if f'{_MARK}={mark}' in _variables(pid)]


def _variables(pid: int) -> list[str]:
  try:
    return pathlib.Path(f'/proc/{pid}/environ').read_text(errors='replace').split('\0')
  except OSError:  # It has ended, or is another user's.
    return []


def command_line(pid: int) -> str:
  """Returns the command line of a process, '' where it has ended."""
  try:
    return pathlib.Path(f'/proc/{pid}/cmdline').read_text(errors='replace').replace('\0', ' ')
  except OSError:
    return ''

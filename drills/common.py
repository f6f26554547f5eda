"""What drills share: what one returns, the tiny study and run that they disturb, and commands."""

import contextlib
import dataclasses
import io
import os
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping

PROJECT = pathlib.Path(__file__).resolve().parent.parent
CONFIG = '--config=configs/phantom.py'
# Enough to go through everything once; seconds.
TINY = (
  '--config.data.settings.images=120',
  '--config.data.settings.image_size=32',
  '--config.data.image_size=32',
  '--config.batch_size=8',
  '--config.steps=6',
  '--config.evaluate_every=3',
  '--config.optimizer.warmup_steps=1',
  '--config.model.settings.width=4',
  '--config.replicates=50',
  '--config.split.test_floor={}',
)


@dataclasses.dataclass(frozen=True)
class Figures:
  """What a drill has seen.

  Attributes:
    tried: how often something was done to the program.
    lost: a sentence for each time that it did not end as it must; empty where nothing was lost.
    line: what was done, with its numbers; without what was lost.
  """

  tried: int
  lost: tuple[str, ...]
  line: str


class Tally:
  """What a drill has tried and lost so far.

  Args:
    folder: of the drill.
  """

  def __init__(self, folder: pathlib.Path):
    self.folder = folder
    self.tried: dict[str, int] = {}
    self.stopped: dict[str, int] = {}
    self.lost: list[str] = []
    self.left_out: list[str] = []

  def count(self, what: str, problems: list[str], where: str, stopped: bool = True) -> None:
    """Counts one try, what it lost, and whether the command could not go on."""
    self.tried[what] = self.tried.get(what, 0) + 1
    self.stopped[what] = self.stopped.get(what, 0) + stopped
    self.lost += [f'{what}, {where}: {problem}' for problem in problems]

  def figures(self) -> Figures:
    """Returns what the drill returns."""
    parts = [f'{what} {self.stopped[what]} of {count}' for what, count in self.tried.items()]
    parts += [f'not tried here: {what}' for what in self.left_out]
    line = f'stopped by {"; ".join(parts)}'
    return Figures(sum(self.tried.values()), tuple(self.lost), line)


def shared(folder: pathlib.Path) -> pathlib.Path:
  """Returns the folder that the drills of one start share: data, a finished run, programs."""
  path = folder.parent / 'shared'
  path.mkdir(parents=True, exist_ok=True)
  return path


def environment(folder: pathlib.Path, **more: str) -> dict[str, str]:
  """Returns the environment of commands: on a CPU, programs compiled with no care and kept.

  Args:
    folder: of the drill.
    **more: further variables.
  """
  return {
    **os.environ,
    'PYTHONPATH': str(PROJECT),
    'JAX_PLATFORMS': 'cpu',
    'JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS': '0',
    'XLA_FLAGS': f'{os.environ.get("XLA_FLAGS", "")} --xla_backend_optimization_level=0'.strip(),
    'XDG_CACHE_HOME': str(shared(folder) / 'cache'),
    'TMPDIR': str(temporary(folder)),
    **more,
  }


def temporary(folder: pathlib.Path) -> pathlib.Path:
  """Returns the folder that commands take for /tmp, so that what they leave there is seen."""
  path = folder / 'tmp'
  path.mkdir(parents=True, exist_ok=True)
  return path


def command(name: str, *arguments: object) -> list[str]:
  """Returns the command line of `python -m medjax.NAME ARGUMENTS`."""
  return [sys.executable, '-m', f'medjax.{name}', *map(str, arguments)]


def training(workdir: pathlib.Path, root: pathlib.Path, *arguments: object) -> list[str]:
  """Returns the command line of a tiny run on the study of `phantom`; later arguments win."""
  return command(
    'main', CONFIG, f'--workdir={workdir}', *TINY, f'--config.data.root={root}', *arguments
  )


def call(
  line: list[str], folder: pathlib.Path, *, timeout: float = 540, **variables: str
) -> subprocess.CompletedProcess:
  """Runs a command line to its end in the project's folder; stdout and stderr are text.

  One that does not end in these seconds is killed, and says so, with the status of `timeout`.
  """
  try:
    return subprocess.run(
      line,
      cwd=PROJECT,
      env=environment(folder, **variables),
      stdin=subprocess.DEVNULL,
      capture_output=True,
      text=True,
      errors='replace',
      timeout=timeout,
    )
  except subprocess.TimeoutExpired:
    return subprocess.CompletedProcess(line, 124, '', f'no end after {timeout:g} s')


def must(line: list[str], folder: pathlib.Path, **variables: str) -> subprocess.CompletedProcess:
  """Runs a command line that a drill needs; one that fails ends the drill."""
  done = call(line, folder, **variables)
  if done.returncode:
    raise RuntimeError(f'{" ".join(line)}: exit status {done.returncode}\n{done.stderr[-3000:]}')
  return done


def phantom(
  folder: pathlib.Path, images: int = 120, image_size: int = 32, seed: int = 0
) -> pathlib.Path:
  """Returns the root of generated chest films, which no drill changes, made once."""
  from medjax.data.phantom import chest

  root = shared(folder) / f'phantom_{images}_{image_size}_{seed}'
  if not root.exists():
    with contextlib.redirect_stdout(io.StringIO()):
      chest.generate(root, images=images, image_size=image_size, seed=seed)
  return root


def finished_run(folder: pathlib.Path) -> pathlib.Path:
  """Returns the work directory of a tiny finished run, made once; one that changes it copies it."""
  workdir = shared(folder) / 'finished'
  if not (workdir / 'evaluation/test.json').exists():
    shutil.rmtree(workdir, ignore_errors=True)
    must(training(workdir, phantom(folder)), folder)
  return workdir


def told_in_one_line(done: subprocess.CompletedProcess) -> str:
  """Returns '' where a command failed as it must, with one line `error: …`; else what is wrong."""
  errors = done.stderr.splitlines()
  if done.returncode == 0:
    return 'it did not fail'
  if done.returncode < 0 or done.returncode > 2:
    return f'it ended with status {done.returncode}: {done.stderr[-300:]!r}'
  if 'Traceback' in done.stderr or 'Traceback' in done.stdout:
    return f'a traceback: {errors[-1][:300]}'
  if len(errors) != 1 or not errors[0].startswith('error: '):
    return f'{len(errors)} lines: {done.stderr[-300:]!r}'
  return ''


def hashes(folder: pathlib.Path, without: Iterable[str] = ()) -> Mapping[str, str]:
  """Returns the SHA-256 of each file of a folder by its relative path, but for top-level names."""
  from medjax.runtime import files

  left_out = set(without)
  return {
    str(path.relative_to(folder)): files.sha256(path)
    for path in sorted(folder.rglob('*'))
    if path.is_file() and path.relative_to(folder).parts[0] not in left_out
  }

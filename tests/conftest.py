"""Small data and small runs that several tests share."""

import ctypes
import ctypes.util
import gc
import importlib.metadata
import json
import os
import pathlib
import subprocess
import sys

import filelock
import pytest

# Tiny programs run once: compiling them carelessly saves more than running them slowly costs. XLA
# reads this when the first device is asked for; the started commands inherit it.
CARELESSLY = ['--xla_backend_optimization_level=0']
if tuple(map(int, importlib.metadata.version('jaxlib').split('.')[:2])) < (0, 11):
  CARELESSLY += ['--xla_cpu_use_fusion_emitters=false']  # Later ones end at a flag unknown to them.
os.environ['XLA_FLAGS'] = ' '.join([os.environ.get('XLA_FLAGS', ''), *CARELESSLY])

PROJECT = pathlib.Path(__file__).parent.parent
# Enough to go through everything once; a few seconds.
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


def pytest_collection_finish():
  """Leaves what all tests import out of every later search for garbage, which it would double."""
  gc.collect()
  gc.freeze()


@pytest.fixture(scope='module', autouse=True)
def compiled_programs_are_dropped():
  """What the tests of one file have compiled does not fill the worker's memory for the next."""
  yield
  if 'jax' in sys.modules:
    import jax

    jax.clear_caches()
    gc.collect()
    gc.freeze()  # What is left is there to stay.
    if libc := ctypes.util.find_library('c'):
      trim = getattr(ctypes.CDLL(libc), 'malloc_trim', None)
      if trim:  # glibc keeps what was freed.
        trim(0)


@pytest.fixture(scope='session')
def shared_folder(tmp_path_factory):
  """One folder for all workers."""
  folder = tmp_path_factory.getbasetemp()
  return folder.parent if 'PYTEST_XDIST_WORKER' in os.environ else folder


@pytest.fixture(scope='session')
def phantom_root(shared_folder):
  """120 generated images of 32 px, which no test changes."""
  from medjax.data.phantom import chest

  root = shared_folder / 'phantom'
  with filelock.FileLock(f'{root}.lock'):
    if not root.exists():
      chest.generate(root, images=120, image_size=32, seed=0)
  return root


@pytest.fixture(scope='session', autouse=True)
def compilation_cache(shared_folder):
  """What one test has compiled, the next need not; the machine's own cache stays out of it."""
  import jax

  os.environ['XDG_CACHE_HOME'] = str(shared_folder / 'cache')
  os.environ['JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS'] = '0'
  jax.config.update('jax_persistent_cache_min_compile_time_secs', 0)
  jax.config.update('jax_compilation_cache_dir', str(shared_folder / 'cache/medjax/jax'))


class Commands:
  """Runs `python -m medjax.<name> …` in the project's folder, in forks of one process a worker."""

  def __init__(self, folder):
    self._folder, self._server = folder, None

  def __call__(self, name, *arguments, check=False, env=None, file_size=None):
    """Returns the finished process: returncode, stdout and stderr.

    What `env` changes may be read when a module is imported: then it is a process of its own. No
    file may grow beyond `file_size` bytes, as on a disk without room.
    """
    command = [sys.executable, '-m', f'medjax.{name}', *map(str, arguments)]
    environment = {**os.environ, 'JAX_PLATFORMS': 'cpu', **(env or {})}
    if file_size is not None:  # What it compiles is cut off too; others must not read it.
      environment['XDG_CACHE_HOME'] = str(self._folder / 'cut_off')
    if env:
      finished = subprocess.run(
        command, cwd=PROJECT, env=environment, capture_output=True, text=True, timeout=540
      )
    else:
      finished = self._fork(command, environment, file_size)
    if check:
      assert finished.returncode == 0, finished.stderr[-3000:]
    return finished

  def _fork(self, command, environment, file_size):
    if self._server is None:
      self._server = subprocess.Popen(
        [sys.executable, PROJECT / 'tests' / 'helpers' / 'fork_server.py'],
        cwd=PROJECT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
      )  # fmt: skip
    outputs = {name: self._folder / name for name in ('stdout', 'stderr')}
    request = {
      'module': command[2],
      'arguments': command[3:],
      'cwd': str(PROJECT),
      'environment': environment,
      'file_size': file_size,
      **{name: str(path) for name, path in outputs.items()},
    }
    print(json.dumps(request), file=self._server.stdin, flush=True)
    status = self._server.stdout.readline()
    assert status, 'the process that runs commands has ended'
    return subprocess.CompletedProcess(
      command, int(status), *(path.read_text() for path in outputs.values())
    )

  def close(self):
    """Ends the process that forks."""
    if self._server is not None:
      self._server.stdin.close()
      self._server.wait()


@pytest.fixture(scope='session')
def command(tmp_path_factory):
  """Runs `python -m medjax.<name> …` in the project's folder and returns the finished process."""
  commands = Commands(tmp_path_factory.mktemp('commands'))
  yield commands
  commands.close()


@pytest.fixture(scope='session')
def finished(command, phantom_root, shared_folder):
  """A tiny run on the phantom, from start to report: its work directory, and what it said.

  All tests share it: one that changes it takes a copy.
  """
  workdir, output = shared_folder / 'finished' / 'run', shared_folder / 'finished.txt'
  with filelock.FileLock(f'{output}.lock'):
    if not output.exists():
      flags = (f'--workdir={workdir}', *TINY, f'--config.data.root={phantom_root}')
      output.write_text(command('main', '--config=configs/phantom.py', *flags, check=True).stdout)
  return workdir, output.read_text()


@pytest.fixture(scope='session')
def other_root(tmp_path_factory):
  """Another 120 generated images: other patients under the same names."""
  from medjax.data.phantom import chest

  root = tmp_path_factory.mktemp('data') / 'other'
  chest.generate(root, images=120, image_size=32, seed=1)
  return root


@pytest.fixture(scope='session')
def graded_root(tmp_path_factory):
  """240 images of 80 patients in three grades, the brighter the graver, named in one column."""
  import numpy as np
  from PIL import Image

  root, rng = tmp_path_factory.mktemp('data') / 'graded', np.random.default_rng(0)
  root.mkdir()
  lines = ['image,patient,grade']
  for number in range(240):
    grade = int(rng.integers(3))
    pixels = rng.integers(0, 60, (32, 32)) + 80 * grade
    Image.fromarray(pixels.astype(np.uint8)).save(root / f'{number}.png')
    lines.append(f'{number}.png,{number // 3},{("none", "mild", "severe")[grade]}')
  (root / 'labels.csv').write_text('\n'.join(lines))
  return root


@pytest.fixture
def machine(tmp_path, monkeypatch):
  """Makes this process one of several machines, each with a disk of its own, by its name.

  They share a bucket in memory, see memory_bucket.
  """
  import fsspec

  from medjax.runtime import bucket, leases, remote

  monkeypatch.setattr(remote, '_PAUSE', 0)
  monkeypatch.setattr(leases, 'LONGEST', 0.05)
  monkeypatch.setattr(leases, '_LOOK', 0.02)
  monkeypatch.setattr(bucket, '_THREADS', 1)
  yield lambda name: monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / name))
  fsspec.filesystem('memory').store.clear()

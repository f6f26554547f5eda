"""The package can be imported where Linux's own modules and functions are missing."""

import os
import pkgutil
import subprocess
import sys

import pytest
from conftest import PROJECT

import medjax
from medjax.errors import InputError
from medjax.runtime import files, processors

# As on Windows (no fcntl, resource, select.poll) and macOS (no os.sched_getaffinity). Libraries
# that look for these are imported before, and are not what is tested.
POISONED = """
import importlib, os, select, sys
for name in ('filelock', 'grain', 'jax', 'orbax.checkpoint', 'tensorboardX', 'pandas', 'tqdm',
             'flax', 'optax', 'scipy.stats', 'safetensors', 'huggingface_hub', 'absl.app',
             'PIL.Image', 'psutil'):
  importlib.import_module(name)
for name in ('fcntl', 'resource'):
  sys.modules[name] = None
for module, name in ((select, 'poll'), (os, 'sched_getaffinity')):
  if hasattr(module, name):
    delattr(module, name)
from absl import flags
for name in sys.argv[1:]:
  importlib.import_module(name)
  for flag in list(flags.FLAGS.flags_by_module_dict().get(name, ())):
    delattr(flags.FLAGS, flag.name)  # Commands have flags of the same names.
from medjax.runtime import processors
assert processors.available() >= 1
print(len(sys.argv) - 1)
"""


@pytest.mark.slow
def test_every_module_is_imported_without_what_only_linux_has():
  modules = [
    module.name
    for module in pkgutil.walk_packages(medjax.__path__, 'medjax.')
    # What runs as a command when it is imported, and what stands in exports.
    if not module.name.endswith(('__main__', 'export_run_template'))
  ]
  assert len(modules) > 150
  finished = subprocess.run(
    [sys.executable, '-c', POISONED, *modules],
    cwd=PROJECT, env={**os.environ, 'JAX_PLATFORMS': 'cpu'}, capture_output=True, text=True,
  )  # fmt: skip
  assert finished.returncode == 0, finished.stderr[-2000:]
  assert finished.stdout.strip() == str(len(modules))


@pytest.mark.parametrize(
  'missing', [('process_cpu_count',), ('process_cpu_count', 'sched_getaffinity')]
)
def test_there_is_a_processor_everywhere(monkeypatch, missing):
  for name in missing:
    monkeypatch.delattr(os, name, raising=False)
  assert 1 <= processors.available() <= os.cpu_count()


def test_a_lock_is_refused_to_another_process_until_its_holder_is_killed(tmp_path):
  lock = tmp_path / 'lock'
  holder = subprocess.Popen(
    [
      sys.executable, '-c',
      'import pathlib, sys, time\nfrom medjax.runtime import files\n'
      'with files.locked(pathlib.Path(sys.argv[1]), "no"):\n  print("held", flush=True)\n  '
      'time.sleep(600)',
      str(lock),
    ],
    cwd=PROJECT, stdout=subprocess.PIPE, text=True,
  )  # fmt: skip
  try:
    assert holder.stdout.readline() == 'held\n'
    with (
      pytest.raises(InputError, match='another process'),
      files.locked(lock, 'another process'),
    ):
      pass
  finally:
    holder.kill()
    holder.wait()
  with (
    files.locked(lock, 'another process'),
    # The same process may not enter twice either.
    pytest.raises(InputError),
    files.locked(lock, 'twice'),
  ):
    pass

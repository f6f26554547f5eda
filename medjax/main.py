"""Trains and tests: python -m medjax.main --config=configs/phantom.py --workdir=runs/phantom

--config.field=value overrides any field of the config, such as --config.data.root=/data/CheXpert or
--config.optimizer.learning_rate=1e-3; medjax/config.py lists them all.
"""

# Flags and devices, nothing else. Input workers import this module again: keep it light.

import os
import pathlib
import sys

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line

flags.adopt_module_key_flags(command_line)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder for everything the run leaves.')
_COORDINATOR = flags.DEFINE_string(
  'coordinator', '', "Address host:port of process 0; 'auto' on TPU pods, Slurm and Open MPI."
)
_PROCESSES = flags.DEFINE_integer('processes', 1, 'Number of processes, with --coordinator.')
_PROCESS = flags.DEFINE_integer('process', 0, 'Number of this process, with --coordinator.')


def main() -> None:
  """Sets up the devices and runs the experiment."""
  config = command_line.load_config()
  if not _WORKDIR.value:
    raise InputError('--workdir is missing; try --workdir=runs/phantom')

  import jax

  from medjax.experiment import run
  from medjax.runtime import devices

  # Compiled programs are kept, so that the second start of a large network takes seconds.
  if not jax.config.jax_compilation_cache_dir:
    cache = pathlib.Path(os.environ.get('XDG_CACHE_HOME', '~/.cache')).expanduser()
    jax.config.update('jax_compilation_cache_dir', str(cache / 'medjax' / 'jax'))
  devices.initialise(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
  try:
    run.run(config, pathlib.Path(_WORKDIR.value))
  except jax.errors.JaxRuntimeError as error:
    reason = str(error).splitlines()[0]
    if 'RESOURCE_EXHAUSTED' in reason:
      raise InputError(
        f'the device has too little memory ({reason}); lower config.batch_size or data.image_size, or '
        'raise optimizer.accumulate'
      ) from None
    if jax.process_count() == 1:
      raise
    print(
      f'error: another process of this run has died or cannot be reached ({reason}); started again, '
      'all processes go on from the last checkpoint',
      file=sys.stderr,
      flush=True,
    )
    os._exit(1)  # An orderly exit would wait for the process that is gone.


if __name__ == '__main__':
  command_line.run(main)

"""Trains and tests: python -m medjax.main --config=configs/phantom.py --workdir=runs/phantom

--config.field=value overrides any field of the config, such as --config.data.root=/data/CheXpert or
--config.optimizer.learning_rate=1e-3; python -m medjax.config lists them all. A run that was
interrupted goes on by the same command, a finished one by more --config.steps or another
--config.evaluation.

--config.split.folds=5 tests everybody once, in five runs, and --config.seeds=5 trains five networks
on one split; --fold=2 and --seed_index=2 do one of them, for a cluster, and --fold=auto that of the
task of a Slurm array or the pod of an Indexed Job.
"""

# Flags and devices, nothing else. Input workers import this module again: keep it light.

import os
import pathlib
import sys

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line, shards

flags.adopt_module_key_flags(command_line)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder for everything the run leaves.')
_COORDINATOR = flags.DEFINE_string(
  'coordinator', '', "Address host:port of process 0; 'auto' on TPU pods, Slurm and Open MPI."
)
_PROCESSES = flags.DEFINE_integer('processes', 1, 'Number of processes, with --coordinator.')
_PROCESS = flags.DEFINE_integer('process', 0, 'Number of this process, with --coordinator.')

_FOLD = flags.DEFINE_string(
  'fold', None, "The one fold to run, from 0, with config.split.folds; 'auto': as a cluster counts."
)
_SEED_INDEX = flags.DEFINE_string(
  'seed_index', None, "The one seed to run, from 0, with config.seeds; 'auto': as a cluster counts."
)


def main() -> None:
  """Sets up the devices and runs the experiment."""
  config = command_line.load_config()
  if not _WORKDIR.value:
    raise InputError('--workdir is missing; try --workdir=runs/phantom')
  fold = shards.index('--fold', _FOLD.value)
  seed_index = shards.index('--seed_index', _SEED_INDEX.value)

  import jax

  from medjax.experiment import memory, repeated
  from medjax.runtime import devices

  devices.keep_compiled_programs()
  devices.initialise(_COORDINATOR.value, _PROCESSES.value, _PROCESS.value)
  try:
    with memory.errors_in_words(config):
      only = repeated.Only(fold, seed_index)
      repeated.start(config, pathlib.Path(_WORKDIR.value), only)
  except jax.errors.JaxRuntimeError as error:
    if jax.process_count() == 1:
      raise
    reason = str(error).splitlines()[0]
    print(
      f'error: another process of this run has died or cannot be reached ({reason}); started '
      'again, all processes go on from the last checkpoint',
      file=sys.stderr,
      flush=True,
    )
    os._exit(1)  # An orderly exit would wait for the process that is gone.


if __name__ == '__main__':
  command_line.run(main)

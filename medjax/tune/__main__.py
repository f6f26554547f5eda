"""Searches hyper-parameters by validation, and tests the winner once.

  python -m medjax.tune --config=configs/phantom.py
    --search=configs/search/phantom.py --workdir=tuned/phantom

--trials=40 makes so many in place of the search file's number. Trials are compared on validation
alone; the test set is read once, for the best of them, whose run is WORKDIR/best and whose trials
are in WORKDIR/index.html. The same command goes on where it was stopped. Started several times on
one WORKDIR, the processes share the trials. docs/tuning.md says more.
"""

import pathlib

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line

flags.adopt_module_key_flags(command_line)
_SEARCH = flags.DEFINE_string(
  'search', None, 'Python file that defines search(trial), or the name of one of medjax.'
)
_WORKDIR = flags.DEFINE_string('workdir', None, 'Folder for everything the search leaves.')
_TRIALS = flags.DEFINE_integer('trials', None, "How many; by default the search file's number.")


def main() -> None:
  """Sets up the devices and searches."""
  config = command_line.load_config()
  if not _SEARCH.value:
    raise InputError('--search is missing; try --search=configs/search/phantom.py')
  if not _WORKDIR.value:
    raise InputError('--workdir is missing; try --workdir=tuned/phantom')

  from medjax.experiment.tuning import search, space
  from medjax.runtime import devices

  proposing = space.load(pathlib.Path(_SEARCH.value))
  devices.keep_compiled_programs()
  devices.initialise()
  search.search_settings(config, proposing, pathlib.Path(_WORKDIR.value), _TRIALS.value)


if __name__ == '__main__':
  command_line.run(main)

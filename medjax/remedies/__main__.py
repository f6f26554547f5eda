"""Shows the seven problems, each with and without its remedy, on films whose truth is known.

  python -m medjax.remedies --output=remedies --quick

Without --quick it takes hours. --only=overlap,one_number measures those alone. What has been
measured is kept in the folder: the same command goes on where it was stopped, and several with
different --only may run on one folder. DIR/remedies.html and remedies.json show what there is.

With --config=configs/chestxray14.py it shows patient overlap and intervals on films of your own.
"""

import pathlib

from absl import flags

from medjax.errors import InputError, check_option
from medjax.remedies import PROBLEMS
from medjax.runtime import command_line

flags.adopt_module_key_flags(command_line)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for what is measured and the page.')
_ONLY = flags.DEFINE_list('only', [], f'Problems to measure, of {", ".join(PROBLEMS)}.')
_QUICK = flags.DEFINE_bool('quick', False, 'Small sizes, for minutes in place of hours.')


def main() -> None:
  """Measures what is missing and writes the page."""
  if not _OUTPUT.value:
    raise InputError('--output is missing; try --output=remedies')
  for name in _ONLY.value:
    check_option('--only', name, PROBLEMS)

  folder = pathlib.Path(_OUTPUT.value)
  if command_line.has_config():
    if _ONLY.value:
      raise InputError('--only: with --config there is nothing to choose from; leave it out')
    config = command_line.load_config()

    from medjax.remedies import own_films, run

    shown = [own_films.problem(config)]
    run.run(folder, shown, _QUICK.value, shown)
  else:
    from medjax.remedies import run

    shown = [run.problem(name) for name in PROBLEMS]
    chosen = [problem for problem in shown if problem.name in (_ONLY.value or PROBLEMS)]
    run.run(folder, chosen, _QUICK.value, shown)


if __name__ == '__main__':
  command_line.run(main)

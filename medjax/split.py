"""Makes and proves a split without opening an image: python -m medjax.split --config=… --output=DIR

--config.field=value overrides any field of the config, such as --config.split.test=0.2.
"""

import pathlib

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line, progress

flags.adopt_module_key_flags(command_line)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for split.csv and split.json.')


def main() -> None:
  """Writes split.csv and split.json and says what they hold."""
  config = command_line.load_config()
  if not _OUTPUT.value:
    raise InputError('--output is missing; try --output=splits/phantom')

  from medjax.data import study
  from medjax.data.split import split_files
  from medjax.evaluation import test_size_words

  with progress.waiting(f'reading the table in {config.data.root} and drawing the split'):
    made, csv = study.make(config)
  with progress.waiting('looking for what would make the test flatter'):
    made.proof['notes'] += study.findings(config, made)
  directory = pathlib.Path(_OUTPUT.value)
  split_files.write(directory, csv, made.proof)
  shown = test_size_words.of_split(made.proof)
  print(
    '\n'.join([*study.describe(made), *shown, *(f'note: {note}' for note in made.proof['notes'])])
  )
  print(f'written: {directory / "split.csv"} and its proof {directory / "split.json"}')


if __name__ == '__main__':
  command_line.run(main)

"""Readers' answers to a reference standard.

  python -m medjax.readers --readers=reads.csv --output=DIR

The CSV has one row per image and reader with a column for each label (1, 0, empty where not read),
or one row per answer with the columns image, reader, label and value; several files need no column
reader, each being the reader's whose name it has (--readers=ann.csv,bo.csv). With a column
`patient` the intervals are those of patients. Written are consensus.csv, readers.csv and
agreement.json.
"""

import pathlib

from absl import flags

from medjax.errors import InputError, check_option
from medjax.runtime import command_line, progress

_READERS = flags.DEFINE_list(
  'readers', None, 'CSV of image, reader and the labels, or several, one a reader: ann.csv,bo.csv.'
)
_DEFINITIVE = flags.DEFINE_string(
  'definitive',
  None,
  'CSV of image, labels and test: a more definitive test, which outranks readers.',
)
_CONSENSUS = flags.DEFINE_string('consensus', 'majority', 'majority, share, dawid_skene or staple.')
_TIES = flags.DEFINE_string('ties', 'uncertain', 'uncertain, positive or negative.')
_CLASSES = flags.DEFINE_list(
  'classes', [], 'Where readers choose one of several: their names, grades in rising order.'
)
_OUTPUT = flags.DEFINE_string(
  'output', None, 'Folder for consensus.csv, readers.csv, agreement.json.'
)


def main() -> None:
  """Writes the three files and prints what they hold."""
  if not _READERS.value:
    raise InputError('--readers is missing; try --readers=reads.csv')
  if not _OUTPUT.value:
    raise InputError('--output is missing; try --output=readers')

  from medjax.data.reference import consensus
  from medjax.evaluation.readers import in_words, reference

  check_option('--consensus', _CONSENSUS.value, consensus.METHODS)
  check_option('--ties', _TIES.value, consensus.TIES)
  classes = [name.strip() for name in _CLASSES.value]
  if classes and (len(classes) < 2 or len(set(classes)) < len(classes)):
    raise InputError(
      f'--classes={",".join(classes)}: give two or more different names, such as '
      '--classes=none,mild'
    )
  with progress.waiting('estimating what the readers agree on'):
    standard = reference.make(
      [pathlib.Path(path) for path in _READERS.value],
      pathlib.Path(_DEFINITIVE.value) if _DEFINITIVE.value else None,
      method=_CONSENSUS.value,
      ties=_TIES.value,
      classes=classes,
    )
  output = pathlib.Path(_OUTPUT.value)
  reference.write(output, standard)
  print('\n'.join(in_words.describe(standard)))
  names = (reference.CONSENSUS, reference.READERS, reference.AGREEMENT)
  print(f'written: {", ".join(str(output / name) for name in names)}')


if __name__ == '__main__':
  command_line.run(main)

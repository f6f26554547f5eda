"""Looks for what makes a test flatter: python -m medjax.audit --config=… --output=DIR

The split is the one that the config draws, or with --split=… one that exists already: a work
directory, or a CSV with the columns image and split, such as a paper publishes. --other=… is the
config of a second set, to see which images both have. --config.field=value overrides any field of
the config.

DIR/index.html is for people, DIR/audit.json for programs. The images that exist are opened, unless
--nopixels is given; the page says what was not looked at.

Exit status: 2 where patients (or studies, lesions or slides) are on two sides of the split; 0
otherwise, whatever else was found; 1 for a mistake in what was given.
"""

import pathlib
import sys

from absl import flags

from medjax.errors import InputError
from medjax.runtime import command_line, progress

flags.adopt_module_key_flags(command_line)
_OUTPUT = flags.DEFINE_string('output', None, 'Folder for index.html and audit.json.')
_SPLIT = flags.DEFINE_string(
  'split', '', 'Work directory or CSV (image, split) of the split; the config draws it otherwise.'
)
_OTHER = flags.DEFINE_string('other', '', 'Config of a second set, to find images that both have.')
_OTHER_ROOT = flags.DEFINE_string(
  'other_root', '', 'Where the second set lies, if not as its config says.'
)
_PIXELS = flags.DEFINE_bool('pixels', True, 'Whether to open the images that exist.')


def main() -> None:
  """Audits, writes the page and exits with 2 where patients are on two sides."""
  config = command_line.load_config()
  if not _OUTPUT.value:
    raise InputError('--output is missing; try --output=audits/phantom')
  other = _other()

  from medjax.data.leakage import inspect
  from medjax.report import audit_files

  inspection = inspect.audit(config, split=_SPLIT.value, other=other, pixels=_PIXELS.value)
  directory = pathlib.Path(_OUTPUT.value)
  with progress.waiting('drawing the page'):
    audit_files.write(directory, inspect.set_name(config), inspection)
  warnings = [f'- {warning}' for warning in inspection.audit.warnings]
  print('\n'.join(warnings) or 'nothing that it looks for')
  print(f'written: {directory / audit_files.PAGE} and {directory / audit_files.RESULT}')
  if inspection.audit.table.overlapping:
    sys.exit(2)


def _other():
  from medjax import config

  if not _OTHER.value:
    if _OTHER_ROOT.value:
      raise InputError('--other_root is given without --other, the config that it belongs to')
    return None
  return config.load(_OTHER.value, [f'data.root={_OTHER_ROOT.value}'] if _OTHER_ROOT.value else ())


if __name__ == '__main__':
  command_line.run(main)

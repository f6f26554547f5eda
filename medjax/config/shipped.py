"""The configs that come with medjax, installed or in a checkout, found by name or by path."""

import pathlib

from medjax.errors import InputError, nearest

_PACKAGE = pathlib.Path(__file__).parent.parent


def folder() -> pathlib.Path:
  """Returns where they are: medjax.configs of an installed package, configs/ of a checkout."""
  installed = _PACKAGE / 'configs'
  return installed if installed.is_dir() else _PACKAGE.parent / 'configs'


def names(group: str = '') -> list[str]:
  """Returns what `group` holds: '' for configs, 'search' for searches of settings."""
  return sorted(path.stem for path in (folder() / group).glob('*.py'))


def find(given: str, flag: str, group: str = '') -> pathlib.Path:
  """Returns the file of 'chexpert', of 'configs/chexpert.py', or of any path to a file.

  A file at that path comes before one that medjax brings.

  Args:
    given: a name, or a path.
    flag: that names it, for messages.
    group: as of `names`.

  Raises:
    InputError: there is none; it names those that there are.
  """
  path, prefix = pathlib.Path(given), pathlib.PurePath('configs', group)
  if path.is_file():
    return path
  is_name = path.name == given and not path.suffix
  ours = {name if is_name else str(prefix / f'{name}.py'): name for name in names(group)}
  if given in ours:
    return folder() / group / f'{ours[given]}.py'
  own = [] if is_name else [str(sibling) for sibling in sorted(path.parent.glob('*.py'))]
  what, own_file = f'no file {given}', ''
  if is_name:
    what = f"'{given}' is no {group or 'config'} of medjax"
    own_file = '; a file of your own is named by its path, such as ./mine.py'
  hint = nearest(given, [*own, *ours]) or ';'
  raise InputError(f'{flag}: {what}{hint} medjax has {", ".join(ours.values())}{own_file}')

"""Configs read from Python files, changed from a command line, and kept as JSON."""

import dataclasses
import importlib.util
import json
import pathlib
import re
import types
import typing
from collections.abc import Sequence
from typing import Any

from medjax.config import fields, shipped
from medjax.config.checks import check
from medjax.config.settings import Config
from medjax.errors import InputError, one_line


def load(path_and_arg: str, overrides: Sequence[str] = ()) -> Config:
  """Returns the checked config of 'file.py' or 'file.py:arg' with overrides 'data.root=…' applied.

  In place of a file, 'chexpert' is the config of that name that comes with medjax. A config is
  code, which runs here: read a stranger's before you load it.

  Raises:
    InputError: no such file, one that returns no config, or a setting that no run could use.
  """
  path, _, arg = path_and_arg.partition(':')
  config = _read(shipped.find(path, '--config'), arg)
  for override in overrides:
    name, equals, text = override.partition('=')
    if not equals:
      raise InputError(f'--config.{override}: give the value as --config.{name}=value')
    fields.override(config, name, text)
  check(config)
  return config


def read_module(path: pathlib.Path, flag: str, example: str) -> types.ModuleType:
  """Returns a Python file of the user's, run.

  Args:
    path: of the file, which is there.
    flag: that names it, for messages.
    example: a file that would do.

  Raises:
    InputError: it cannot be run.
  """
  spec = importlib.util.spec_from_file_location(f'config_{path.stem}', path)
  if path.suffix != '.py' or spec is None or spec.loader is None:
    raise InputError(f'{flag}: {path} is no Python file; {example} is an example')
  module = importlib.util.module_from_spec(spec)
  try:
    spec.loader.exec_module(module)
  except SyntaxError as error:
    raise InputError(f'{path}, line {error.lineno}: {error.msg}') from None
  except Exception as error:  # Whatever anybody's file may raise.
    raise InputError(f'{path}: {_misspelt(error) or one_line(error)}') from error
  return module


def _read(path: pathlib.Path, arg: str) -> Config:
  module = read_module(path, '--config', 'configs/phantom.py')
  if not hasattr(module, 'get_config'):
    raise InputError(f"{path}: defines no get_config(arg='')")
  try:
    config = module.get_config(arg)
  except InputError as error:
    raise InputError(f'{path}: {error}') from None
  except Exception as error:
    raise InputError(f'{path}: {_misspelt(error) or one_line(error)}') from error
  if not isinstance(config, Config):
    raise InputError(
      f'{path}: get_config returned {type(config).__name__}, not medjax.config.Config'
    )
  return config


def _misspelt(error: Exception) -> str:
  """Returns the message for a field that a config's dataclasses do not have, '' for all else."""
  match = re.match(r"(\w+)\.__init__\(\) got an unexpected keyword argument '(\w+)'", str(error))
  kinds = typing.get_type_hints(Config)
  groups = {'Config': ('', Config)} | {
    kind.__name__: (f'{name}.', kind)
    for name, kind in kinds.items()
    if isinstance(kind, type) and dataclasses.is_dataclass(kind)
  }
  if not isinstance(error, TypeError) or match is None or match[1] not in groups:
    return ''
  prefix, kind = groups[match[1]]
  where = one_line(error).rpartition(' (')[2].removesuffix(')')
  return f'{fields.no_such_setting(Config, prefix + match[2], kind)} ({where})'


def to_dict(config: Config) -> dict[str, Any]:
  """Returns the config as nested dicts that JSON gives back unchanged."""
  return json.loads(json.dumps(dataclasses.asdict(config)))


def from_dict(values: dict[str, Any]) -> Config:
  """Returns the checked config that `to_dict` gave."""
  config = fields.from_dict(Config, values)
  check(config)
  return config


def with_defaults(values: dict[str, Any]) -> dict[str, Any]:
  """Returns a config dict with the fields that it lacks at their defaults; others as they are."""
  return _with_defaults(Config, values)


def _with_defaults(kind: type, values: dict[str, Any]) -> dict[str, Any]:
  kinds, filled = typing.get_type_hints(kind), dict(values)
  for field in dataclasses.fields(kind):
    if dataclasses.is_dataclass(kinds[field.name]):
      filled[field.name] = _with_defaults(kinds[field.name], filled.get(field.name, {}))
    elif field.name not in filled and field.default_factory is not dataclasses.MISSING:
      filled[field.name] = field.default_factory()
    elif field.name not in filled and field.default is not dataclasses.MISSING:
      filled[field.name] = field.default
  return json.loads(json.dumps(filled))


def differences(old: dict[str, Any], new: dict[str, Any], prefix: str = '') -> list[str]:
  """Returns a line 'field: was X, is now Y' for every field in which two config dicts differ."""
  lines = []
  for name in sorted(old.keys() | new.keys()):
    before, after = old.get(name), new.get(name)
    if isinstance(before, dict) and isinstance(after, dict):
      lines += differences(before, after, f'{prefix}{name}.')
    elif before != after:
      lines.append(f'config.{prefix}{name}: was {before!r}, is now {after!r}')
  return lines

"""Finds what a config names: a part of medjax by its name, or anybody's by import path."""

import importlib
import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from types import ModuleType
from typing import Any

from medjax.errors import InputError, check_option, one_line


def public(module: ModuleType) -> dict[str, Callable[..., Any]]:
  """Returns what `module.__all__` names."""
  return {name: getattr(module, name) for name in module.__all__}


def find(name: str, known: Mapping[str, Callable[..., Any]], what: str) -> Callable[..., Any]:
  """Returns `known[name]`, or the object that an import path 'package.module:object' leads to.

  Raises:
    InputError: no such name (with the nearest spelling), module or object; `what` names the field.
  """
  if ':' not in name:
    check_option(what, name, known)
    return known[name]
  module_name, _, attribute = name.partition(':')
  try:
    module = importlib.import_module(module_name)
  except Exception as error:  # Whatever anybody's module may raise.
    raise InputError(f"{what}='{name}': cannot import {module_name}: {one_line(error)}") from error
  if not callable(getattr(module, attribute, None)):
    raise InputError(f"{what}='{name}': {module_name} has no function or class '{attribute}'")
  return getattr(module, attribute)


def check_settings(
  function: Callable[..., Any], settings: Mapping[str, Any], what: str, given: Collection[str]
) -> None:
  """Raises InputError if `function` takes no such keyword as one of `settings`, or of another type.

  The arguments in `given` are for medjax to give. Types are checked where a plain one is annotated.
  """
  parameters = inspect.signature(function).parameters
  variadic = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
  allowed = [
    name
    for name, parameter in parameters.items()
    if name not in given and parameter.kind not in variadic
  ]
  takes_any = any(parameter.kind is variadic[0] for parameter in parameters.values())
  for setting, value in settings.items():
    if setting in given or not takes_any:
      check_option(f'{what}: the setting', setting, allowed)
    if setting in parameters:
      _check_kind(value, parameters[setting].annotation, f'{what}.{setting}')


def _check_kind(value: Any, kind: Any, what: str) -> None:
  if kind == Sequence[int]:
    if not (isinstance(value, tuple | list) and all(type(item) is int for item in value)):
      raise InputError(f'{what}={value!r}: must be whole numbers, such as (2, 2)')
    return
  if kind not in (int, float, str, bool):
    return
  allowed = (int, float) if kind is float else kind
  if not isinstance(value, allowed) or (isinstance(value, bool) and kind is not bool):
    raise InputError(f'{what}={value!r}: must be {kind.__name__}')


def takes(function: Callable[..., Any], parameter: str) -> bool:
  """Returns whether `function` has a parameter of this name."""
  return parameter in inspect.signature(function).parameters

"""Finds what a config names: one of ours by its name, or anybody's by import path."""

import importlib
import inspect
from collections.abc import Callable, Mapping
from types import ModuleType
from typing import Any

from medjax.errors import InputError, check_option


def public(module: ModuleType) -> dict[str, Callable[..., Any]]:
  """Returns what `module.__all__` names."""
  return {name: getattr(module, name) for name in module.__all__}


def find(name: str, ours: Mapping[str, Callable[..., Any]], what: str) -> Callable[..., Any]:
  """Returns `ours[name]`, or the object that an import path 'package.module:object' leads to.

  Raises:
    InputError: no such name (with the nearest spelling), module or object; `what` names the field.
  """
  if ':' not in name:
    check_option(what, name, ours)
    return ours[name]
  module_name, _, attribute = name.partition(':')
  try:
    module = importlib.import_module(module_name)
  except ImportError as error:
    raise InputError(f"{what}='{name}': cannot import {module_name} ({error})") from None
  if not hasattr(module, attribute):
    raise InputError(f"{what}='{name}': {module_name} has no '{attribute}'")
  return getattr(module, attribute)


def check_settings(function: Callable[..., Any], settings: Mapping[str, Any], what: str) -> None:
  """Raises InputError if `function` takes no such keyword as one of `settings`."""
  parameters = inspect.signature(function).parameters
  if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters.values()):
    return
  for setting in settings:
    check_option(f'{what}: the setting', setting, parameters)


def takes(function: Callable[..., Any], parameter: str) -> bool:
  """Returns whether `function` has a parameter of this name."""
  return parameter in inspect.signature(function).parameters

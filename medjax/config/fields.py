"""Settings in nested dataclasses: read from text, checked against their types, made of dicts."""

import ast
import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from typing import Any

from medjax.errors import InputError, nearest

_TUPLES = {
  tuple[str, ...]: "a tuple of names, such as ('Edema',)",
  tuple[int, ...]: 'a tuple of whole numbers, such as (500, 1000)',
  tuple[float, ...]: 'a tuple of numbers, such as (0.5,)',
}


def override(config: Any, name: str, text: str) -> None:
  """Sets the field 'data.root' of nested dataclasses to what a command line's text stands for.

  Raises:
    InputError: no such field, with the nearest one, or a text that is not of the field's type.
  """
  *parents, last = name.split('.')
  holder: Any = config
  for depth, parent in enumerate(parents):
    holder = _get(holder, parent, '.'.join(parents[: depth + 1]))
  if isinstance(holder, dict):
    holder[last] = _literal(text)
    return
  _get(holder, last, name)
  kind = typing.get_type_hints(type(holder))[last]
  if dataclasses.is_dataclass(kind):
    inside = ', '.join(f'{name}.{field.name}' for field in dataclasses.fields(kind))
    raise InputError(f'config.{name} is a group of settings; give one of {inside}')
  setattr(holder, last, _cast(text, kind, name))


def _get(holder: Any, field: str, name: str) -> Any:
  if isinstance(holder, dict):
    return holder.setdefault(field, {})
  fields = (
    [each.name for each in dataclasses.fields(holder)] if dataclasses.is_dataclass(holder) else []
  )
  if field not in fields:
    allowed = ', '.join(fields) or 'none'
    raise InputError(
      f'config.{name}: there is no such setting; settings here: {allowed}{nearest(field, fields)}'
    )
  return getattr(holder, field)


def _literal(text: str) -> Any:
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError):
    return text


def _cast(text: str, kind: Any, name: str) -> Any:
  value = _literal(text)
  if kind == tuple[str, ...]:
    items = value if isinstance(value, tuple | list) else text.split(',') if text else ()
    return tuple(str(item).strip() for item in items)
  if typing.get_origin(kind) is tuple:
    return value if isinstance(value, tuple | list) else (value,) if text else ()
  kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
  if str in kinds and not isinstance(value, tuple(set(kinds) - {str})):
    return text
  return _as_kind(value, kinds, name)


def _as_kind(value: Any, kinds: Sequence[type], name: str) -> Any:
  if type(value) is float and not math.isfinite(value):
    raise InputError(f'config.{name}={value}: must be a finite number')
  if type(value) in kinds:
    return value
  if type(value) is int and float in kinds:
    return float(value)
  if type(value) is float and kinds == (int,) and value.is_integer():
    return int(value)
  allowed = ' or '.join(kind.__name__ for kind in kinds)
  raise InputError(f'config.{name}={value!r}: must be {allowed}')


def check_types(group: Any, prefix: str = '') -> None:
  """Checks every field of nested dataclasses; whole numbers become floats, and lists tuples, in place.

  Raises:
    InputError: a value that is not of its field's type.
  """
  hints = typing.get_type_hints(type(group))
  for field in dataclasses.fields(group):
    value, kind, name = getattr(group, field.name), hints[field.name], prefix + field.name
    if dataclasses.is_dataclass(kind):
      if not isinstance(value, kind):
        raise InputError(f'config.{name}={value!r}: must be a {kind.__name__}(…)')
      check_types(value, f'{name}.')
    elif typing.get_origin(kind) is tuple:
      item_kind, example = typing.get_args(kind)[0], _TUPLES[kind]
      if not isinstance(value, tuple | list):
        raise InputError(f'config.{name}={value!r}: must be {example}')
      if item_kind is str and not all(isinstance(item, str) for item in value):
        raise InputError(f'config.{name}={value!r}: must be {example}')
      setattr(group, field.name, tuple(_as_kind(item, (item_kind,), name) for item in value))
    else:
      kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
      setattr(group, field.name, _as_kind(value, kinds, name))


def from_dict(kind: type, values: dict[str, Any]) -> Any:
  """Returns the dataclass `kind` with nested ones in it made of nested dicts."""
  kinds = typing.get_type_hints(kind)
  return kind(
    **{
      name: from_dict(kinds[name], value) if dataclasses.is_dataclass(kinds.get(name)) else value
      for name, value in values.items()
    }
  )

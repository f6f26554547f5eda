"""Settings in nested dataclasses: read from text, checked against types and ranges, made of
dicts.
"""

import ast
import dataclasses
import math
import types
import typing
from collections.abc import Sequence
from typing import Any

from medjax.errors import InputError, check_option, nearest

_TUPLES = {
  tuple[str, ...]: "a tuple of names, such as ('Edema',)",
  tuple[int, ...]: 'a tuple of whole numbers, such as (500, 1000)',
  tuple[float, ...]: 'a tuple of numbers, such as (0.5,)',
}


@dataclasses.dataclass(frozen=True)
class _Range:
  least: float | None = None
  above: float | None = None
  most: float | None = None
  below: float | None = None

  def __contains__(self, value: float) -> bool:
    return (
      (self.least is None or value >= self.least)
      and (self.above is None or value > self.above)
      and (self.most is None or value <= self.most)
      and (self.below is None or value < self.below)
    )

  def __str__(self) -> str:
    if self.most is None and self.below is None:
      return f'{self.least} or more' if self.above is None else f'more than {self.above}'
    start = f'[{self.least}' if self.above is None else f'({self.above}'
    return f'in {start}, ' + (f'{self.below})' if self.most is None else f'{self.most}]')


def setting(
  default: Any,
  *,
  least: float | None = None,
  above: float | None = None,
  most: float | None = None,
  below: float | None = None,
  options: Sequence[str] = (),
) -> Any:
  """Returns a dataclass field that `check` holds to a range, or to one of a few words.

  Args:
    default: of the field.
    least, most: ends of the range that belong to it.
    above, below: ends that do not.
    options: all that a text may be; empty where it has no such list.
  """
  metadata: dict[str, Any] = {'options': options} if options else {}
  if (least, above, most, below) != (None,) * 4:
    metadata['range'] = _Range(least, above, most, below)
  return dataclasses.field(default=default, metadata=metadata)


def override(config: Any, name: str, text: str) -> None:
  """Sets the field 'data.root' of nested dataclasses to what a command line's text stands for.

  Raises:
    InputError: no such field, with the nearest one, or a text that is not of the field's type.
  """
  *parents, last = name.split('.')
  group: Any = config
  for depth, parent in enumerate(parents):
    group = _get(group, parent, '.'.join(parents[: depth + 1]))
  if isinstance(group, dict):
    group[last] = _literal(text)
    return
  _get(group, last, name)
  kind = typing.get_type_hints(type(group))[last]
  if dataclasses.is_dataclass(kind):
    inside = ', '.join(f'{name}.{field.name}' for field in dataclasses.fields(kind))
    raise InputError(f'config.{name} is a group of settings; give one of {inside}')
  setattr(group, last, _cast(text, kind, name))


def _get(group: Any, field: str, name: str) -> Any:
  if isinstance(group, dict):
    return group.setdefault(field, {})
  names = (
    [known.name for known in dataclasses.fields(group)] if dataclasses.is_dataclass(group) else []
  )
  if field not in names:
    allowed = ', '.join(names) or 'none'
    raise InputError(
      f'config.{name}: there is no such setting; settings here: {allowed}{nearest(field, names)}'
    )
  return getattr(group, field)


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
  kinds = _kinds(kind)
  if str in kinds and not isinstance(value, tuple(set(kinds) - {str})):
    return text
  return _as_kind(value, kinds, name)


def _kinds(kind: Any) -> tuple[type, ...]:
  return typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)


def _as_kind(value: Any, kinds: Sequence[type], name: str) -> Any:
  if type(value) is float and not math.isfinite(value):
    raise InputError(f'config.{name}={value}: must be a finite number')
  if type(value) in kinds:
    return value
  if type(value) is int and float in kinds:
    return float(value)
  if type(value) is float and kinds == (int,) and value.is_integer():
    return int(value)
  allowed = ' or '.join('None' if kind is type(None) else kind.__name__ for kind in kinds)
  raise InputError(f'config.{name}={value!r}: must be {allowed}')


def check(group: Any, prefix: str = '') -> None:
  """Checks the type and the range of every field of nested dataclasses.

  Whole numbers become floats, and lists tuples, in place.

  Raises:
    InputError: a value that is not of its field's type, or out of its range.
  """
  hints = typing.get_type_hints(type(group))
  names = [field.name for field in dataclasses.fields(group)]
  for name in vars(group):
    if name not in names:  # Set by hand: config.stepz = 3.
      raise InputError(
        f'config.{prefix}{name}: there is no such setting{nearest(name, names) or "."} '
        f'Settings here: {", ".join(names)}'
      )
  for field in dataclasses.fields(group):
    value, kind, name = getattr(group, field.name), hints[field.name], prefix + field.name
    if isinstance(kind, type) and dataclasses.is_dataclass(kind):
      if not isinstance(value, kind):
        raise InputError(f'config.{name}={value!r}: must be a {kind.__name__}(…)')
      check(value, f'{name}.')
      continue
    value = _as_tuple(value, kind, name) if kind in _TUPLES else _as_kind(value, _kinds(kind), name)
    setattr(group, field.name, value)
    if 'options' in field.metadata:
      check_option(f'config.{name}', value, field.metadata['options'])
    if 'range' in field.metadata and value is not None and value not in field.metadata['range']:
      raise InputError(f'config.{name}={value}: must be {field.metadata["range"]}')


def _as_tuple(value: Any, kind: Any, name: str) -> tuple:
  (item_kind, _), example = typing.get_args(kind), _TUPLES[kind]
  if not isinstance(value, tuple | list):
    raise InputError(f'config.{name}={value!r}: must be {example}')
  if item_kind is str and not all(isinstance(item, str) for item in value):
    raise InputError(f'config.{name}={value!r}: must be {example}')
  return tuple(_as_kind(item, (item_kind,), name) for item in value)


def from_dict(kind: type, values: dict[str, Any]) -> Any:
  """Returns the dataclass `kind` with nested ones in it made of nested dicts."""
  kinds = typing.get_type_hints(kind)
  return kind(
    **{
      name: from_dict(kinds[name], value) if dataclasses.is_dataclass(kinds.get(name)) else value
      for name, value in values.items()
    }
  )

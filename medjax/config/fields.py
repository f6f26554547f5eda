"""Settings in nested dataclasses: read from text, checked against types and ranges, made of
dicts.
"""

import ast
import dataclasses
import math
import re
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
  group, last = _place(config, name)
  if isinstance(group, dict):
    group[last] = _literal(text)
  else:
    setattr(group, last, _cast(text, typing.get_type_hints(type(group))[last], name))


def put(config: Any, name: str, value: Any) -> None:
  """Sets the field 'data.root' of nested dataclasses to a value, whose type `check` looks at.

  Raises:
    InputError: no such field, with the nearest one.
  """
  group, last = _place(config, name)
  if isinstance(group, dict):
    group[last] = value
  else:
    setattr(group, last, value)


def _place(config: Any, name: str) -> tuple[Any, str]:
  """Returns the group of settings, or the dict, that a field is in, and its name there."""
  *parents, last = name.split('.')
  group: Any = config
  for depth, parent in enumerate(parents):
    group = _get(group, parent, '.'.join(parents[: depth + 1]), type(config))
  if isinstance(group, dict):
    return group, last
  _get(group, last, name, type(config))
  kind = typing.get_type_hints(type(group))[last]
  if dataclasses.is_dataclass(kind):
    inside = ', '.join(f'{name}.{field.name}' for field in dataclasses.fields(kind))
    raise InputError(f'config.{name} is a group of settings; give one of {inside}')
  return group, last


def _get(group: Any, field: str, name: str, root: type) -> Any:
  if isinstance(group, dict):
    return group.setdefault(field, {})
  if not _is_group(type(group)) or field not in typing.get_type_hints(type(group)):
    raise InputError(no_such_setting(root, name, type(group)))
  return getattr(group, field)


def no_such_setting(root: type, name: str, group: type) -> str:
  """Returns the message for a name that is none, with the one that is meant.

  Args:
    root: the outermost dataclass.
    name: of the setting from there, such as 'optimizer.lr'.
    group: the dataclass that lacks it.
  """
  names = [field.name for field in dataclasses.fields(group)] if _is_group(group) else []
  last = name.rpartition('.')[2]
  meant = [path for path in paths(root) if path.rpartition('.')[2] == last]
  if meant:
    guess = f'; did you mean {" or ".join(map(repr, meant))}?'
  else:
    guess = nearest(last, names) or _by_initials(last, names)
    guess = guess or _by_initials(last, paths(root)) or _nearest_path(last, paths(root))
  return (
    f'config.{name}: there is no such setting{guess or "."} Settings here: '
    f'{", ".join(names) or "none"}'
  )


def paths(root: type, prefix: str = '') -> list[str]:
  """Returns the dotted names of all settings of nested dataclasses, groups left out."""
  names, kinds = [], typing.get_type_hints(root)
  for field in dataclasses.fields(root):
    kind, name = kinds[field.name], prefix + field.name
    names += paths(kind, f'{name}.') if _is_group(kind) else [name]
  return names


def _is_group(kind: Any) -> bool:
  return isinstance(kind, type) and dataclasses.is_dataclass(kind)


def _by_initials(word: str, names: Sequence[str]) -> str:
  """'lr' → 'learning_rate'."""
  initials = {
    name: ''.join(part[:1] for part in name.rpartition('.')[2].split('_')) for name in names
  }
  matching = [name for name in names if len(word) > 1 and initials[name] == word.casefold()]
  return f"; did you mean '{matching[0]}'?" if matching else ''


def _nearest_path(word: str, names: Sequence[str]) -> str:
  last = {name.rpartition('.')[2]: name for name in reversed(names)}
  close = nearest(word, last)
  return re.sub("'(.*)'", lambda match: repr(last[match[1]]), close)


def _literal(text: str) -> Any:
  try:
    return ast.literal_eval(text)
  except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
    return text  # A list as a name, or brackets thousands deep, are no value either.


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


def check(config: Any) -> None:
  """Checks the type and the range of every field of nested dataclasses.

  Whole numbers become floats, and lists tuples, in place.

  Raises:
    InputError: a value that is not of its field's type, or out of its range.
  """
  _check(config, '', type(config))


def _check(group: Any, prefix: str, root: type) -> None:
  hints = typing.get_type_hints(type(group))
  for name in vars(group):
    if name not in hints:  # Set by hand: config.stepz = 3.
      raise InputError(no_such_setting(root, prefix + name, type(group)))
  for field in dataclasses.fields(group):
    value, kind, name = getattr(group, field.name), hints[field.name], prefix + field.name
    if _is_group(kind):
      if not isinstance(value, kind):
        raise InputError(f'config.{name}={value!r}: must be a {kind.__name__}(…)')
      _check(value, f'{name}.', root)
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

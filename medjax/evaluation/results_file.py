"""Typed results as JSON and back: the one place where their dataclasses meet dicts.

Reading is strict: a number is a number, text is text, and there is no field that the dataclass does
not have. In a file of results none is missing either.
"""

import json
import math
import pathlib
from collections.abc import Mapping
from typing import Any, TypeVar

import cattrs

from medjax.errors import InputError
from medjax.runtime import files

T = TypeVar('T')
# Optional fields that files of the same schema may lack.
_LATER = ('usefulness', 'proposals_sha256')


def _number(value: Any, _: type) -> float:
  if type(value) not in (int, float) or not math.isfinite(value):
    raise TypeError(f'{value!r} is no number')
  return float(value)


def _exact(value: Any, kind: type) -> Any:
  if type(value) is not kind:
    raise TypeError(f'{value!r} is not of type {kind.__name__}')
  return value


def _without_later(written: Any, content: Any) -> Any:
  """Returns what a value is written as, less the later fields that a file does not have."""
  if isinstance(written, dict) and isinstance(content, dict):
    return {
      name: _without_later(part, content.get(name))
      for name, part in written.items()
      if name not in _LATER or name in content
    }
  if isinstance(written, list) and isinstance(content, list) and len(written) == len(content):
    return [_without_later(*parts) for parts in zip(written, content)]
  return written


def _converter() -> cattrs.Converter:
  converter = cattrs.Converter(forbid_extra_keys=True)
  converter.register_structure_hook(float, _number)
  for kind in (int, str, bool):
    converter.register_structure_hook(kind, _exact)
  return converter


_CONVERTER = _converter()


def to_plain(value: Any) -> Any:
  """Returns a dataclass as dicts, tuples, numbers, text and None, which JSON can hold."""
  return _CONVERTER.unstructure(value)


def from_plain(content: Any, kind: type[T]) -> T:
  """Returns the dataclass that `to_plain` was given.

  Raises:
    ValueError: the content is not of that kind; the message is one line that says where.
  """
  try:
    return _CONVERTER.structure(content, kind)
  except cattrs.BaseValidationError as error:
    first = cattrs.transform_error(error)[0]
    raise ValueError(' '.join(first.split())) from None
  except (TypeError, ValueError, KeyError, AttributeError) as error:
    raise ValueError(f'{type(error).__name__}: {error}') from None


def save(path: pathlib.Path, value: Any) -> None:
  """Writes a dataclass whole or not at all."""
  files.write_whole(path, json.dumps(to_plain(value), indent=2, allow_nan=False) + '\n')


def load(path: pathlib.Path, kind: type[T], remedy: str) -> T:
  """Returns the dataclass that `save` wrote, equal to it in everything.

  Args:
    path: of the file.
    kind: a dataclass whose field `schema` has its number by default.
    remedy: what to do about a file of another version.

  Raises:
    InputError: no such file, no JSON, of another schema, or damaged.
  """
  content = files.read_json(path)
  schema = content.get('schema') if isinstance(content, Mapping) else None
  expected = vars(kind).get('schema')
  if schema != expected:
    number = 'no schema number' if schema is None else f'schema {schema!r}'
    raise InputError(
      f'{path}: not the figures that this medjax writes ({number}, and this one reads schema '
      f'{expected}); {remedy}'
    )
  try:
    value = from_plain(content, kind)
    # What is missing would be the default, and text a tuple of its letters.
    if _without_later(json.loads(json.dumps(to_plain(value))), content) != content:
      raise ValueError('a field is missing, or is no list where one belongs')
  except ValueError as error:
    raise InputError(
      f'{path}: not the figures that this medjax writes ({error}); {remedy}'
    ) from None
  return value

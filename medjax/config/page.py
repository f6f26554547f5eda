"""The page of all settings, made of their dataclasses."""

import dataclasses
import inspect
import re
import typing
from typing import Any

from medjax.config.settings import Config

_INTRODUCTION = """# Every setting

Printed by `python -m medjax.config`. A config file returns them as typed dataclasses, and
`--config.NAME=value` overrides any on the command line, such as `--config.data.root=/data/CheXpert`
or `--config.optimizer.learning_rate=1e-3`. A tuple is written `a,b`, one value of a dict
`--config.loss.settings.gamma=2`, a whole one `"{'gamma': 2}"`. What can go together is checked when
the config is loaded, before any data is read.

A config is code: Python runs it when it is loaded, and imports what it names as
`package.module:name`. Read a stranger's before you load it. So is a stranger's run as far as its
`config.json` names such an import, which happens when the run is used; nothing else of a run is
ever run."""


def page() -> str:
  """Returns the page of all settings as Markdown."""
  kinds = typing.get_type_hints(Config)
  sections = [_INTRODUCTION, _section('Config', Config, '')]
  for field in dataclasses.fields(Config):
    kind = kinds[field.name]
    if dataclasses.is_dataclass(kind):
      sections.append(_section(field.name, typing.cast(type, kind), f'{field.name}.'))
  return '\n\n'.join(sections) + '\n'


def _section(title: str, group: type, prefix: str) -> str:
  summary, meanings = _docstring(group)
  kinds = typing.get_type_hints(group)
  lines = ['| setting | default | allowed | what it is |', '|---|---|---|---|']
  for field in dataclasses.fields(group):
    if not dataclasses.is_dataclass(kinds[field.name]):
      cells = (
        f'`{prefix}{field.name}`',
        _default(field),
        _allowed(kinds[field.name], field),
        meanings.get(field.name, ''),
      )
      lines.append('| ' + ' | '.join(cell.replace('|', '\\|') for cell in cells) + ' |')
  return f'## {title}\n\n{summary}\n\n' + '\n'.join(lines)


def _docstring(group: type) -> tuple[str, dict[str, str]]:
  """Returns the first paragraph of a docstring, and attribute → what it says of it."""
  summary, _, attributes = inspect.getdoc(group).partition('Attributes:')  # type: ignore[union-attr]
  entries = re.findall(r'^ {2}(\w+): (.*(?:\n {4}.*)*)', attributes, re.M)
  return ' '.join(summary.split()), {name: ' '.join(text.split()) for name, text in entries}


def _default(field: dataclasses.Field) -> str:
  if field.default is not dataclasses.MISSING:
    return f'`{field.default!r}`'
  if field.default_factory is not dataclasses.MISSING:
    return f'`{field.default_factory()!r}`'
  return 'must be given'


def _allowed(kind: Any, field: dataclasses.Field) -> str:
  if 'options' in field.metadata:
    return ', '.join(f'`{option!r}`' for option in field.metadata['options'])
  name = kind.__name__ if isinstance(kind, type) and not typing.get_args(kind) else str(kind)
  if 'range' in field.metadata:
    return f'{name}, {field.metadata["range"]}'
  return name

"""What mkdocs does not do by itself for the documentation's site.

Links from a page to a file of the repository that is no page become the file's name, and
`{remedies.…}` becomes figures of docs/remedies/remedies.json, so that none is typed by hand.
"""

import functools
import json
import logging
import pathlib
import re
from typing import Any

_PROJECT = pathlib.Path(__file__).resolve().parent.parent
_DOCS = _PROJECT / 'docs'
_LINK = re.compile(r'\[(?P<words>[^\]]+)\]\((?P<target>[^)#\s]+)(?:#[^)\s]*)?\)')
_FIGURE = re.compile(r'\{remedies\.(?P<path>[^}]+)\}')
_LOG = logging.getLogger('mkdocs.plugins')


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
  """Returns the page's text with figures in place, and without links that leave the docs."""
  here = (_DOCS / page.file.src_uri).parent
  text = _FIGURE.sub(lambda match: _figure(match['path']), markdown)
  return _LINK.sub(lambda match: _inside(match, here), text)


def _inside(match: re.Match[str], here: pathlib.Path) -> str:
  target = match['target']
  if re.match(r'\w+:', target):
    return match[0]
  path = (here / target).resolve()
  if path.is_relative_to(_DOCS):
    return match[0]
  if not path.exists():
    _LOG.warning('%s: there is no such file', target)  # A warning ends a strict build.
  name = str(path.relative_to(_PROJECT))
  # `[chexpert.py](../configs/chexpert.py)` needs its name once.
  words = match['words']
  return f'`{name}`' if f'/{name}'.endswith(f'/{words}') else f'{words} (`{name}`)'


@functools.cache
def _remedies() -> dict[str, Any]:
  content: dict[str, Any] = json.loads((_DOCS / 'remedies/remedies.json').read_text('utf-8'))
  return content


def _figure(path: str) -> str:
  """Returns what a path names: the plan, a problem in words, or the mean of one cell."""
  result, parts = _remedies(), path.split('.')
  try:
    if parts[0] in ('plan', 'version'):
      return str(result[parts[0]])
    problem = result['problems'][parts[0]]
    if len(parts) == 1:
      return _problem(problem)
    experiment, measure, level, condition = parts[1:]
    (cell,) = [
      cell
      for cell in problem['experiments'][experiment]['cells']
      if (cell['measure'], cell['level'], cell['condition']) == (measure, level, condition)
    ]
  except (KeyError, ValueError):
    _LOG.warning('{remedies.%s}: there is no such figure', path)
    return '?'
  return _number(cell['mean'])


def _problem(problem: dict[str, Any]) -> str:
  words = f'{problem["wrong"]} {problem["remedy"]}\n\n{problem["limits"]}\n\n'
  return words + '\n'.join(_table(one) for one in problem['experiments'].values())


def _table(experiment: dict[str, Any]) -> str:
  """Returns the differences of an experiment's first measure that is judged, a row per level."""
  name = next(name for name, better in experiment['better'].items() if better)
  conditions = experiment['conditions'][1:]
  without = experiment['conditions'][0]
  lines = [
    f'**{experiment["title"]}**: {experiment["measures"][name]}, less that of “{without}”\n',
    f'| {experiment["level_title"]} | {" | ".join(conditions)} |',
    f'|---|{"---|" * len(conditions)}',
  ]
  for level in experiment['levels']:
    cells = [
      f'{_number(effect["difference"])}<br>{effect["verdict"]}'
      for condition in conditions
      for effect in experiment['effects']
      if (effect['level'], effect['condition'], effect['measure']) == (level, condition, name)
    ]
    lines.append(f'| {level} | {" | ".join(cells)} |')
  return '\n'.join(lines) + '\n'


def _number(figure: dict[str, Any]) -> str:
  if figure['value'] is None:
    return f'none ({figure["reason"]})'
  text = f'{figure["value"]:.3f}'
  if figure['interval'] is not None:
    low, high = figure['interval']
    text += f' ({low:.3f} to {high:.3f})'
  return text.replace('-', '−')

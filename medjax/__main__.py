"""Lists the commands, and runs one: medjax main --config=configs/phantom.py --workdir=runs/phantom

`medjax NAME …` and `python -m medjax.NAME …` are the same.
"""

import ast
import importlib.util
import os
import pathlib
import runpy
import sys

from medjax.errors import nearest

COMMANDS = (
  'main',
  'tune',
  'split',
  'plan',
  'prepare',
  'audit',
  'readers',
  'slides',
  'attention',
  'slide_report',
  'preview',
  'predict',
  'evaluate',
  'external',
  'export',
  'remedies',
  'models',
  'config',
)


def main() -> None:
  """Runs the command that the first argument names; without one, lists them all."""
  name = sys.argv[1] if len(sys.argv) > 1 else '--help'
  if name in ('--help', '-h', 'help'):
    try:
      print(listing(), flush=True)
    except BrokenPipeError:  # Nobody reads any more, as after `| head`.
      os._exit(141)  # An orderly exit would try to write the rest.
  elif name in COMMANDS:
    del sys.argv[1]
    runpy.run_module(f'medjax.{name}', run_name='__main__', alter_sys=True)
  else:
    print(
      f"error: medjax has no command '{name}'{nearest(name, COMMANDS) or '.'} `medjax` lists them",
      file=sys.stderr,
    )
    sys.exit(1)


def listing() -> str:
  """Returns the commands with a line each, the first sentence of their files."""
  width = max(map(len, COMMANDS))
  lines = [f'  {name:{width}}  {_summary(name)}' for name in COMMANDS]
  return '\n'.join(
    ['medjax COMMAND --flag=value …, or python -m medjax.COMMAND --flag=value …', '', *lines, '',
     'medjax COMMAND --help lists its flags.']
  )  # fmt: skip


def _summary(name: str) -> str:
  # Read, not imported: a list of commands must not wait for jax.
  spec = importlib.util.find_spec(f'medjax.{name}')
  assert spec is not None and spec.origin is not None
  path = pathlib.Path(spec.origin)
  if path.name == '__init__.py':
    path = path.with_name('__main__.py')
  docstring = ast.get_docstring(ast.parse(path.read_text('utf-8'))) or ''
  return docstring.splitlines()[0].partition(': ')[0].rstrip('.')


if __name__ == '__main__':
  main()

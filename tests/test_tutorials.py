"""The tutorials: what a page says to write is written, what it says to run is run, in its order.
And the flags of commands, on all pages.
"""

import functools
import os
import re
import subprocess
import sys

import pytest
from conftest import PROJECT

import medjax

PAGES = sorted((PROJECT / 'docs/tutorials').glob('*.md'))
BLOCK = re.compile(r'(?P<skipped><!-- not run: .+? -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)```', re.S)
NEEDS = {'dicom': 'pydicom', 'slides': 'openslide'}


LONG = ('first_run', 'another_hospital', 'own_network')  # minutes each


@pytest.mark.parametrize(
  'page',
  [
    pytest.param(
      page, id=page.stem, marks=pytest.mark.deep if page.stem in LONG else pytest.mark.slow
    )
    for page in PAGES
  ],
)
def test_a_tutorial_runs_as_it_stands(page, tmp_path):
  if page.stem in NEEDS:
    pytest.importorskip(NEEDS[page.stem])
  environment = {
    **os.environ,
    'JAX_PLATFORMS': 'cpu',
    'PYTHONPATH': f'{PROJECT}{os.pathsep}.',
    'PATH': f'{os.path.dirname(sys.executable)}{os.pathsep}{os.environ["PATH"]}',
  }
  ran = 0
  for block in BLOCK.finditer(page.read_text('utf-8')):
    text = block['text']
    if block['skipped']:
      continue
    first_line = text.partition('\n')[0]
    if block['kind'] == 'python' and first_line.startswith('# ') and first_line.endswith('.py'):
      file = tmp_path / first_line.removeprefix('# ')
      file.parent.mkdir(exist_ok=True)
      file.write_text(text, 'utf-8')
      continue
    command = [sys.executable, '-c', text] if block['kind'] else ['bash', '-ec', text]
    done = subprocess.run(
      command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=600
    )
    assert done.returncode == 0, f'{text}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}'
    assert 'Traceback' not in done.stderr
    ran += 1
  assert ran


def test_every_command_of_a_tutorial_is_one_that_exists():
  from medjax.__main__ import COMMANDS

  named = [
    name
    for page in PAGES
    for name in re.findall(r'python -m medjax\.(\w+)', page.read_text('utf-8'))
  ]
  assert len(named) > 15 and set(named) <= set(COMMANDS)


def test_every_flag_of_a_documented_command_is_one_that_exists():
  given = [
    (page.name, name, flag)
    for page in [*(PROJECT / 'docs').rglob('*.md'), PROJECT / 'README.md']
    for name, flag in _flags_given(page.read_text('utf-8'))
  ]
  assert len(given) > 200
  unknown = [
    (page, name, flag)
    for page, name, flag in given
    if not (_is_field(flag) if flag.startswith('config.') else flag in _flags_defined(name))
  ]
  assert not unknown


def _flags_given(text: str) -> list[tuple[str, str]]:
  """Returns (command, flag) pairs, from blocks and from `code` in a sentence."""
  from medjax.__main__ import COMMANDS

  called = rf'(?:-m medjax\.|\bmedjax |slurm_array\.sbatch )({"|".join(COMMANDS)})\b([^`\n]*)'
  return [
    (name, flag)
    for name, rest in re.findall(called, text.replace('\\\n', ' '))
    for flag in re.findall(r'(?<=[\s"])--([\w.]+)', rest)
  ]


@functools.cache
def _flags_defined(command: str) -> set[str]:
  # Read, not imported: two commands that define one flag cannot be imported into one process.
  files = [PROJECT / f'medjax/{command}.py', PROJECT / f'medjax/{command}/__main__.py']
  text = next(file for file in files if file.exists()).read_text('utf-8')
  names = set(re.findall(r"DEFINE_\w+\(\s*'(\w+)'", text))
  switches = re.findall(r"DEFINE_bool(?:ean)?\(\s*'(\w+)'", text)
  shared = {'config'} if 'command_line' in text else set()
  return names | {f'no{name}' for name in switches} | shared


def _is_field(flag: str) -> bool:
  """Whether config.a.b is a field of the config, or is in one that takes any keys."""
  part = medjax.load_config('phantom')
  for name in flag.split('.')[1:]:
    if isinstance(part, dict):
      return True
    if not hasattr(part, name):
      return False
    part = getattr(part, name)
  return True

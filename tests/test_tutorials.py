"""The tutorials: what a page says to write is written, what it says to run is run, in its order."""

import os
import re
import subprocess
import sys

import pytest
from conftest import PROJECT

PAGES = sorted((PROJECT / 'docs/tutorials').glob('*.md'))
BLOCK = re.compile(r'(?P<skipped><!-- not run: .+? -->\n)?```(?P<kind>\w*)\n(?P<text>.*?)```', re.S)
NEEDS = {'dicom': 'pydicom', 'slides': 'openslide'}


@pytest.mark.deep
@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.stem)
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
